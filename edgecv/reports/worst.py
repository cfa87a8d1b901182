"""The pictures that the float model gets right and an artifact of reduced precision wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from edgecv.reports.schema import WrongPicture
from edgecv.spec import Color, Kind, Preprocess
from edgecv.tasks import softmax

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST = 6
THUMBNAIL = 240  # pixels on the longer side: sharp on a phone, 10 kB


def worst(lost: NDArray[np.float32], candidates: NDArray[np.bool_], k: int = MOST) -> NDArray[np.intp]:
    """The numbers of up to k candidates, the worst first.

    lost: [n] how much of the float answer's score the artifact lost. candidates: [n] which pictures count.
    """
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
    k: int = MOST,
) -> tuple[WrongPicture, ...]:
    """The k worst pictures with both answers, of all whose answers differ; `truth` is "" without labels.

    images: [N, H, W, 3] uint8 in the order of `rule.color`, as the model saw them. reference, other: logits
    [N, classes]. With labels those count that float gets right, and the other wrong. names: of the pictures,
    their numbers otherwise.
    """
    answers, others = reference.argmax(axis=1), other.argmax(axis=1)
    candidates = answers != others
    if labels is not None:
        candidates &= answers == np.asarray(labels)
    rows, theirs, mine = np.arange(len(answers)), softmax(reference), softmax(other)
    lost = theirs[rows, answers] - mine[rows, answers]
    found = []
    for i in worst(lost, candidates, k).tolist():
        found.append(
            WrongPicture(
                name=names[i] if names else f"picture {i + 1}",
                jpeg=thumbnail(images[i][..., ::-1] if rule.color is Color.RGB else images[i]),
                artifact=str(kind),
                truth="" if labels is None else classes[labels[i]],
                float_label=classes[answers[i]],
                float_score=float(theirs[i, answers[i]]),
                label=classes[others[i]],
                score=float(mine[i, others[i]]),
            )
        )
    return tuple(found)


def thumbnail(bgr: NDArray[np.uint8]) -> bytes:
    """[H, W, 3] uint8 as a JPEG of at most THUMBNAIL pixels on the longer side."""
    import cv2

    height, width = bgr.shape[:2]
    factor = min(THUMBNAIL / max(height, width), 1)
    size = (max(round(width * factor), 1), max(round(height * factor), 1))
    small = cv2.resize(bgr, size, interpolation=cv2.INTER_AREA)
    return cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes()
