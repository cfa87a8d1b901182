"""ONNX -> TFLite: each node of the graph written by its entry in the table of operators."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgecv.converters.tflite_file import Emitter
from edgecv.converters.tflite_ops import OPERATORS
from edgecv.errors import ConversionError

if TYPE_CHECKING:
    import onnx

OLDEST_OPSET = 13  # before it Clip, Softmax, Squeeze and others kept their arguments elsewhere


def emit(model: onnx.ModelProto) -> bytes:
    """The TFLite file of a float ONNX graph with fixed shapes.

    Raises ConversionError naming the node whose operator, or use of it, has no translation.
    """
    opset = max(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
    if opset < OLDEST_OPSET:
        raise ConversionError(
            f"the graph is of opset {opset}; export it with opset {OLDEST_OPSET} or a later one"
        )
    emitter = Emitter(model)
    for info in emitter.graph.input:
        if info.name not in emitter.constants:
            emitter.output(info.name)
    fused: set[str] = set()
    for node in emitter.graph.node:
        if node.output[0] in fused:
            continue
        translate = OPERATORS.get(node.op_type)
        if translate is None or node.domain not in ("", "ai.onnx"):
            raise ConversionError(
                f"node {node.name or node.output[0]}: no TFLite translation of {node.op_type}; "
                f"supported: {', '.join(sorted(OPERATORS))}"
            )
        swallowed = translate(emitter, node, _attributes(node))
        if swallowed:
            fused.add(swallowed)
    return emitter.finish()


def _attributes(node: onnx.NodeProto) -> dict[str, Any]:
    from onnx import helper

    return {a.name: helper.get_attribute_value(a) for a in node.attribute}
