"""What came of a soak: the run's own words held against its files and what receivers got, and a table."""

from __future__ import annotations

import csv
import re
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import msgspec
import soak_checks as checks
from soak_camera import FAULTS
from soak_checks import Check, Counts, Key, Sample, Told
from soak_world import KEEP, Scraper, Viewer, World

from edgecv.runtime.results import Result
from edgecv.timing import nearest_rank

SINKS = (  # in the order of the summary
    *("jsonl", "csv", "video", "snapshots"),
    *("mqtt", "webhook", "prometheus", "page"),
)


class Fault(NamedTuple):
    what: str
    unix_s: float


@dataclass
class Outcome:
    """A run that has ended. status: None when it had to be killed; curve: its size over time."""

    status: int | None
    ended_early: bool
    exit_s: float
    stderr: str
    total_s: float
    curve: list[Sample]
    faults: list[Fault]
    scraper: Scraper
    viewer: Viewer


@dataclass
class Found:
    """What is there at the end. frames, times_s, latencies_ms: of the JSON lines, the truth about the run."""

    frames: list[int]
    times_s: list[float]
    latencies_ms: list[float]
    still: int
    events: list[Key]
    csv_frames: list[int]
    snapshots: int
    video_frames: int
    video_mb: float


def read(files: dict[str, Path]) -> Found:
    found = Found([], [], [], 0, [], [], 0, 0, 0.0)
    with files["jsonl"].open("rb") as lines:
        for line in lines:
            result = msgspec.json.decode(line, type=Result)
            found.frames.append(result.frame)
            found.times_s.append(result.unix_s)
            found.latencies_ms.append(result.latency_ms)
            found.still += result.still
            found.events += [(event.frame, event.label, event.state) for event in result.events]
    with files["csv"].open(newline="") as rows:
        found.csv_frames = [int(row["frame"]) for row in csv.DictReader(rows)]
    found.snapshots = len(list(files["snapshots"].glob("*.jpg")))
    clip = cv2.VideoCapture(str(files["video"]))
    found.video_frames = int(clip.get(cv2.CAP_PROP_FRAME_COUNT))
    clip.release()
    found.video_mb = files["video"].stat().st_size / 1e6
    return found


def judge(outcome: Outcome, around: World) -> tuple[list[Check], dict[str, Any]]:
    """The checks, and what was measured without a verdict."""
    made = list(_ended(outcome))
    if outcome.ended_early:
        return made, {}
    try:
        summary, found = checks.told(outcome.stderr), read(around.files)
        counts = dict(zip(SINKS, summary.sinks.values(), strict=True))
    except (ValueError, OSError) as error:
        return [*made, Check("summary", False, str(error))], {}
    made += checks.steady(outcome.curve, outcome.total_s)
    made += checks.frames(summary, found.frames)
    made.append(checks.camera(summary, around.camera.sent, around.camera.connections))
    lost = sum(fault.what in FAULTS for fault in outcome.faults)
    made.append(Check("reconnects", summary.reconnects >= lost, f"{summary.reconnects}, {lost} faults"))
    made.append(
        Check(
            "events",
            summary.events == len(found.events) > 0,
            f"{summary.events}, {len(found.events)} in lines",
        )
    )
    made += _delivered(counts, found, around)
    made += _watched(summary, outcome)
    return made, _numbers(outcome, summary, found, around)


def _ended(outcome: Outcome) -> Iterator[Check]:
    errors = re.findall(r"^Traceback .*\n(?:\s.*\n)*(.*)", outcome.stderr, re.MULTILINE)
    told = f"tracebacks: {len(errors)}{_first(errors)}"
    until = "ended by itself" if outcome.ended_early else "ran until SIGTERM"
    yield Check("no crash", not outcome.ended_early and not errors, f"{until}; {told}")
    passed = outcome.status == 0 and outcome.exit_s <= checks.EXIT_S
    yield Check("exit", passed, f"code {outcome.status}, {outcome.exit_s:.1f} s after SIGTERM")


def _delivered(counts: dict[str, Counts], found: Found, around: World) -> Iterator[Check]:
    results, seen = len(found.frames), sum(state == "on" for _, _, state in found.events)
    yield checks.accounted("JSON lines", counts["jsonl"], results, results)
    rows, there = (
        checks.accounted("CSV", counts["csv"], results, len(found.csv_frames)),
        set(found.csv_frames),
    )
    in_order = found.csv_frames == [frame for frame in found.frames if frame in there]
    yield rows._replace(passed=rows.passed and in_order)
    yield checks.accounted("video", counts["video"], results, found.video_frames)
    yield checks.accounted("snapshots", counts["snapshots"], seen, found.snapshots, KEEP)
    for name, title, arrivals in (
        ("mqtt", "MQTT", around.subscriber.arrived),
        ("webhook", "webhook", around.webhook.arrived),
    ):
        got = [checks.key(one.event) for one in arrivals]
        yield checks.arrived(title, counts[name], found.events, got)
    yield checks.accounted("Prometheus", counts["prometheus"], results, results)


