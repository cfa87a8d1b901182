"""What tune found, in a paragraph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from edgecv.reports.wording import ms, number
from edgecv.spec import Precision

if TYPE_CHECKING:
    from edgecv.reports.tune_candidates import Candidate

_BETTER = {"latency": "faster", "energy": "more frugal", "throughput": "faster"}


def explain(objective: str, max_drop: float, ranked: Sequence[Candidate], cores: int | None) -> str:
    """The choice and what it was chosen over: the next artifact, and float or int8, whichever it is not.

    ranked: the winner first.
    """
    winner, *others = [c for c in ranked if c.costs]
    sentences = [f"{winner.name}: {_cost(objective, winner, cores)} on {winner.engine}."]
    rivals = [c for c in others if c.artifact.kind != winner.artifact.kind]
    is_float = winner.artifact.precision is Precision.FP32
    opposite = [c for c in rivals if (c.artifact.precision is Precision.FP32) is not is_float]
    shown = dict.fromkeys(min(group, key=lambda c: c.cost) for group in (rivals, opposite) if group)
    for rival in shown:
        ratio = rival.cost / winner.cost
        what = f"{rival.artifact.kind} ({_cost(objective, rival, cores)} at its best)"
        if ratio < 1.02:
            sentences.append(f"It cannot be told from {what}.")
        else:
            sentences.append(f"It is {ratio:.1f}x {_BETTER[objective]} than {what}.")
    if is_float and opposite:
        precision = min(opposite, key=lambda c: c.cost).artifact.precision.value
        sentences.append(f"{precision} is not {_BETTER[objective]} than float here, so float it is.")
    elif is_float:
        sentences.append(f"No int8 artifact keeps the bound of {max_drop:g} points.")
    else:
        points = winner.loss.points or 0.0
        lost = f"loses {points:.1f} points" if points > 0 else "loses nothing"
        sentences.append(f"It {lost} {winner.loss.source}, within your {max_drop:g}.")
    return " ".join(sentences)


def _cost(objective: str, candidate: Candidate, cores: int | None) -> str:
    if objective == "energy":
        return f"{number(candidate.cost)} mJ a frame"
    if objective == "throughput":
        return f"{number(1000 / candidate.cost)} inferences/s of {cores or 1} engines side by side"
    return f"{ms(candidate.cost)} ms an inference"
