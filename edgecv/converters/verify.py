"""An artifact against the float source: the same pictures through both, the difference as numbers."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from edgecv.bundle import Agreement
from edgecv.converters.ranges import outputs
from edgecv.errors import ConversionError
from edgecv.spec import Preprocess
from edgecv.statistics import accuracy_drop, disagreement
from edgecv.tasks import float_tolerance, sqnr_db, top_indices

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray

AS_WRITTEN = 4  # pictures that the graph is also run on without the runtime's optimisations


def float_logits(
    model: onnx.ModelProto,
    rule: Preprocess,
    images: NDArray[np.uint8],
    threads: int,
    advance: Callable[[int], None],
) -> NDArray[np.float32]:
    """The canonical graph's answers, optimised by the runtime, and on some pictures checked without that.

    images: [N, H, W, 3] uint8 in the rule's colour order. Returns [N, classes] float32. Raises
    ConversionError when the optimised graph answers otherwise than the graph as written.
    """
    rows = []
    with contextlib.closing(outputs(model, rule, images, threads)) as answers:
        for (row,) in answers:
            rows.append(row[0])
            advance(1)
    logits = np.stack(rows)
    plain = outputs(model, rule, images[:AS_WRITTEN], threads, optimised=False)  # three times slower
    error = float(np.abs(logits[:AS_WRITTEN] - np.stack([row[0] for (row,) in plain])).max())
    if error > float_tolerance(logits):
        raise ConversionError(
            f"the float graph answers {error:.2g} otherwise once ONNX Runtime has optimised it; please "
            "report this with the model"
        )
    return logits


def agreement(
    reference: NDArray[np.float32],
    other: NDArray[np.float32],
    pictures: str,
    labels: Sequence[int] | None = None,
) -> Agreement:
    """Compare two sets of logits [N, classes]; `labels` are N class indices when the pictures have them."""
    best = top_indices(other, 5)
    known = None if labels is None else np.asarray(labels)
    answers = reference.argmax(axis=1)
    if known is None:
        drop = disagreement(answers == best[:, 0])
    else:
        drop = accuracy_drop(answers == known, best[:, 0] == known)
    return Agreement(
        images=len(other),
        pictures=pictures,
        max_abs_error=float(np.abs(reference - other).max()),
        top1_agreement=float((answers == best[:, 0]).mean()),
        sqnr_db=sqnr_db(reference, other),
        labelled=0 if known is None else len(known),
        top1=None if known is None else float((best[:, 0] == known).mean()),
        top5=None if known is None else float((best == known[:, None]).any(axis=1).mean()),
        drop=drop,
    )
