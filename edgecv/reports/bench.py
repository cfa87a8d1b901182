"""A bundle's artifacts measured on this machine, each in a process of its own, with its conditions."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from edgecv import __version__
from edgecv.bundle import MANIFEST, Artifact, Bundle
from edgecv.devices.telemetry import SYSTEM
from edgecv.errors import EdgecvError, EngineError, EngineMissing, UsageError
from edgecv.files import sha256_file
from edgecv.reports.conditions import conditions
from edgecv.reports.lanes import Lane, Pool
from edgecv.reports.messages import Job
from edgecv.reports.meter import Meter, Progress
from edgecv.reports.monitor import Monitor
from edgecv.reports.process import SILENCE_S
from edgecv.reports.rule import describe
from edgecv.reports.schema import (
    SCHEMA_VERSION,
    ArtifactReport,
    Mode,
    Operations,
    Peaks,
    Plan,
    Report,
    Scenario,
    Verdict,
)
from edgecv.reports.turns import interleave, sustain
from edgecv.reports.validity import judge
from edgecv.runtime.choice import engine_options
from edgecv.runtime.engines import installed, missing_message
from edgecv.spec import Kind

if TYPE_CHECKING:
    from edgecv.devices import Selected
    from edgecv.reports.operations import Work

OFFLINE_S, CAMERA_S = 10.0, 20.0  # at most, of a third of the seconds that were asked for
MAX_FPS = 1000.0
PROFILED_RUNS = 20
_LOADING_S, _PROFILING_S = 2.0, 4.0  # for the progress, no more


def bench(
    bundle: Bundle,
    artifacts: Sequence[Artifact],
    selected: Selected,
    plan: Plan = Plan(),  # noqa: B008  frozen
    *,
    data: Path | None = None,
    robustness: int = 0,
    work: Mapping[Kind, Mapping[str, Work]] | None = None,
    power: Callable[[], float | None] | None = None,
    command: str | None = None,
    progress: Progress | None = None,
    silence_s: float = SILENCE_S,
    root: Path = SYSTEM,
) -> Report:
    """Measure `artifacts` by the plan, and judge the result.

    Args:
        data: labelled pictures; the report then has accuracies too, and with `robustness` those of so many
            pictures under corruptions.
        work: what each operation of an artifact has to do; the operations are then profiled, as in a full
            run they are anyhow.
        power: watts, where the board's own sensor is not to be asked.
        command: what was typed.
        progress: called with what is being done and how much of everything is done, 0 to 1.
        silence_s: an engine that says nothing for so long is taken to hang, and stopped.
        root: where the system's files are read.

    An artifact whose engine is missing or fails is in the report as skipped, with the reason.
    Raises EngineMissing when no engine is installed for any, EngineError when every one fails, UsageError for
    a plan that cannot be, or a `power` that gives none.
    """
    if not 0 < plan.camera_fps <= MAX_FPS:
        raise UsageError(f"a camera of {plan.camera_fps:g} frames/s: it takes more than 0, up to {MAX_FPS:g}")
    lanes = {a.kind: lane for a in artifacts if (lane := _lane(bundle, a, selected))}
    profiles = plan.mode is Mode.FULL or work is not None
    meter = Meter(progress, _expected_s(plan, profiles) * len(lanes), 0.7 if data else 1.0)
    peaks = _peaks(selected, lanes.values()) if profiles and lanes else None
    monitor = Monitor(root, power=power)
    before = monitor.take()
    with Pool(monitor, silence_s) as pool:
        _take_turns(list(lanes.values()), plan, pool, monitor, meter)
        for lane in lanes.values():
            _other_scenarios(lane, bundle, plan, selected, pool, meter)
        after = monitor.take()
        state = conditions(selected, monitor, before, after, peaks=peaks, command=command, root=root)
        for lane in lanes.values() if profiles else ():
            _profile(lane, (work or {}).get(lane.kind, {}), peaks, pool, meter)
    rows = [_row(artifact, lanes.get(artifact.kind)) for artifact in artifacts]
    _require_any(rows, missing=not lanes)
    report = Report(
        schema_version=SCHEMA_VERSION,
        edgecv=__version__,
        created=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        bundle=bundle.manifest.name,
        manifest_sha256=sha256_file(bundle.root / MANIFEST),
        plan=plan,
        rule=describe(plan, pool.resident),
        verdict=Verdict(),
        conditions=state,
        artifacts=tuple(rows),
    )
    if data is not None:
        report = _scored(report, bundle, artifacts, selected, data, robustness, meter)
    return msgspec.structs.replace(report, verdict=judge(plan, state, report.artifacts))


def _expected_s(plan: Plan, profiles: bool) -> float:
    """Of one artifact."""
    offline_s = _LOADING_S + min(plan.seconds / 3, OFFLINE_S) if Scenario.OFFLINE in plan.scenarios else 0.0
    camera_s = _LOADING_S + min(plan.seconds / 3, CAMERA_S) if Scenario.CAMERA in plan.scenarios else 0.0
    return _LOADING_S + plan.seconds + offline_s + camera_s + (_PROFILING_S if profiles else 0.0)


def _lane(bundle: Bundle, artifact: Artifact, selected: Selected) -> Lane | None:
    """None where no engine is installed for it."""
    entry = installed(artifact.format)
    if entry is None:
        return None
    job = Job(
        entry=entry,
        path=str(bundle.path(artifact)),
        artifact=artifact,
        options=engine_options(selected),
        rule=bundle.manifest.preprocess,
        labels=bundle.labels,
    )
    return Lane(job)


def _peaks(selected: Selected, lanes: Iterable[Lane]) -> Peaks | None:
    """None, and a note, where they cannot be measured."""
    from edgecv.reports.peaks import measure_peaks

    try:
        return measure_peaks(selected.threads)
    except EdgecvError as error:
        for lane in lanes:
            lane.notes.append(str(error))
        return None


def _take_turns(lanes: list[Lane], plan: Plan, pool: Pool, monitor: Monitor, meter: Meter) -> None:
    def say(lane: Lane, seconds: float) -> None:
        meter.begin(str(lane.kind), seconds or _LOADING_S)

    if plan.mode is not Mode.SUSTAINED:
        interleave(lanes, plan, pool, say)
        return
    for lane in lanes:
        say(lane, 0.0)
        sustain(lane, plan.minutes, pool, monitor, say)


def _other_scenarios(
    lane: Lane, bundle: Bundle, plan: Plan, selected: Selected, pool: Pool, meter: Meter
) -> None:
    """Offline and camera, in processes of their own; one that fails leaves a note."""
    if lane.failure:
        return
    for scenario, most_s in ((Scenario.OFFLINE, OFFLINE_S), (Scenario.CAMERA, CAMERA_S)):
        if scenario not in plan.scenarios:
            continue
        seconds = min(plan.seconds / 3, most_s)
        meter.begin(f"{lane.kind} {scenario.value}", _LOADING_S + seconds)
        try:
            with pool.process() as worker:
                if scenario is Scenario.OFFLINE:
                    streams = selected.detected.cores or selected.threads
                    lane.offline = worker.offline(lane.job, streams, seconds)
                else:
                    lane.camera = worker.camera(lane.job, bundle.root, plan.camera_fps, seconds)
        except EngineError as error:
            lane.notes.append(f"{scenario.value}: {error}")


def _profile(lane: Lane, work: Mapping[str, Work], peaks: Peaks | None, pool: Pool, meter: Meter) -> None:
    from edgecv.reports.operations import summarise

    if lane.failure:
        return
    meter.begin(f"{lane.kind} operations", _PROFILING_S)
    try:
        with pool.process() as worker:
            lane.operations = summarise(worker.profile(lane.job, PROFILED_RUNS), work, peaks)
    except EngineError as error:
        lane.operations = Operations(unknown=str(error))


def _row(artifact: Artifact, lane: Lane | None) -> ArtifactReport:
    if lane is None:
        return ArtifactReport.of(artifact, skipped=missing_message(artifact.format))
    if lane.failure:
        return ArtifactReport.of(artifact, skipped=lane.failure)
    return ArtifactReport.of(artifact, measured=lane.measured())


def _require_any(rows: Sequence[ArtifactReport], missing: bool) -> None:
    reasons = list(dict.fromkeys(row.skipped for row in rows if row.skipped))
    if rows and all(row.skipped for row in rows):
        raise (EngineMissing if missing else EngineError)("nothing could be measured: " + "; ".join(reasons))


def _scored(
    report: Report,
    bundle: Bundle,
    artifacts: Sequence[Artifact],
    selected: Selected,
    data: Path,
    robustness: int,
    meter: Meter,
) -> Report:
    """The report with the accuracy of what could be measured."""
    from edgecv.reports.accuracy import evaluate

    ran = [a for a, row in zip(artifacts, report.artifacts, strict=True) if row.measured]
    found = evaluate(bundle, ran, data, selected, meter.rest, robustness)
    accuracies = {accuracy.kind: accuracy for accuracy in found.accuracies}
    rows = tuple(
        msgspec.structs.replace(
            row,
            accuracy=accuracies.get(row.kind),
            answers=found.answers.get(row.kind),
            robustness=found.robustness.get(row.kind, ()),
        )
        for row in report.artifacts
    )
    return msgspec.structs.replace(
        report, artifacts=rows, pictures=found.pictures, labels=tuple(bundle.labels), worst=found.worst
    )
