"""Model outputs -> answers, and how near the outputs of two engines are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from edgecv.spec import Struct

if TYPE_CHECKING:
    from numpy.typing import NDArray

FLOAT_TOLERANCE = 1e-4  # sums in another order, as a share of the largest logit
FP16_SQNR_DB = 25.0  # of a correct artifact: rounding to 11 bits in every layer leaves 34 and more


class Prediction(Struct):
    """One class with its softmax score, 0 to 1."""

    index: int
    label: str
    score: float


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Softmax over the last axis, shifted by the maximum so that it cannot overflow."""
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return shifted / shifted.sum(axis=-1, keepdims=True)


def top_indices(logits: NDArray[np.float32], k: int) -> NDArray[np.intp]:
    """Indices of the k largest values along the last axis, largest first; ties go to the lower index."""
    return np.argsort(-logits, axis=-1, kind="stable")[..., :k]


def classify(logits: NDArray[np.float32], labels: Sequence[str], k: int) -> tuple[Prediction, ...]:
    """The k best classes of one picture.

    Args:
        logits: [classes] or [1, classes] float32, before softmax.
        labels: a name for each class.
        k: how many; more than there are classes gives all of them.
    """
    return best(softmax(logits.reshape(-1)), labels, k)


def best(
    scores: NDArray[np.float32], labels: Sequence[str], k: int, shown: NDArray[np.bool_] | None = None
) -> tuple[Prediction, ...]:
    """The k best of [classes] scores, or of those that `shown` ([classes] bool) is true for."""
    if shown is None:
        chosen = _best_indices(scores, k)
    else:
        classes = shown.nonzero()[0]
        chosen = classes[_best_indices(scores[classes], k)]
    return tuple(
        Prediction(index=index, label=labels[index], score=round(score, 6))
        for index, score in zip(chosen.tolist(), scores[chosen].tolist(), strict=True)
    )


def _best_indices(values: NDArray[np.float32], k: int) -> NDArray[np.intp]:
    """top_indices of one row in a third of its time: only those as large as the k-th are sorted."""
    if k < len(values):
        able = (values >= np.partition(values, -k)[-k]).nonzero()[0]
        if len(able) >= k:  # not so where there are NaN
            return able[top_indices(values[able], k)]
    return top_indices(values, k)


def sqnr_db(reference: NDArray[np.float32], other: NDArray[np.float32]) -> float | None:
    """Signal to quantisation noise: 10 log10(sum(ref^2) / sum((ref - other)^2)) dB; None when equal.

    A reference of nothing but zeros counts as a signal of 1e-12, so that the answer stays finite.
    """
    noise = np.square(reference.astype(np.float64) - other).sum()
    signal = np.square(reference.astype(np.float64)).sum()
    return float(10 * np.log10(max(signal, 1e-12) / noise)) if noise else None


def float_tolerance(reference: NDArray[np.float32]) -> float:
    """How far the logits of an fp32 artifact may be from the float source's, absolute."""
    return FLOAT_TOLERANCE * max(1.0, float(np.abs(reference).max()))
