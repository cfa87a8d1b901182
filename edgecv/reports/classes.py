"""What an artifact's answers are worth class by class, and whether its scores can be believed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from edgecv.errors import UsageError
from edgecv.spec import Fraction, PositiveInt, Struct

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Classes = Sequence[int] | NDArray[np.intp]
    Scores = Sequence[float] | NDArray[np.float64]

BINS = 15


class ClassScore(Struct):
    """One class of which there were `n` pictures.

    precision: of the pictures answered so, the share that are; 0 when none was. recall: of the n, the share
    that was answered so. f1: their harmonic mean.
    """

    label: str
    n: PositiveInt
    precision: Fraction
    recall: Fraction
    f1: Fraction


class Confusion(Struct):
    """`count` pictures of class `truth` that were answered with `answer`."""

    truth: str
    answer: str
    count: PositiveInt


class Bin(Struct):
    """The `n` answers with a score above `low` and up to `high`: its mean, and the share of them right."""

    low: Fraction
    high: Fraction
    n: PositiveInt
    score: Fraction
    accuracy: Fraction


def per_class(truth: Classes, best: Classes, labels: Sequence[str]) -> tuple[ClassScore, ...]:
    """Precision, recall and F1 of every class that is among `truth`, in the order of the classes.

    truth, best: [n] the class of each picture and the answer. Raises UsageError without scikit-learn.
    """
    try:
        from sklearn.metrics import precision_recall_fscore_support
    except ImportError as error:
        raise UsageError('scores of each class need scikit-learn: pip install "edgecv[report]"') from error
    present = np.unique(truth)
    if not present.size:
        return ()
    columns = precision_recall_fscore_support(truth, best, labels=present, zero_division=0.0)
    return tuple(
        ClassScore(label=labels[index], n=int(n), precision=float(p), recall=float(r), f1=float(f1))
        for index, p, r, f1, n in zip(present.tolist(), *columns, strict=True)
    )


def confusions(truth: Classes, best: Classes, labels: Sequence[str], k: int) -> tuple[Confusion, ...]:
    """The k commonest wrong answers, most pictures first, ties in the order of the classes."""
    pairs = np.stack([np.asarray(truth, np.intp), np.asarray(best, np.intp)], axis=1)
    found, counts = np.unique(pairs[pairs[:, 0] != pairs[:, 1]], axis=0, return_counts=True)
    return tuple(
        Confusion(truth=labels[found[i, 0]], answer=labels[found[i, 1]], count=int(counts[i]))
        for i in np.argsort(-counts, kind="stable")[:k]
    )


def reliability(truth: Classes, best: Classes, score: Scores, bins: int = BINS) -> tuple[Bin, ...]:
    """The answers by their score, in bins of equal width; a bin without answers is left out.

    score: [n] softmax score of each answer, 0 to 1.
    """
    scores = np.asarray(score, np.float64)
    right = np.asarray(truth) == np.asarray(best)
    of = np.clip(np.ceil(scores * bins).astype(np.intp) - 1, 0, bins - 1)
    return tuple(
        Bin(
            low=i / bins,
            high=(i + 1) / bins,
            n=int((of == i).sum()),
            score=float(scores[of == i].mean()),
            accuracy=float(right[of == i].mean()),
        )
        for i in np.unique(of).tolist()
    )


def ece(truth: Classes, best: Classes, score: Scores, bins: int = BINS) -> float:
    """Expected calibration error: how far the scores are from the share that is right, 0 to 1.

    The mean over the bins of |accuracy - mean score|, weighted by their answers: equation 3 of Guo et al.,
    "On Calibration of Modern Neural Networks", ICML 2017. No answers: ValueError.
    """
    filled = reliability(truth, best, score, bins)
    if not filled:
        raise ValueError("no answers to judge")
    n = sum(each.n for each in filled)
    return sum(each.n * abs(each.accuracy - each.score) for each in filled) / n
