"""Gemm and MatMul: FULLY_CONNECTED with constant weights, BATCH_MATMUL of two computed values."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edgecv.converters.tflite_emitter import Emitter
from edgecv.converters.tflite_ops.common import Attributes, Translate, fused_activation, input_name
from edgecv.converters.tflite_order import Order, Value, natural, with_last

if TYPE_CHECKING:
    import onnx


def _gemm(e: Emitter, node: onnx.NodeProto, a: Attributes) -> None:
    alpha, beta = np.float32(a.get("alpha", 1.0)), np.float32(a.get("beta", 1.0))
    source = e.read(node.input[0])
    if a.get("transA", 0):
        source = _flipped(source)
    weight = e.constants.get(node.input[1])
    bias_name = input_name(node, 2)
    bias = e.constants.get(bias_name) if bias_name else np.zeros(1, np.float32)
    rows, columns = e.shape(node.output[0])
    row_bias = bias is not None and (bias.ndim < 2 or bias.shape[0] == 1)
    if weight is not None:
        weight = (weight if a.get("transB", 0) else weight.T) * alpha  # [out, in]
        stored = weight.astype(np.float32)
        if row_bias:
            full = np.broadcast_to(beta * bias.reshape(-1), (columns,)).astype(np.float32)
            _fully_connected(e, node, source, stored, full)
            return
        product = _dense(e, source, e.constant(node.input[1], stored), None)
    else:
        other = e.read(node.input[1])
        product = batch_product(e, source, _flipped(other) if a.get("transB", 0) else other, (rows, columns))
        product = product if alpha == 1 else e.like("MUL", product, alpha)
    if bias_name:
        (addend,), _ = e.operands([bias_name], (rows, columns))
        addend = addend if not addend.shape else e.stored_as(addend, natural(2))
        product = e.like("ADD", product, addend if beta == 1 else e.like("MUL", addend, beta))
    e.define(node.output[0], product)


def _flipped(value: Value) -> Value:
    """A matrix transposed, which is only another explanation of what is stored."""
    return Value(value.index, value.shape[::-1], tuple(1 - axis for axis in value.order), value.dtype)


def _fully_connected(
    e: Emitter, node: onnx.NodeProto, source: Value, weight: NDArray[np.float32], bias: NDArray[np.float32]
) -> None:
    activation, name = fused_activation(e, node)
    constants = e.constant(node.input[1], weight), e.constant(f"{node.output[0]}.bias", bias)
    e.define(name, _dense(e, source, *constants, activation))


def _dense(e: Emitter, source: Value, weight: Value, bias: Value | None, activation: int = 0) -> Value:
    """[..., in] times [out, in]: the leading axes stay as they are stored."""
    rank = len(source.shape)
    source = e.stored_as(source, with_last(source.order, rank - 1))
    if bias is None:
        zeros = np.zeros(weight.shape[0], np.float32)
        bias = e.constant(f"{e.current}.bias", zeros)
    return e.apply(
        "FULLY_CONNECTED",
        [source, weight, bias],
        (*source.shape[:-1], weight.shape[0]),
        source.order,
        version=1 if rank == 2 else 5,
        keepNumDims=rank != 2,
        fusedActivationFunction=activation,
    )


def _matmul(e: Emitter, node: onnx.NodeProto, _: Attributes) -> None:
    shapes = [e.shape(name) for name in node.input]
    weight = e.constants.get(node.input[1])
    source = e.read(node.input[0])
    if len(shapes[0]) == 1:
        source = e.reshaped(source, (1, *shapes[0]))
    if weight is not None and weight.ndim == 2 and node.input[0] not in e.constants:
        bias = np.zeros(weight.shape[1], np.float32)
        if len(shapes[0]) > 1:
            _fully_connected(e, node, source, weight.T, bias)
            return
        product = _dense(e, source, e.constant(node.input[1], weight.T), None)
    else:
        other = e.read(node.input[1])
        if len(shapes[1]) == 1:
            other = e.reshaped(other, (*shapes[1], 1))
        batch = np.broadcast_shapes(source.shape[:-2], other.shape[:-2])
        product = batch_product(e, source, other, (*batch, source.shape[-2], other.shape[-1]))
    e.define(node.output[0], e.reshaped(product, e.shape(node.output[0])))


def batch_product(e: Emitter, left: Value, right: Value, shape: tuple[int, ...]) -> Value:
    """[..., m, k] times [..., k, n]; a matrix that is stored transposed is read as such."""
    sides = [_matrices(e, side) for side in (left, right)]
    (left, flip_left), (right, flip_right) = sides
    return e.apply("BATCH_MATMUL", [left, right], shape, adjX=flip_left, adjY=flip_right)


def _matrices(e: Emitter, value: Value) -> tuple[Value, bool]:
    """The value with batches first and the matrix's two axes last, and whether these are swapped."""
    rank = len(value.shape)
    plain = natural(rank)
    swapped: Order = (*plain[:-2], rank - 1, rank - 2)
    if value.order == swapped:
        return value, True
    return e.stored_as(value, plain), False


PRODUCTS: dict[str, Translate] = {"Gemm": _gemm, "MatMul": _matmul}
