"""Latency samples and what may be said of them. Percentiles are observed samples, never interpolated."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from edgecv.spec import NonNegative, NonNegativeInt, Struct

if TYPE_CHECKING:
    from numpy.typing import NDArray


def nearest_rank(ordered: Sequence[float] | NDArray[np.float64], percent: float) -> float:
    """The smallest sample with at least `percent` % of the samples at or below it (nearest-rank rule).

    `ordered` is ascending and not empty; `percent` is in (0, 100].
    """
    return ordered[max(1, math.ceil(percent / 100 * len(ordered))) - 1]


class Latency(Struct):
    """Summary of `samples` latencies in milliseconds."""

    samples: NonNegativeInt
    mean_ms: NonNegative
    p50_ms: NonNegative
    p90_ms: NonNegative
    p99_ms: NonNegative
    max_ms: NonNegative

    @classmethod
    def of(cls, samples_ms: Sequence[float] | NDArray[np.float64]) -> Latency:
        """Summarise at least one sample; ValueError on none."""
        ordered = np.sort(np.asarray(samples_ms, np.float64))
        if not ordered.size:
            raise ValueError("no latency samples")
        return cls(
            samples=ordered.size,
            mean_ms=float(ordered.mean()),
            p50_ms=float(nearest_rank(ordered, 50)),
            p90_ms=float(nearest_rank(ordered, 90)),
            p99_ms=float(nearest_rank(ordered, 99)),
            max_ms=float(ordered[-1]),
        )
