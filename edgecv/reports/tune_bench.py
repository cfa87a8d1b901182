"""Turns of tune's candidates, each engine in a process of its own."""

from __future__ import annotations

import contextlib
import statistics
from typing import TYPE_CHECKING

from edgecv.bundle import Bundle
from edgecv.errors import EngineError
from edgecv.reports.messages import Job
from edgecv.reports.monitor import Monitor
from edgecv.reports.process import Worker
from edgecv.reports.tune_candidates import Candidate, Objective
from edgecv.runtime.engines import installed

if TYPE_CHECKING:
    from edgecv.devices import Selected

WARM_S, WARM = 0.1, 3  # after loading; each turn warms up again
LOW_MB = 200  # of memory left, below which candidates are not kept loaded between their turns


class Bench:
    """Measures candidates in one child process an engine, loading each when its first turn comes."""

    def __init__(
        self,
        bundle: Bundle,
        stack: contextlib.ExitStack,
        silence_s: float,
        objective: Objective,
        selected: Selected,
        monitor: Monitor,
    ) -> None:
        self._bundle, self._stack, self._silence_s = bundle, stack, silence_s
        self._objective, self._monitor = objective, monitor
        self._streams = selected.detected.cores or 1
        self._workers: dict[str, Worker] = {}
        self._loaded: dict[Candidate, tuple[Worker, int]] = {}

    def measure(self, candidate: Candidate, seconds: float) -> float:
        """Its cost in a turn of so long, in the objective's unit; raises EngineError."""
        job = self._job(candidate)
        if self._objective is Objective.THROUGHPUT:
            found = self._worker(job).offline(job, self._streams, seconds)
            candidate.engine = job.entry.name
            return 1000 / found.inferences_per_s
        worker, index = self._load(candidate, job)
        mark = self._monitor.mark()
        turn = worker.turn(index, seconds)
        left_mb = self._monitor.available_mb()
        if left_mb is not None and left_mb < LOW_MB:
            self.release(candidate)
        if self._objective is Objective.ENERGY:
            watts = self._monitor.seen(mark).power_w
            if watts is None:
                raise EngineError(f"{job.name}: the power could not be read while it ran")
            return 1000 * watts * turn.seconds / turn.samples
        return float(statistics.median(turn.inference))

    def release(self, candidate: Candidate) -> None:
        """Give its memory back; it is loaded again when it is measured again."""
        worker, index = self._loaded.pop(candidate, (None, 0))
        if worker and worker.alive:
            with contextlib.suppress(EngineError):  # one that dies of it was measured before
                worker.unload(index)

    def _load(self, candidate: Candidate, job: Job) -> tuple[Worker, int]:
        if candidate not in self._loaded:
            worker = self._worker(job)
            loaded = worker.load(job, WARM_S, WARM)
            candidate.engine = loaded.engine
            self._loaded[candidate] = (worker, loaded.index)
        return self._loaded[candidate]

    def _worker(self, job: Job) -> Worker:
        """The engine's process; a new one when it has died, whose candidates are loaded again."""
        worker = self._workers.get(job.entry.name)
        if worker is None or not worker.alive:
            worker = self._stack.enter_context(Worker(self._silence_s, self._monitor.look))
            self._monitor.children.add(worker.pid)
            self._workers[job.entry.name] = worker
            self._loaded = {key: held for key, held in self._loaded.items() if held[0].alive}
        return worker

    def _job(self, candidate: Candidate) -> Job:
        entry = installed(candidate.artifact.format)
        assert entry is not None
        return Job(
            entry=entry,
            path=str(self._bundle.path(candidate.artifact)),
            artifact=candidate.artifact,
            options=candidate.options,
            rule=self._bundle.manifest.preprocess,
            labels=self._bundle.labels,
        )
