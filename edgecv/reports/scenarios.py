"""In the measured process: all cores at once on prepared pictures, and a camera's frames as they come."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from edgecv.reports.messages import Job
from edgecv.reports.runner import FRAME_HW, prepared_picture
from edgecv.reports.schema import Camera, Offline
from edgecv.runtime.engines import Engine, load

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

WARMUP = 3
JOIN_S = 0.25
UNPINNED = "no-pinning"


class _Stream(threading.Thread):
    """One engine in a loop of its own; `ended_s` is its last inference's, `error` why there are no more."""

    def __init__(
        self, engine: Engine, image: NDArray[np.uint8], ready: threading.Barrier, for_s: float
    ) -> None:
        super().__init__(name="edgecv-stream", daemon=True)
        self._engine, self._image, self._ready, self._for_s = engine, image, ready, for_s
        self.began_s = self.ended_s = 0.0
        self.inferences = 0
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            for _ in range(WARMUP):
                self._engine.infer(self._image)
            self._ready.wait()
            self.began_s = self.ended_s = time.perf_counter()
            while self.ended_s - self.began_s < self._for_s:
                self._engine.infer(self._image)
                self.inferences += 1
                self.ended_s = time.perf_counter()
        except threading.BrokenBarrierError:  # another's error
            return
        except Exception as error:  # noqa: BLE001 - raised again where it is waited for
            self.error = error
            self._ready.abort()


def serve(job: Job, streams: int, seconds: float, beat: Callable[[], None]) -> Offline:
    """Engines of one thread each, one a stream, so that cores need not agree on every layer.

    Raises what loading or running one raises.
    """
    image = prepared_picture(job)
    options = job.options._replace(threads=1, variant=job.options.variant or _unpinned(job))
    ready = threading.Barrier(streams)
    with contextlib.ExitStack() as stack:
        running = []
        for _ in range(streams):
            engine = load(job.entry, Path(job.path), job.artifact, options)
            stack.callback(engine.close)
            # Not first in two threads at once: a binding that sets itself up then may wait for the other's
            # interpreter lock, and that for its set-up, for ever (pybind11 in OpenVINO 2026.4).
            engine.infer(image)
            running.append(_Stream(engine, image.copy(), ready, seconds))
            beat()
        for stream in running:
            stream.start()
        told = 0
        for stream in running:
            while stream.is_alive():
                stream.join(JOIN_S)
                done = sum(each.inferences for each in running)
                if done > told:  # a stream that hangs is no sign of life
                    told = done
                    beat()
    for stream in running:
        if stream.error:
            raise stream.error
    took_s = max(stream.ended_s for stream in running) - min(stream.began_s for stream in running)
    inferences = sum(stream.inferences for stream in running)
    return Offline(
        inferences_per_s=inferences / took_s, inferences=inferences, seconds=took_s, streams=streams
    )


def _unpinned(job: Job) -> str:
    """The engine's variant that leaves its threads free: of one thread each, all are pinned to one core."""
    return next((variant.name for variant in job.entry.variants if variant.name == UNPINNED), "")


def watch(job: Job, bundle: str, fps: float, seconds: float, beat: Callable[[], None]) -> Camera:
    """What comes out of `edgecv run` for a camera of 1280x720 pixels at `fps`."""
    from edgecv.bundle import Bundle
    from edgecv.runtime.pipeline import Run, Settings
    from edgecv.runtime.sources.synthetic import Synthetic, open_synthetic

    def open_engine() -> Engine:
        return load(job.entry, Path(job.path), job.artifact, job.options)

    opened, engine = Bundle.open(bundle, whole=False), open_engine()
    for _ in range(WARMUP):
        engine.infer(prepared_picture(job))
        beat()
    height, width = FRAME_HW
    source = open_synthetic(str(Synthetic(width, height, fps)))
    settings = Settings(threads=job.options.threads, heartbeat=beat)
    run = Run(opened, engine, source, settings, open_engine)
    until_s = time.monotonic() + seconds
    with contextlib.closing(iter(run)) as items:
        for _ in items:
            if time.monotonic() >= until_s:
                break
    summary = run.summary()
    return Camera(fps=fps, frames=summary.frames, dropped=summary.dropped.total, age=summary.latency)
