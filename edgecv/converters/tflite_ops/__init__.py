"""The table of operators: how each ONNX node is written in TFLite, a file a theme."""

from __future__ import annotations

from edgecv.converters.tflite_ops.activations import ACTIVATIONS
from edgecv.converters.tflite_ops.arithmetic import ARITHMETIC
from edgecv.converters.tflite_ops.common import Translate
from edgecv.converters.tflite_ops.convolutions import CONVOLUTIONS
from edgecv.converters.tflite_ops.normalisation import NORMALISATION
from edgecv.converters.tflite_ops.pooling import POOLING
from edgecv.converters.tflite_ops.products import PRODUCTS
from edgecv.converters.tflite_ops.reductions import REDUCTIONS
from edgecv.converters.tflite_ops.resize import RESIZE
from edgecv.converters.tflite_ops.shapes import SHAPES

OPERATORS: dict[str, Translate] = {
    **ACTIVATIONS,
    **ARITHMETIC,
    **CONVOLUTIONS,
    **NORMALISATION,
    **POOLING,
    **PRODUCTS,
    **REDUCTIONS,
    **RESIZE,
    **SHAPES,
}
