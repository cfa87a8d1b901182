"""The report's tables of scenarios, of a sustained run, and of operations."""

from __future__ import annotations

from collections.abc import Sequence

from edgecv.reports.facts import busy, peaks_text, valid
from edgecv.reports.schema import (
    ArtifactReport,
    Camera,
    Measured,
    Minute,
    Offline,
    Operations,
    Report,
)
from edgecv.reports.sheets import Column, Line, Sheet, text_column
from edgecv.reports.table import sheet
from edgecv.reports.wording import (
    INVALID,
    NONE,
    change,
    ms,
    name,
    number,
    optional,
    plain,
    plural,
    share,
)


def scenario_sheets(report: Report) -> tuple[Sheet, ...]:
    offline = [a for a in report.artifacts if a.measured and a.measured.offline]
    camera = [a for a in report.artifacts if a.measured and a.measured.camera]
    found = []
    if offline:
        note = "All pictures at hand at once: prepared ones, one engine a stream."
        found.append(sheet(report, "Offline", note, OFFLINE_COLUMNS, offline))
    if camera:
        fps = camera[0].measured.camera.fps  # type: ignore[union-attr]
        note = f"What edgecv run makes of a camera of {fps:g} frames a second; age is from capture to result."
        found.append(sheet(report, "Camera", note, CAMERA_COLUMNS, camera))
    return tuple(found)


def _offline(m: Measured) -> Offline:
    assert m.offline is not None
    return m.offline


OFFLINE_COLUMNS = (
    Column("", "Inferences/s", lambda _a, m: number(_offline(m).inferences_per_s)),
    Column("", "Streams", lambda _a, m: str(_offline(m).streams)),
    Column("", "Inferences", lambda _a, m: f"{_offline(m).inferences:,}"),
    Column("", "Seconds", lambda _a, m: number(_offline(m).seconds)),
)


def _camera(m: Measured) -> Camera:
    assert m.camera is not None
    return m.camera


def _dropped(camera: Camera) -> str:
    dropped = f"{camera.dropped:,}"
    return dropped + optional(camera.dropped_share, lambda s: f" ({share(s)} %)", "")


CAMERA_COLUMNS = (
    Column("", "Answered", lambda _a, m: f"{_camera(m).frames:,}"),
    Column("", "Dropped", lambda _a, m: _dropped(_camera(m))),
    Column("Age, ms", "p50", lambda _a, m: optional(_camera(m).age, lambda age: ms(age.p50_ms))),
    Column("Age, ms", "p90", lambda _a, m: optional(_camera(m).age, lambda age: ms(age.p90_ms))),
    Column("Age, ms", "p99", lambda _a, m: optional(_camera(m).age, lambda age: ms(age.p99_ms))),
)


def sustained_sheet(report: Report) -> Sheet | None:
    """Minute 1 against the last minute."""
    shown = [a for a in report.artifacts if a.measured and len(a.measured.minutes) > 1]
    if not shown:
        return None
    last = max(len(a.measured.minutes) for a in shown if a.measured)
    columns = (
        Column("p50 inference, ms", "minute 1", lambda _a, m: ms(m.minutes[0].p50_ms)),
        Column("p50 inference, ms", f"minute {last}", lambda _a, m: ms(m.minutes[-1].p50_ms)),
        Column(
            "p50 inference, ms", "change", lambda _a, m: change(m.minutes[0].p50_ms, m.minutes[-1].p50_ms)
        ),
        Column("Frames a second", "minute 1", lambda _a, m: number(m.minutes[0].fps)),
        Column("Frames a second", f"minute {last}", lambda _a, m: number(m.minutes[-1].fps)),
        Column("First → last", "°C", lambda _a, m: _ends(m.minutes, "temperature_c", ".0f")),
        Column("First → last", "MHz", lambda _a, m: _ends(m.minutes, "clock_mhz", ",.0f")),
        Column("", "Throttled", lambda _a, m: _throttled_minutes(m.minutes)),
    )
    return sheet(report, "Sustained", sustained_words(shown), columns, shown)


def sustained_words(artifacts: Sequence[ArtifactReport]) -> str:
    """Minute 1 against the last one, of the artifact that slowed down most."""
    courses = [(a, a.measured.minutes) for a in artifacts if a.measured]
    a, minutes = max(courses, key=lambda row: row[1][-1].p50_ms / max(row[1][0].p50_ms, 1e-6))
    first, last = minutes[0], minutes[-1]
    by = change(first.p50_ms, last.p50_ms)
    text = f"The largest change is {name(a)}'s: {ms(first.p50_ms)} ms in minute {first.minute}, "
    return text + f"{ms(last.p50_ms)} ms in minute {last.minute} ({by})."


def _ends(minutes: Sequence[Minute], key: str, form: str) -> str:
    first, last = getattr(minutes[0], key), getattr(minutes[-1], key)
    return NONE if first is None or last is None else f"{first:{form}} → {last:{form}}"


def _throttled_minutes(minutes: Sequence[Minute]) -> str:
    known = [minute.throttled for minute in minutes if minute.throttled is not None]
    return f"{sum(map(bool, known))} of {len(known)} min" if known else NONE


def operations_said(report: Report) -> str:
    """Where the tables of operations are from, and what their peak is."""
    text = "The costliest operations, from a profiled run of its own."
    if report.conditions.peaks is None:
        return text
    if busy(report):
        return f"{text} Shares of the board's peak are left out: it was measured while the machine was busy."
    peaks = peaks_text(report.conditions)
    return (
        f"{text} Peak: the time that the board's measured peaks ({peaks}) would take, of the time it took; "
        "int8 products, and what stays in the caches, may come to more than 100 %."
    )


def operation_sheets(report: Report) -> tuple[Sheet, ...]:
    """The costliest operations of each artifact, with a bar for the share of time."""
    found = []
    for a in report.artifacts:
        if a.measured is None or a.measured.operations is None:
            continue
        operations = a.measured.operations
        title = name(a) if valid(report, a) else f"{name(a)}, {INVALID}"
        if not operations.costliest:
            note = f"unknown: {plain(operations.unknown)}" if operations.unknown else "none was seen"
            found.append(Sheet(title, note, "Operation", (), ()))
            continue
        shown = sum(operation.share for operation in operations.costliest)
        note = f"{len(operations.costliest)} of {plural(operations.count, 'operation')}, "
        note += f"{share(shown)} % of {ms(operations.total_ms)} ms"
        lines = _operation_lines(operations, peaks=not busy(report))
        found.append(Sheet(title, note, "Operation", OPERATION_COLUMNS, lines))
    return tuple(found)


OPERATION_COLUMNS = tuple(text_column(text) for text in ("ms", "time %", "M MACs", "peak %"))


def _operation_lines(operations: Operations, peaks: bool) -> tuple[Line, ...]:
    most = max(operation.share for operation in operations.costliest) or 1.0
    names = [operation.name.split("/") for operation in operations.costliest]
    alike = next((i for i, parts in enumerate(zip(*names, strict=False)) if len(set(parts)) > 1), 0)
    return tuple(
        Line(
            name=plain("/".join(parts[alike:])),
            below=plain(operation.operator),
            bar=operation.share / most,
            cells=(
                f"{operation.ms:.3f}",
                share(operation.share),
                optional(operation.macs, lambda macs: number(macs / 1e6)),
                optional(operation.peak_share if peaks else None, lambda s: f"{100 * s:.0f}"),
            ),
        )
        for operation, parts in zip(operations.costliest, names, strict=True)
    )
