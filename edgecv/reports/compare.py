"""Reports side by side: the first is the base, and each other is shown by its differences to it.

The intervals know what varies within a run, from turn to turn or from picture to picture. Two runs of the
same thing may differ by more: by where memory came to lie, or by the room's temperature.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from edgecv import __version__
from edgecv.errors import UsageError
from edgecv.reports.differences import find, intervals
from edgecv.reports.facts import board_name, in_short
from edgecv.reports.metrics import METRICS, OFFLINE, Metric
from edgecv.reports.schema import ArtifactReport, Mode, Report, Verdict
from edgecv.reports.wording import plain, plural
from edgecv.spec import Interval, Kind, NonNegativeInt, PositiveInt, Sha256, Struct

COMPARISON_VERSION = 1


class Side(Struct):
    """One of the reports."""

    name: str
    bundle: str
    manifest_sha256: Sha256
    board: str
    created: str
    mode: Mode
    verdict: Verdict


class Change(Struct):
    """The base's number taken from another report's, in the metric's unit: percentage points of a share.

    relative: of the base; None where that is 0. interval: the 95 % interval of `absolute`, None where the
    reports do not tell, and then `significant` is None, too. significant: the interval excludes 0.
    by: what the interval is from, `turns`, `pairs` of answers to the same picture, or independent `shares`.
    """

    absolute: float
    relative: float | None
    interval: Interval | None = None
    significant: bool | None = None
    by: str | None = None


class Row(Struct):
    """A metric of one artifact: `values` and `changes` are one a report; the base's change is None."""

    metric: str
    label: str
    unit: str
    lower_is_better: bool
    values: tuple[float | None, ...]
    changes: tuple[Change | None, ...]


class Compared(Struct):
    """An artifact in every report. missing: why a report has no numbers of it, else None.

    invalid: for each report, the reasons against its numbers, which only force has let in.
    """

    artifact: str
    missing: tuple[str | None, ...]
    skipped: tuple[bool, ...]
    invalid: tuple[tuple[str, ...], ...]
    rows: tuple[Row, ...]


class Comparison(Struct):
    """All of it. notes: what else differs between the reports, and what is in only one of them."""

    schema_version: PositiveInt
    edgecv: str
    reports: tuple[Side, ...]
    artifacts: tuple[Compared, ...]
    notes: tuple[str, ...] = ()
    invalid: NonNegativeInt = 0


def compare(reports: Sequence[Report], names: Sequence[str], force: bool = False) -> Comparison:
    """The artifacts that the first report has measured, in it and in the others.

    names: one a report, all different, to call them by. Raises UsageError for less than two reports, for
    INVALID ones without `force`, and when no artifact was measured in the first and in another.
    """
    if len(reports) < 2:
        raise UsageError("a comparison takes two reports or more")
    if len(names) != len(reports) or len(set(names)) < len(names):
        raise ValueError(f"{len(reports)} reports need as many different names, not {list(names)}")
    if not force:
        require_valid(reports, names)
    measured = [[a.kind for a in report.artifacts if a.measured] for report in reports]
    if not set(measured[0]) & {kind for kinds in measured[1:] for kind in kinds}:
        raise UsageError(
            f"nothing to compare: no artifact was measured in {names[0]} and in another; "
            + "; ".join(f"{n} has {_listed(kinds)}" for n, kinds in zip(names, measured, strict=True))
        )
    return Comparison(
        schema_version=COMPARISON_VERSION,
        edgecv=__version__,
        reports=tuple(_side(report, name) for report, name in zip(reports, names, strict=True)),
        artifacts=tuple(_artifact(reports, kind) for kind in dict.fromkeys(measured[0])),
        notes=tuple(map(plain, (*_only_in(reports, names), *_differing(reports, names)))),
        invalid=sum(not report.verdict.valid for report in reports),
    )


def require_valid(reports: Sequence[Report], names: Sequence[str]) -> None:
    """Raise UsageError, which names each INVALID report and the reasons against it.

    A mistake in what was asked for (exit code 2) and not a failure, so that a script can tell that nothing
    was compared from a gate that was crossed (exit code 1).
    """
    against = [
        f"{plain(name)} is INVALID: {in_short(report.verdict)}"
        for report, name in zip(reports, names, strict=True)
        if not report.verdict.valid
    ]
    if against:
        hint = "measure again, or use --force, which marks the numbers"
        raise UsageError(f"{' '.join(against)} INVALID numbers are not compared: {hint}")


def _listed(kinds: Sequence[Kind]) -> str:
    return ", ".join(map(str, kinds)) or "none"


def _side(report: Report, name: str) -> Side:
    return Side(
        name=name,
        bundle=report.bundle,
        manifest_sha256=report.manifest_sha256,
        board=board_name(report.conditions),
        created=report.created,
        mode=report.plan.mode,
        verdict=report.verdict,
    )


