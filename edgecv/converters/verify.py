"""An artifact against the float source: the same pictures through both, the difference as numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from edgecv.bundle import Agreement
from edgecv.converters.graph import normalise
from edgecv.spec import Preprocess
from edgecv.statistics import accuracy_drop, disagreement
from edgecv.tasks import sqnr_db, top_indices

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray


def float_logits(
    model: onnx.ModelProto,
    rule: Preprocess,
    images: NDArray[np.uint8],
    threads: int,
    advance: Callable[[int], None],
) -> NDArray[np.float32]:
    """The canonical graph's answers, run as written, without the runtime's graph optimisations.

    images: [N, H, W, 3] uint8 RGB. Returns [N, classes] float32.
    """
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = threads
    settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), settings, providers=["CPUExecutionProvider"]
    )
    source = session.get_inputs()[0].name
    rows = []
    for image in images:
        rows.append(session.run(None, {source: normalise(image[None], rule)})[0][0])
        advance(1)
    return np.stack(rows)


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
