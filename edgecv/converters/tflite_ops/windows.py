"""Sliding windows: how ONNX pads them, and as what TFLite can pad them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from edgecv.converters.architecture import same_padding
from edgecv.converters.tflite_emitter import Emitter
from edgecv.converters.tflite_ops.common import Attributes, refuse
from edgecv.converters.tflite_order import NHWC, Value

if TYPE_CHECKING:
    import onnx

ROW = (0, 2, 1)  # NHWC of a row of pixels: [N, C, L] kept as N, L, C

Pair = tuple[int, int]


class Window(NamedTuple):
    """A window over a picture [N, C, H, W], each field (rows, columns); `pads` are (before, after)."""

    kernel: Pair
    strides: Pair
    dilations: Pair
    pads: tuple[Pair, Pair]

    @property
    def reach(self) -> Pair:
        """How many pixels the kernel spans."""
        return tuple((k - 1) * d + 1 for k, d in zip(self.kernel, self.dilations, strict=True))

    def is_same(self, size: Sequence[int]) -> bool:
        """Whether TensorFlow's SAME pads a picture of this (H, W) so."""
        return self.pads == tuple(map(same_padding, size, self.reach, self.strides))


def picture(e: Emitter, node: onnx.NodeProto) -> Value:
    """The node's first input as [N, C, H, W] stored NHWC; a row [N, C, L] becomes a picture of one line."""
    value = e.read(node.input[0])
    if len(value.shape) == 3:
        row = e.stored_as(value, ROW)
        return e.stored_as(e.reshaped(row, (*value.shape[:2], 1, value.shape[2])), NHWC)
    if len(value.shape) != 4:
        raise refuse(
            node, f"only pictures [N, C, H, W] and rows [N, C, L], not {len(value.shape)} dimensions"
        )
    return e.stored_as(value, NHWC)


def define_picture(e: Emitter, name: str, value: Value) -> None:
    """Define a value from a picture stored NHWC, which is a row where the graph has a row."""
    shape = e.shape(name)
    if len(shape) == 3:
        line = e.reshaped(value, shape)
        value = Value(line.index, shape, line.order, line.dtype)
    e.define(name, value)


def window_of(node: onnx.NodeProto, a: Attributes, size: Sequence[int], kernel: Sequence[int]) -> Window:
    """The node's window over a picture of `size` (H, W); auto_pad is worked out, a row gets a line."""
    row = len(kernel) == 1
    strides, dilations = (tuple(a.get(name, [1] * len(kernel))) for name in ("strides", "dilations"))
    flat = list(a.get("pads", [0] * 2 * len(kernel)))
    pads = tuple(zip(flat[: len(kernel)], flat[len(kernel) :], strict=True))
    kernel = tuple(int(k) for k in kernel)
    if row:
        kernel, strides, dilations, pads = (1, *kernel), (1, *strides), (1, *dilations), ((0, 0), *pads)
    if len(kernel) != 2:
        raise refuse(node, f"only windows over one or two axes, not {len(kernel)}")
    window = Window(kernel, strides, dilations, pads)
    kind = a.get("auto_pad", b"NOTSET")
    if kind in (b"SAME_UPPER", b"SAME_LOWER"):
        same = tuple(map(same_padding, size, window.reach, strides))
        return window._replace(pads=same if kind == b"SAME_UPPER" else tuple((q, p) for p, q in same))
    return window._replace(pads=((0, 0), (0, 0))) if kind == b"VALID" else window


def padded(e: Emitter, value: Value, pads: tuple[Pair, Pair], kind: str = "zeros") -> Value:
    """A picture with explicit padding: `zeros`, or `mirror` images of its border pixels."""
    amounts = np.int32([[0, 0], *pads, [0, 0]])
    height, width = (n + p + q for n, (p, q) in zip(value.shape[2:], pads, strict=True))
    shape = (*value.shape[:2], height, width)
    if kind == "zeros":
        return e.apply("PAD", [value, amounts], shape, NHWC)
    symmetric = e.file.schema.MirrorPadMode.SYMMETRIC
    return e.apply("MIRROR_PAD", [value, amounts], shape, NHWC, mode=symmetric)
