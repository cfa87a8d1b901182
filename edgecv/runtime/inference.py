"""The engine's own thread: it does nothing but infer, and it comes back when the engine fails."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue

import numpy as np

from edgecv.errors import EngineError
from edgecv.files import cache_dir, write_bytes
from edgecv.runtime.engines import Engine, one_line
from edgecv.runtime.feeder import End, Job
from edgecv.runtime.sources import Frame

log = logging.getLogger(__name__)

FAILURES_IN_A_ROW = 3
KEPT_FRAMES = 20  # of those that an engine failed on


class Inference(threading.Thread):
    """Takes jobs from `ready`, answers them, and passes every one on to `done`.

    open_engine loads the engine again after a failure. `cpu_s` is what this thread has used, `busy_since_s`
    (time.perf_counter()) when the inference that is going on began, None between two.
    """

    def __init__(
        self,
        engine: Engine,
        open_engine: Callable[[], Engine],
        ready: SimpleQueue[Job | End],
        done: SimpleQueue[Job | End],
    ) -> None:
        super().__init__(name="edgecv-engine", daemon=True)
        self.engine: Engine | None = engine
        self.inferences = self.failures = 0
        self.cpu_s = 0.0
        self.busy_since_s: float | None = None
        self._open, self._ready, self._done = open_engine, ready, done
        self._in_a_row = 0
        self._answered: set[int] = set()  # regions that have an answer, which a still picture may keep

    def run(self) -> None:
        while True:
            job = self._ready.get()
            if isinstance(job, End):
                break
            try:
                self._answer(job)
            except Exception as error:  # noqa: BLE001 - engines raise many unrelated classes
                try:
                    self._recover(error, job.frame)
                except Exception as final:  # noqa: BLE001 - the taker would wait for ever otherwise
                    job = End(final)
                    break
            self._done.put(job)
        if self.engine is not None:
            self.engine.close()
        self._done.put(job)

    def _answer(self, job: Job) -> None:
        clock = time.perf_counter
        job.answered = False
        self.busy_since_s = began_s = clock()
        job.queue_s = began_s - job.since_s
        assert self.engine is not None
        for number, still in enumerate(job.still):
            if not still or number not in self._answered:
                job.still[number] = False
                logits = job.logits[number]
                logits[:] = self.engine.infer(job.inputs[number])[0]
                if not np.isfinite(logits.sum()):
                    raise EngineError(f"{self.engine.name} answered with numbers that are not finite")
                ended_s = clock()
                job.infer_s[number] = ended_s - began_s
                began_s = ended_s
                self.inferences += 1
                self._answered.add(number)
        self.busy_since_s = None
        self.cpu_s = time.thread_time()
        self._in_a_row = 0
        job.answered = True

    def _recover(self, error: Exception, frame: Frame | None) -> None:
        """Say so, keep the frame, and load the engine again; EngineError when that is of no use."""
        self.busy_since_s = None
        self.failures += 1
        self._in_a_row += 1
        assert self.engine is not None
        what = error if isinstance(error, EngineError) else f"{self.engine.name} failed: {one_line(error)}"
        kept = _keep(frame) if frame else None
        at = f"frame {frame.index}" if frame else "a frame"
        where = f", which is kept as {kept}" if kept else ""
        if self._in_a_row == FAILURES_IN_A_ROW:
            raise EngineError(
                f"{what}, on {at}{where}; {self._in_a_row} frames in a row failed: "
                "`edgecv verify` tests the artifact, another --format may do"
            ) from error
        log.warning("%s, on %s%s; loading the engine again", what, at, where)
        self.engine.close()
        self.engine = None
        self.engine = self._open()


def _keep(frame: Frame) -> Path | None:
    """The frame as a PNG in the cache, for a bug report; None when it cannot be written."""
    import cv2

    folder = cache_dir() / "failed-frames"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for old in sorted(folder.glob("*.png"))[: 1 - KEPT_FRAMES]:
            old.unlink(missing_ok=True)
        path = folder / f"{time.strftime('%Y%m%dT%H%M%S')}-{frame.index}.png"
        whole, content = cv2.imencode(".png", frame.bgr)
        write_bytes(path, content.tobytes() if whole else b"")
    except Exception:  # noqa: BLE001 - a full disk, a frame that is no picture: the run goes on all the same
        return None
    return path
