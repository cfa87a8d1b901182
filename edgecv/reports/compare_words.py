"""A comparison in words and tables, alike in a terminal, in Markdown and on the page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from edgecv.reports.compare import Change, Comparison, Row
from edgecv.reports.facts import in_short
from edgecv.reports.metrics import BY_NAME, POINTS
from edgecv.reports.sheets import Line, Sheet, text_column
from edgecv.reports.wording import INVALID, NONE, artifact_name, ms, number, optional, plain

if TYPE_CHECKING:
    from rich.table import Table

BETTER, WORSE, UNCLEAR = "better", "worse", "unclear"
INTERVAL = "and its 95 % interval"  # the heading beside a change
SAID = ("latency_p50", "top1")  # in the summary's sentence
METHOD = (
    "Change: the other report's number against the base's, in percent of it, and of shares in percentage "
    "points. Intervals are of 95 %: of latencies by drawing whole turns anew, of top-1 from answers to the "
    f"same pictures where both reports have them. {UNCLEAR.capitalize()}: the interval includes 0. Where "
    "there is none, the reports do not tell chance from change: of whole frames, throughput, memory and "
    "energy they hold one number each. Of twenty intervals one excludes 0 by chance, and two runs of the "
    "same thing may differ by more than the turns of one run do."
)


def value_text(value: float, unit: str) -> str:
    """A value with its unit, as `7.42 ms` and `90.5 %`."""
    return f"{cell(value, unit)} {unit}"


def cell(value: float, unit: str) -> str:
    return f"{value:.1f}" if unit == POINTS else ms(value) if unit == "ms" else number(value)


def change_text(row: Row, change: Change) -> str:
    """`+8.2 %` of the base, or `-0.3 points`; from 0 in the unit itself."""
    if row.unit == POINTS:
        return f"{_signed(change.absolute)} points"
    if change.relative is None:
        return f"{change.absolute:+.3g} {row.unit}"
    return f"{_signed(100 * change.relative)} %"


def interval_text(row: Row, change: Change) -> str:
    """The 95 % interval in the unit of `change_text`, as `+6.1 to +9.9`; NONE where there is none."""
    if change.interval is None:
        return NONE
    low, high = change.interval.low, change.interval.high
    if row.unit != POINTS and change.relative is None:
        return f"{low:+.3g} to {high:+.3g}"
    whole = 1 if row.unit == POINTS else (row.values[0] or 1) / 100
    return f"{_signed(low / whole)} to {_signed(high / whole)}"


def _signed(value: float) -> str:
    return f"{round(value, 1) + 0.0:+.1f}"  # never -0.0


def reading(row: Row, change: Change | None) -> str:
    """What a change means: better, worse, no clear change, or NONE where chance cannot be told from it."""
    if change is None or change.significant is None:
        return NONE
    if not change.significant:
        return UNCLEAR
    return BETTER if (change.absolute < 0) is row.lower_is_better else WORSE


def title(comparison: Comparison) -> str:
    base, *others = (side.name for side in comparison.reports)
    return plain(f"{others[0] if len(others) == 1 else f'{len(others)} reports'} against {base}")


def summary(comparison: Comparison) -> tuple[str, ...]:
    """A sentence a report: where it is better, where worse, and where nothing can be told."""
    return tuple(
        plain(f"{side.name}: " + "; ".join(filter(None, (_said(comparison, name, i) for name in SAID))) + ".")
        for i, side in enumerate(comparison.reports)
        if i
    )


def _said(comparison: Comparison, metric: str, place: int) -> str:
    """What is better or worse is named, the rest is counted."""
    found: dict[str, list[str]] = {}
    for artifact in comparison.artifacts:
        for row in artifact.rows:
            change = row.changes[place]
            if row.metric == metric and change is not None:
                text = f"{artifact_name(artifact.artifact)} ({change_text(row, change)})"
                found.setdefault(reading(row, change), []).append(text)
    said = [f"{key} for {', '.join(found[key])}" for key in (WORSE, BETTER) if key in found]
    said += [f"{UNCLEAR} for {len(found[UNCLEAR])}"] if UNCLEAR in found else []
    said += [f"no interval for {len(found[NONE])}"] if NONE in found else []
    return f"{BY_NAME[metric].label} {', '.join(said)}" if said else ""


def marks(comparison: Comparison) -> tuple[str, ...]:
    """A sentence for each INVALID report that force has let in."""
    return tuple(
        f"{plain(side.name)} is {INVALID}: {in_short(side.verdict)}"
        for side in comparison.reports
        if not side.verdict.valid
    )


def side_sheet(comparison: Comparison) -> Sheet:
    """What was compared."""
    headings = ("Role", "Bundle", "Board", "Mode", "Measured, UTC")
    columns = tuple(text_column(heading, words=True) for heading in headings)
    lines = tuple(
        Line(
            plain(side.name),
            (
                "base" if i == 0 else "against it",
                plain(side.bundle),
                plain(side.board),
                side.mode.value,
                plain(side.created[:16].replace("T", " ")),
            ),
            mark="" if side.verdict.valid else INVALID,
        )
        for i, side in enumerate(comparison.reports)
    )
    return Sheet("Reports", "", "Report", columns, lines)


def sheets(comparison: Comparison) -> tuple[Sheet, ...]:
    """A table for each artifact, metrics below one another."""
    names = [plain(side.name) for side in comparison.reports]
    several = len(names) > 2
    columns = [text_column(names[0] if several else "base")]
    for name in names[1:]:
        group = name if several else ""
        columns.append(text_column("value" if several else "new", group))
        columns.append(text_column("change", group))
        columns.append(text_column(INTERVAL, group, words=True))
    found = []
    for artifact in comparison.artifacts:
        lines = tuple(Line(f"{row.label}, {row.unit}", tuple(_cells(row))) for row in artifact.rows)
        title = artifact_name(artifact.artifact) + (f", {INVALID}" if any(artifact.invalid) else "")
        missing = "; ".join(
            f"{name}: {why}" for name, why in zip(names, artifact.missing, strict=True) if why
        )
        found.append(Sheet(title, missing, "Metric", tuple(columns), lines))
    return tuple(found)


def _cells(row: Row) -> list[str]:
    cells = pair_cells(row, 0)[:1]
    for place in range(1, len(row.values)):
        cells += pair_cells(row, place)[1:]
    return cells


def pair_cells(row: Row, place: int) -> list[str]:
    """The base's value, the other report's, its change, and that's interval with what it means."""
    values = [optional(row.values[i], lambda value: cell(value, row.unit)) for i in (0, place)]
    change = row.changes[place]
    if change is None:
        return [*values, NONE, NONE]
    sure = NONE if change.interval is None else f"{interval_text(row, change)} {reading(row, change)}"
    return [*values, change_text(row, change), sure]