def _artifact(reports: Sequence[Report], kind: Kind) -> Compared:
    found = [find(report, kind) for report in reports]
    runs = [artifact if artifact and artifact.measured else None for artifact in found]
    sure = [intervals(reports[0], report, kind) for report in reports[1:]]
    rows = [_row(metric, runs, sure) for metric in _metrics(runs)]
    return Compared(
        artifact=str(kind),
        missing=tuple(_why_missing(artifact) for artifact in found),
        skipped=tuple(artifact is not None and artifact.measured is None for artifact in found),
        invalid=tuple(
            tuple(plain(reason.message) for reason in report.verdict.of(str(kind))) if run else ()
            for report, run in zip(reports, runs, strict=True)
        ),
        rows=tuple(row for row in rows if any(value is not None for value in row.values)),
    )


def _why_missing(artifact: ArtifactReport | None) -> str | None:
    if artifact is None:
        return "not in it"
    return f"skipped: {plain(artifact.skipped)}" if artifact.skipped is not None else None


def _metrics(runs: Sequence[ArtifactReport | None]) -> tuple[Metric, ...]:
    """METRICS, with the offline throughput where it is known of all that were measured."""
    offline = all(run.measured.offline for run in runs if run and run.measured)
    return tuple(OFFLINE if offline and metric.name == OFFLINE.name else metric for metric in METRICS)


def _row(
    metric: Metric, runs: Sequence[ArtifactReport | None], sure: Sequence[dict[str, tuple[Interval, str]]]
) -> Row:
    values = [metric.value(run) if run else None for run in runs]
    changes = [
        None if value is None else _change(values[0], value, known.get(metric.name))
        for value, known in zip(values[1:], sure, strict=True)
    ]
    return Row(
        metric=metric.name,
        label=metric.label,
        unit=metric.unit,
        lower_is_better=metric.lower,
        values=tuple(values),
        changes=(None, *changes),
    )


def _change(base: float | None, new: float, known: tuple[Interval, str] | None) -> Change | None:
    if base is None:
        return None
    interval, by = known or (None, None)
    return Change(
        absolute=new - base,
        relative=(new - base) / base if base else None,
        interval=interval,
        significant=None if interval is None else not interval.low <= 0 <= interval.high,
        by=by,
    )


def _only_in(reports: Sequence[Report], names: Sequence[str]) -> Iterator[str]:
    base = {a.kind for a in reports[0].artifacts if a.measured}
    for report, name in zip(reports[1:], names[1:], strict=True):
        kinds = {a.kind: a for a in report.artifacts}
        more = [kind for kind, a in kinds.items() if a.measured and kind not in base]
        if more:
            yield f"Not compared, since {names[0]} has no numbers of it: {_listed(more)} of {name}."
        for kind in sorted(base - {kind for kind, a in kinds.items() if a.measured}):
            yield f"{kind} has no numbers in {name}: {_why_missing(kinds.get(kind))}."


def _differing(reports: Sequence[Report], names: Sequence[str]) -> Iterator[str]:
    """What beside the artifacts is not the same in all, so that a difference may be from it."""
    texts: tuple[tuple[str, list[str]], ...] = (
        ("Bundle", [r.bundle for r in reports]),
        ("Bundle's manifest", [r.manifest_sha256[:12] for r in reports]),
        ("Board", [r.conditions.model for r in reports]),
        ("Device profile", [r.conditions.device for r in reports]),
        ("Engines", [_engines(r, reports[0]) for r in reports]),
        ("Threads", [str(r.conditions.threads) for r in reports]),
        ("Governor", [r.conditions.governor or "unknown" for r in reports]),
        ("Power mode", [r.conditions.power_mode or "unknown" for r in reports]),
        ("OpenCV", [r.conditions.opencv for r in reports]),
        ("Mode", [r.plan.mode.value for r in reports]),
        ("Camera", [f"{r.plan.camera_fps:g} frames a second" for r in reports]),
        ("Pictures", _pictures(reports)),
    )
    for what, values in texts:
        if len(set(values)) > 1:
            told = ", ".join(f"{value} in {name}" for value, name in zip(values, names, strict=True))
            yield f"{what} differ{'s' if what[-1] != 's' else ''}: {told}."
    if len({report.rule for report in reports}) > 1:
        yield "They were not measured by one rule; each report says by which."


def _engines(report: Report, base: Report) -> str:
    """The engines that ran what the base has, too; they may differ for the same format."""
    kinds = [a.kind for a in base.artifacts if a.measured]
    used = [a.measured.engine for a in report.artifacts if a.measured and a.kind in kinds]
    return " + ".join(dict.fromkeys(used)) or "none"


def _pictures(reports: Sequence[Report]) -> list[str]:
    """What each was judged on, all alike where it was the same, whatever the folder's name."""
    found = [report.pictures for report in reports]
    if len({one.digest if one else None for one in found}) == 1:
        return []
    return [
        f"{plural(len(one.truth), 'picture')} of {one.source} (sha256 {one.digest[:12]})" if one else "none"
        for one in found
    ]
