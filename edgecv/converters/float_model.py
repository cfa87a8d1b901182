"""The float model every artifact is made from, whatever it was read from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgecv.bundle import Origin
from edgecv.spec import Preprocess

if TYPE_CHECKING:
    import onnx


@dataclass(frozen=True)
class FloatModel:
    """A classifier as the converters take it.

    graph: the canonical float ONNX graph, opset >= 13, fixed shapes, batch norms folded: one input
    [1, 3, H, W] float32, the picture normalised by `preprocess` (in its colour order), and one output
    `logits` [1, classes] float32, before any softmax.
    notes: what was found or decided while reading it that the user should be told.
    tflite: for a TensorFlow model, TensorFlow's own TFLite file of it, `image` [1, H, W, 3] in the order of
    `preprocess` -> `logits`. `image` is uint8, or, given a rule, float32 and normalised by that rule. Raises
    ConversionError.
    """

    name: str
    graph: onnx.ModelProto
    preprocess: Preprocess
    labels: tuple[str, ...]
    origin: Origin
    notes: tuple[str, ...] = ()
    tflite: Callable[[Preprocess | None], bytes] | None = None
