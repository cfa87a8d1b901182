"""What two reports are compared by, and gated on: one name, unit and direction for each number."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from edgecv.reports.schema import Accuracy, ArtifactReport, Camera, Measured

POINTS = "%"  # the unit of shares: their changes are in percentage points

_OfRun = Callable[[Measured], "float | None"]


class Metric(NamedTuple):
    """A number of an artifact. lower: whether less is better. key: among the few a terminal has room for."""

    name: str
    label: str
    unit: str
    lower: bool
    value: Callable[[ArtifactReport], float | None]
    key: bool = False


def _run(value: _OfRun) -> Callable[[ArtifactReport], float | None]:
    return lambda a: value(a.measured) if a.measured else None


def _camera(value: Callable[[Camera], float | None]) -> Callable[[ArtifactReport], float | None]:
    return _run(lambda m: value(m.camera) if m.camera else None)


def _score(value: Callable[[Accuracy], float | None]) -> Callable[[ArtifactReport], float | None]:
    """A share as percent."""

    def percent(artifact: ArtifactReport) -> float | None:
        found = value(artifact.accuracy) if artifact.accuracy else None
        return None if found is None else 100 * found

    return percent


def _dropped(camera: Camera) -> float | None:
    return None if camera.dropped_share is None else 100 * camera.dropped_share


METRICS = (
    Metric("latency_p50", "inference p50", "ms", True, _run(lambda m: m.inference.p50_ms), key=True),
    Metric("latency_p90", "inference p90", "ms", True, _run(lambda m: m.inference.p90_ms), key=True),
    Metric("latency_p99", "inference p99", "ms", True, _run(lambda m: m.inference.p99_ms)),
    Metric("total_p50", "frame p50", "ms", True, _run(lambda m: m.total.p50_ms), key=True),
    Metric("total_p90", "frame p90", "ms", True, _run(lambda m: m.total.p90_ms)),
    Metric("total_p99", "frame p99", "ms", True, _run(lambda m: m.total.p99_ms)),
    Metric("throughput", "frames", "/s", False, _run(lambda m: m.fps), key=True),
    Metric("camera_age_p50", "camera age p50", "ms", True, _camera(lambda c: c.age and c.age.p50_ms)),
    Metric("camera_age_p90", "camera age p90", "ms", True, _camera(lambda c: c.age and c.age.p90_ms)),
    Metric("camera_dropped", "camera dropped", POINTS, True, _camera(_dropped)),
    Metric("load", "load", "ms", True, _run(lambda m: m.load_ms)),
    Metric("memory", "peak memory", "MiB", True, _run(lambda m: m.peak_memory_mb), key=True),
    Metric("size", "file size", "MiB", True, lambda a: a.file_bytes / 2**20),
    Metric("energy", "energy", "mJ", True, _run(lambda m: m.energy_mj), key=True),
    Metric("top1", "top-1", POINTS, False, _score(lambda a: a.top1), key=True),
    Metric("top5", "top-5", POINTS, False, _score(lambda a: a.top5)),
    Metric("agreement", "agreement", POINTS, False, _score(lambda a: a.agreement)),
    Metric("ece", "calibration", POINTS, True, _score(lambda a: a.ece)),
)
BY_NAME = {metric.name: metric for metric in METRICS}
# In the place of `throughput` where every report has measured it.
OFFLINE = BY_NAME["throughput"]._replace(
    label="offline", value=_run(lambda m: m.offline and m.offline.inferences_per_s)
)
