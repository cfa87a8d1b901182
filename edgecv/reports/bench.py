"""Latency and memory of a bundle's artifacts, each in a fresh process, so that one cannot warm another's."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from edgecv import __version__
from edgecv.bundle import MANIFEST, Artifact, Bundle
from edgecv.errors import EngineError, EngineMissing
from edgecv.files import sha256_file
from edgecv.reports.accuracy import evaluate
from edgecv.reports.conditions import conditions, moment
from edgecv.reports.process import SILENCE_S, run_job
from edgecv.reports.schema import (
    MIN_SAMPLES,
    RULE,
    SCHEMA_VERSION,
    Accuracy,
    ArtifactReport,
    Report,
)
from edgecv.reports.worker import FRAME_HW, WARMUP, WARMUP_S, Job
from edgecv.runtime.engines import Options, installed, missing_message

if TYPE_CHECKING:
    from edgecv.devices import Selected


def bench(
    bundle: Bundle,
    artifacts: Sequence[Artifact],
    selected: Selected,
    *,
    data: Path | None = None,
    samples: int = 200,
    seconds: float = 10.0,
    progress: Callable[[str, float], None] | None = None,
    silence_s: float = SILENCE_S,
) -> Report:
    """Measure `artifacts` one after the other.

    Args:
        data: labelled pictures; the report then has accuracies too.
        samples, seconds: whichever is reached first ends an artifact's run, but never under 30 samples.
        progress: called with what is being done and how much of everything is done, 0 to 1.
        silence_s: an engine that says nothing for so long is taken to hang, and stopped.

    An artifact whose engine is missing or fails is in the report as skipped, with the reason.
    Raises EngineMissing when no engine is installed for any, EngineError when every one fails.
    """
    tell = progress or (lambda _what, _fraction: None)
    before = moment()
    rows = []
    for position, artifact in enumerate(artifacts):

        def part(fraction: float, position: int = position, artifact: Artifact = artifact) -> None:
            tell(str(artifact.kind), (position + fraction) / len(artifacts))

        part(0.0)
        rows.append(_measure(bundle, artifact, selected, samples, seconds, part, silence_s))
    after = moment()
    _require_any(artifacts, rows)
    accuracies: dict[object, Accuracy] = {}
    if data is not None:
        measured = [artifact for artifact, row in zip(artifacts, rows, strict=True) if row.measured]
        accuracies = {a.kind: a for a in evaluate(bundle, measured, data, selected, progress)}
    return Report(
        schema_version=SCHEMA_VERSION,
        edgecv=__version__,
        created=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        bundle=bundle.manifest.name,
        manifest_sha256=sha256_file(bundle.root / MANIFEST),
        rule=_rule(samples, seconds),
        conditions=conditions(selected, before, after),
        artifacts=tuple(msgspec.structs.replace(row, accuracy=accuracies.get(row.kind)) for row in rows),
    )


def _rule(samples: int, seconds: float) -> str:
    height, width = FRAME_HW
    return RULE.format(
        width=width,
        height=height,
        warmup=WARMUP,
        warmup_s=WARMUP_S,
        samples=max(samples, MIN_SAMPLES),
        seconds=seconds,
        minimum=MIN_SAMPLES,
    )


def _measure(
    bundle: Bundle,
    artifact: Artifact,
    selected: Selected,
    samples: int,
    seconds: float,
    progress: Callable[[float], None],
    silence_s: float,
) -> ArtifactReport:
    entry = installed(artifact.format)
    if entry is None:
        return ArtifactReport.of(artifact, skipped=missing_message(artifact.format))
    job = Job(
        entry=entry,
        path=str(bundle.path(artifact)),
        artifact=artifact,
        options=Options(selected.threads, selected.int8_saturates),
        rule=bundle.manifest.preprocess,
        labels=bundle.labels,
        samples=samples,
        seconds=seconds,
    )
    try:
        return ArtifactReport.of(artifact, measured=run_job(job, progress, silence_s))
    except EngineError as error:
        return ArtifactReport.of(artifact, skipped=str(error))


def _require_any(artifacts: Sequence[Artifact], rows: Sequence[ArtifactReport]) -> None:
    reasons = list(dict.fromkeys(row.skipped for row in rows if row.skipped))
    if any(row.measured for row in rows) or not rows:
        return
    missing = all(installed(artifact.format) is None for artifact in artifacts)
    raise (EngineMissing if missing else EngineError)("nothing could be measured: " + "; ".join(reasons))
