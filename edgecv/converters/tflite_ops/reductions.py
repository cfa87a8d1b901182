"""Reductions over axes, and what searches along one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from edgecv.converters.tflite_emitter import Emitter
from edgecv.converters.tflite_ops.common import Attributes, Translate, axes_of, constant_input, refuse
from edgecv.converters.tflite_order import Value, dropped, with_last

if TYPE_CHECKING:
    import onnx


def reduced(e: Emitter, builtin: str, value: Value, axes: Sequence[int], keep: bool) -> Value:
    """One of TFLite's reductions over ONNX axes (from the front), in whatever order the value is stored."""
    stored = np.int32(sorted(value.axis(axis) for axis in axes))
    if keep:
        shape = tuple(1 if axis in axes else n for axis, n in enumerate(value.shape))
        order = value.order
    else:
        shape = tuple(n for axis, n in enumerate(value.shape) if axis not in axes)
        order = dropped(value.order, axes)
    return e.apply(builtin, [value, stored], shape, order, keepDims=keep)


def _reduce(builtin: str, before: str = "", after: str = "") -> Translate:
    """before, after: element-wise operators around it; SQUARE is x * x."""

    def translate(e: Emitter, node: onnx.NodeProto, a: Attributes) -> None:
        value = e.read(node.input[0])
        axes = axes_of(e, node, a, 1)
        if not axes and a.get("noop_with_empty_axes", 0):
            axes = []
        elif not axes:
            axes = list(range(len(value.shape)))
        if before:
            value = e.like("MUL", value, value) if before == "SQUARE" else e.like(before, value)
        if axes:
            value = reduced(e, builtin, value, axes, bool(a.get("keepdims", 1)))
        e.define(node.output[0], e.like(after, value) if after else value)

    return translate


def _log_sum_exp(e: Emitter, node: onnx.NodeProto, a: Attributes) -> None:
    """m + log(sum(exp(x - m))) with m the largest: nothing overflows."""
    value = e.read(node.input[0])
    axes = axes_of(e, node, a, 1) or list(range(len(value.shape)))
    largest = reduced(e, "REDUCE_MAX", value, axes, keep=True)
    total = reduced(e, "SUM", e.like("EXP", e.like("SUB", value, largest)), axes, keep=True)
    result = e.like("ADD", e.like("LOG", total), largest)
    if not a.get("keepdims", 1):
        result = e.reshaped(result, tuple(n for axis, n in enumerate(value.shape) if axis not in axes))
    e.define(node.output[0], result)


def _global(builtin: str) -> Translate:
    def translate(e: Emitter, node: onnx.NodeProto, _: Attributes) -> None:
        value = e.read(node.input[0])
        e.define(node.output[0], reduced(e, builtin, value, range(2, len(value.shape)), keep=True))

    return translate


def _arg(builtin: str) -> Translate:
    def translate(e: Emitter, node: onnx.NodeProto, a: Attributes) -> None:
        if a.get("select_last_index", 0):
            raise refuse(node, "select_last_index: TFLite gives the first of equals")
        value = e.read(node.input[0])
        axis = a.get("axis", 0) % len(value.shape)
        shape = tuple(n for i, n in enumerate(value.shape) if i != axis)
        order = dropped(value.order, [axis])
        inputs = [value, np.array(value.axis(axis), np.int32)]
        index = e.apply(builtin, inputs, shape, order, np.int64, outputType=e.file.type(np.dtype(np.int64)))
        if a.get("keepdims", 1):
            index = e.reshaped(index, e.shape(node.output[0]))
        e.define(node.output[0], index)

    return translate


def _top_k(e: Emitter, node: onnx.NodeProto, a: Attributes) -> None:
    count = constant_input(e, node, 1, "K")
    value = e.read(node.input[0])
    axis = a.get("axis", -1) % len(value.shape)
    value = e.stored_as(value, with_last(value.order, axis))
    smallest = not a.get("largest", 1)
    if smallest:
        value = e.like("NEG", value)
    shape = tuple(int(count.reshape(())) if i == axis else n for i, n in enumerate(value.shape))
    top, index = e.result(shape, value.order, value.dtype), e.result(shape, value.order, np.int32)
    k = e.constant(f"{node.output[0]}.k", np.int32(count).reshape(()))
    e.file.operator("TOPK_V2", [value.index, k.index], [top.index, index.index])
    for name, part in zip(node.output, (top, index), strict=False):
        if name:
            part = e.like("NEG", part) if part is top and smallest else part
            e.define(name, e.like("CAST", part, dtype=np.int64) if part is index else part)


def _cum_sum(e: Emitter, node: onnx.NodeProto, a: Attributes) -> None:
    axis = constant_input(e, node, 1, "axis")
    value = e.read(node.input[0])
    stored = np.array(value.axis(int(axis.reshape(()))), np.int32)
    options = {name: bool(a.get(name, 0)) for name in ("exclusive", "reverse")}
    e.define(node.output[0], e.like("CUMSUM", value, stored, **options))


REDUCTIONS: dict[str, Translate] = {
    "ArgMax": _arg("ARG_MAX"),
    "ArgMin": _arg("ARG_MIN"),
    "CumSum": _cum_sum,
    "GlobalAveragePool": _global("MEAN"),
    "GlobalMaxPool": _global("REDUCE_MAX"),
    "ReduceL1": _reduce("SUM", before="ABS"),
    "ReduceL2": _reduce("SUM", before="SQUARE", after="SQRT"),
    "ReduceLogSumExp": _log_sum_exp,
    "ReduceMax": _reduce("REDUCE_MAX"),
    "ReduceMean": _reduce("MEAN"),
    "ReduceMin": _reduce("REDUCE_MIN"),
    "ReduceProd": _reduce("REDUCE_PROD"),
    "ReduceSum": _reduce("SUM"),
    "ReduceSumSquare": _reduce("SUM", before="SQUARE"),
    "TopK": _top_k,
}
