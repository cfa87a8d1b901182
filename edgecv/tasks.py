"""Model outputs -> answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from edgecv.spec import Struct

if TYPE_CHECKING:
    from numpy.typing import NDArray


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
    flat = logits.reshape(-1)
    scores = softmax(flat)
    return tuple(
        Prediction(index=int(i), label=labels[i], score=float(scores[i])) for i in top_indices(flat, k)
    )
