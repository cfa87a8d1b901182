"""Which artifacts may be chosen at all: those that lose no more than was allowed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgecv.bundle import Artifact, Bundle
from edgecv.errors import EngineMissing, UsageError
from edgecv.runtime.engines import installed, missing_message
from edgecv.spec import Kind, Precision

if TYPE_CHECKING:
    from edgecv.devices import Selected


@dataclass(frozen=True)
class Loss:
    """What an artifact loses against float, in points, and where that is from; None where nobody measured."""

    points: float | None
    source: str


def bounded(
    bundle: Bundle,
    artifacts: Sequence[Artifact],
    selected: Selected,
    max_drop: float,
    data: Path | None,
    tell: Callable[[str, float], None],
) -> tuple[list[tuple[Artifact, Loss]], tuple[tuple[Kind, str], ...]]:
    """The artifacts that keep the bound and have an engine here, and of the others why not."""
    runnable = [a for a in artifacts if installed(a.format)]
    if not runnable:
        raise EngineMissing("; ".join(missing_message(f) for f in dict.fromkeys(a.format for a in artifacts)))
    measured: dict[Kind, Loss] = {}
    if data is not None:
        from edgecv.reports.accuracy import evaluate

        found = evaluate(bundle, runnable, data, selected, tell).accuracies
        source = f"on {found[0].n:,} labelled pictures, measured here"
        measured = {a.kind: Loss(a.drop.points, source) for a in found if a.drop}
    inside, excluded = [], []
    for artifact in artifacts:
        if not installed(artifact.format):
            excluded.append((artifact.kind, missing_message(artifact.format)))
            continue
        loss = measured.get(artifact.kind) or known_loss(artifact)
        if artifact.needs_exact_sums and selected.int8_saturates and artifact.kind not in measured:
            reason = "made for CPUs that sum int8 exactly; --data LABELLED says what it loses here"
            excluded.append((artifact.kind, reason))
        elif loss.points is None:
            excluded.append((artifact.kind, f"{loss.source}; --data LABELLED says what it loses"))
        elif loss.points > max_drop:
            lost = f"loses {loss.points:.1f} points {loss.source}, more than {max_drop:g}"
            hint = "" if data else "; --data LABELLED measures accuracy here"
            excluded.append((artifact.kind, lost + hint))
        else:
            inside.append((artifact, loss))
    if not inside:
        raise UsageError("; ".join(f"{kind}: {why}" for kind, why in excluded))
    return inside, tuple(excluded)


def known_loss(artifact: Artifact) -> Loss:
    """What the conversion measured: accuracy lost, or else changed answers, which bound it."""
    if artifact.precision is Precision.FP32:
        return Loss(0.0, "by definition")
    check = artifact.verified
    if check is None:
        return Loss(None, "the bundle does not say what it loses")
    if check.drop:
        what = "of accuracy" if check.drop.basis == "labels" else "(changed answers)"
        return Loss(check.drop.points, f"{what} on {check.drop.images:,} pictures, at conversion")
    changed = 100 * (1 - check.top1_agreement)
    return Loss(changed, f"(changed answers) on {check.images:,} pictures, at conversion")
