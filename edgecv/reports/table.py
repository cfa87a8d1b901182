"""A report as words: its headline, its table's cells and its conditions, the same for every rendering."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from edgecv.reports.schema import Accuracy, ArtifactReport, Measured, Report
from edgecv.spec import Precision
from edgecv.statistics import resolved

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

NONE = "\N{EN DASH}"
BUSY = 0.5  # load per core above which a measurement shares the machine with something


class Column(NamedTuple):
    """A column of the summary.

    cell: from a measured artifact to text. narrow: the heading in a terminal, which has no room for the
    columns without one. words: text, aligned left, where the others are numbers.
    """

    group: str
    heading: str
    cell: Callable[[ArtifactReport, Measured], str]
    narrow: str = ""
    words: bool = False


class Headline(NamedTuple):
    """One finding: "Fastest", "onnx int8", "7.4 ms", "135 frames/s in all"."""

    what: str
    who: str
    value: str
    detail: str


ARTIFACT_COLUMNS = (
    Column("", "Format", lambda a, _m: a.format.value, words=True),
    Column("", "Precision", lambda a, _m: a.precision.value, words=True),
    Column("", "Engine", lambda _a, m: plain(m.engine), words=True),
)
RUN_COLUMNS = (
    Column("Inference, ms", "p50", lambda _a, m: ms(m.inference.p50_ms), narrow="infer\np50 ms"),
    Column("Inference, ms", "p90", lambda _a, m: ms(m.inference.p90_ms)),
    Column("Inference, ms", "p99", lambda _a, m: ms(m.inference.p99_ms), narrow="infer\np99 ms"),
    Column("Inference, ms", "max", lambda _a, m: ms(m.inference.max_ms)),
    Column("Whole frame, p50", "pre ms", lambda _a, m: ms(m.preprocess.p50_ms)),
    Column("Whole frame, p50", "post ms", lambda _a, m: ms(m.postprocess.p50_ms)),
    Column("Whole frame, p50", "total ms", lambda _a, m: ms(m.total.p50_ms), narrow="frame\np50 ms"),
    Column("Whole frame, p50", "FPS", lambda _a, m: number(m.fps), narrow="FPS"),
    Column("Start, ms", "load", lambda _a, m: ms(m.load_ms), narrow="load\nms"),
    Column("Start, ms", "first", lambda _a, m: ms(m.first_inference_ms)),
    Column("Size, MiB", "memory", lambda _a, m: optional(m.peak_memory_mb, number), narrow="peak\nMiB"),
    Column("Size, MiB", "file", lambda a, _m: number(a.file_bytes / 2**20), narrow="file\nMiB"),
    Column("", "Samples", lambda _a, m: str(m.inference.samples)),
)
ACCURACY_COLUMNS = (
    Column(
        "Accuracy, %", "top-1", lambda a, _m: optional(a.accuracy, lambda s: share(s.top1)), narrow="top-1\n%"
    ),
    Column("Accuracy, %", "top-5", lambda a, _m: optional(a.accuracy, lambda s: share(s.top5))),
    Column("Accuracy, %", "agree", lambda a, _m: optional(a.accuracy, agreement), narrow="agree\n%"),
    Column("Accuracy, %", "drop", lambda a, _m: optional(a.accuracy, lost)),
)


def columns(report: Report) -> tuple[Column, ...]:
    return ARTIFACT_COLUMNS + (ACCURACY_COLUMNS if report.scored else ()) + RUN_COLUMNS


def headlines(report: Report) -> tuple[Headline, ...]:
    """Fastest, smallest, and most accurate where pictures were scored; ties go to the faster one."""
    measured = [(a, a.measured) for a in report.artifacts if a.measured]
    if not measured:
        return ()
    measured.sort(key=lambda pair: pair[1].inference.p50_ms)
    artifact, run = measured[0]
    p50 = f"{ms(run.inference.p50_ms)} ms"
    found = [Headline("Fastest", name(artifact), p50, f"p50 inference · {number(run.fps)} frames/s in all")]
    artifact, run = min(measured, key=lambda pair: pair[0].file_bytes)
    detail = f"on disk · {optional(run.peak_memory_mb, number)} MiB peak memory"
    found.append(Headline("Smallest", name(artifact), f"{number(artifact.file_bytes / 2**20)} MiB", detail))
    scored = [(a, a.accuracy) for a, _ in measured if a.accuracy]
    if scored:
        artifact, accuracy = max(scored, key=lambda pair: pair[1].top1)
        detail = f"top-1 of {accuracy.n:,} pictures · {share(accuracy.top5)} % top-5"
        found.append(Headline("Most accurate", name(artifact), f"{share(accuracy.top1)} %", detail))
    return tuple(found)


def title(report: Report) -> str:
    """The bundle and the machine, by the profile's name where the machine does not know its own."""
    c = report.conditions
    return plain(f"{report.bundle} on {c.device if c.model == 'unknown' else c.model}")


def notes(report: Report) -> tuple[str, ...]:
    """What a reader has to know before believing the numbers."""
    c = report.conditions
    found = [plain(c.note)] if c.note else []
    if c.before.load_1min is not None and c.before.load_1min > BUSY * (c.cores or 1):
        found.append(
            f"The machine was busy before the run (load {c.before.load_1min:.2f} on "
            f"{optional(c.cores, str, 'unknown')} cores): expect better numbers when it is idle."
        )
    return (*found, *drop_notes(a.accuracy for a in report.artifacts if a.accuracy))


