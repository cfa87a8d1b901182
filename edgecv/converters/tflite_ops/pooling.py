"""Pooling windows. TFLite's leave SAME's padding out of their answer; all other padding is made explicit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edgecv.converters.tflite_emitter import Emitter
from edgecv.converters.tflite_ops.common import (
    Attributes,
    Translate,
    constant_input,
    fused_activation,
    only_output,
    refuse,
)
from edgecv.converters.tflite_ops.shapes import picked
from edgecv.converters.tflite_ops.windows import Pair, Window, define_picture, padded, picture, window_of
from edgecv.converters.tflite_order import NHWC, Value

if TYPE_CHECKING:
    import onnx

# Whose results a zero can stand beside in a maximum.
_NEVER_NEGATIVE = ("Relu", "Sigmoid", "HardSigmoid", "Softmax", "Softplus", "Abs", "Exp", "Sqrt")
_NO_SIGN_CHANGE = ("MaxPool", "AveragePool", "GlobalAveragePool", "Concat", "Identity", "Dropout", "Reshape")


def _max_pool(e: Emitter, node: onnx.NodeProto, a: Attributes) -> None:
    only_output(node)
    source, window, size, same = _window(e, node, a)
    if not same and any(map(any, window.pads)):
        # No infinity: an int8 file has none. Zeros cannot win over what is never negative, and border
        # pixels, which such a window sees anyway, change no maximum.
        if _never_negative(e, node.input[0]):
            source = padded(e, source, window.pads)
        elif all(2 * max(pair) <= k for pair, k in zip(window.pads, window.kernel, strict=True)):
            source = padded(e, source, window.pads, "mirror")
        else:
            for axis, (n, pads) in enumerate(zip(source.shape[2:], window.pads, strict=True), start=2):
                source = picked(e, source, axis, np.pad(np.arange(n), pads, mode="edge"))
    _pool(e, node, "MAX_POOL_2D", source, window, size, same)


def _average_pool(e: Emitter, node: onnx.NodeProto, a: Attributes) -> None:
    source, window, size, same = _window(e, node, a)
    counts = bool(a.get("count_include_pad", 0))
    if not any(map(any, window.pads)) or (same and not counts):
        _pool(e, node, "AVERAGE_POOL_2D", source, window, size, same)
        return
    # Zeros add nothing to the sum: what is left is to divide by the pixels that count.
    own = window_of(node, a, source.shape[2:], a["kernel_shape"]).pads
    factors = [
        _count_factors(n, out, window, own, axis, counts)
        for axis, (n, out) in enumerate(zip(source.shape[2:], size, strict=True))
    ]
    correction = (factors[0][:, None] * factors[1])[None, :, :, None].astype(np.float32)
    source = padded(e, source, window.pads)
    if (correction == 1).all():
        _pool(e, node, "AVERAGE_POOL_2D", source, window, size, same=False)
        return
    mean = _apply(e, "AVERAGE_POOL_2D", source, window, size, same=False, activation=0)
    define_picture(e, node.output[0], e.like("MUL", mean, correction))


def _count_factors(
    size: int, outputs: int, window: Window, own: tuple[Pair, Pair], axis: int, counts: bool
) -> NDArray[np.float64]:
    """Kernel length over the number of positions that count, for each output along an axis.

    own: the node's own pads, without what ceil_mode added: those never count.
    """
    low, high = (-own[axis][0], size + own[axis][1]) if counts else (0, size)
    starts = np.arange(outputs) * window.strides[axis] - window.pads[axis][0]
    kernel = window.kernel[axis]
    return kernel / (np.minimum(starts + kernel, high) - np.maximum(starts, low))


def _window(e: Emitter, node: onnx.NodeProto, a: Attributes) -> tuple[Value, Window, Pair, bool]:
    """(source, window with ceil_mode's rows in its pads, output size, whether it is TensorFlow's SAME)."""
    if any(d != 1 for d in a.get("dilations", [1])):
        raise refuse(node, "dilation, which TFLite's pooling has not")
    source = picture(e, node)
    window = window_of(node, a, source.shape[2:], a["kernel_shape"])
    size = e.shape(node.output[0])[2:]
    size = (1, *size) if len(size) == 1 else size
    if a.get("ceil_mode", 0):
        ends = [
            max((out - 1) * s + k - n - before, after)
            for out, s, k, n, (before, after) in zip(
                size, window.strides, window.kernel, source.shape[2:], window.pads, strict=True
            )
        ]
        window = window._replace(
            pads=tuple((before, end) for (before, _), end in zip(window.pads, ends, strict=True))
        )
    return source, window, size, any(map(any, window.pads)) and window.is_same(source.shape[2:])


def _pool(
    e: Emitter, node: onnx.NodeProto, builtin: str, source: Value, window: Window, size: Pair, same: bool
) -> None:
    activation, name = fused_activation(e, node)
    define_picture(e, name, _apply(e, builtin, source, window, size, same, activation))


def _apply(
    e: Emitter, builtin: str, source: Value, window: Window, size: Pair, same: bool, activation: int
) -> Value:
    padding = e.file.schema.Padding
    return e.apply(
        builtin,
        [source],
        (*source.shape[:2], *size),
        NHWC,
        padding=padding.SAME if same else padding.VALID,
        filterHeight=window.kernel[0],
        filterWidth=window.kernel[1],
        strideH=window.strides[0],
        strideW=window.strides[1],
        fusedActivationFunction=activation,
    )


def _never_negative(e: Emitter, name: str) -> bool:
    node = e.writers.get(name)
    if node is None:
        return False
    if node.op_type == "Clip":
        low = constant_input(e, node, 1, "bounds")
        return low is not None and float(low) >= 0
    if node.op_type in _NO_SIGN_CHANGE:
        sources = node.input if node.op_type == "Concat" else node.input[:1]
        return all(_never_negative(e, source) for source in sources)
    return node.op_type in _NEVER_NEGATIVE


POOLING: dict[str, Translate] = {"AveragePool": _average_pool, "MaxPool": _max_pool}
