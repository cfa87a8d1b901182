"""Frames in, results out."""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING

from edgecv.bundle import Artifact, Bundle
from edgecv.devices import Selected
from edgecv.image import Preprocessor
from edgecv.runtime.engines import Engine, Options, open_engine
from edgecv.runtime.sources import Frame, Source
from edgecv.spec import Struct
from edgecv.tasks import Prediction, classify
from edgecv.timing import Latency

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


RECENT = 100_000


class Result(Struct, omit_defaults=True):
    """What one frame gave. `latency_ms` runs from the frame's capture to its result, waiting included.

    `time_s` is when the frame was captured (of a file: read), in seconds after the first one. `name` is
    the picture's file name where the source is pictures.
    """

    frame: int
    time_s: float
    latency_ms: float
    top: tuple[Prediction, ...]
    name: str = ""


class Summary(Struct):
    """A whole run; `dropped` frames were replaced by newer ones before they were looked at.

    `latency` is over the last RECENT frames, so that a run of months needs no more memory than a short one.
    """

    frames: int
    dropped: int
    skipped: int
    fps: float | None
    latency: Latency | None


class Classifier:
    """A bundle's artifact in its engine, with the bundle's own preprocessing and labels around it."""

    def __init__(self, bundle: Bundle, engine: Engine, top_k: int = 5) -> None:
        self.engine, self.top_k = engine, top_k
        self._labels = bundle.labels
        self._preprocess = Preprocessor(bundle.manifest.preprocess)

    @classmethod
    def open(cls, bundle: Bundle, artifact: Artifact, selected: Selected, top_k: int = 5) -> Classifier:
        """Load `artifact` for the selected device; raises EngineError or EngineMissing."""
        engine = open_engine(bundle.path(artifact), artifact, engine_options(selected))
        return cls(bundle, engine, top_k)

    def __call__(self, bgr: NDArray[np.uint8]) -> tuple[Prediction, ...]:
        """The best classes of one frame, [H, W, 3] uint8 BGR of any size."""
        return classify(self.engine.infer(self._preprocess(bgr)), self._labels, self.top_k)

    def close(self) -> None:
        self.engine.close()

    def __enter__(self) -> Classifier:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def engine_options(selected: Selected) -> Options:
    """Threads from the profile; exact sums where this very CPU, not the profile's, would saturate."""
    return Options(selected.threads, bool(selected.detected.int8_saturates))


class Run:
    """One pass of a classifier over a source: iterate it for results, then ask for the summary."""

    def __init__(self, classifier: Classifier, source: Source, frames: int | None = None) -> None:
        self._classifier, self._source, self._frames = classifier, source, frames
        self._latencies_ms: deque[float] = deque(maxlen=RECENT)
        self._done = 0
        self._first_s = self._last_s = 0.0

    def __iter__(self) -> Iterator[Result]:
        clock, classify_frame, latencies = time.perf_counter, self._classifier, self._latencies_ms
        taken: Iterator[Frame] = itertools.islice(self._source, self._frames)
        for frame in taken:
            if not self._done:
                self._first_s = frame.captured_s
            top = classify_frame(frame.bgr)
            self._last_s = clock()
            latency_ms = (self._last_s - frame.captured_s) * 1e3
            latencies.append(latency_ms)
            self._done += 1
            yield Result(
                frame=frame.index,
                time_s=round(frame.captured_s - self._first_s, 6),
                latency_ms=round(latency_ms, 3),
                top=top,
                name=frame.name,
            )

    def summary(self) -> Summary:
        counts, elapsed_s = self._source.counts, self._last_s - self._first_s
        return Summary(
            frames=self._done,
            dropped=counts.dropped,
            skipped=counts.skipped,
            fps=self._done / elapsed_s if elapsed_s > 0 else None,
            latency=Latency.of(list(self._latencies_ms)) if self._done else None,
        )
