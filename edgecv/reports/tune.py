"""The fastest way to run a bundle on this very board, under a bound on what it loses: successive halving.

Every candidate (artifact, threads, variant of the engine) gets a short turn; the better half gets turns twice
as long, and so on, until the last few are measured side by side (Jamieson and Talwalkar, AISTATS 2016). So
most of the time goes to the candidates between which it matters, and drift hits all of a round alike.
"""

from __future__ import annotations

import contextlib
import datetime
import functools
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgecv.bundle import MANIFEST, Artifact, Bundle
from edgecv.devices.power import Power
from edgecv.devices.system import SYSTEM
from edgecv.errors import EngineError, UsageError
from edgecv.files import sha256_file
from edgecv.reports.conditions import conditions
from edgecv.reports.monitor import Monitor
from edgecv.reports.process import SILENCE_S
from edgecv.reports.tune_bench import Bench
from edgecv.reports.tune_bound import bounded
from edgecv.reports.tune_candidates import Candidate, Objective, candidates_of
from edgecv.reports.tune_words import explain
from edgecv.reports.validity import disturbances
from edgecv.runtime.replay import replay
from edgecv.runtime.tuned import SCHEMA_VERSION, Tuned, board_key
from edgecv.spec import Kind

if TYPE_CHECKING:
    from edgecv.devices import Selected

FIRST_S = 0.05  # a candidate's turn in the first round; doubled in each, to FINAL_S at most
TURNS = 2  # a round, there and back: one alone may meet what disturbs it
CLOSE = 1.10  # within so much of the best, a candidate is not dropped for a turn that short
FINALISTS = 3
FINAL_TURNS = 7
FINAL_S = 0.2
ENERGY_S = 2.0  # a power sensor averages over a second or so


@dataclass(frozen=True)
class Tuning:
    """All candidates, best first, those that could not be measured last; and the choice that was made.

    warnings: what disturbed the measurement.
    """

    objective: Objective
    candidates: tuple[Candidate, ...]
    excluded: tuple[tuple[Kind, str], ...]
    tuned: Tuned
    seconds: float
    warnings: tuple[str, ...] = ()

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
    root: Path = SYSTEM,
) -> Tuning:
    """Measure and choose; nothing is saved.

    max_drop: points an artifact may lose against float: on `data`, labelled pictures, measured here; without
    them as the conversion measured it. power: watts, where the board's own sensor is not to be asked.
    Raises EngineMissing when no engine is installed for any artifact, EngineError when none can be measured,
    UsageError when energy is asked for and there is no power to read.
    """
    if objective is Objective.ENERGY and power is None and Power(root, time.monotonic).source is None:
        raise UsageError("nothing here says the board's power; give --power-command, or another --objective")
    tell = progress or (lambda _what, _share: None)
    began = time.monotonic()
    inside, excluded = bounded(bundle, artifacts, selected, max_drop, data, tell)
    candidates = list(candidates_of(inside, selected, objective))
    monitor = Monitor(root, power=power)
    before = monitor.take()
    with contextlib.ExitStack() as stack:
        bench = Bench(bundle, stack, silence_s, objective, selected, monitor)
        ranked = halve(candidates, bench.measure, objective, tell, bench.release)
        state = conditions(selected, monitor, before, monitor.take(), root=root)
    # Finalists come first; where their artifacts are broken here, the best of another one will do.
    winner = next((c for c in ranked if c.costs and _answers_right(bundle, c, ranked)), None)
    if winner is None:
        reasons = "; ".join(dict.fromkeys(c.out for c in ranked if c.out)) or "nothing could be measured"
        raise EngineError(f"no candidate is left: {reasons}")
    ranked.sort(key=lambda c: (c is not winner, *_rank(c)))
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
    warnings = tuple(reason.message for reason in disturbances(state))
    return Tuning(objective, tuple(ranked), excluded, tuned, time.monotonic() - began, warnings)


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
            _final(running, measure, final_s, tell_name)
            # What was dropped for a disturbed turn, and in another was better than all of these ever were.
            best = min(min(c.costs, default=math.inf) for c in running)
            missed = sorted((c for c in candidates if c.costs and c.cost < best), key=lambda c: c.cost)
            missed = [c for c in missed if c not in running][:FINALISTS]
            if missed:
                for candidate in missed:
                    candidate.out = ""
                _final([*(c for c in running if not c.out), *missed], measure, final_s, tell_name)
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
        seconds = min(2 * seconds, final_s)
    return sorted(candidates, key=_rank)


def _rank(candidate: Candidate) -> tuple[bool, bool, int, float]:
    """Finalists by cost, then the others by how far they came; last who could not be measured."""
    out = bool(candidate.out)
    return not candidate.costs, out, -candidate.rounds if out else 0, candidate.cost


def _final(
    running: Sequence[Candidate], measure: Measure, seconds: float, tell: Callable[[str], None]
) -> None:
    """The last candidates side by side, whatever was measured of them before."""
    for candidate in running:
        candidate.costs, candidate.final = [], True
    _round(running, measure, seconds, FINAL_TURNS, tell)


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


def _answers_right(bundle: Bundle, candidate: Candidate, candidates: Sequence[Candidate]) -> bool:
    """Whether the golden samples come out right here; else all that run the same artifact are out."""
    [row] = replay(bundle, (candidate.artifact,), candidate.options)
    if row.passed:
        candidate.engine, candidate.out = row.engine, ""
        return True
    for one in candidates:  # threads and variants leave the answers as they are
        if one.artifact is candidate.artifact:
            one.out, one.costs = f"{one.artifact.kind} fails the golden samples: {row.message}", []
    return False
