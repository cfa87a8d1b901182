"""The first half of the pipeline: frames are taken, judged for motion, and prepared ahead of the engine."""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from collections.abc import Sequence
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

import numpy as np

from edgecv.image import Preprocessor
from edgecv.runtime.controls import Controls
from edgecv.runtime.motion import MotionGate
from edgecv.runtime.regions import Region
from edgecv.runtime.sources import Frame, Source
from edgecv.spec import Preprocess

if TYPE_CHECKING:
    from numpy.typing import NDArray

# One is in the engine, one is ready, one is being prepared. With two, a file's frames would wait less, and
# the engine for them.
JOBS = 3


class Job:
    """A frame on its way, and the memory it is prepared in; a few go round, and nothing is allocated.

    inputs: [1, h, w, 3] uint8 for each region; logits: [classes] float32 for each, unless it was still.
    infer_s: seconds in the engine for each. seen_s: when the scene looked so, on a clock of its own.
    since_s (time.perf_counter()): the frame's capture, moved on by what preparing took, so that what passes
    from there to the engine is waiting.
    """

    __slots__ = (
        "answered",
        "frame",
        "infer_s",
        "inputs",
        "logits",
        "queue_s",
        "seen_s",
        "since_s",
        "still",
    )

    def __init__(self, rule: Preprocess, classes: int, regions: int) -> None:
        height, width = rule.size_hw
        self.frame: Frame | None = None
        self.inputs = [np.empty((1, height, width, 3), np.uint8) for _ in range(regions)]
        self.logits = [np.empty(classes, np.float32) for _ in range(regions)]
        self.still = [False] * regions
        self.infer_s = [0.0] * regions
        self.seen_s = self.since_s = self.queue_s = 0.0
        self.answered = False  # False after the engine: it failed on this frame


class End:
    """What follows the last job; `error` is why there are no more, None where it simply ended."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error


class Feeder(threading.Thread):
    """Puts prepared jobs into `ready`: all frames of a source that loses none, else only the newest.

    A frame of a live source waits prepared while the engine is busy, and is replaced by a newer one.
    """

    def __init__(
        self,
        source: Source,
        rule: Preprocess,
        classes: int,
        regions: Sequence[Region],
        controls: Controls,
        frames: int | None,
    ) -> None:
        super().__init__(name="edgecv-feeder", daemon=True)
        self.ready: SimpleQueue[Job | End] = SimpleQueue()
        self.replaced = 0  # frames that were prepared in vain
        self._free: SimpleQueue[Job | None] = SimpleQueue()
        self._source, self._regions, self._controls, self._limit = source, regions, controls, frames
        self._rate = None if source.live else source.fps
        self._prepare = Preprocessor(rule)
        self._gates: dict[int, MotionGate] = {}
        for _ in range(JOBS):
            self._free.put(Job(rule, classes, len(regions) or 1))

    def run(self) -> None:
        error = None
        live = self._source.live
        try:
            # A live source may give more than is asked for: not every frame gets an answer.
            frames = itertools.islice(self._source, None if live else self._limit)
            # A place before a frame: none is taken to grow old while it waits for one.
            while (job := self._free.get()) and (frame := next(frames, None)):
                self._fill(job, frame)
                if live:
                    self._take_back(job)
                self.ready.put(job)
        except Exception as caught:  # noqa: BLE001 - raised where the results are taken
            error = caught
        self.ready.put(End(error))

    def release(self, job: Job) -> None:
        """The job may be used again."""
        job.frame = None
        self._free.put(job)

    def stop(self) -> None:
        """End after the frame in hand; from any thread."""
        self._source.close()
        self._free.put(None)

    def _take_back(self, newer: Job) -> None:
        """The job that waits for the engine, if one does, makes room: `newer` looks at what it was to."""
        with contextlib.suppress(Empty):
            waiting = self.ready.get_nowait()
            assert isinstance(waiting, Job)  # the End is put by this thread, and last
            newer.still = [new and old for new, old in zip(newer.still, waiting.still, strict=True)]
            self.replaced += 1
            self.release(waiting)

    def _fill(self, job: Job, frame: Frame) -> None:
        began_s = time.perf_counter()
        job.frame = frame
        # Of a video file, what passes between two frames is what its rate says, not what reading took.
        job.seen_s = frame.index / self._rate if self._rate else frame.captured_s
        for number, region in enumerate(self._regions or (None,)):
            bgr = region.crop(frame.bgr) if region else frame.bgr
            prepared = self._prepare(bgr, job.inputs[number])
            job.still[number] = self._controls.motion_gate and not self._moved(number, prepared, job.seen_s)
        job.since_s = frame.captured_s + time.perf_counter() - began_s

    def _moved(self, number: int, prepared: NDArray[np.uint8], seen_s: float) -> bool:
        if number not in self._gates:
            self._gates[number] = MotionGate()
        return self._gates[number].moved(prepared, seen_s)
