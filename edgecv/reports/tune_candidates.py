"""The ways to run a bundle that tune looks at, and what they are compared by."""

from __future__ import annotations

import enum
import math
import statistics
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from edgecv.bundle import Artifact
from edgecv.reports.scenarios import UNPINNED
from edgecv.reports.tune_bound import Loss
from edgecv.reports.wording import ms, number
from edgecv.runtime.choice import engine_options
from edgecv.runtime.engines import Entry, Options, installed

if TYPE_CHECKING:
    from edgecv.devices import Selected


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
        variants = ["", *_variants(entry, artifact)]
        if objective is Objective.THROUGHPUT and UNPINNED in variants:
            variants.remove("")  # pinned, engines of one thread each would share a core
        for threads in counts:
            for variant in variants:
                options = engine_options(selected)._replace(threads=threads, variant=variant)
                yield Candidate(artifact, options, loss)


def _variants(entry: Entry, artifact: Artifact) -> list[str]:
    """The engine's own ways to run this artifact that leave its answers, and so its accuracy, as they are."""
    return [
        variant.name
        for variant in entry.variants
        if not variant.changes_answers and (not variant.only or artifact.precision in variant.only)
    ]
