"""Resize: TFLite's own resampling where it takes the same pixels, else the same pixels by other means."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edgecv.converters.tflite_emitter import Emitter
from edgecv.converters.tflite_ops.common import Attributes, Translate, constant_input, refuse
from edgecv.converters.tflite_ops.shapes import picked
from edgecv.converters.tflite_ops.windows import define_picture, picture
from edgecv.converters.tflite_order import NHWC, Value, natural

if TYPE_CHECKING:
    import onnx

# (align_corners, half_pixel_centers) of the two builtins
_FLAGS = ((False, True), (False, False), (True, False))


def _resize(e: Emitter, node: onnx.NodeProto, a: Attributes) -> None:
    value = picture(e, node)
    shape = e.shape(node.output[0])
    if shape[:2] != value.shape[:2]:
        raise refuse(node, "it resizes batch or channels; only height and width have a translation")
    size = (1, *shape[2:]) if len(shape) == 3 else shape[2:]
    if a.get("coordinate_transformation_mode") == b"tf_crop_and_resize":
        raise refuse(node, "tf_crop_and_resize")
    nearest = a.get("mode", b"nearest") == b"nearest"
    # [out, in] weights of each axis, by ONNX's own definition
    weights = [np.eye(1)] * (4 - len(shape)) + [_weights(e, node, a, axis) for axis in range(2, len(shape))]
    flags = _equal_flags(value.shape[2:], size, nearest, weights)
    if flags is not None:
        builtin = "RESIZE_NEAREST_NEIGHBOR" if nearest else "RESIZE_BILINEAR"
        options = {"alignCorners": flags[0], "halfPixelCenters": flags[1]}
        shape = (*value.shape[:2], *size)
        version = 3 if any(flags) else 1
        value = e.apply(builtin, [value, np.int32(size)], shape, NHWC, version=version, **options)
    else:
        for axis, matrix in zip((2, 3), weights, strict=True):
            if nearest:
                value = picked(e, value, axis, matrix.argmax(1))
            elif len(matrix) != value.shape[axis] or not _close(matrix, np.eye(len(matrix))):
                value = _mixed(e, value, axis, matrix)
    define_picture(e, node.output[0], value)


def _weights(e: Emitter, node: onnx.NodeProto, a: Attributes, axis: int) -> NDArray[np.float64]:
    """What share of each input line goes to each output line: the identity matrix, resized along one axis."""
    from onnx import helper
    from onnx.reference import ReferenceEvaluator

    shape, rank = e.shape(node.input[0]), len(e.shape(node.input[0]))
    axes = [i % rank for i in a.get("axes", range(rank))]
    if axis not in axes:
        return np.eye(shape[axis])
    sizes = constant_input(e, node, 3, "sizes")
    scales = constant_input(e, node, 2, "scales")
    out = e.shape(node.output[0])[axis]
    kept = {k: v for k, v in a.items() if k not in ("axes", "keep_aspect_ratio_policy")}
    if out == 1 and a.get("coordinate_transformation_mode") == b"pytorch_half_pixel":
        kept["coordinate_transformation_mode"] = b"asymmetric"  # the first line; onnx's reference errs here
    # Sizes with an aspect ratio policy become scales; all others are taken as they are given.
    policy = a.get("keep_aspect_ratio_policy", b"stretch") != b"stretch"
    if sizes is not None and sizes.size and not policy:
        names, feed = ["x", "", "", "sizes"], {"sizes": np.array([out, shape[axis]], np.int64)}
    else:
        ratios = scales if sizes is None or not sizes.size else _policy_scales(shape, axes, sizes, a)
        scale = float(ratios[axes.index(axis)])
        names, feed = ["x", "", "scales"], {"scales": np.array([scale, 1.0], np.float32)}
    one = helper.make_node("Resize", names, ["y"], **kept)
    (result,) = ReferenceEvaluator(one, opsets={"": max(e.opset, 13)}).run(
        None, {"x": np.eye(shape[axis], dtype=np.float32), **feed}
    )
    return result


def _policy_scales(
    shape: tuple[int, ...], axes: list[int], sizes: NDArray[np.int64], a: Attributes
) -> NDArray[np.float64]:
    ratios = [size / shape[axis] for axis, size in zip(axes, sizes, strict=True)]
    chosen = min(ratios) if a["keep_aspect_ratio_policy"] == b"not_larger" else max(ratios)
    return np.full(len(axes), chosen)


def _equal_flags(
    before: Sequence[int], after: Sequence[int], nearest: bool, weights: list[NDArray[np.float64]]
) -> tuple[bool, bool] | None:
    """The flags with which TFLite's kernel has the same weights along both axes, None without any."""
    for flags in _FLAGS:
        theirs = [_tflite_weights(n, out, nearest, *flags) for n, out in zip(before, after, strict=True)]
        if all(map(_close, theirs, weights)):
            return flags
    return None


def _close(one: NDArray[np.float64], other: NDArray[np.float64]) -> bool:
    return np.allclose(one, other, atol=1e-5)


def _tflite_weights(size: int, out: int, nearest: bool, corners: bool, half: bool) -> NDArray[np.float64]:
    """The same matrix of TFLite's resize kernels."""
    scale = np.float32(size) / np.float32(out)
    if corners and out > 1:
        scale = np.float32(size - 1) / np.float32(out - 1)
    lines = np.arange(out, dtype=np.float32)
    matrix = np.zeros((out, size))
    if nearest:
        place = (lines + np.float32(0.5 if half else 0)) * scale
        index = np.floor(place + 0.5) if corners else np.floor(place)
        matrix[np.arange(out), np.clip(index, 0, size - 1).astype(int)] = 1
        return matrix
    place = (lines + np.float32(0.5)) * scale - np.float32(0.5) if half else lines * scale
    low = np.clip(np.floor(place), 0, size - 1).astype(int)
    high = np.clip(np.floor(place) + 1, 0, size - 1).astype(int)
    share = place - low
    np.add.at(matrix, (np.arange(out), low), 1 - share)
    np.add.at(matrix, (np.arange(out), high), share)
    return matrix


def _mixed(e: Emitter, value: Value, axis: int, matrix: NDArray[np.float64]) -> Value:
    """A picture whose lines along one axis are weighted sums of its lines: a product with `matrix`."""
    batch, channels, height, width = value.shape
    weights = matrix.astype(np.float32)
    out = len(matrix)
    if axis == 2:
        flat = (batch, height, width * channels)
        shape = (batch, channels, out, width)
    else:
        flat = (batch * height, width, channels)
        shape = (batch, channels, height, out)
    stored = Value(value.index, value.stored, natural(4), value.dtype)  # [N, H, W, C] as it lies
    lines = e.reshaped(stored, flat)
    left = np.broadcast_to(weights, (flat[0], *weights.shape)) if flat[0] > 1 else weights[None]
    mixed = e.apply("BATCH_MATMUL", [left, lines], (flat[0], out, flat[2]))
    back = e.reshaped(mixed, tuple(shape[i] for i in NHWC), plain=True)
    return Value(back.index, shape, NHWC, value.dtype)


RESIZE: dict[str, Translate] = {"Resize": _resize}
