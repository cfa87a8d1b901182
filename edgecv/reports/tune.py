"""The fastest way to run a bundle on this very board, under a bound on what it loses: successive halving.

Every candidate (artifact, threads, variant of the engine) gets a short turn; the better half gets turns twice
as long, and so on, until the last few are measured side by side (Jamieson and Talwalkar, AISTATS 2016). So
most of the time goes to the candidates between which it matters, and drift hits all of a round alike.
"""

from __future__ import annotations

import contextlib
import datetime
import enum
import functools
import math
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from edgecv.bundle import MANIFEST, Artifact, Bundle
from edgecv.devices.telemetry import Telemetry
from edgecv.errors import EngineError, UsageError
from edgecv.files import sha256_file
from edgecv.reports.messages import Job
from edgecv.reports.process import SILENCE_S, Worker
from edgecv.reports.tune_bound import Loss, bounded
from edgecv.reports.tune_words import explain
from edgecv.reports.wording import ms, number
from edgecv.runtime.choice import engine_options
from edgecv.runtime.engines import Entry, Options, installed
from edgecv.runtime.replay import replay
from edgecv.runtime.tuned import SCHEMA_VERSION, Tuned, board_key
from edgecv.spec import Kind

if TYPE_CHECKING:
    from edgecv.devices import Selected

FIRST_S = 0.08  # a candidate's turn in the first round; doubled in each
TURNS = 2  # a round, there and back: one alone may meet what disturbs it
WARM_S, WARM = 0.1, 3  # after loading; each turn warms up again
CLOSE = 1.10  # within so much of the best, a candidate is not dropped for a turn that short
FINALISTS = 3
FINAL_TURNS = 7
FINAL_S = 0.3
LOW_MB = 200  # of memory left, below which candidates are not kept loaded between their turns
ENERGY_S = 2.0  # a power sensor averages over a second or so


class Objective(str, enum.Enum):
    """What is best: the shortest inference, the least energy a frame, or the most pictures of all cores."""

    LATENCY = "latency"
    ENERGY = "energy"
    THROUGHPUT = "throughput"

    @property
    def key(self) -> str:
        """The name of its number, with the unit."""
        return {"latency": "latency_ms", "energy": "energy_mj", "throughput": "inferences_per_s"}[self.value]

    @property
    def heading(self) -> str:
        return {"latency": "ms", "energy": "mJ a frame", "throughput": "inferences/s"}[self.value]

    def number(self, cost: float) -> float:
        """A candidate's cost, as a user counts it: milliseconds an inference may be inferences a second."""
        return 1000 / cost if self is Objective.THROUGHPUT else cost

    def text(self, cost: float) -> str:
        value = self.number(cost)
        return ms(value) if self is Objective.LATENCY else number(value)


@dataclass(eq=False)
class Candidate:
    """One way to run the bundle.

    costs: of its turns so far, and of a finalist those of the final only; in the objective's unit, less is
    better. out: why it is no candidate any more, "" for the finalists.
    """

    artifact: Artifact
    options: Options
    loss: Loss
    engine: str = ""
    costs: list[float] = field(default_factory=list)
    rounds: int = 0
    final: bool = False
    out: str = ""

    @property
    def cost(self) -> float:
        """The median of the final turns; before it the best turn: what disturbs one only adds to it."""
        if not self.costs:
            return math.inf
        return statistics.median(self.costs) if self.final else min(self.costs)

    @property
    def name(self) -> str:
        threads = self.options.threads
        variant = f", {self.options.variant}" if self.options.variant else ""
        return f"{self.artifact.kind}, {threads} thread{'s' if threads != 1 else ''}{variant}"


@dataclass(frozen=True)
class Tuning:
    """All candidates, best first, those that could not be measured last; and the choice that was made."""

    objective: Objective
    candidates: tuple[Candidate, ...]
    excluded: tuple[tuple[Kind, str], ...]
    tuned: Tuned
    seconds: float

    @property
    def winner(self) -> Candidate:
        return self.candidates[0]


Measure = Callable[[Candidate, float], float]


