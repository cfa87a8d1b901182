"""Frames in, results out: capturing, preparing, inference and the rest overlap.

The source captures on a thread of its own where it is live, the Feeder prepares, Inference infers, and
whoever iterates the Run turns logits into answers. They hand jobs on through queues, and share nothing else.
"""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

import numpy as np

from edgecv.bundle import Bundle
from edgecv.runtime.controls import Controls
from edgecv.runtime.engines import Engine
from edgecv.runtime.events import Rules, Watcher
from edgecv.runtime.feeder import End, Feeder, Job
from edgecv.runtime.inference import Inference
from edgecv.runtime.regions import Region
from edgecv.runtime.results import Avoided, Dropped, Result, Summary
from edgecv.runtime.sinks.base import Item
from edgecv.runtime.sources import Source
from edgecv.tasks import best, softmax
from edgecv.timing import Latency

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgecv.tasks import Prediction

RECENT = 100_000  # frames that latencies are told of
BEAT_S = 1.0
STUCK_S = 60.0  # an inference that takes longer is taken for a hung engine
JOIN_S = 5.0


@dataclass
class Settings:
    """What a run is to do with a frame.

    frames: end after so many; regions: classify these parts of the picture, each by itself, instead of the
    whole; shown: [classes] bool, the classes that may be answered; threads: the engine's, to tell CPU time;
    heartbeat: called after each frame, and every second without one, unless the engine hangs.
    """

    top_k: int = 5
    frames: int | None = None
    regions: Sequence[Region] = ()
    rules: Rules = field(default_factory=Rules)
    controls: Controls | None = None
    shown: NDArray[np.bool_] | None = None
    threads: int = 1
    heartbeat: Callable[[], None] = lambda: None


class _Answers:
    """What is remembered from frame to frame of one region."""

    def __init__(self, labels: Sequence[str], settings: Settings, controls: Controls, region: str) -> None:
        self.watcher = Watcher(labels, settings.rules, controls, region, settings.shown)
        self.region = region
        self.scores = np.zeros(len(labels), np.float32)
        self.top: tuple[Prediction, ...] = ()