def drop_notes(accuracies: Iterable[Accuracy]) -> tuple[str, ...]:
    """What a drop is, and which are no more than chance gives."""
    with_drop = [(a, a.drop) for a in accuracies if a.drop is not None]
    if not with_drop:
        return ()
    text = "Drop: top-1 points lost against float on the same pictures, with the 95 % interval."
    unclear = [name(a) for a, drop in with_drop if not resolved(drop)]
    if unclear:
        pictures = f"{with_drop[0][1].images:,} pictures"
        text += f" On {pictures} that of {', '.join(unclear)} cannot be told from 0."
    return (text,)


def condition_rows(report: Report) -> tuple[tuple[str, str], ...]:
    c = report.conditions
    pairs = (
        ("Device", f"{c.model} (profile {c.device})" + (f"; {c.note}" if c.note else "")),
        ("Processor", f"{c.arithmetic}, {optional(c.cores, str, 'unknown')} cores"),
        ("Architecture", c.architecture),
        ("CPU features", " ".join(c.cpu_features) or "unknown"),
        ("int8 products", "summed in 16 bits, may saturate" if c.int8_saturates else "summed exactly"),
        ("Memory", optional(c.ram_mb, lambda v: f"{v:,} MiB", "unknown")),
        ("Threads", str(c.threads)),
        ("Governor", c.governor or "unknown"),
        ("Temperature", _change(c.before.temperature_c, c.after.temperature_c, "°C", ".1f")),
        ("Clock", _change(c.before.clock_mhz, c.after.clock_mhz, "MHz", ".0f")),
        ("Load, 1 min", _change(c.before.load_1min, c.after.load_1min, "", ".2f")),
        ("System", f"{c.os}, kernel {c.kernel}"),
        ("Software", f"edgecv {report.edgecv}, Python {c.python}, OpenCV {c.opencv}"),
        ("Bundle", f"{report.bundle}, manifest sha256 {report.manifest_sha256}"),
        ("Pictures", _pictures(report)),
        ("Measured", report.created),
        ("Rule", report.rule),
    )
    return tuple((what, plain(value)) for what, value in pairs)


def terminal_table(report: Report) -> Table:
    """The columns that a terminal has room for, for `rich.print`; below it, the skipped and the notes."""
    shown = [column for column in columns(report) if column.narrow]
    table = _table([("artifact", True), *((column.narrow, column.words) for column in shown)])
    for artifact in report.artifacts:
        if artifact.measured:
            cells = [column.cell(artifact, artifact.measured) for column in shown]
            table.add_row(name(artifact), *_texts(cells))
        else:
            table.add_row(name(artifact), "skipped", style="dim")
    below = [f"{name(a)} skipped: {plain(a.skipped)}" for a in report.artifacts if a.skipped]
    return _captioned(table, [*below, *notes(report)])


def accuracy_table(accuracies: Iterable[Accuracy]) -> Table:
    accuracies = tuple(accuracies)
    numbers = ("pictures", "top-1 %", "top-5 %", "agree %", "drop (95 % interval)")
    table = _table([("artifact", True), *((heading, False) for heading in numbers)])
    for a in accuracies:
        cells = (name(a), f"{a.n:,}", share(a.top1), share(a.top5), agreement(a), lost(a))
        table.add_row(*cells)
    unreadable = max((a.unreadable for a in accuracies), default=0)
    skipped = [f"{unreadable:,} unreadable pictures were skipped."] if unreadable else []
    return _captioned(table, [*drop_notes(accuracies), *skipped])


def name(artifact: ArtifactReport | Accuracy) -> str:
    return f"{artifact.format.value} {artifact.precision.value}"


def ms(value: float) -> str:
    """Three significant digits are what a latency is good for: 0.021, 7.42, 31.4, 120."""
    return number(value) if value >= 1 else f"{value:.3f}"


def megabytes(size: int) -> str:
    """Millions of bytes: `5.2`, and `0.047` below 1."""
    return f"{size / 1e6:.1f}" if size >= 950_000 else f"{size / 1e6:.3f}"


def number(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:,.0f}"


def share(fraction: float) -> str:
    """A fraction as percent, without the sign."""
    return f"{100 * fraction:.1f}"


def agreement(accuracy: Accuracy) -> str:
    """Percent of pictures with the float artifact's answer; a float artifact is that answer."""
    if accuracy.precision is Precision.FP32:
        return "float"
    return optional(accuracy.agreement, share)


def lost(accuracy: Accuracy) -> str:
    """Points of top-1 lost against float, with the interval: `+0.8 (-0.3 to +1.9)`."""
    return optional(accuracy.drop, lambda d: f"{d.points:+.1f} ({d.low:+.1f} to {d.high:+.1f})")


def optional(value: object, text: Callable[..., str], none: str = NONE) -> str:
    return none if value is None else text(value)


def plain(text: str) -> str:
    """Model and engine names come from files: no escape sequences may reach a terminal."""
    return "".join(
        character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text
    )


def _pictures(report: Report) -> str:
    scored = next((a.accuracy for a in report.artifacts if a.accuracy), None)
    if scored is None:
        return "accuracy was not measured"
    return f"{scored.n:,} labelled, {scored.unreadable:,} others unreadable"


def _change(before: float | None, after: float | None, unit: str, form: str) -> str:
    if before is None and after is None:
        return "unknown"
    texts = [optional(value, lambda v: format(v, form), "unknown") for value in (before, after)]
    return f"{texts[0]} → {texts[1]} {unit}".rstrip() + " (before → after)"


def _table(headings: Iterable[tuple[str, bool]]) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for heading, words in headings:
        table.add_column(heading, justify="left" if words else "right")
    return table


def _captioned(table: Table, lines: Sequence[str]) -> Table:
    """The table with lines of plain text below it."""
    if lines:
        table.caption = _texts(["\n".join(lines)])[0]
        table.caption_justify = "left"
    return table


def _texts(cells: Iterable[str]) -> list[Text]:
    from rich.text import Text

    return [Text(cell) for cell in cells]  # as text: square brackets are not markup here
