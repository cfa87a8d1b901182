"""A report as tables: the summary of all artifacts, and what a terminal has room for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from edgecv.reports.facts import drop_notes, notes, ruling, valid
from edgecv.reports.schema import Accuracy, ArtifactReport, Report, Robustness
from edgecv.reports.sheets import Column, Line, Sheet
from edgecv.reports.wording import (
    INVALID,
    NONE,
    agreement,
    lost,
    ms,
    name,
    number,
    optional,
    plain,
    plural,
    points_lost,
    share,
)
from edgecv.spec import Kind

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text


ACCURACY_COLUMNS = (
    Column(
        "Accuracy, %", "top-1", lambda a, _m: optional(a.accuracy, lambda s: share(s.top1)), narrow="top-1\n%"
    ),
    Column("Accuracy, %", "drop", lambda a, _m: optional(a.accuracy, points_lost), narrow="drop\npoints"),
)
RUN_COLUMNS = (
    Column("Inference, ms", "p50", lambda _a, m: ms(m.inference.p50_ms), narrow="infer\np50 ms"),
    Column("Inference, ms", "p90", lambda _a, m: ms(m.inference.p90_ms)),
    Column("Inference, ms", "p99", lambda _a, m: ms(m.inference.p99_ms), narrow="infer\np99 ms"),
    Column("Inference, ms", "max", lambda _a, m: ms(m.inference.max_ms)),
    Column("Whole frame, p50", "pre ms", lambda _a, m: ms(m.preprocess.p50_ms)),
    Column("Whole frame, p50", "post ms", lambda _a, m: ms(m.postprocess.p50_ms)),
    Column("Whole frame, p50", "total ms", lambda _a, m: ms(m.total.p50_ms), narrow="frame\np50 ms"),
    Column("Counted", "FPS", lambda _a, m: number(m.fps), narrow="FPS"),
)
ENERGY = Column("Counted", "mJ", lambda _a, m: optional(m.energy_mj, number))
COST_COLUMNS = (
    Column("Start, ms", "load", lambda _a, m: ms(m.load_ms), narrow="load\nms"),
    Column("Start, ms", "first", lambda _a, m: ms(m.first_inference_ms)),
    Column("Size, MiB", "memory", lambda _a, m: optional(m.peak_memory_mb, number), narrow="peak\nMiB"),
    Column("Size, MiB", "file", lambda a, _m: number(a.file_bytes / 2**20), narrow="file\nMiB"),
    Column("", "Samples", lambda _a, m: f"{m.inference.samples:,}"),
)


def columns(report: Report) -> tuple[Column, ...]:
    energy = any(a.measured and a.measured.energy_mj is not None for a in report.artifacts)
    return (
        *(ACCURACY_COLUMNS if report.scored else ()),
        *RUN_COLUMNS,
        *((ENERGY,) if energy else ()),
        *COST_COLUMNS,
    )


def sheet(
    report: Report, title: str, note: str, shown: tuple[Column, ...], artifacts: Sequence[ArtifactReport]
) -> Sheet:
    """A line for each of the artifacts."""
    lines = []
    for a in artifacts:
        run = a.measured
        lines.append(
            Line(
                name=name(a),
                cells=tuple(column.cell(a, run) for column in shown) if run else (),
                below=plain(" ".join(filter(None, (run.engine, run.variant)))) if run else "",
                mark="" if valid(report, a) or run is None else INVALID,
                instead="" if run else f"skipped: {plain(a.skipped or NONE)}",
            )
        )
    return Sheet(title, note, "Artifact", shown, tuple(lines))


def summary(report: Report) -> Sheet:
    """Every artifact, measured or skipped; the fastest that is valid stands out when there are several."""
    found = sheet(report, "All artifacts", "", columns(report), report.artifacts)
    times = {
        i: a.measured.inference.p50_ms
        for i, a in enumerate(report.artifacts)
        if a.measured and valid(report, a)
    }
    fastest = min(times, key=times.__getitem__) if len(times) > 1 else None
    lines = (line._replace(best=i == fastest) for i, line in enumerate(found.lines))
    return found._replace(lines=tuple(lines))


def terminal_table(report: Report) -> Group:
    """The columns that a terminal has room for, for `rich.print`, under the verdict.

    Below it are the reasons, the warnings, the skipped and the notes.
    """
    shown = [column for column in columns(report) if column.narrow]
    table = _table([("artifact", True), *((column.narrow, column.words) for column in shown)])
    for artifact in report.artifacts:
        if artifact.measured:
            cells = [column.cell(artifact, artifact.measured) for column in shown]
            good = valid(report, artifact)
            row = [name(artifact) if good else f"{name(artifact)}\n{INVALID}", *cells]
            table.add_row(*_texts(row), style="" if good else "red")
        else:
            table.add_row(name(artifact), "skipped", style="dim")
    said = ruling(report)
    [headline] = _texts([said.headline])
    headline.stylize("bold green" if said.valid else "bold red")
    reasons = [f"{INVALID}, {who}: {reason}" for who, reason in said.reasons]
    warnings = [f"warning: {warning}" for warning in said.warnings]
    skipped = [f"{name(a)} skipped: {plain(a.skipped)}" for a in report.artifacts if a.skipped]
    return _around(table, [*reasons, *warnings, *skipped, *notes(report)], headline)


def accuracy_table(accuracies: Iterable[Accuracy]) -> Group:
    accuracies = tuple(accuracies)
    numbers = ("pictures", "top-1 %", "top-5 %", "agree %", "drop (95 % interval)", "ECE %")
    table = _table([("artifact", True), *((heading, False) for heading in numbers)])
    for a in accuracies:
        cells = (f"{a.n:,}", share(a.top1), share(a.top5), agreement(a), lost(a), optional(a.ece, share))
        table.add_row(name(a), *cells)
    unreadable = max((a.unreadable for a in accuracies), default=0)
    skipped = [f"{unreadable:,} unreadable pictures were skipped."] if unreadable else []
    return _around(table, [*drop_notes(accuracies), *skipped])


def robustness_table(robustness: Mapping[Kind, Sequence[Robustness]]) -> Group:
    """Top-1 in percent as the pictures are, and under each corruption."""
    rows = {kind: found for kind, found in robustness.items() if found}
    first = next(iter(rows.values()), ())
    columns = robustness_columns(first)
    headings = (heading.replace(" ", "\n") for _, heading, _ in columns)
    table = _table([("artifact", True), *((heading, False) for heading in headings)])
    for kind, found in rows.items():
        table.add_row(name(kind), *(cell(found) for _, _, cell in columns))
    return _around(table, [robustness_note(first)] if first else [])


def robustness_note(rows: Sequence[Robustness]) -> str:
    pictures = plural(rows[0].n, "picture")
    return f"Top-1, % of {pictures}: each corruption at its strongest, the mean over all at every strength."


def robustness_columns(
    rows: Sequence[Robustness],
) -> tuple[tuple[str, str, Callable[[Sequence[Robustness]], str]], ...]:
    """(group, heading, an artifact's rows to text): clean, each corruption's strongest, and the mean."""
    corruptions = dict.fromkeys(row.corruption for row in rows if row.strength)
    strongest = max((row.strength for row in rows), default=0)
    return (
        ("", "clean", lambda rows: _mean(row.top1 for row in rows if row.strength == 0)),
        *(
            (
                f"Top-1 at strength {strongest}, %",
                plain(corruption),
                lambda rows, c=corruption: _mean(
                    row.top1 for row in rows if (row.corruption, row.strength) == (c, strongest)
                ),
            )
            for corruption in corruptions
        ),
        ("", "mean of all", lambda rows: _mean(row.top1 for row in rows if row.strength)),
    )


def _mean(shares: Iterable[float]) -> str:
    values = list(shares)
    return share(sum(values) / len(values)) if values else NONE


def _table(headings: Iterable[tuple[str, bool]]) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for heading, words in headings:
        table.add_column(heading, justify="left" if words else "right")
    return table


def _around(table: Table, lines: Sequence[str], *above: Text) -> Group:
    """The table with text above it, and lines of plain text below it, as wide as the terminal."""
    from rich.console import Group

    return Group(*above, table, *_texts(lines))


def _texts(cells: Iterable[str]) -> list[Text]:
    from rich.text import Text

    return [Text(cell) for cell in cells]  # as text: square brackets are not markup here