class Run:
    """One pass over a source: iterate it for items, once; ask for the summary at any time.

    Leaving the iteration ends its threads, and closes the engine and the source. reopen: loads the engine
    again after it failed on a frame.
    """

    def __init__(
        self,
        bundle: Bundle,
        engine: Engine,
        source: Source,
        settings: Settings,
        reopen: Callable[[], Engine],
    ) -> None:
        rules = settings.rules
        self.controls = settings.controls or Controls(rules.on, rules.off)
        self._labels, self._source, self._settings = bundle.labels, source, settings
        self._feeder = Feeder(
            source,
            bundle.manifest.preprocess,
            len(self._labels),
            settings.regions,
            self.controls,
            settings.frames,
        )
        self._done: SimpleQueue[Job | End | None] = SimpleQueue()
        self._inference = Inference(engine, reopen, self._feeder.ready, self._done)
        names = [region.name for region in settings.regions] or [""]
        self._answers = [_Answers(self._labels, settings, self.controls, name) for name in names]
        self._latency, self._queue, self._infer, self._ended = (_Recent() for _ in range(4))
        self._frames = self._events = self._avoided = 0
        self._last_s = self._began_s = self._first_unix_s = 0.0

    def __iter__(self) -> Generator[Item, None, None]:
        self._feeder.start()
        self._inference.start()
        try:
            while (job := self._next()) is not None:
                items = self._items(job) if job.answered else []
                self._feeder.release(job)  # before anybody takes his time over the results
                yield from items
                if self._source.live and self._frames == self._settings.frames:
                    break
        finally:
            self.close()

    def stop(self) -> None:
        """End after the frames in hand have been answered; from any thread, and from a signal handler."""
        self._done.put(None)

    def close(self) -> None:
        """End the threads, and close the source."""
        self._feeder.stop()
        if self._feeder.is_alive():
            self._feeder.join(JOIN_S)
        if self._inference.is_alive():
            self._inference.join(JOIN_S)

    def _next(self) -> Job | None:
        """The next job of the engine's, None at the end."""
        while True:
            self._beat()
            try:
                job = self._done.get(timeout=BEAT_S)
            except Empty:
                continue
            if job is None:
                self._feeder.stop()  # what is on its way still comes
            elif not isinstance(job, End):
                return job
            elif job.error is not None:
                raise job.error
            else:
                return None

    def _beat(self) -> None:
        busy_since_s = self._inference.busy_since_s
        if busy_since_s is None or time.perf_counter() - busy_since_s < STUCK_S:
            self._settings.heartbeat()

    def _items(self, job: Job) -> list[Item]:
        frame = job.frame
        assert frame is not None
        if not self._frames:
            self._began_s = job.seen_s
            self._first_unix_s = time.time() - (time.perf_counter() - frame.captured_s)
        self._frames += 1
        time_s = job.seen_s - self._began_s
        # A camera's time follows the system's clock when that is set; a file's is its own.
        unix_s = self._first_unix_s + time_s
        if self._source.live:
            unix_s = time.time() - (time.perf_counter() - frame.captured_s)
        items = []
        for number, answers in enumerate(self._answers):
            still = job.still[number]
            if still:
                self._avoided += 1
            else:
                answers.scores = softmax(job.logits[number])
                answers.top = best(answers.scores, self._labels, self._settings.top_k, self._settings.shown)
            events = answers.watcher.update(answers.scores, frame.index, unix_s)
            self._events += len(events)
            self._last_s = time.perf_counter()
            infer_s = 0.0 if still else job.infer_s[number]
            result = Result(
                frame=frame.index,
                time_s=round(time_s, 6),
                unix_s=round(unix_s, 6),
                latency_ms=round((self._last_s - frame.captured_s) * 1e3, 3),
                queue_ms=round(job.queue_s * 1e3, 3),
                infer_ms=round(infer_s * 1e3, 3),
                top=answers.top,
                name=frame.name,
                region=answers.region,
                still=still,
                on=answers.watcher.on,
                events=events,
            )
            items.append(Item(result, frame.bgr))
            if not still:
                self._infer.add(infer_s)
        self._latency.add(self._last_s - frame.captured_s)
        self._queue.add(job.queue_s)
        self._ended.add(self._last_s)
        return items

    def summary(self, recent: int = RECENT) -> Summary:
        """The counts so far, with the latencies of the last `recent` frames; from any thread."""
        counts = self._source.counts
        avoided = None
        if self._avoided or self.controls.motion_gate:
            each_s = self._inference.cpu_s / max(1, self._inference.inferences) * self._settings.threads
            avoided = Avoided(inferences=self._avoided, cpu_s=round(self._avoided * each_s, 3))
        return Summary(
            frames=self._frames,
            dropped=Dropped(capture=counts.dropped, queue=self._feeder.replaced),
            skipped=counts.skipped,
            reconnects=counts.reconnects,
            lost=counts.lost,
            engine_failures=self._inference.failures,
            fps=self._fps(recent),
            latency=self._latency.told(recent),
            queue=self._queue.told(recent),
            inference=self._infer.told(recent),
            events=self._events,
            avoided=avoided,
        )

    def _fps(self, recent: int) -> float | None:
        """Results a second, from the first to the last of them."""
        ended_s = self._ended.newest(recent)
        elapsed_s = float(ended_s[-1] - ended_s[0]) if ended_s.size else 0.0
        return (ended_s.size - 1) / elapsed_s if elapsed_s > 0 else None


class _Recent:
    """The last RECENT of a series of times, in memory that is taken once."""

    def __init__(self) -> None:
        self._seconds = array("d", bytes(8 * RECENT))
        self._count = 0

    def add(self, seconds: float) -> None:
        self._seconds[self._count % RECENT] = seconds
        self._count += 1

    def newest(self, recent: int) -> NDArray[np.float64]:
        """The last `recent` seconds, the newest last; fewer where there are not so many."""
        count = self._count
        ring = np.frombuffer(self._seconds, np.float64)
        return ring[np.arange(count - min(count, recent, RECENT), count) % RECENT]

    def told(self, recent: int) -> Latency | None:
        """Of the newest `recent`; None when there is none."""
        seconds = self.newest(recent)
        return Latency.of(seconds * 1e3) if seconds.size else None