def tune(
    bundle: Bundle,
    artifacts: Sequence[Artifact],
    selected: Selected,
    *,
    max_drop: float,
    objective: Objective = Objective.LATENCY,
    data: Path | None = None,
    power: Callable[[], float | None] | None = None,
    progress: Callable[[str, float], None] | None = None,
    silence_s: float = SILENCE_S,
) -> Tuning:
    """Measure and choose; nothing is saved.

    max_drop: points an artifact may lose against float: on `data`, labelled pictures, measured here; without
    them as the conversion measured it. power: gives watts now, for the energy objective.
    Raises EngineMissing when no engine is installed for any artifact, EngineError when none can be measured,
    UsageError when energy is asked for and there is no power to read.
    """
    if objective is Objective.ENERGY and (power is None or power() is None):
        raise UsageError("nothing here says the board's power; give --power-command, or another --objective")
    tell = progress or (lambda _what, _share: None)
    began = time.monotonic()
    inside, excluded = bounded(bundle, artifacts, selected, max_drop, data, tell)
    candidates = list(candidates_of(inside, selected, objective))
    with contextlib.ExitStack() as stack:
        bench = Bench(bundle, stack, silence_s, objective, selected, power)
        ranked = halve(candidates, bench.measure, objective, tell, bench.release)
    winner = next((c for c in ranked if not c.out and _answers_right(bundle, c)), None)
    if winner is None:
        reasons = "; ".join(dict.fromkeys(c.out for c in ranked if c.out)) or "nothing could be measured"
        raise EngineError(f"no candidate is left: {reasons}")
    ranked.sort(key=lambda c: (c is not winner, not c.costs, bool(c.out), -c.rounds, c.cost))
    why = explain(objective.value, max_drop, ranked, selected.detected.cores)
    tuned = Tuned(
        schema_version=SCHEMA_VERSION,
        manifest_sha256=sha256_file(bundle.root / MANIFEST),
        board=f"{selected.detected.model} ({board_key(selected.detected)})",
        created=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        format=winner.artifact.format,
        precision=winner.artifact.precision,
        threads=winner.options.threads,
        variant=winner.options.variant,
        engine=winner.engine,
        objective=objective.value,
        max_drop=max_drop,
        why=why,
    )
    return Tuning(objective, tuple(ranked), excluded, tuned, time.monotonic() - began)


def halve(
    candidates: Sequence[Candidate],
    measure: Measure,
    objective: Objective,
    tell: Callable[[str, float], None] = lambda _what, _share: None,
    release: Callable[[Candidate], None] = lambda _candidate: None,
) -> list[Candidate]:
    """Measure in rounds, and drop the worse half of each; best first, with `out` for those that were dropped.

    measure: gives the cost of a turn of so many seconds, or raises EngineError, which ends a candidate.
    release: told of each that is dropped.
    """
    by_energy = objective is Objective.ENERGY
    running, seconds, final_s = list(candidates), *((ENERGY_S, ENERGY_S) if by_energy else (FIRST_S, FINAL_S))
    while running:
        tell_name = functools.partial(_tell_name, tell, 1 - len(running) / (len(candidates) + 1))
        if len(running) <= FINALISTS:
            for candidate in running:
                candidate.costs, candidate.final = [], True
            _round(running, measure, final_s, FINAL_TURNS, tell_name)
            break
        _round(running, measure, seconds, TURNS, tell_name)
        running = sorted((c for c in running if not c.out), key=lambda c: c.cost)
        kept = max(math.ceil(len(running) / 2), FINALISTS)
        for position, candidate in enumerate(running):
            # A quarter leaves each round, however close they are.
            near = candidate.cost <= CLOSE * running[0].cost and position < 0.75 * len(running)
            if position >= kept and not near:
                worse = "takes more energy" if by_energy else "slower"
                candidate.out = f"{worse}, out in round {candidate.rounds}"
                release(candidate)
        running = [c for c in running if not c.out]
        seconds *= 2
    return sorted(candidates, key=lambda c: (not c.costs, bool(c.out), -c.rounds, c.cost))


def thread_counts(cores: int, logical: int) -> tuple[int, ...]:
    """1, 2, 4 ... and all cores; all hardware threads, too, where a core has several."""
    doubling = [2**power for power in range(cores.bit_length()) if 2**power <= cores]
    return tuple(sorted({*doubling, cores, logical}))


