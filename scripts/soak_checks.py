"""What soak.py judges a run by: it stays as large as it was, and every frame and item is accounted for."""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

GROWTH = 1.05  # of memory, from the reference minute to the last one
MORE = 2  # descriptors or threads that may be open by chance in one minute and not in another
IN_FLIGHT = 4  # frames on their way at the end
TORN = 3  # pictures a connection that were sent when nobody read any more
EXIT_S = 10.0
STEADY = {"rss_mb": "memory", "descriptors": "descriptors", "threads": "threads"}

Key = tuple[int, str, str]  # an event: its frame, label and state


class Check(NamedTuple):
    name: str
    passed: bool
    numbers: str

    def __str__(self) -> str:
        return f"{'pass' if self.passed else 'FAIL'}  {self.name}: {self.numbers}"


class Sample(NamedTuple):
    """The process at_s seconds after the start; cpu_percent: of one core, since the sample before."""

    at_s: float
    rss_mb: float
    cpu_percent: float
    threads: int
    descriptors: int


class Counts(NamedTuple):
    delivered: int
    dropped: int
    failed: int

    @property
    def total(self) -> int:
        return sum(self)


@dataclass
class Told:
    """What a run says about itself at its end; sinks by their names."""

    frames: int
    dropped_capture: int
    dropped_queue: int
    unreadable: int
    engine_failures: int
    reconnects: int
    events: int
    sinks: dict[str, Counts] = field(default_factory=dict)

    @property
    def captured(self) -> int:
        return (
            self.frames + self.dropped_capture + self.dropped_queue + self.unreadable + self.engine_failures
        )


def told(stderr: str) -> Told:
    """Read the summary; ValueError when there is none."""
    lines = stderr.splitlines()
    heads = [number for number, line in enumerate(lines) if re.match(r"\d+ frames?, \d+ dropped", line)]
    if not heads:
        raise ValueError("no summary on stderr")
    head, *rest = lines[heads[-1] :]

    def number(pattern: str) -> int:
        match = re.search(pattern, head)
        return int(match[1]) if match else 0

    made = Told(
        frames=number(r"^(\d+) frames?"),
        dropped_capture=number(r"\((\d+) before"),
        dropped_queue=number(r"and (\d+) after preparing"),
        unreadable=number(r", (\d+) unreadable"),
        engine_failures=number(r", (\d+) failed in the engine"),
        reconnects=number(r", (\d+) reconnects?"),
        events=number(r", (\d+) events?"),
    )
    for line in rest:
        if match := re.fullmatch(r"(.+): (\d+) delivered(?:, (\d+) dropped)?(?:, (\d+) failed)?", line):
            made.sinks[match[1]] = Counts(*(int(count or 0) for count in match.groups()[1:]))
    return made


def windows(total_s: float) -> tuple[tuple[float, float], tuple[float, float]]:
    """What is compared: minute 5, or what follows the first third of a short run; and the end."""
    span_s = min(60.0, total_s / 3)
    start_s = 300.0 if total_s >= 900 else total_s / 3
    return (start_s, start_s + span_s), (total_s - span_s, total_s)


def medians(curve: Sequence[Sample], name: str, total_s: float) -> tuple[float, float]:
    """Of one field of the samples, in the two windows; ValueError for a window without a sample."""
    first, last = (
        [getattr(sample, name) for sample in curve if begin_s <= sample.at_s <= end_s]
        for begin_s, end_s in windows(total_s)
    )
    return statistics.median(first), statistics.median(last)


def steady(curve: Sequence[Sample], total_s: float) -> list[Check]:
    """Whether memory, descriptors and threads are what they were."""
    (begin_s, _), _ = windows(total_s)
    checks = []
    for name, title in STEADY.items():
        before, after = medians(curve, name, total_s)
        unit = " MB" if name == "rss_mb" else ""
        limit = before * GROWTH if name == "rss_mb" else before + MORE
        text = f"median {before:.5g}{unit} from {begin_s:.0f} s on, {after:.5g}{unit} at the end"
        checks.append(Check(title, after <= limit, f"{text}, at most {limit:.5g}"))
    return checks


def key(event: dict[str, Any]) -> Key:
    return event["frame"], event["label"], event["state"]


def distinct(keys: Iterable[Key]) -> list[Key]:
    """Without repetitions, in the order of the first ones."""
    return list(dict.fromkeys(keys))


def accounted(name: str, counts: Counts, expected: int, at_hand: int, keep: int | None = None) -> Check:
    """Every item has ended as delivered, dropped or failed, and what was delivered is there, up to `keep`."""
    text = f"{counts.delivered} delivered, {counts.dropped} dropped, {counts.failed} failed of {expected}"
    there = counts.delivered if keep is None else min(counts.delivered, keep)
    passed = counts.total == expected and at_hand == there
    return Check(name, passed, f"{text}; {at_hand} there")


def arrived(name: str, counts: Counts, truth: Sequence[Key], got: Sequence[Key]) -> Check:
    """The same for what others received: none missing of those delivered, none invented, the order kept.

    More may have arrived than are counted: those whose acknowledgement was lost.
    """
    once = distinct(got)
    there = set(once)
    in_order = once == [event for event in truth if event in there]
    passed = counts.total == len(truth) and counts.delivered <= len(once) and in_order
    text = f"{counts.delivered} delivered, {counts.dropped} dropped, {counts.failed} failed of {len(truth)}"
    order = "in order" if in_order else "NOT in order"
    return Check(name, passed, f"{text}; {len(once)} received, {order}, {len(got) - len(once)} of them twice")


def frames(summary: Told, indices: Sequence[int]) -> list[Check]:
    """indices: of the frames in the JSON lines, which are one for each answer."""
    captured = indices[-1] + 1 if indices else 0
    unanswered = captured - len(indices)
    explained = summary.dropped_queue + summary.engine_failures
    return [
        Check(
            "frames",
            summary.frames == len(indices) and 0 <= explained - unanswered <= IN_FLIGHT,
            f"{summary.frames} answered, {len(indices)} lines; {unanswered} not answered in between, "
            f"{explained} told",
        ),
        Check(
            "order",
            all(a < b for a, b in pairwise(indices)),
            f"{len(indices)} frame numbers, each above the one before",
        ),
    ]


def camera(summary: Told, sent: int, connections: int) -> Check:
    """What the camera sent was answered or is counted; but for the end of each connection."""
    lost, allowed = sent - summary.captured, TORN * connections + IN_FLIGHT
    dropped = f"{summary.dropped_capture} + {summary.dropped_queue} dropped, {summary.unreadable} unreadable"
    return Check(
        "camera",
        0 <= lost <= allowed,
        f"{sent} sent in {connections} connections: {summary.frames} answered, {dropped}, {lost} on the way",
    )


def longest_gap_s(times_s: Sequence[float], begin_s: float, end_s: float) -> float:
    """The longest time without a result, of those whose middle is in between; times_s: ascending."""
    return max((b - a for a, b in pairwise(times_s) if begin_s < (a + b) / 2 < end_s), default=0.0)
