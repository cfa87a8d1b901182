"""What numbers are worth: intervals of shares and percentiles, and paired comparisons of models."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from edgecv.spec import Drop, Interval

if TYPE_CHECKING:
    from numpy.typing import NDArray

_Z95 = 1.959964


def paired_interval(lost: int, won: int, n: int) -> tuple[float, float]:
    """The 95 % interval of (lost - won) / n for paired yes/no outcomes, as shares.

    lost: pictures only the first model gets right; won: only the second. Adjusted Wald interval of Bonett
    and Price (J. Educ. Behav. Stat. 37, 2012): one is added to both counts and two to n, so that no
    discordant picture at all still leaves an interval.
    """
    p_lost, p_won = (lost + 1) / (n + 2), (won + 1) / (n + 2)
    centre = p_lost - p_won
    half = _Z95 * math.sqrt(max(p_lost + p_won - centre**2, 0.0) / (n + 2))
    return max(centre - half, -1.0), min(centre + half, 1.0)


def accuracy_drop(reference_right: NDArray[np.bool_], other_right: NDArray[np.bool_]) -> Drop:
    """Top-1 points lost from the reference to the other; [n] whether each picture was answered rightly."""
    lost = int((reference_right & ~other_right).sum())
    won = int((~reference_right & other_right).sum())
    n = len(reference_right)
    low, high = paired_interval(lost, won, n)
    return Drop(points=100 * (lost - won) / n, low=100 * low, high=100 * high, images=n, basis="labels")


def guessing(right: NDArray[np.bool_], classes: int) -> bool:
    """Whether drawing one of `classes` at random would be right as often in more than 5 % of all tries.

    The upper tail of the binomial distribution of n = len(right) tries at 1 / classes.
    """
    n, hits = len(right), int(right.sum())
    if not hits or classes < 2:
        return True
    log_p, log_q = -math.log(classes), math.log1p(-1 / classes)
    fewer = (
        math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1) + k * log_p + (n - k) * log_q
        for k in range(hits)
    )
    return 1 - math.fsum(map(math.exp, fewer)) > 0.05


def disagreement(same: NDArray[np.bool_]) -> Drop:
    """Answers that changed, in points, with the Wilson 95 % interval; [n] whether each answer is the same."""
    n = len(same)
    changed = int(n - same.sum())
    found = share_interval(changed, n)
    return Drop(points=100 * changed / n, low=100 * found.low, high=100 * found.high, images=n, basis="float")


def share_interval(hits: int, n: int) -> Interval:
    """The Wilson 95 % interval of hits / n, as shares (J. Am. Stat. Assoc. 22, 1927)."""
    share = hits / n
    centre = (share + _Z95**2 / (2 * n)) / (1 + _Z95**2 / n)
    half = _Z95 / (1 + _Z95**2 / n) * math.sqrt(share * (1 - share) / n + _Z95**2 / (4 * n**2))
    # The share itself is inside, whatever rounding says.
    return Interval(low=max(min(centre - half, share), 0.0), high=min(max(centre + half, share), 1.0))


def rank_interval(values: Sequence[float] | NDArray[np.float64], percent: float) -> Interval | None:
    """The 95 % interval of a percentile: two of the values, whatever their distribution.

    The number of independent values below the percentile is binomial, so the ranks that leave out 2.5 % of it
    on either side bound it (David and Nagaraja, Order Statistics, 2003, section 7.1). None when there are too
    few: a median takes 6 values, a p99 368. `percent` is in (0, 100).
    """
    ordered = np.sort(np.asarray(values, np.float64))
    n, p = ordered.size, percent / 100
    if not n:
        return None
    log_factorial = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, n + 1)))])
    k = np.arange(n + 1)
    log_ways = log_factorial[-1] - log_factorial - log_factorial[::-1]
    below = np.cumsum(np.exp(log_ways + k * math.log(p) + (n - k) * math.log1p(-p)))
    low, high = int(np.searchsorted(below, 0.025, "right")), int(np.searchsorted(below, 0.975)) + 1
    if low < 1 or high > n:
        return None
    return Interval(low=float(ordered[low - 1]), high=float(ordered[high - 1]))


def resolved(drop: Drop, bound: float = 0.0) -> bool:
    """Whether the interval lies wholly above `bound`, or below it or on it."""
    return drop.low > bound or drop.high <= bound


def pictures_needed(drop: Drop, bound: float) -> int | None:
    """About how many pictures it takes until the interval of a drop as large as this one excludes `bound`.

    The interval narrows with the square root of n. Rounded up to two digits; None when the drop is the
    bound, or so near that a million pictures would not do.
    """
    half, distance = (drop.high - drop.low) / 2, abs(drop.points - bound)
    if distance == 0 or (needed := drop.images * (half / distance) ** 2) > 1e6:
        return None
    unit = 10 ** max(len(str(math.ceil(needed))) - 2, 0)
    return math.ceil(needed / unit) * unit


def count_pictures(count: int, kind: str = "") -> str:
    """`1 picture`, `1,000 labelled pictures`."""
    return f"{count:,} {kind}picture{'s' if count != 1 else ''}"


def describe_drop(drop: Drop, bound: float | None = None) -> str:
    """A drop in words, and whether `bound` can be told from it.

    `+0.2 points (95 % interval -0.6 to +1.0, 1,000 pictures)` with labels, without them
    `3.1 % of answers changed (95 % interval 1.2 to 7.8, 128 pictures)`.
    """
    pictures = count_pictures(drop.images)
    if drop.basis == "labels":
        text = f"{drop.points:+.1f} points (95 % interval {drop.low:+.1f} to {drop.high:+.1f}, {pictures})"
    else:
        text = f"{drop.points:.1f} % of answers changed (95 % interval {drop.low:.1f} to {drop.high:.1f}, "
        text += f"{pictures})"
    if bound is None or resolved(drop, bound):
        return text
    needed = pictures_needed(drop, bound)
    return text + f"; so few cannot tell it from {bound:g}" + (f", about {needed:,} could" if needed else "")