def candidates_of(
    inside: Iterable[tuple[Artifact, Loss]], selected: Selected, objective: Objective
) -> Iterable[Candidate]:
    """Every way to run these artifacts here that may be the best."""
    detected = selected.detected
    cores = detected.cores or selected.threads
    counts = thread_counts(cores, detected.logical_cores or cores)
    if objective is Objective.THROUGHPUT:
        counts = (1,)  # an engine a core: they need not wait for each other
    for artifact, loss in inside:
        entry = installed(artifact.format)
        assert entry is not None
        for threads in counts:
            for variant in ("", *_variants(entry, artifact)):
                options = engine_options(selected)._replace(threads=threads, variant=variant)
                yield Candidate(artifact, options, loss)


def _variants(entry: Entry, artifact: Artifact) -> list[str]:
    """The engine's own ways to run this artifact that leave its answers, and so its accuracy, as they are."""
    return [
        variant.name
        for variant in entry.variants
        if not variant.changes_answers and (not variant.only or artifact.precision in variant.only)
    ]


class Bench:
    """Measures candidates in one child process an engine, loading each when its first turn comes."""

    def __init__(
        self,
        bundle: Bundle,
        stack: contextlib.ExitStack,
        silence_s: float,
        objective: Objective,
        selected: Selected,
        power: Callable[[], float | None] | None,
    ) -> None:
        self._bundle, self._stack, self._silence_s = bundle, stack, silence_s
        self._objective, self._power = objective, power
        self._streams = selected.detected.cores or 1
        self._workers: dict[str, Worker] = {}
        self._loaded: dict[Candidate, tuple[Worker, int]] = {}
        self._watts: list[float] = []
        self._telemetry = Telemetry()

    def measure(self, candidate: Candidate, seconds: float) -> float:
        """Its cost in a turn of so long, in the objective's unit; raises EngineError."""
        job = self._job(candidate)
        if self._objective is Objective.THROUGHPUT:
            found = self._worker(job).offline(job, self._streams, seconds)
            candidate.engine = candidate.engine or job.entry.name
            return 1000 / found.inferences_per_s
        worker, index = self._load(candidate, job)
        self._watts = []
        turn = worker.turn(index, seconds)
        if (self._telemetry.read().memory_available_mb or LOW_MB) < LOW_MB:
            self.release(candidate)
        if self._objective is Objective.ENERGY:
            if not self._watts:
                raise EngineError(f"{job.name}: the power could not be read while it ran")
            return 1000 * statistics.fmean(self._watts) * turn.seconds / turn.samples
        return float(statistics.median(turn.inference))

    def release(self, candidate: Candidate) -> None:
        """Give its memory back; it is loaded again when it is measured again."""
        worker, index = self._loaded.pop(candidate, (None, 0))
        if worker and worker.alive:
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
            worker = self._stack.enter_context(Worker(self._silence_s, self._watch))
            self._workers[job.entry.name] = worker
            self._loaded = {key: held for key, held in self._loaded.items() if held[0].alive}
        return worker

    def _watch(self) -> None:
        if self._power and (watts := self._power()) is not None:
            self._watts.append(watts)

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


def _tell_name(tell: Callable[[str, float], None], share: float, name: str) -> None:
    tell(name, share)


def _round(
    running: Sequence[Candidate],
    measure: Measure,
    seconds: float,
    turns: int,
    tell: Callable[[str], None],
) -> None:
    """So many turns for each, one after the other and back again, so that drift hits all alike."""
    for candidate in running:
        candidate.rounds += 1
    for turn in range(turns):
        for candidate in running if turn % 2 == 0 else reversed(running):
            if candidate.out:
                continue
            tell(candidate.name)
            try:
                candidate.costs.append(measure(candidate, seconds))
            except EngineError as error:
                candidate.out, candidate.costs = str(error), []


def _answers_right(bundle: Bundle, candidate: Candidate) -> bool:
    """Whether the golden samples come out right here; else the candidate is out."""
    [row] = replay(bundle, (candidate.artifact,), candidate.options)
    if row.passed:
        return True
    candidate.out = f"{candidate.name} fails the golden samples: {row.message}"
    return False
