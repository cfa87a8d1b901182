"""What runtime.py measured, as tables: medians (nearest rank), and the range over the rounds."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

LIMIT, OURS, SERIAL, MEDIAPIPE = "limit", "edgecv", "serial loop", "MediaPipe"
PREPARATION = "preparation"
IMPOSSIBLE = 1.05  # of the limit: more than timing can explain
THROUGHPUT, OWN_TIME, START, MEMORY = "throughput", "own-time", "start", "memory"


@dataclass
class Series:
    """One way of doing a case of a table: a value for each round it was measured in.

    THROUGHPUT and OWN_TIME: per second; START: seconds; MEMORY: MB. source: what the frames came from,
    '' where it does not matter. status: ok, or why there is no further value.
    """

    table: str
    case: str
    way: str
    source: str = ""
    status: str = "ok"
    values: list[float] = field(default_factory=list)


class Table(NamedTuple):
    """words: how many columns at the left are no numbers."""

    title: str
    about: str
    header: tuple[str, ...]
    rows: list[tuple[str, ...]]
    words: int = 1


def median(values: Sequence[float]) -> float:
    """Nearest rank: an observed value, of two in the middle the smaller."""
    return statistics.median_low(values)


def spread(values: Sequence[float], form: str = ".2f") -> str:
    """`0.95 (0.91 to 0.97)`: the median, and the range where there are several."""
    if not values:
        return ""
    shown = format(median(values), form)
    if len(values) == 1:
        return shown
    return f"{shown} ({format(min(values), form)} to {format(max(values), form)})"


def paired(
    what: Callable[[float, float], float], one: Series | None, other: Series | None
) -> tuple[float, ...]:
    """`what` of the two values of each round that both were measured in."""
    if one is None or other is None:
        return ()
    return tuple(map(what, one.values, other.values))


def ratio(one: float, other: float) -> float:
    return one / other


def own_us(rate: float, limit: float) -> float:
    """Microseconds that a frame takes more than an inference."""
    return (1 / rate - 1 / limit) * 1e6


def cell(series: Series | None, values: Sequence[float], form: str = ".2f") -> str:
    """The values, or why there are none."""
    if series is not None and not values:
        return series.status
    return spread(values, form)


def best(rows: Sequence[Series]) -> Series | None:
    """The way of the highest median; of those without a value the first, which says why."""
    return max(rows, key=lambda row: median(row.values) if row.values else -math.inf, default=None)


def tables(rows: Sequence[Series], seconds: float, frames: int) -> list[Table]:
    """The tables that something was measured for. seconds: of a run; frames: of a run for its memory."""
    made = [throughput(rows, seconds), own_time(rows, seconds), start(rows), memory(rows, frames)]
    return [table for table in made if table.rows]


def throughput(rows: Sequence[Series], seconds: float) -> Table:
    lines, ratios = [], []
    for case, found in _cases(rows, THROUGHPUT):
        limit = _one(found, LIMIT)
        for source in dict.fromkeys(row.source for row in found if row.source):
            here = [row for row in found if row.source == source]
            others = [row for row in here if row.way.startswith(MEDIAPIPE)]
            cells = []
            for way in (_one(here, OURS), _one(here, SERIAL), best(others)):
                ratios += (against := paired(ratio, way, limit))
                mode = way.way.removeprefix(MEDIAPIPE) if way in others and against else ""
                cells.append(cell(way, against) + mode)
            lines.append((case, source, cell(limit, limit.values if limit else (), ".1f"), *cells))
    about = (
        f"Limit: inferences a second of the bare engine, back to back, without a frame; {seconds:g} s each. "
        "The others: frames a second, divided by the limit of the same round."
    )
    if max(ratios, default=0) > IMPOSSIBLE:
        about += " A ratio above 1 says that something else ran while the limit was measured."
    header = ("artifact", "source", "limit, 1/s", "edgecv run", "serial loop", "MediaPipe")
    return Table("Throughput", about, header, lines, words=2)


def own_time(rows: Sequence[Series], seconds: float) -> Table:
    table = Table(
        "Own time a frame",
        f"Microseconds, {seconds:g} s each. Limit: the bare engine with the same conversion of its input. "
        "Preparation: frame to input, alone. Own time: 1 / (results a second) - 1 / limit of the same round; "
        "beside preparation: less that of the same round.",
        ("model", "limit", "preparation", "edgecv's pipeline", "own time", "beside preparation"),
        [],
    )
    for case, found in _cases(rows, OWN_TIME):
        limit, preparation, ours = (_one(found, way) for way in (LIMIT, PREPARATION, OURS))
        own = paired(own_us, ours, limit)
        alone_us = [1e6 / rate for rate in preparation.values] if preparation else []
        beside = [own - alone for own, alone in zip(own, alone_us, strict=False)]
        each = [
            cell(way, [1e6 / rate for rate in way.values], ".0f") if way else ""
            for way in (limit, preparation, ours)
        ]
        table.rows.append((case, *each, spread(own, ".0f"), spread(beside, ".0f")))
    return table


def start(rows: Sequence[Series]) -> Table:
    counts = {len(row.values) for row in rows if row.table == START}
    table = Table(
        "Start-up",
        f"Milliseconds from the start of the process to its first line, {max(counts, default=0)} times. "
        "edgecv: `edgecv run --frames 1 --json` on a video, and `edgecv --help`; against a short script that "
        "does the same with the same engine, and `import click`.",
        ("what", "edgecv", "bare", "ratio"),
        [],
    )
    for case, found in _cases(rows, START):
        ours, bare = _one(found, OURS), _one(found, SERIAL)
        each = [cell(way, [1e3 * s for s in way.values] if way else (), ".0f") for way in (ours, bare)]
        table.rows.append((case, *each, spread(paired(ratio, ours, bare))))
    return table


def memory(rows: Sequence[Series], frames: int) -> Table:
    table = Table(
        "Memory",
        f"Peak resident set in MB, {frames} frames of a video with a JSON line each: `edgecv run`, and the "
        "serial loop.",
        ("artifact", "edgecv", "serial loop", "difference"),
        [],
    )
    for case, found in _cases(rows, MEMORY):
        ours, bare = _one(found, OURS), _one(found, SERIAL)
        each = [cell(way, way.values if way else (), ".0f") for way in (ours, bare)]
        table.rows.append((case, *each, spread(paired(lambda a, b: a - b, ours, bare), "+.0f")))
    return table


def _cases(rows: Sequence[Series], table: str) -> Iterator[tuple[str, list[Series]]]:
    mine = [row for row in rows if row.table == table]
    for case in dict.fromkeys(row.case for row in mine):
        yield case, [row for row in mine if row.case == case]


def _one(rows: Sequence[Series], way: str) -> Series | None:
    return next((row for row in rows if row.way == way), None)


def markdown(made: Sequence[Table], conditions: str) -> str:
    """The tables for a page, the conditions last."""
    parts = []
    for table in made:
        lines = [table.header, ["---"] * table.words + ["---:"] * (len(table.header) - table.words)]
        grid = "\n".join(f"| {' | '.join(line)} |" for line in [*lines, *table.rows])
        parts.append(f"## {table.title}\n\n{table.about}\n\n{grid}\n")
    return "\n".join([*parts, f"{conditions}\n"])


def show(made: Sequence[Table], conditions: str, terminal: bool) -> None:
    from rich.console import Console
    from rich.table import Table as Grid

    # A pipe has no width: lines are left whole for whoever reads them.
    console = Console(width=None if terminal else 160, highlight=False, markup=False)
    for table in made:
        grid = Grid(title=table.title, title_justify="left", caption=table.about, caption_justify="left")
        for position, name in enumerate(table.header):
            grid.add_column(name, justify="left" if position < table.words else "right")
        for line in table.rows:
            grid.add_row(*line)
        console.print(grid)
    console.print(conditions)
