"""What a measurement is, as report.json holds it; times in milliseconds, memory in MiB, energy in mJ."""

from __future__ import annotations

import enum
from typing import Annotated

import msgspec

from edgecv.bundle import Artifact
from edgecv.spec import (
    Drop,
    Format,
    Fraction,
    Interval,
    Kind,
    NonNegative,
    NonNegativeInt,
    PositiveInt,
    Precision,
    Sha256,
    Struct,
)
from edgecv.timing import Latency

SCHEMA_VERSION = 3
MAX_SAMPLES = 2000


class Mode(str, enum.Enum):
    """How long is measured: seconds to look, minutes to quote, or until the heat has come."""

    QUICK = "quick"
    FULL = "full"
    SUSTAINED = "sustained"


class Scenario(str, enum.Enum):
    """The questions that are asked, after MLPerf: how soon, how many, and what a camera gets."""

    SINGLE_STREAM = "single-stream"
    OFFLINE = "offline"
    CAMERA = "camera"


class Fault(str, enum.Enum):
    """Why numbers are not to be trusted."""

    THROTTLED = "throttled"
    CLOCK = "clock"
    LOAD = "load"
    STOLEN = "stolen"
    SAMPLES = "samples"
    SPREAD = "spread"
    DRIFT = "drift"
    SWAP = "swap"


class Reason(Struct):
    """One fault; `artifact` is the one it befell, None when it befell all. `message` has the numbers."""

    fault: Fault
    message: str
    artifact: str | None = None


