"""How sure a difference between two reports is: 95 % intervals of latencies and of shares."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from edgecv.reports.schema import MAX_SAMPLES, ArtifactReport, Measured, Report
from edgecv.spec import Interval, Kind
from edgecv.statistics import paired_interval, rank_interval, share_interval

if TYPE_CHECKING:
    from numpy.typing import NDArray

PERCENTILES = (50, 90, 99)
MIN_TURNS = 6  # fewer have no 95 % interval of a median by rank either
RESAMPLES = 2000
SEED = 20_110  # the same two reports give the same interval every time


def intervals(base: Report, new: Report, kind: Kind) -> dict[str, tuple[Interval, str]]:
    """By metric, the 95 % intervals of new - base that the reports allow, and what they are from.

    Whole frames, offline and camera throughput, memory and energy are single numbers in a report, or
    summaries without their turns: they have none.
    """
    was, now = find(base, kind), find(new, kind)
    if was is None or now is None or was.measured is None or now.measured is None:
        return {}
    found = {
        f"latency_p{percent}": (interval, "turns")
        for percent, interval in latency_intervals(was.measured, now.measured).items()
    }
    if was.accuracy is None or now.accuracy is None:
        return found
    paired = top1_interval(base, new, kind)
    for name in ("top1", "top5", "agreement"):
        shares = getattr(was.accuracy, name), getattr(now.accuracy, name)
        if None not in shares:
            found[name] = shares_interval(shares[0], was.accuracy.n, shares[1], now.accuracy.n), "shares"
    return found if paired is None else {**found, "top1": (paired, "pairs")}


def find(report: Report, kind: Kind) -> ArtifactReport | None:
    return next((artifact for artifact in report.artifacts if artifact.kind == kind), None)


def latency_intervals(base: Measured, new: Measured) -> dict[int, Interval]:
    """95 % intervals of new - base in ms, for those of inference's PERCENTILES that allow one.

    Inferences of one turn share its luck, so whole turns are drawn, with replacement (Davison and Hinkley,
    Bootstrap Methods, 1997, section 3.8): the percentile of what was drawn from new over that from base. Of
    few turns that interval is too narrow and therefore expanded (Hesterberg, The American Statistician 69,
    2015). Where the samples are too few for a percentile's own interval by rank (368 for p99), or a report
    does not say which turn a sample is of, there is none.
    """
    drawn = [_resample(run, draw) for draw, run in enumerate((base, new))]
    if drawn[0] is None or drawn[1] is None:
        return {}
    found = {}
    for place, percent in enumerate(PERCENTILES):
        before, after = (_percentile(run, percent) for run in (base, new))
        enough = all(rank_interval(run.inference_ms, percent) for run in (base, new))
        if not enough or min(before, after) <= 0:
            continue
        logs = [
            _expand(np.log(np.maximum(values[place], 1e-9)), len(run.turns))
            for values, run in zip(drawn, (base, new), strict=True)
        ]
        low, high = np.exp(np.percentile(logs[1] - logs[0], (2.5, 97.5)))
        ratio = after / before  # of all samples, where a thinned report kept but every k-th of them
        found[percent] = Interval(
            low=float(before * (min(low, ratio) - 1)), high=float(before * (max(high, ratio) - 1))
        )
    return found


def _expand(values: NDArray[np.float64], turns: int) -> NDArray[np.float64]:
    """Wider by sqrt(n / (n - 1)) and by Student's t over the normal distribution's 1.96 (to 1 / n)."""
    centre = values.mean()
    return centre + (values - centre) * math.sqrt(turns / (turns - 1)) * (1 + 1.21 / (turns - 1))


def _percentile(run: Measured, percent: int) -> float:
    return {50: run.inference.p50_ms, 90: run.inference.p90_ms, 99: run.inference.p99_ms}[percent]


def _resample(run: Measured, draw: int) -> NDArray[np.float64] | None:
    """[PERCENTILES, RESAMPLES] nearest-rank percentiles of turns drawn with replacement.

    draw: another for each of two runs, or their luck would cancel out.
    """
    turns = _turns(run)
    count = len(run.turns)
    if turns is None or count < MIN_TURNS:
        return None
    samples = np.asarray(run.inference_ms)
    order = np.argsort(samples, kind="stable")
    drawn = np.random.default_rng((SEED, draw)).multinomial(count, np.full(count, 1 / count), RESAMPLES)
    below = np.cumsum(drawn[:, turns[order]], axis=1, dtype=np.int32)
    ranks = [np.maximum(np.ceil(percent / 100 * below[:, -1]), 1) for percent in PERCENTILES]
    places = [np.minimum((below < rank[:, None]).sum(axis=1), samples.size - 1) for rank in ranks]
    return samples[order][np.stack(places)]


def _turns(run: Measured) -> NDArray[np.int64] | None:
    """[samples] the turn that each of `inference_ms` is of, None where that cannot be told."""
    ends = np.cumsum([turn.samples for turn in run.turns])
    step = -(-int(ends[-1]) // MAX_SAMPLES)
    at = np.arange(0, int(ends[-1]), step)
    return np.searchsorted(ends, at, "right") if at.size == len(run.inference_ms) else None


def top1_interval(base: Report, new: Report, kind: Kind) -> Interval | None:
    """Of new - base in points, of an artifact that answered the same pictures in both; else None."""
    was, now = base.pictures, new.pictures  # the same wherever they lie, whatever that folder is called
    if was is None or now is None or (was.digest, was.truth) != (now.digest, now.truth):
        return None
    answers = [
        artifact.answers for report in (base, new) for artifact in report.artifacts if artifact.kind == kind
    ]
    truth = np.asarray(was.truth)
    if len(answers) != 2 or any(a is None or len(a.best) != truth.size for a in answers) or not truth.size:
        return None
    before, after = (np.asarray(a.best) == truth for a in answers if a is not None)
    low, high = paired_interval(int((after & ~before).sum()), int((before & ~after).sum()), truth.size)
    return Interval(low=100 * low, high=100 * high)


def shares_interval(base: float, base_n: int, new: float, new_n: int) -> Interval:
    """Of new - base in points, two shares of different pictures.

    Newcombe's interval of a difference from the two Wilson intervals (Statistics in Medicine 17, 1998,
    method 10). On the same pictures it is wider than a paired one, never too narrow.
    """
    was, now = (share_interval(round(share * n), n) for share, n in ((base, base_n), (new, new_n)))
    difference = new - base
    low = difference - math.hypot(new - now.low, was.high - base)
    high = difference + math.hypot(now.high - new, base - was.low)
    return Interval(low=100 * max(low, -1.0), high=100 * min(high, 1.0))
