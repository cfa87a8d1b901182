"""Norms: per channel by constants, or by the moments of each picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from edgecv.converters.tflite_emitter import Emitter
from edgecv.converters.tflite_ops.common import (
    Attributes,
    Translate,
    constant_input,
    input_name,
    only_output,
    refuse,
)
from edgecv.converters.tflite_ops.reductions import reduced
from edgecv.converters.tflite_order import Value, with_last

if TYPE_CHECKING:
    import onnx


def _batch_norm(e: Emitter, node: onnx.NodeProto, a: Attributes) -> None:
    """x * scale + offset."""
    if a.get("training_mode", 0):
        raise refuse(node, "training_mode; export the model for inference")
    gamma, beta, mean, variance = (
        constant_input(e, node, i, what).astype(np.float64)
        for i, what in enumerate(("scale", "bias", "mean", "variance"), start=1)
    )
    value = e.read(node.input[0])
    scale = gamma / np.sqrt(variance + a.get("epsilon", 1e-5))
    scaled = e.like("MUL", value, _channels(value, scale))
    e.define(node.output[0], e.like("ADD", scaled, _channels(value, beta - mean * scale)))


def _channels(value: Value, numbers: np.ndarray) -> np.ndarray:
    """One number a channel, shaped to broadcast against the value as it is stored."""
    shape = tuple(-1 if axis == 1 else 1 for axis in value.order)
    return numbers.astype(np.float32).reshape(shape)


def _instance_norm(e: Emitter, node: onnx.NodeProto, a: Attributes) -> None:
    gamma, beta = (constant_input(e, node, i, what) for i, what in ((1, "scale"), (2, "bias")))
    value = e.read(node.input[0])
    value = _standardised(e, value, range(2, len(value.shape)), a.get("epsilon", 1e-5))
    scaled = e.like("MUL", value, _channels(value, gamma))
    e.define(node.output[0], e.like("ADD", scaled, _channels(value, beta)))


def _layer_norm(e: Emitter, node: onnx.NodeProto, a: Attributes) -> None:
    only_output(node)
    value = e.read(node.input[0])
    rank = len(value.shape)
    axes = range(a.get("axis", -1) % rank, rank)
    value = _standardised(e, value, axes, a.get("epsilon", 1e-5))
    for builtin, position in (("MUL", 1), ("ADD", 2)):
        if input_name(node, position):
            numbers = constant_input(e, node, position, "scale and bias")
            full = numbers.reshape((1,) * (rank - numbers.ndim) + numbers.shape)
            value = e.like(builtin, value, full.transpose(value.order))
    e.define(node.output[0], value)


def _standardised(e: Emitter, value: Value, axes: Sequence[int], epsilon: float) -> Value:
    """(x - mean) / sqrt(variance + epsilon) over ONNX axes."""
    mean = reduced(e, "MEAN", value, axes, keep=True)
    variance = reduced(e, "MEAN", e.like("SQUARED_DIFFERENCE", value, mean), axes, keep=True)
    factor = e.like("RSQRT", e.like("ADD", variance, epsilon))
    return e.like("MUL", e.like("SUB", value, mean), factor)


def _lp_norm(e: Emitter, node: onnx.NodeProto, a: Attributes) -> None:
    """x over its length, or over the sum of its sizes, along one axis."""
    value = e.read(node.input[0])
    axis = a.get("axis", -1) % len(value.shape)
    if a.get("p", 2) == 1:
        length = reduced(e, "SUM", e.like("ABS", value), [axis], keep=True)
    else:
        length = e.like("SQRT", reduced(e, "SUM", e.like("MUL", value, value), [axis], keep=True))
    e.define(node.output[0], e.like("DIV", value, length))


def _local_response(e: Emitter, node: onnx.NodeProto, a: Attributes) -> None:
    value, size = e.read(node.input[0]), a["size"]
    if size % 2 == 0:
        raise refuse(node, "an even size, which is not centred")
    value = e.stored_as(value, with_last(value.order, 1))
    if len(value.shape) != 4:
        raise refuse(node, "only pictures [N, C, H, W]")
    result = e.like(
        "LOCAL_RESPONSE_NORMALIZATION",
        value,
        radius=size // 2,
        bias=a.get("bias", 1.0),
        alpha=a.get("alpha", 1e-4) / size,
        beta=a.get("beta", 0.75),
    )
    e.define(node.output[0], result)


NORMALISATION: dict[str, Translate] = {
    "BatchNormalization": _batch_norm,
    "InstanceNormalization": _instance_norm,
    "LRN": _local_response,
    "LayerNormalization": _layer_norm,
    "LpNormalization": _lp_norm,
}
