"""What a measurement and its child process say to each other: commands one way, a reply to each the other.

Both are JSON lines. A command is answered with `Alive` as long as it lasts, and with `Done` or `Failed` at
its end.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from edgecv.bundle import Artifact
from edgecv.runtime.engines import Entry, Options
from edgecv.spec import NonNegative, NonNegativeInt, PositiveInt, Preprocess, Struct

if TYPE_CHECKING:
    from numpy.typing import NDArray

WARMUP = 10
WARMUP_S = 0.5
STAGES = ("preprocess", "inference", "postprocess")
WARMUP_KEPT = 100  # of the inferences before the first that counts: enough to see their curve


class Job(Struct):
    """The engine is passed as its entry, because engines registered by the parent are unknown there."""

    entry: Entry
    path: str
    artifact: Artifact
    options: Options
    rule: Preprocess
    labels: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"{Path(self.path).name}: {self.entry.name}"

    def shareable(self, message: str) -> str:
        """Without the names of the user's folders: reports are shown to others."""
        if Path(self.path).is_absolute():
            message = message.replace(f"{Path(self.path).parent}{os.sep}", "")
        home = os.path.expanduser("~")  # Path's raises where there is none
        return message.replace(f"{home}{os.sep}", f"~{os.sep}")


class Load(Struct, tag=True):
    """Open a job's engine and warm it up, with so many inferences at least and for so long: Loaded."""

    job: Job
    warmup: NonNegativeInt
    warmup_s: float


class Take(Struct, tag=True):
    """Frames back to back for `seconds`, one at least: Turned.

    warm: some frames before, which do not count, since the turns of others have cooled the caches.
    """

    index: NonNegativeInt
    seconds: float
    warm: bool


class Serve(Struct, tag=True):
    """`streams` engines of one thread each, for `seconds`: Offline."""

    job: Job
    streams: PositiveInt
    seconds: float


class Watch(Struct, tag=True):
    """The pipeline of `edgecv run` before a synthetic camera, for `seconds`: Camera."""

    job: Job
    bundle: str
    fps: float
    seconds: float


class Profile(Struct, tag=True):
    """Each operation's time over `runs` inferences: a list of Timed."""

    job: Job
    runs: PositiveInt


class Unload(Struct, tag=True):
    """Close the engine: nothing."""

    index: NonNegativeInt


Command = Load | Take | Serve | Watch | Profile | Unload


class Loaded(Struct):
    """A job that can take turns, by its `index` in this process.

    load_ms: of the model, its engine's framework being imported. warmup_ms: the first inferences in order, at
    most 100 of them; the first of all is `first_inference_ms`, too. peak_memory_mb: of the process so far.
    """

    index: NonNegativeInt
    engine: str
    load_ms: NonNegative
    first_inference_ms: NonNegative
    warmup_ms: tuple[NonNegative, ...]
    peak_memory_mb: float | None


class Turned(Struct):
    """One turn: `seconds` from its first counted frame to its last, and each stage of each frame.

    packed: [3, samples] little-endian uint32, microseconds, in the order of STAGES.
    """

    seconds: float
    peak_memory_mb: float | None
    packed: bytes

    @classmethod
    def of(cls, stages_ns: NDArray[np.int64], seconds: float, peak_memory_mb: float | None) -> Turned:
        """stages_ns: [3, samples], nanoseconds."""
        us = ((stages_ns + 500) // 1000).astype("<u4")
        return cls(seconds=seconds, peak_memory_mb=peak_memory_mb, packed=us.tobytes())

    @property
    def stages_us(self) -> NDArray[np.uint32]:
        """[3, samples]"""
        return np.frombuffer(self.packed, "<u4").reshape(len(STAGES), -1)

    @property
    def samples(self) -> int:
        return len(self.packed) // (4 * len(STAGES))

    @property
    def inference(self) -> NDArray[np.float64]:
        """[samples] milliseconds, to 1 µs, so that a percentile is found among the samples as written."""
        return self.stages_us[1] / 1000


class Alive(Struct, tag=True):
    """The command goes on."""


class Failed(Struct, tag=True):
    """Why it did not work out; the process goes on."""

    message: str


class Done(Struct, tag=True):
    """What it gave, which the command says the type of."""

    result: msgspec.Raw


Reply = Alive | Failed | Done
