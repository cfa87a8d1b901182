"""Conv and ConvTranspose."""

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
)
from edgecv.converters.tflite_ops.windows import Pair, define_picture, padded, picture, window_of
from edgecv.converters.tflite_order import NHWC, Value

if TYPE_CHECKING:
    import onnx


def _conv(e: Emitter, node: onnx.NodeProto, a: Attributes) -> None:
    weight = constant_input(e, node, 1, "weights")  # [out, in/groups, (kh,) kw]
    bias = constant_input(e, node, 2, "bias")
    source = picture(e, node)
    window = window_of(node, a, source.shape[2:], weight.shape[2:])
    if weight.ndim == 3:
        weight = weight[:, :, None]
    outputs, channels, groups = len(weight), source.shape[1], a.get("group", 1)
    size = _output_size(e, node)
    padding = e.file.schema.Padding.VALID
    if any(map(any, window.pads)):
        if window.is_same(source.shape[2:]):
            padding = e.file.schema.Padding.SAME
        else:
            source = padded(e, source, window.pads)
    options = {
        "padding": padding,
        "strideH": window.strides[0],
        "strideW": window.strides[1],
        "dilationHFactor": window.dilations[0],
        "dilationWFactor": window.dilations[1],
    }
    # grouped convolutions are CONV_2D too: the kernel's depth says how many groups there are
    builtin, version, stored = "CONV_2D", 1, weight.transpose(0, 2, 3, 1)
    if groups == channels and weight.shape[1] == 1 and groups > 1:
        builtin, stored = "DEPTHWISE_CONV_2D", weight[:, 0].transpose(1, 2, 0)[None]
        options["depthMultiplier"] = outputs // channels
        version = 1 if window.dilations == (1, 1) else 2
    options["fusedActivationFunction"], name = fused_activation(e, node)
    inputs = [
        source,
        e.constant(node.input[1], stored),
        e.constant(f"{node.output[0]}.bias", np.zeros(outputs, np.float32) if bias is None else bias),
    ]
    shape = (source.shape[0], outputs, *size)
    define_picture(e, name, e.apply(builtin, inputs, shape, NHWC, version=version, **options))


def _output_size(e: Emitter, node: onnx.NodeProto) -> Pair:
    size = e.shape(node.output[0])[2:]
    return (1, *size) if len(size) == 1 else size


def _conv_transpose(e: Emitter, node: onnx.NodeProto, a: Attributes) -> None:
    """TRANSPOSE_CONV as TensorFlow's SAME where ONNX's pads are that, else whole, then cut to size."""
    weight = constant_input(e, node, 1, "weights")  # [in, out/groups, (kh,) kw]
    bias = constant_input(e, node, 2, "bias")
    source = picture(e, node)
    window = window_of(node, {**a, "auto_pad": b"NOTSET"}, source.shape[2:], weight.shape[2:])
    weight = _dense(weight[:, :, None] if weight.ndim == 3 else weight, a.get("group", 1), window.dilations)
    size = _output_size(e, node)
    whole = tuple(
        (n - 1) * s + k for n, s, k in zip(source.shape[2:], window.strides, window.reach, strict=True)
    )
    begin = _transposed_begin(a, window.pads, whole, size, len(e.shape(node.input[0])) - 2)
    same = all(
        n == -(-out // s) and max(w - out, 0) // 2 == b and w >= out
        for n, out, s, w, b in zip(source.shape[2:], size, window.strides, whole, begin, strict=True)
    )
    outputs = weight.shape[1]
    bias = np.zeros(outputs, np.float32) if bias is None else bias
    kinds = e.file.schema.Padding
    options = {"strideH": window.strides[0], "strideW": window.strides[1]}
    options["padding"] = kinds.SAME if same else kinds.VALID
    height, width = size if same else whole
    shape = (source.shape[0], outputs, height, width)
    inputs = [
        np.int32([source.shape[0], height, width, outputs]),
        e.constant(node.input[1], weight.transpose(1, 2, 3, 0)),
        source,
    ]
    if same or (whole == size and not any(begin)):
        options["fusedActivationFunction"], name = fused_activation(e, node)
        inputs.append(e.constant(f"{node.output[0]}.bias", bias))
        version = 4 if options["fusedActivationFunction"] else 3
        result = e.apply("TRANSPOSE_CONV", inputs, shape, NHWC, np.float32, version, **options)
    else:
        name = node.output[0]
        result = _cut(e, e.apply("TRANSPOSE_CONV", inputs, shape, NHWC, np.float32, **options), begin, size)
        result = e.like("ADD", result, bias)
    define_picture(e, name, result)


def _dense(weight: NDArray, groups: int, dilations: Pair) -> NDArray:
    """[in, out/groups, kh, kw] -> [in, out, reach] with zeros between groups and between dilated taps."""
    inputs, per_group, *kernel = weight.shape
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    dense = np.zeros((inputs, per_group * groups, *reach), weight.dtype)
    step = inputs // groups
    for group in range(groups):
        rows = slice(group * step, (group + 1) * step)
        columns = slice(group * per_group, (group + 1) * per_group)
        dense[rows, columns, :: dilations[0], :: dilations[1]] = weight[rows]
    return dense


def _transposed_begin(
    a: Attributes, pads: tuple[Pair, Pair], whole: Pair, size: Pair, axes: int
) -> tuple[int, ...]:
    """How many rows and columns of the whole result lie before the first that is kept."""
    automatic = a.get("auto_pad", b"NOTSET")
    if automatic == b"VALID" or (automatic == b"NOTSET" and "output_shape" not in a):
        return tuple(before for before, _ in pads) if automatic == b"NOTSET" else (0, 0)
    extra = [0] * (2 - axes) + list(a.get("output_padding", [0] * axes))
    total = [max(w + more - out, 0) for w, more, out in zip(whole, extra, size, strict=True)]
    return tuple(n // 2 if automatic == b"SAME_UPPER" else n - n // 2 for n in total)


def _cut(e: Emitter, value: Value, begin: tuple[int, ...], size: Pair) -> Value:
    """[N, C, H, W] from `begin` on to `size`, with zeros where it ends before."""
    ends = [min(b + n, have) for b, n, have in zip(begin, size, value.shape[2:], strict=True)]
    kept = (*value.shape[:2], ends[0] - begin[0], ends[1] - begin[1])
    if kept != value.shape:
        start = np.int32([0, *begin, 0])
        value = e.apply("SLICE", [value, start, np.int32([kept[axis] for axis in NHWC])], kept, NHWC)
    missing = tuple((0, n - have) for n, have in zip(size, kept[2:], strict=True))
    return padded(e, value, missing) if any(map(any, missing)) else value


CONVOLUTIONS: dict[str, Translate] = {"Conv": _conv, "ConvTranspose": _conv_transpose}
