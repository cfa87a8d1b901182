"""The artifacts of a measurement, and the processes they have their turns in."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from edgecv.reports.messages import Job, Loaded, Turned
from edgecv.reports.monitor import Monitor, mean
from edgecv.reports.process import Worker
from edgecv.reports.schema import Camera, Measured, Minute, Offline, Operations, Turn, thin
from edgecv.spec import Kind
from edgecv.statistics import rank_interval
from edgecv.timing import Latency, nearest_rank

if TYPE_CHECKING:
    from types import TracebackType

SPARE_MB = 100.0
SPARE = 1.2  # of the largest process so far


@dataclass
class Lane:
    """What an artifact's turns have given so far. failure: why it has no further ones."""

    job: Job
    loaded: Loaded | None = None
    turned: list[Turned] = field(default_factory=list)
    turns: list[Turn] = field(default_factory=list)
    minutes: list[Minute] = field(default_factory=list)
    peak_memory_mb: float | None = None
    offline: Offline | None = None
    camera: Camera | None = None
    operations: Operations | None = None
    notes: list[str] = field(default_factory=list)
    failure: str | None = None

    @property
    def kind(self) -> Kind:
        return self.job.artifact.kind

    @property
    def seconds(self) -> float:
        return sum(turn.seconds for turn in self.turns)

    @property
    def samples(self) -> int:
        return sum(turn.samples for turn in self.turns)

    def measured(self) -> Measured:
        """All of it, for the report."""
        assert self.loaded is not None
        stages_us = np.concatenate([turned.stages_us for turned in self.turned], axis=1)
        preprocess, inference, postprocess = stages_us / 1000
        power_w = mean(turn.power_w for turn in self.turns)
        return Measured(
            engine=self.loaded.engine,
            threads=self.job.options.threads,
            variant=self.job.options.variant,
            load_ms=self.loaded.load_ms,
            first_inference_ms=self.loaded.first_inference_ms,
            peak_memory_mb=self.peak_memory_mb,
            warmup_ms=self.loaded.warmup_ms,
            preprocess=Latency.of(preprocess),
            inference=Latency.of(inference),
            postprocess=Latency.of(postprocess),
            total=Latency.of(stages_us.sum(axis=0) / 1000),
            turns=tuple(self.turns),
            inference_ms=thin(inference.tolist()),
            p50_interval_ms=rank_interval([turn.p50_ms for turn in self.turns], 50),
            p99_interval_ms=rank_interval(inference, 99),
            power_w=power_w,
            energy_mj=None if power_w is None else 1000 * power_w * self.seconds / self.samples,
            offline=self.offline,
            camera=self.camera,
            minutes=tuple(self.minutes),
            operations=self.operations,
            notes=tuple(self.notes),
        )


class Pool:
    """The lanes' processes: all at once, or one after the other where memory does not allow that.

    resident: whether they are all kept. Leaving the context ends every one.
    """

    def __init__(self, monitor: Monitor, silence_s: float) -> None:
        self.resident = True
        self._monitor, self._silence_s = monitor, silence_s
        self._open: dict[Kind, tuple[Worker, int]] = {}
        self._largest_mb = 0.0

    def __enter__(self) -> Pool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextlib.contextmanager
    def process(self) -> Iterator[Worker]:
        """One for something else than turns; it ends with the block."""
        worker = self._start()
        try:
            yield worker
        finally:
            self._end(worker)

    def load(self, lane: Lane) -> None:
        """Have the lane's process, started where there is none; without room for one, the others end."""
        if lane.kind in self._open:
            return
        if self._open and not self._room():
            self.resident = False
            self.close()
        worker = self._start()
        self._open[lane.kind] = worker, -1
        loaded = worker.load(lane.job)
        self._open[lane.kind] = worker, loaded.index
        lane.loaded = lane.loaded or loaded
        self._note_peak(lane, loaded.peak_memory_mb)

    def turn(self, lane: Lane, seconds: float, warm: bool = True) -> None:
        """One turn of the lane, and what was seen of the machine meanwhile."""
        self.load(lane)
        worker, index = self._open[lane.kind]
        start_s, mark = self._monitor.now_s(), self._monitor.mark()
        turned = worker.turn(index, seconds, warm=warm)
        seen = self._monitor.seen(mark)
        self._note_peak(lane, turned.peak_memory_mb)
        lane.turned.append(turned)
        lane.turns.append(
            Turn(
                start_s=round(start_s, 3),
                seconds=turned.seconds,
                samples=turned.samples,
                p50_ms=float(nearest_rank(np.sort(turned.inference), 50)),
                temperature_c=seen.temperature_c,
                clock_mhz=seen.clock_mhz,
                power_w=seen.power_w,
            )
        )
        if not self.resident:
            self.leave(lane)

    def leave(self, lane: Lane) -> None:
        """End the lane's process, if it has one."""
        if lane.kind in self._open:
            self._end(self._open.pop(lane.kind)[0])

    def close(self) -> None:
        while self._open:
            self._end(self._open.popitem()[1][0])

    def _start(self) -> Worker:
        worker = Worker(self._silence_s, self._monitor.look)
        self._monitor.children.add(worker.pid)
        return worker

    def _end(self, worker: Worker) -> None:
        worker.close()
        self._monitor.children.discard(worker.pid)

    def _room(self) -> bool:
        """Whether one more process has room beside those that wait; where memory is unknown, it is tried."""
        available_mb = self._monitor.available_mb()
        return available_mb is None or available_mb >= SPARE * self._largest_mb + SPARE_MB

    def _note_peak(self, lane: Lane, peak_mb: float | None) -> None:
        if peak_mb is not None:
            lane.peak_memory_mb = max(lane.peak_memory_mb or 0.0, peak_mb)
            self._largest_mb = max(self._largest_mb, peak_mb)
