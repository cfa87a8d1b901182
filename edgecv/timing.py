"""Latency samples and what may be said of them. Percentiles are observed samples, never interpolated."""

from __future__ import annotations

import math
from collections.abc import Sequence

from edgecv.spec import NonNegativeInt, Struct


def nearest_rank(ordered: Sequence[float], percent: float) -> float:
    """The smallest sample with at least `percent` % of the samples at or below it (nearest-rank rule).

    `ordered` is ascending and not empty; `percent` is in (0, 100].
    """
    return ordered[max(1, math.ceil(percent / 100 * len(ordered))) - 1]


class Latency(Struct):
    """Summary of `samples` latencies in milliseconds."""

    samples: NonNegativeInt
    mean_ms: float
    p50_ms: float
    p90_ms: float
    p99_ms: float
    max_ms: float

    @classmethod
    def of(cls, samples_ms: Sequence[float]) -> Latency:
        """Summarise at least one sample; ValueError on none."""
        if not samples_ms:
            raise ValueError("no latency samples")
        ordered = sorted(samples_ms)
        return cls(
            samples=len(ordered),
            mean_ms=math.fsum(ordered) / len(ordered),
            p50_ms=nearest_rank(ordered, 50),
            p90_ms=nearest_rank(ordered, 90),
            p99_ms=nearest_rank(ordered, 99),
            max_ms=ordered[-1],
        )
