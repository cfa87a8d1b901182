"""Reports of many boards as one: what each board makes of each artifact, and which it should run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from edgecv import __version__
from edgecv.errors import UsageError
from edgecv.reports.facts import board_name, valid
from edgecv.reports.schema import ArtifactReport, Mode, Report, Verdict
from edgecv.reports.wording import plain
from edgecv.spec import Fraction, NonNegativeInt, PositiveInt, Sha256, Struct

FLEET_VERSION = 1
# Top-1 points that the best artifact of a board may have lost against float: `edgecv tune`'s default, too.
MAX_DROP = 0.5


class Result(Struct):
    """One artifact on one board; what is unknown is None. temperature_c: the highest while it ran.

    drop: top-1 points lost against float. valid: no reason concerns it. skipped: why it was not measured.
    """

    artifact: str
    file_bytes: NonNegativeInt
    valid: bool = True
    engine: str | None = None
    p50_ms: float | None = None
    p90_ms: float | None = None
    fps: float | None = None
    energy_mj: float | None = None
    memory_mb: float | None = None
    temperature_c: float | None = None
    top1: Fraction | None = None
    drop: float | None = None
    skipped: str | None = None


class Board(Struct):
    """One report. best: of `results`, by its `format:precision`; None when none may be quoted.

    temperature_c: the highest seen. power_mode: the firmware's, by its own name.
    """

    name: str
    model: str
    device: str
    bundle: str
    manifest_sha256: Sha256
    created: str
    mode: Mode
    threads: PositiveInt
    verdict: Verdict
    results: tuple[Result, ...]
    best: str | None = None
    temperature_c: float | None = None
    power_mode: str | None = None

    def result(self, artifact: str | None) -> Result | None:
        return next((result for result in self.results if result.artifact == artifact), None)


class Fleet(Struct):
    """All boards, in the order given. notes: what is not the same on all of them."""

    schema_version: PositiveInt
    edgecv: str
    boards: tuple[Board, ...]
    notes: tuple[str, ...] = ()


def merge(reports: Sequence[Report], names: Sequence[str], force: bool = False) -> Fleet:
    """One fleet of at least one report; `names` are all different, since a board may come twice.

    A board's best artifact is its fastest, by p50, of those that lost at most MAX_DROP top-1 points where
    that is known. INVALID results stay marked in the fleet, but are nobody's best without `force`.
    Raises UsageError when there is no report.
    """
    if not reports:
        raise UsageError("a fleet takes at least one report")
    if len(names) != len(reports) or len(set(names)) < len(names):
        raise ValueError(f"{len(reports)} reports need as many different names, not {list(names)}")
    boards = tuple(_board(report, name, force) for report, name in zip(reports, names, strict=True))
    return Fleet(
        schema_version=FLEET_VERSION, edgecv=__version__, boards=boards, notes=tuple(_notes(reports, names))
    )


def report_names(paths: Sequence[Path]) -> tuple[str, ...]:
    """What to call reports by: as little of each path as tells them apart, without a common file name.

    `pi5/report.json` and `pi4/report.json` are `pi5` and `pi4`; the same path again gets a number.
    """
    parts = [Path(path).absolute().parts for path in paths]
    if len(parts) > 1 and len({part[-1] for part in parts}) == 1:
        parts = [part[:-1] for part in parts]
    else:
        parts = [(*part[:-1], Path(part[-1]).stem) for part in parts]
    depth, deepest = 1, max(map(len, parts), default=1)
    while depth < deepest and len({part[-depth:] for part in parts}) < len(set(parts)):
        depth += 1
    names, seen = [], Counter[str]()
    for part in parts:
        name = plain("/".join(part[-depth:]).strip("/")) or "report"
        seen[name] += 1
        names.append(f"{name} ({seen[name]})" if seen[name] > 1 else name)
    return tuple(names)


def _board(report: Report, name: str, force: bool) -> Board:
    c = report.conditions
    results = tuple(_result(report, artifact) for artifact in report.artifacts)
    moments = (c.before, *c.during, c.after)
    heat = [moment.temperature_c for moment in moments if moment.temperature_c is not None]
    heat += [result.temperature_c for result in results if result.temperature_c is not None]
    fit = [
        (result.p50_ms, result.artifact)
        for result in results
        if result.p50_ms is not None and (result.valid or force) and (result.drop or 0.0) <= MAX_DROP
    ]
    return Board(
        name=name,
        model=board_name(c),
        device=c.device,
        bundle=report.bundle,
        manifest_sha256=report.manifest_sha256,
        created=report.created,
        mode=report.plan.mode,
        threads=c.threads,
        verdict=report.verdict,
        results=results,
        best=min(fit)[1] if fit else None,
        temperature_c=max(heat, default=None),
        power_mode=c.power_mode,
    )


def _result(report: Report, artifact: ArtifactReport) -> Result:
    kind, run, accuracy = str(artifact.kind), artifact.measured, artifact.accuracy
    if run is None:
        return Result(artifact=kind, file_bytes=artifact.file_bytes, skipped=artifact.skipped)
    heat = [turn.temperature_c for turn in run.turns if turn.temperature_c is not None]
    return Result(
        artifact=kind,
        file_bytes=artifact.file_bytes,
        valid=valid(report, artifact),
        engine=run.engine,
        p50_ms=run.inference.p50_ms,
        p90_ms=run.inference.p90_ms,
        fps=run.fps,
        energy_mj=run.energy_mj,
        memory_mb=run.peak_memory_mb,
        temperature_c=max(heat, default=None),
        top1=accuracy.top1 if accuracy else None,
        drop=accuracy.drop.points if accuracy and accuracy.drop else None,
    )


def _notes(reports: Sequence[Report], names: Sequence[str]) -> Iterator[str]:
    """What makes numbers of two boards unlike, beside the boards."""
    for what, values in (
        ("bundles", [f"{r.bundle} {r.manifest_sha256[:12]}" for r in reports]),
        ("modes", [r.plan.mode.value for r in reports]),
        ("pictures", [r.pictures.digest[:12] if r.pictures else "none" for r in reports]),
    ):
        if len(set(values)) > 1:
            told = ", ".join(f"{name}: {value}" for name, value in zip(names, values, strict=True))
            yield f"The {what} are not the same on all boards ({told})."
    if len({report.rule for report in reports}) > 1:
        yield "They were not measured by one rule; each report says by which."
