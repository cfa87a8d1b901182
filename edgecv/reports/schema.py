"""What a measurement is, as report.json holds it; times in milliseconds, memory in MiB."""

from __future__ import annotations

from typing import Annotated

import msgspec

from edgecv.bundle import Artifact
from edgecv.spec import Drop, Format, Fraction, Kind, NonNegativeInt, PositiveInt, Precision, Sha256, Struct
from edgecv.timing import Latency

SCHEMA_VERSION = 2
MAX_SAMPLES = 2000
MIN_SAMPLES = 30
RULE = (
    "Percentiles are nearest-rank: the smallest observed sample with at least that share of the samples at "
    "or below it, never interpolated; with fewer than 100 samples p99 is the maximum. "
    "Each artifact ran alone in a fresh process on {width}x{height} frames: loaded, warmed up with at least "
    "{warmup} inferences and {warmup_s:g} s, then frames back to back until {samples} were timed or "
    "{seconds:g} s had passed, but never fewer than {minimum}. "
    "Load is opening the model file with the engine already imported; memory is the highest resident set "
    "of the whole process (VmHWM), Python, OpenCV and the engine included."
)

Milliseconds = Annotated[float, msgspec.Meta(ge=0.0)]


class Accuracy(Struct):
    """One artifact on the `n` labelled pictures that could be read; `unreadable` others were skipped.

    top1 and top5: the share of pictures whose label is the best class, or among the five best.
    agreement: the share whose best class is the float artifact's, None when the bundle has none that runs.
    drop: top-1 points lost against that float artifact; None for itself, too.
    """

    format: Format
    precision: Precision
    n: PositiveInt
    top1: Fraction
    top5: Fraction
    agreement: Fraction | None
    drop: Drop | None = None
    unreadable: NonNegativeInt = 0

    @property
    def kind(self) -> Kind:
        return Kind(self.format, self.precision)


class Measured(Struct):
    """One artifact's run. `total` is preprocess + inference + postprocess of the same frame.

    inference_ms: the samples behind `inference`, in order, to 1 µs; of more than 2,000 every k-th is kept.
    """

    engine: str
    load_ms: Milliseconds
    first_inference_ms: Milliseconds
    peak_memory_mb: float | None
    warmup: NonNegativeInt
    preprocess: Latency
    inference: Latency
    postprocess: Latency
    total: Latency
    inference_ms: Annotated[tuple[Milliseconds, ...], msgspec.Meta(min_length=1, max_length=MAX_SAMPLES)]

    @property
    def fps(self) -> float:
        """Frames a second, one after the other and without a camera: 1000 / (median total in ms)."""
        return 1000 / max(self.total.p50_ms, 1e-3)


class ArtifactReport(Struct):
    """Either `measured`, or `skipped` with the reason."""

    format: Format
    precision: Precision
    file_bytes: NonNegativeInt
    measured: Measured | None = None
    accuracy: Accuracy | None = None
    skipped: str | None = None

    def __post_init__(self) -> None:
        if (self.measured is None) == (self.skipped is None):
            raise ValueError("an artifact is either `measured` or `skipped`")

    @classmethod
    def of(
        cls,
        artifact: Artifact,
        measured: Measured | None = None,
        accuracy: Accuracy | None = None,
        skipped: str | None = None,
    ) -> ArtifactReport:
        return cls(
            format=artifact.format,
            precision=artifact.precision,
            file_bytes=artifact.bytes,
            measured=measured,
            accuracy=accuracy,
            skipped=skipped,
        )

    @property
    def kind(self) -> Kind:
        return Kind(self.format, self.precision)


class Moment(Struct):
    """What the machine said of itself at one time; None where it does not say."""

    temperature_c: float | None
    clock_mhz: float | None
    load_1min: float | None


class Conditions(Struct):
    """On what the numbers were measured; None is unknown.

    device: the profile that was followed; note: how it differs from this very machine, if it does.
    before, after: right before the first artifact and right after the last.
    """

    device: str
    note: str | None
    model: str
    architecture: str
    arithmetic: str
    cpu_features: tuple[str, ...]
    int8_saturates: bool
    cores: PositiveInt | None
    ram_mb: PositiveInt | None
    threads: PositiveInt
    python: str
    os: str
    kernel: str
    opencv: str
    governor: str | None
    before: Moment
    after: Moment


class Report(Struct):
    """All artifacts of one bundle on one machine; `created` is ISO 8601 in UTC."""

    schema_version: int
    edgecv: str
    created: str
    bundle: str
    manifest_sha256: Sha256
    rule: str
    conditions: Conditions
    artifacts: Annotated[tuple[ArtifactReport, ...], msgspec.Meta(min_length=1)]

    @property
    def scored(self) -> bool:
        return any(artifact.accuracy for artifact in self.artifacts)


def thin(samples_ms: list[float]) -> tuple[float, ...]:
    """At most MAX_SAMPLES of the samples, evenly spaced in time."""
    step = -(-len(samples_ms) // MAX_SAMPLES)
    return tuple(samples_ms[::step])