def find_row(comparison: Comparison, artifact: str | None, metric: str) -> Row | None:
    rows = (row for a in comparison.artifacts if a.artifact == artifact for row in a.rows)
    return next((row for row in rows if row.metric == metric), None)


def terminal_tables(comparison: Comparison) -> tuple[Table, ...]:
    """For `rich.print`: each report against the base, by the metrics that a terminal has room for."""
    return tuple(_terminal_table(comparison, place) for place in range(1, len(comparison.reports)))


def _terminal_table(comparison: Comparison, place: int) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    base, new = comparison.reports[0], comparison.reports[place]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True, title_justify="left")
    table.title = Text(plain(f"{new.name} against {base.name}"))
    for heading, justify in (("", "left"), ("base", "right"), ("new", "right"), ("change", "right")):
        table.add_column(heading, justify=justify)
    table.add_column(INTERVAL)
    for artifact in comparison.artifacts:
        mark = f", {INVALID}" if artifact.invalid[0] or artifact.invalid[place] else ""
        table.add_row(Text(artifact_name(artifact.artifact) + mark, style="bold red" if mark else "bold"))
        if why := artifact.missing[place]:
            table.add_row(Text(f"  {why}", style="dim"))
            continue
        for row in artifact.rows:
            if BY_NAME[row.metric].key:
                *cells, sure = pair_cells(row, place)
                style = {BETTER: "green", WORSE: "red"}.get(reading(row, row.changes[place]), "")
                table.add_row(f"  {row.label}, {row.unit}", *cells, Text(sure, style=style))
    below = _below(comparison, place)
    if below:
        table.caption, table.caption_justify = Text("\n".join(below)), "left"
    return table


def _below(comparison: Comparison, place: int) -> Sequence[str]:
    """The notes once, under the last table."""
    last = place == len(comparison.reports) - 1
    return (*marks(comparison), *comparison.notes) if last else ()
