"""ONNX -> TFLite: each node of the graph written by its entry in the table of operators."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgecv.converters.tflite_emitter import Emitter
from edgecv.converters.tflite_ops import OPERATORS
from edgecv.converters.tflite_prepare import attributes, prepare
from edgecv.errors import ConversionError

if TYPE_CHECKING:
    import onnx


def emit(model: onnx.ModelProto) -> bytes:
    """The TFLite file of a float ONNX graph with fixed shapes: the same inputs and outputs, by name.

    Raises ConversionError naming the node whose operator, or use of it, has no translation.
    """
    emitter = Emitter(prepare(model))
    for node in emitter.graph.node:
        if node.output[0] in emitter.swallowed:
            continue
        translate = OPERATORS.get(node.op_type)
        if translate is None or node.domain not in ("", "ai.onnx"):
            raise ConversionError(
                f"node {node.name or node.output[0]}: no TFLite translation of {node.op_type}; "
                f"docs/operators.md lists what has one"
            )
        emitter.current = node.output[0]
        translate(emitter, node, attributes(node))
    return emitter.finish()
