"""What the translations share. Each takes (emitter, node, attributes) and defines the node's outputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgecv.converters.tflite_emitter import Emitter
from edgecv.errors import ConversionError

if TYPE_CHECKING:
    import onnx

Attributes = dict[str, Any]
Translate = Callable[[Emitter, "onnx.NodeProto", Attributes], None]


def refuse(node: onnx.NodeProto, why: str) -> ConversionError:
    return ConversionError(f"node {node.name or node.output[0]} ({node.op_type}): {why}")


def input_name(node: onnx.NodeProto, position: int) -> str:
    """The name of an input, empty when it is left out."""
    return node.input[position] if len(node.input) > position else ""


def constant_input(e: Emitter, node: onnx.NodeProto, position: int, what: str) -> NDArray | None:
    """The value of an input that must be constant, None when it is left out."""
    name = input_name(node, position)
    if name and name not in e.constants:
        raise refuse(node, f"its {what} must be constant, here it is computed")
    return e.constants[name] if name else None


def axes_of(e: Emitter, node: onnx.NodeProto, a: Attributes, position: int) -> list[int] | None:
    """Its axes, an attribute or an input by opset, counted from the front; None when there are none."""
    given = a.get("axes")
    if given is None:
        array = constant_input(e, node, position, "axes")
        given = None if array is None else array.tolist()
    rank = len(e.shape(node.input[0]))
    return None if given is None else [axis % rank for axis in given]


def only_output(node: onnx.NodeProto) -> None:
    """Refuse a node of which more than the first output is asked for."""
    if any(node.output[1:]):
        raise refuse(node, f"only its first output has a translation, not {', '.join(node.output[1:])}")


def clip_range(e: Emitter, node: onnx.NodeProto) -> tuple[float, float]:
    low, high = (constant_input(e, node, position, "bounds") for position in (1, 2))
    return (-np.inf if low is None else float(low), np.inf if high is None else float(high))


FUSED_RANGES = {(0.0, 6.0): "RELU6", (0.0, np.inf): "RELU", (-1.0, 1.0): "RELU_N1_TO_1"}


def fused_activation(e: Emitter, node: onnx.NodeProto) -> tuple[int, str]:
    """Take in a following activation: (its number in the schema, the name of the value then written)."""
    kinds = e.file.schema.ActivationFunctionType
    follower = e.only_user(node.output[0])
    activation = None
    if follower is not None and e.dtype(node.output[0]) == np.float32:
        if follower.op_type == "Relu":
            activation = "RELU"
        elif follower.op_type == "Clip" and follower.input[0] == node.output[0]:
            activation = FUSED_RANGES.get(clip_range(e, follower))
    if follower is None or activation is None:
        return kinds.NONE, node.output[0]
    e.swallowed.add(follower.output[0])
    return getattr(kinds, activation), follower.output[0]
