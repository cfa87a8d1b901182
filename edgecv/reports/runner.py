"""One loaded engine in the measured process: warmed up, and timed frame by frame."""

from __future__ import annotations

import importlib
import time
from array import array
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgecv.errors import EngineError
from edgecv.image import Preprocessor
from edgecv.reports.messages import WARMUP_KEPT, Job, Turned
from edgecv.runtime.engines import load
from edgecv.tasks import classify

FRAME_HW = (720, 1280)
FRAMES = 4
REWARM = 3
REWARM_S = 0.05
REWARM_MAX_S = 0.5  # the turns of a slow board would be nothing but warming up
TOP = 5
STATUS = Path("/proc/self/status")


class Runner:
    """A job's engine, the frames it is fed, and `load_ms`, the model's: its framework is imported before.

    beat: called after every frame. Raises EngineError, or whatever the engine raises.
    """

    def __init__(self, job: Job, beat: Callable[[], None]) -> None:
        self.job, self._beat, self._count = job, beat, 0
        self._frames, self._preprocessor = synthetic_frames(), Preprocessor(job.rule)
        importlib.import_module(job.entry.target.partition(":")[0])
        start = time.perf_counter_ns()
        self.engine = load(job.entry, Path(job.path), job.artifact, job.options)
        self.load_ms = _ms(time.perf_counter_ns() - start)

    def warm_up(self, least: int, seconds: float) -> tuple[float, ...]:
        """Milliseconds of the first inference and those after it, `least` or more and for `seconds`.

        At most WARMUP_KEPT are given. EngineError when the answer does not fit the labels.
        """
        times = [_ms(self._frame(self._check)[1])]
        start = time.perf_counter()
        while len(times) <= least or time.perf_counter() - start < seconds:
            times.append(_ms(self._frame()[1]))
        return tuple(times[:WARMUP_KEPT])

    def turn(self, seconds: float, warm: bool) -> Turned:
        """Frames for `seconds`, one at least; `warm`: some before, which do not count."""
        clock = time.perf_counter
        start, done = clock(), 0
        while warm and (done < REWARM or clock() - start < REWARM_S) and clock() - start < REWARM_MAX_S:
            self._frame()
            done += 1
        stages = (array("q"), array("q"), array("q"))
        start = now = clock()
        while not stages[0] or now - start < seconds:
            for stage, ns in zip(stages, self._frame(), strict=True):
                stage.append(ns)
            now = clock()
        return Turned.of(np.array(stages, np.int64), now - start, peak_memory_mb())

    def _check(self, logits: NDArray[np.float32]) -> None:
        wanted = len(self.job.labels)
        if logits.size != wanted:
            raise EngineError(f"{self.job.path}: gives {logits.size} scores for {wanted} labels")

    def _frame(
        self, check: Callable[[NDArray[np.float32]], None] = lambda _logits: None
    ) -> tuple[int, int, int]:
        """Nanoseconds of preprocessing, inference and postprocessing of the next frame."""
        clock = time.perf_counter_ns
        frame = self._frames[self._count % FRAMES]
        self._count += 1
        start = clock()
        image = self._preprocessor(frame)
        prepared = clock()
        logits = self.engine.infer(image)
        inferred = clock()
        check(logits)
        begin = clock()
        classify(logits, self.job.labels, TOP)
        end = clock()
        self._beat()
        return prepared - start, inferred - prepared, end - begin


@cache
def synthetic_frames() -> tuple[NDArray[np.uint8], ...]:
    """FRAMES different [720, 1280, 3] uint8 BGR pictures: gradients under seeded noise."""
    height, width = FRAME_HW
    random = np.random.default_rng(0)
    y = np.linspace(0, 160, height, dtype=np.float32)[:, None, None]
    x = np.linspace(0, 64, width, dtype=np.float32)[None, :, None]
    frames = []
    for shift in range(FRAMES):
        slope = np.roll(np.array([1.0, 0.6, 0.2], np.float32), shift)
        noise = random.integers(0, 32, (height, width, 3), dtype=np.uint8)
        frames.append((y * slope + x).astype(np.uint8) + noise)
    return tuple(frames)


def prepared_picture(job: Job) -> NDArray[np.uint8]:
    """[1, h, w, 3] uint8, as the job's engine takes it."""
    return Preprocessor(job.rule)(synthetic_frames()[0])


def peak_memory_mb(status: Path = STATUS) -> float | None:
    """The process's highest resident set in MiB, None where /proc is not Linux's.

    VmHWM and not getrusage: ru_maxrss survives exec, so it would start at the parent's own peak.
    """
    try:
        lines = status.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return None
    kib = next((line.split()[1] for line in lines if line.startswith("VmHWM:")), None)
    return round(int(kib) / 1024, 1) if kib else None


def _ms(ns: int) -> float:
    """Milliseconds to 1 µs."""
    return round(ns / 1e6, 3)