class Verdict(Struct):
    """VALID when there is no reason against it. warnings: what a reader should know all the same."""

    reasons: tuple[Reason, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def valid(self) -> bool:
        return not self.reasons

    def of(self, artifact: str) -> tuple[Reason, ...]:
        """The reasons that concern an artifact, by its `format:precision`."""
        return tuple(reason for reason in self.reasons if reason.artifact in (None, artifact))


# One artifact's numbers ------------------------------------------------------------------------------------


class Accuracy(Struct):
    """One artifact on the `n` labelled pictures that could be read; `unreadable` others were skipped.

    top1 and top5: the share of pictures whose label is the best class, or among the five best.
    agreement: the share whose best class is the float artifact's, None when the bundle has none that runs;
    agreement_interval: its 95 % interval (Wilson). drop: top-1 points lost against that float artifact; None
    for itself, too. ece: expected calibration error of the best class's score, 15 bins of equal width (Guo et
    al., ICML 2017).
    """

    format: Format
    precision: Precision
    n: PositiveInt
    top1: Fraction
    top5: Fraction
    agreement: Fraction | None
    agreement_interval: Interval | None = None
    drop: Drop | None = None
    ece: Fraction | None = None
    unreadable: NonNegativeInt = 0

    @property
    def kind(self) -> Kind:
        return Kind(self.format, self.precision)


class Answers(Struct):
    """What an artifact said of each of `Report.pictures`, in their order: its best class and that's score."""

    best: tuple[NonNegativeInt, ...]
    score: tuple[Fraction, ...]


class Robustness(Struct):
    """Top-1 on `n` pictures after one corruption; strength 0 is the pictures as they are, 5 the strongest."""

    corruption: str
    strength: Annotated[int, msgspec.Meta(ge=0, le=5)]
    n: PositiveInt
    top1: Fraction


class Turn(Struct):
    """One of the turns an artifact had, between those of the others; what is unknown is None.

    start_s: since the measurement began. p50_ms: of its inferences. clock_mhz, temperature_c, power_w: as it
    ran.
    """

    start_s: float
    seconds: NonNegative
    samples: PositiveInt
    p50_ms: NonNegative
    temperature_c: float | None = None
    clock_mhz: float | None = None
    power_w: float | None = None


class Minute(Struct):
    """A minute of a sustained run. throttled: the reasons seen in it, None where the board does not say."""

    minute: PositiveInt
    samples: PositiveInt
    p50_ms: NonNegative
    p90_ms: NonNegative
    fps: NonNegative
    temperature_c: float | None = None
    clock_mhz: float | None = None
    power_w: float | None = None
    throttled: tuple[str, ...] | None = None


class Offline(Struct):
    """All pictures at hand at once: `streams` engines of one thread each, inference of prepared pictures.

    batch: 1, as the artifacts are made.
    """

    inferences_per_s: NonNegative
    inferences: PositiveInt
    seconds: NonNegative
    streams: PositiveInt
    batch: PositiveInt = 1


class Camera(Struct):
    """What `edgecv run` makes of a synthetic camera of `fps`: `age` is from capture to result.

    frames: those that were answered. dropped: those for which newer ones were there before they were looked
    at; their share is dropped / (frames + dropped).
    """

    fps: NonNegative
    frames: NonNegativeInt
    dropped: NonNegativeInt
    age: Latency | None

    @property
    def dropped_share(self) -> float | None:
        """None where no frame came."""
        came = self.frames + self.dropped
        return self.dropped / came if came else None


class Operation(Struct):
    """One operation as the engine ran it. macs, and the shares that need them, are None where unknown.

    share: of the time of all operations. peak_share: of the faster that the roofline allows (its work at the
    board's measured peak, or its bytes at the measured bandwidth).
    """

    name: str
    operator: str
    ms: NonNegative
    share: Fraction
    macs: NonNegativeInt | None = None
    peak_share: NonNegative | None = None


class Operations(Struct):
    """The costliest operations of `count`, most time first, from a profiled run of its own.

    unknown: why there are none.
    """

    count: NonNegativeInt = 0
    total_ms: NonNegative = 0.0
    costliest: tuple[Operation, ...] = ()
    unknown: str | None = None


class Measured(Struct):
    """One artifact's run. `total` is preprocess + inference + postprocess of the same frame.

    warmup_ms: the first inferences after loading, in order, none of which counts.
    p50_interval_ms, p99_interval_ms: 95 % intervals of inference's percentiles, None where there are too few
    samples to tell. inference_ms: the samples behind `inference`, in order, to 1 µs; of more than 2,000 every
    k-th is kept. energy_mj: of one frame, the whole board's or package's power times its time.
    variant: how the engine was set apart from its defaults, "" for not at all. notes: what else was asked for
    and could not be measured, and why.
    """

    engine: str
    threads: PositiveInt
    load_ms: NonNegative
    first_inference_ms: NonNegative
    peak_memory_mb: NonNegative | None
    warmup_ms: tuple[NonNegative, ...]
    preprocess: Latency
    inference: Latency
    postprocess: Latency
    total: Latency
    turns: Annotated[tuple[Turn, ...], msgspec.Meta(min_length=1)]
    inference_ms: Annotated[tuple[NonNegative, ...], msgspec.Meta(min_length=1, max_length=MAX_SAMPLES)]
    variant: str = ""
    p50_interval_ms: Interval | None = None
    p99_interval_ms: Interval | None = None
    power_w: NonNegative | None = None
    energy_mj: NonNegative | None = None
    offline: Offline | None = None
    camera: Camera | None = None
    minutes: tuple[Minute, ...] = ()
    operations: Operations | None = None
    notes: tuple[str, ...] = ()

    @property
    def fps(self) -> float:
        """Frames a second, one after the other and without a camera, as counted over all turns."""
        return sum(turn.samples for turn in self.turns) / max(sum(turn.seconds for turn in self.turns), 1e-3)


class ArtifactReport(Struct):
    """Either `measured`, or `skipped` with the reason."""

    format: Format
    precision: Precision
    file_bytes: NonNegativeInt
    measured: Measured | None = None
    accuracy: Accuracy | None = None
    answers: Answers | None = None
    robustness: tuple[Robustness, ...] = ()
    skipped: str | None = None

    def __post_init__(self) -> None:
        if (self.measured is None) == (self.skipped is None):
            raise ValueError("an artifact is either `measured` or `skipped`")

    @classmethod
    def of(
        cls, artifact: Artifact, measured: Measured | None = None, skipped: str | None = None
    ) -> ArtifactReport:
        return cls(
            format=artifact.format,
            precision=artifact.precision,
            file_bytes=artifact.bytes,
            measured=measured,
            skipped=skipped,
        )

    @property
    def kind(self) -> Kind:
        return Kind(self.format, self.precision)


# The board and the run -------------------------------------------------------------------------------------


class Moment(Struct):
    """What the machine said of itself at one time; None where it does not say.

    at_s: since the measurement began. other_cores, stolen_cores: how many cores' time other programs and the
    hypervisor took since the moment before. throttled: the reasons that hold, () for none.
    """

    at_s: float = 0.0
    temperature_c: float | None = None
    clock_mhz: float | None = None
    power_w: float | None = None
    load_1min: float | None = None
    memory_available_mb: int | None = None
    other_cores: float | None = None
    stolen_cores: float | None = None
    throttled: tuple[str, ...] | None = None
    throttled_since_boot: tuple[str, ...] | None = None


class Peaks(Struct):
    """What this board was measured to do just before: a product of matrices, and a copy.

    gflops: float32, in NumPy's BLAS with the run's threads, two operations a multiply-add. copy_gb_s: bytes
    read and written, in 10^9 a second, of a block larger than the caches.
    """

    gflops: NonNegative
    copy_gb_s: NonNegative


class Conditions(Struct):
    """On what the numbers were measured; None is unknown.

    device: the profile that was followed; note: how it differs from this very machine, if it does.
    before, after: right before the first artifact and right after the last; during: between, at most 600.
    swapped_pages: brought in or put out while measuring. supply: `battery` while one is being used up.
    power_mode: the firmware's or a Jetson's, by its own name. power_source: where power_w is from.
    tools: the engines and their versions. command: what was typed.
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
    tools: dict[str, str]
    governor: str | None
    before: Moment
    after: Moment
    during: tuple[Moment, ...] = ()
    swapped_pages: NonNegativeInt | None = None
    supply: str | None = None
    power_mode: str | None = None
    power_source: str | None = None
    peaks: Peaks | None = None
    command: str | None = None


class Plan(Struct):
    """What was asked for: of each artifact at least so many samples in so many seconds, in so many turns.

    camera_fps: the rate of the camera scenario. minutes: of a sustained run.
    """

    mode: Mode = Mode.QUICK
    scenarios: tuple[Scenario, ...] = (Scenario.SINGLE_STREAM,)
    samples: PositiveInt = 30
    seconds: NonNegative = 10.0
    turns: PositiveInt = 10
    minutes: NonNegative = 0.0
    camera_fps: NonNegative = 30.0

    @classmethod
    def of(cls, mode: Mode, minutes: float = 10.0, scenarios: tuple[Scenario, ...] = ()) -> Plan:
        """The plan of a mode; without `scenarios`, full asks for all, the others for single stream."""
        if mode is Mode.FULL:
            return cls(
                mode=mode, scenarios=scenarios or tuple(Scenario), samples=1024, seconds=60.0, turns=20
            )
        asked = scenarios or (Scenario.SINGLE_STREAM,)
        if mode is Mode.SUSTAINED:
            return cls(mode=mode, scenarios=asked, seconds=60 * minutes, minutes=minutes)
        return cls(mode=mode, scenarios=asked)


class WrongPicture(Struct):
    """A picture that float gets right and `artifact` wrong; `jpeg` is a thumbnail.

    truth: "" where nobody knows it, and the answers only differ.
    """

    name: str
    jpeg: bytes
    artifact: str
    truth: str
    float_label: str
    float_score: Fraction
    label: str
    score: Fraction


class Pictures(Struct):
    """The labelled pictures accuracy was measured on.

    source: the folder's name. digest: sha256 over their names and classes, in order: equal digests are the
    same pictures, and answers on them can be compared one by one. truth: the class of each, in order.
    """

    source: str
    digest: Sha256
    truth: tuple[NonNegativeInt, ...]


class Report(Struct):
    """All artifacts of one bundle on one machine; `created` is ISO 8601 in UTC.

    labels: the bundle's class names, present where `pictures` are.
    """

    schema_version: int
    edgecv: str
    created: str
    bundle: str
    manifest_sha256: Sha256
    plan: Plan
    rule: str
    verdict: Verdict
    conditions: Conditions
    artifacts: Annotated[tuple[ArtifactReport, ...], msgspec.Meta(min_length=1)]
    pictures: Pictures | None = None
    labels: tuple[str, ...] = ()
    worst: tuple[WrongPicture, ...] = ()

    def __post_init__(self) -> None:
        truth = self.pictures.truth if self.pictures else ()
        for artifact in self.artifacts:
            found = artifact.answers
            if found and not len(found.best) == len(found.score) == len(truth):
                raise ValueError(f"the `answers` of {artifact.kind} are not one for each of the `pictures`")
            if found and max((*found.best, *truth), default=-1) >= len(self.labels):
                raise ValueError(f"a class in the `answers` of {artifact.kind} has no name in `labels`")

    @property
    def scored(self) -> bool:
        return any(artifact.accuracy for artifact in self.artifacts)


def thin(samples_ms: list[float]) -> tuple[float, ...]:
    """At most MAX_SAMPLES of the samples, evenly spaced in time."""
    step = -(-len(samples_ms) // MAX_SAMPLES)
    return tuple(samples_ms[::step])
