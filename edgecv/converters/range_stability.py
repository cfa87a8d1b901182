"""How stable activation ranges are: whether more calibration pictures would still move them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgecv.converters.ranges import each_picture
from edgecv.spec import Preprocess

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray

# A range 5 % wider makes every int8 step 5 % coarser: 0.4 dB, where int8 has about 20 dB to float. Sets of 64
# and 128 photographs grow by 4 to 5 %, sets of 16 by 4 to 6, four photographs by 5 to 8.
STABLE = 0.05
ORDERS = 100  # of the pictures, so that the answer is not that of one lucky half


@dataclass(frozen=True)
class Stability:
    """How much wider ranges are with all pictures than with half of them, as a share of the whole range.

    growth: the mean over `activations`, those no clip holds, and over orders of the pictures. widest: the
    one that grew most, by widest_growth.
    """

    pictures: int
    activations: int
    growth: float
    widest: str
    widest_growth: float

    @property
    def stable(self) -> bool:
        return self.growth <= STABLE

    def __str__(self) -> str:
        moved = f"the last half of the {self.pictures} pictures widened them by {self.growth:.1%} on average"
        if self.stable:
            return f"ranges are stable: {moved}; more of the same kind would not help"
        return f"ranges still grow: {moved}; give about twice as many"


def measure(
    model: onnx.ModelProto,
    rule: Preprocess,
    images: NDArray[np.uint8],
    threads: int,
    advance: Callable[[int], None] | None = None,
) -> Stability:
    """Run the canonical float graph on pictures [N, H, W, 3] uint8, and see how its ranges grow."""
    names, _, limits = each_picture(model, rule, images, threads)
    rows = []
    for row in limits:
        rows.append(row)
        if advance:
            advance(1)
    return stability(names, np.stack(rows))


def stability(names: list[str], limits: NDArray[np.float32], seed: int = 0) -> Stability:
    """Whether as many pictures again would widen min-max ranges, judged by what the last doubling did.

    limits: [N, 2, T], the smallest and the largest of each of T activations in each of N pictures. A clip's
    output that reached both its ends cannot grow, and would only flatter the mean: it is left out. One
    picture has no half, and counts as growing by all.
    """
    limits = limits.astype(np.float64)
    held = ((limits[:, 0] == limits[:, 0].min(axis=0)).sum(axis=0) > 1) & (
        (limits[:, 1] == limits[:, 1].max(axis=0)).sum(axis=0) > 1
    )  # twice to the last bit: only a clip does that
    free = np.flatnonzero(~held)
    count, limits = len(limits), limits[:, :, free]
    whole = _width(limits)
    scale = np.where(whole > 0, whole, 1)
    rng = np.random.default_rng(seed)
    grown = np.zeros(len(free))
    for _ in range(ORDERS if count > 1 else 0):
        grown += (whole - _width(limits[rng.permutation(count)[: count // 2]])) / scale / ORDERS
    if count == 1:
        grown += 1
    widest = int(grown.argmax()) if len(free) else None
    return Stability(
        pictures=count,
        activations=len(free),
        growth=float(grown.mean()) if len(free) else 0.0,
        widest="" if widest is None else names[free[widest]],
        widest_growth=0.0 if widest is None else float(grown[widest]),
    )


def _width(limits: NDArray[np.float64]) -> NDArray[np.float64]:
    return limits[:, 1].max(axis=0) - limits[:, 0].min(axis=0)
