"""The pictures that an artifact of reduced precision gets wrong although the float model was sure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from edgecv.spec import Color, Kind, Preprocess
from edgecv.tasks import Prediction, classify, softmax

if TYPE_CHECKING:
    from numpy.typing import NDArray


class WorstPicture(NamedTuple):
    """One picture and both answers.

    rgb: [H, W, 3] uint8, as the model saw it. truth: its class where it is known.
    """

    name: str
    rgb: NDArray[np.uint8]
    truth: str | None
    kind: Kind
    reference: Prediction
    answer: Prediction


def worst(
    reference: NDArray[np.float32], other: NDArray[np.float32], labels: Sequence[int] | None, k: int
) -> NDArray[np.intp]:
    """Up to k pictures, the worst first, by how much of the float answer's score was lost.

    reference, other: logits [N, classes]. With labels those that float gets right and the other wrong;
    without them those where the answers differ.
    """
    answers, others = reference.argmax(axis=1), other.argmax(axis=1)
    candidates = answers != others
    if labels is not None:
        candidates &= answers == np.asarray(labels)
    rows = np.arange(len(answers))
    lost = softmax(reference)[rows, answers] - softmax(other)[rows, answers]
    order = np.argsort(-lost, kind="stable")
    return order[candidates[order]][:k]


def worst_pictures(
    kind: Kind,
    images: NDArray[np.uint8],
    rule: Preprocess,
    reference: NDArray[np.float32],
    other: NDArray[np.float32],
    classes: Sequence[str],
    labels: Sequence[int] | None = None,
    names: Sequence[str] | None = None,
    k: int = 6,
) -> tuple[WorstPicture, ...]:
    """The pictures of `worst` with both answers.

    images: [N, H, W, 3] uint8 in the order of `rule.color`; names: of the pictures, their numbers otherwise.
    """
    found = []
    for i in worst(reference, other, labels, k).tolist():
        found.append(
            WorstPicture(
                name=names[i] if names else f"picture {i + 1}",
                rgb=images[i][..., ::-1] if rule.color is Color.BGR else images[i],
                truth=None if labels is None else classes[labels[i]],
                kind=kind,
                reference=classify(reference[i], classes, 1)[0],
                answer=classify(other[i], classes, 1)[0],
            )
        )
    return tuple(found)