def _watched(summary: Told, outcome: Outcome) -> Iterator[Check]:
    scraper, viewer = outcome.scraper, outcome.viewer
    frames = scraper.value("edgecv_frames_total")
    yield Check(
        "scrapes",
        not scraper.failures and not scraper.gone_down and 0 < frames <= summary.frames,
        f"{scraper.looks} of {scraper.looks + len(scraper.failures)}, the last one with {frames:.0f} frames; "
        f"counters that fell: {len(scraper.gone_down)}{_first(scraper.failures)}",
    )
    states = ", ".join(f"{count} {state}" for state, count in sorted(viewer.states.items()))
    yield Check(
        "live page",
        not viewer.failures and viewer.pictures > 0 and "running" in viewer.states,
        f"{viewer.pictures} pictures; states: {states}{_first(viewer.failures)}",
    )


def _first(failures: Sequence[str]) -> str:
    return f"; {failures[0]}" if failures else ""


def _numbers(outcome: Outcome, summary: Told, found: Found, around: World) -> dict[str, Any]:
    """gaps_s: the longest time without a result after each fault of the camera. delay_s: of events received,
    since the capture of the frame that decided them."""
    latencies_ms, curve = sorted(found.latencies_ms), outcome.curve
    return {
        "minutes": outcome.total_s / 60,
        "summary": asdict(summary),
        "still": found.still,
        "latency_ms": {percent: nearest_rank(latencies_ms, percent) for percent in (50, 90, 99)},
        "cpu_percent": statistics.median(sample.cpu_percent for sample in curve),
        "medians": {name: checks.medians(curve, name, outcome.total_s) for name in checks.STEADY},
        "gaps_s": _gaps_s(outcome.faults, found.times_s),
        "sent": around.camera.sent,
        "delay_s": {
            name: {"p50": nearest_rank(delays_s, 50), "most": delays_s[-1]}
            for name, arrivals in (("mqtt", around.subscriber.arrived), ("webhook", around.webhook.arrived))
            if (delays_s := sorted(one.unix_s - one.event["unix_s"] for one in arrivals))
        },
        "refused": around.webhook.refused,
        "video_mb": found.video_mb,
        "exit_s": outcome.exit_s,
    }


def _gaps_s(faults: Sequence[Fault], times_s: Sequence[float]) -> dict[str, list[float]]:
    of_camera = [fault for fault in faults if fault.what in FAULTS]
    ends_s = [*(fault.unix_s for fault in of_camera[1:]), times_s[-1]]
    gaps_s: dict[str, list[float]] = {}
    for fault, end_s in zip(of_camera, ends_s, strict=True):
        gaps_s.setdefault(fault.what, []).append(checks.longest_gap_s(times_s, fault.unix_s, end_s))
    return gaps_s


def table(made: Sequence[Check], numbers: dict[str, Any]) -> str:
    """Markdown, for docs/reliability.md."""
    rows = [(check.name, f"{'' if check.passed else '**failed** '}{check.numbers}") for check in made]
    if numbers:
        rows = [*_measured(numbers), *rows]
    return "\n".join(["| what | measured |", "|---|---|", *(f"| {name} | {text} |" for name, text in rows)])


def _measured(numbers: dict[str, Any]) -> Iterator[tuple[str, str]]:
    latency_ms, frames = numbers["latency_ms"], numbers["summary"]["frames"]
    yield "time", f"{numbers['minutes']:g} minutes, {frames} frames, {numbers['still']} of them still"
    yield (
        "latency",
        f"capture to result p50 {latency_ms[50]:.1f}, p90 {latency_ms[90]:.1f}, p99 {latency_ms[99]:.1f} ms",
    )
    yield "CPU", f"{numbers['cpu_percent']:.0f} % of a core (median of samples)"
    for what, gaps_s in numbers["gaps_s"].items():
        ordered = sorted(gaps_s)
        middle_s, most_s = nearest_rank(ordered, 50), ordered[-1]
        text = f"{len(ordered)} times: no result for {middle_s:.1f} s (median), {most_s:.1f} s (most)"
        yield FAULTS[what], text
    for name, delay_s in numbers["delay_s"].items():
        text = f"{delay_s['p50']:.2f} s after the frame's capture (median), {delay_s['most']:.1f} s (most)"
        yield f"events by {name}", text
