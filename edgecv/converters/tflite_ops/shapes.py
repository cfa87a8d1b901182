"""What moves elements about: reshaping, joining, cutting, padding, picking."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgecv.converters.tflite_emitter import Emitter
from edgecv.converters.tflite_ops.common import (
    Attributes,
    Translate,
    axes_of,
    constant_input,
    refuse,
)
from edgecv.converters.tflite_order import NHWC, Order, Value, common, natural

if TYPE_CHECKING:
    import onnx


def _identity(e: Emitter, node: onnx.NodeProto, _: Attributes) -> None:
    e.define(node.output[0], e.read(node.input[0]))


def _only_folded(e: Emitter, node: onnx.NodeProto, _: Attributes) -> None:
    for name in filter(None, node.input):
        e.shape(name)  # a shape that is not fixed is the likelier reason: it is named
    raise refuse(
        node, "its value is only known when the model runs; it must follow from constants and shapes"
    )


def _reshape(e: Emitter, node: onnx.NodeProto, _: Attributes) -> None:
    """Flatten, Reshape, Squeeze and Unsqueeze: the shape is inferred."""
    e.define(node.output[0], e.reshaped(e.read(node.input[0]), e.shape(node.output[0])))


def _transpose(e: Emitter, node: onnx.NodeProto, a: Attributes) -> None:
    """Free: the same stored tensor, explained by another permutation."""
    source = e.read(node.input[0])
    permutation = a.get("perm", list(range(len(source.shape)))[::-1])
    shape = tuple(source.shape[axis] for axis in permutation)
    order = tuple(permutation.index(axis) for axis in source.order)
    e.define(node.output[0], Value(source.index, shape, order, source.dtype))


def _concat(e: Emitter, node: onnx.NodeProto, a: Attributes) -> None:
    shape = e.shape(node.output[0])
    names = [name for name in node.input if 0 not in e.shape(name)]
    order = common([e.read(name) for name in names if name not in e.constants], len(shape))
    sources = [e.read(name, order) for name in names]
    if len(sources) == 1:
        e.define(node.output[0], sources[0])
        return
    # no activation is fused here: LiteRT ignores it
    axis = order.index(a["axis"] % len(shape))
    e.define(node.output[0], e.apply("CONCATENATION", sources, shape, order, axis=axis))


def _split(e: Emitter, node: onnx.NodeProto, a: Attributes) -> None:
    value = e.read(node.input[0])
    axis = a.get("axis", 0) % len(value.shape)
    shapes = [e.shape(name) if name else () for name in node.output]
    if not all(node.output):
        raise refuse(node, "every part must have a name")
    parts = [e.result(shape, value.order, value.dtype) for shape in shapes]
    sizes = np.int32([shape[axis] for shape in shapes])
    along = e.constant(f"{e.current}.axis", np.array(value.axis(axis), np.int32))
    outputs, count = [part.index for part in parts], len(parts)
    if len(set(sizes.tolist())) == 1:
        e.file.operator("SPLIT", [along.index, value.index], outputs, numSplits=count)
    else:
        inputs = [value.index, e.constant(f"{e.current}.sizes", sizes).index, along.index]
        e.file.operator("SPLIT_V", inputs, outputs, numSplits=count)
    for name, part in zip(node.output, parts, strict=True):
        e.define(name, part)


def _slice(e: Emitter, node: onnx.NodeProto, a: Attributes) -> None:
    value = e.read(node.input[0])
    rank = len(value.shape)
    starts, ends = (constant_input(e, node, i, what).tolist() for i, what in ((1, "starts"), (2, "ends")))
    axes = axes_of(e, node, a, 3) or list(range(len(starts)))
    steps = constant_input(e, node, 4, "steps")
    steps = [1] * len(starts) if steps is None else steps.tolist()
    ranges = [range(n) for n in value.shape]
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        ranges[axis] = range(*slice(start, end, step).indices(value.shape[axis]))
    e.define(node.output[0], sliced(e, value, [ranges[axis] for axis in range(rank)]))


def sliced(e: Emitter, value: Value, ranges: list[range]) -> Value:
    """The indices of `ranges`, one for each ONNX axis."""
    shape = tuple(map(len, ranges))
    if ranges == [range(n) for n in value.shape]:
        return value
    stored = [ranges[axis] for axis in value.order]
    begin = np.int32([r.start for r in stored])
    if all(r.step == 1 for r in stored):
        size = np.int32([len(r) for r in stored])
        return e.apply("SLICE", [value, begin, size], shape, value.order)
    # One step back from the first element is no index: a bit says that the axis is taken to its end.
    mask = sum(1 << i for i, r in enumerate(stored) if r.stop < 0)
    inputs = [value, begin, np.int32([r.stop for r in stored]), np.int32([r.step for r in stored])]
    return e.apply("STRIDED_SLICE", inputs, shape, value.order, endMask=mask)


def picked(e: Emitter, value: Value, axis: int, indices: np.ndarray) -> Value:
    """Along one ONNX axis the elements at constant `indices`."""
    shape = tuple(len(indices) if i == axis else n for i, n in enumerate(value.shape))
    return e.apply("GATHER", [value, np.int32(indices)], shape, value.order, axis=value.axis(axis))


def _pad(e: Emitter, node: onnx.NodeProto, a: Attributes) -> None:
    value = e.read(node.input[0])
    rank = len(value.shape)
    flat = constant_input(e, node, 1, "pads").tolist()
    given = constant_input(e, node, 3, "axes")
    axes = [axis % rank for axis in (range(rank) if given is None else given.tolist())]
    pads = [(0, 0)] * rank
    for i, axis in enumerate(axes):
        pads[axis] = (flat[i], flat[i + len(axes)])
    # negative pads cut
    kept = [range(max(-p, 0), n - max(-q, 0)) for n, (p, q) in zip(value.shape, pads, strict=True)]
    value = sliced(e, value, kept)
    pads = [(max(p, 0), max(q, 0)) for p, q in pads]
    mode = a.get("mode", b"constant").decode()
    if mode == "constant":
        fill = constant_input(e, node, 2, "value")
        value = _constant_pad(e, value, pads, 0 if fill is None else fill.reshape(()).item())
    else:
        for axis, (before, after) in enumerate(pads):
            if before or after:
                source = np.arange(value.shape[axis])
                numpy_mode = {"reflect": "reflect", "edge": "edge", "wrap": "wrap"}[mode]
                value = picked(e, value, axis, np.pad(source, (before, after), mode=numpy_mode))
    e.define(node.output[0], value)


def _constant_pad(e: Emitter, value: Value, pads: list[tuple[int, int]], fill: float) -> Value:
    if not any(map(any, pads)):
        return value
    shape = tuple(n + p + q for n, (p, q) in zip(value.shape, pads, strict=True))
    amounts = np.int32([pads[axis] for axis in value.order])
    if fill == 0:
        return e.apply("PAD", [value, amounts], shape, value.order)
    return e.apply("PADV2", [value, amounts, np.array([fill], value.dtype)], shape, value.order)


def _gather(e: Emitter, node: onnx.NodeProto, a: Attributes) -> None:
    value = e.read(node.input[0])
    axis = a.get("axis", 0) % len(value.shape)
    name = node.input[1]
    if name in e.constants:  # negative ones count from the end
        indices = np.asarray(e.constants[name])
        chosen = e.constant(f"{e.current}.indices", np.int32(indices % value.shape[axis]))
    else:
        chosen = e.read(name, natural(len(e.shape(name))))
    extra = len(chosen.shape)
    order = _replaced(value.order, axis, extra)
    shape = (*value.shape[:axis], *chosen.shape, *value.shape[axis + 1 :])
    e.define(node.output[0], e.apply("GATHER", [value, chosen], shape, order, axis=value.axis(axis)))


def _replaced(order: Order, axis: int, count: int) -> Order:
    """The order when one ONNX axis becomes `count` new ones in its place."""
    moved: list[int] = []
    for old in order:
        if old == axis:
            moved.extend(range(axis, axis + count))
        else:
            moved.append(old if old < axis else old + count - 1)
    return tuple(moved)


def _gather_nd(e: Emitter, node: onnx.NodeProto, a: Attributes) -> None:
    if a.get("batch_dims", 0):
        raise refuse(node, "batch_dims")
    value, chosen = (e.read(name, natural(len(e.shape(name)))) for name in node.input)
    e.define(node.output[0], e.apply("GATHER_ND", [value, chosen], e.shape(node.output[0])))


def _expand(e: Emitter, node: onnx.NodeProto, _: Attributes) -> None:
    shape = e.shape(node.output[0])
    value = e.read(node.input[0])
    if value.shape != shape:
        value = e.reshaped(value, (1,) * (len(shape) - len(value.shape)) + value.shape)
    if value.shape != shape:
        stored = np.int32([shape[axis] for axis in value.order])
        value = e.apply("BROADCAST_TO", [value, stored], shape, value.order, version=2)
    e.define(node.output[0], value)


def _tile(e: Emitter, node: onnx.NodeProto, _: Attributes) -> None:
    value = e.read(node.input[0])
    repeats = constant_input(e, node, 1, "repeats").tolist()
    shape = tuple(n * times for n, times in zip(value.shape, repeats, strict=True))
    inputs = [value, np.int32([repeats[axis] for axis in value.order])]
    e.define(node.output[0], e.apply("TILE", inputs, shape, value.order))


def _depth_to_space(e: Emitter, node: onnx.NodeProto, a: Attributes) -> None:
    value, block = e.read(node.input[0], NHWC), a["blocksize"]
    if a.get("mode", b"DCR") == b"CRD":  # PixelShuffle: a channel's block lies together; TFLite's last
        channels = np.arange(value.shape[1]).reshape(-1, block * block).T.reshape(-1)
        value = picked(e, value, 1, channels)
    shape = e.shape(node.output[0])
    e.define(node.output[0], e.apply("DEPTH_TO_SPACE", [value], shape, NHWC, blockSize=block))


def _space_to_depth(e: Emitter, node: onnx.NodeProto, a: Attributes) -> None:
    value, shape = e.read(node.input[0], NHWC), e.shape(node.output[0])
    e.define(node.output[0], e.apply("SPACE_TO_DEPTH", [value], shape, NHWC, blockSize=a["blocksize"]))


def _one_hot(e: Emitter, node: onnx.NodeProto, a: Attributes) -> None:
    depth = constant_input(e, node, 1, "depth")
    values = constant_input(e, node, 2, "values")
    chosen = e.read(node.input[0], natural(len(e.shape(node.input[0]))))
    shape = e.shape(node.output[0])
    axis = a.get("axis", -1) % len(shape)
    inputs = [chosen, np.array(depth.reshape(()), np.int32), np.array(values[1]), np.array(values[0])]
    hot = e.apply("ONE_HOT", inputs, shape, None, values.dtype, axis=axis)
    e.define(node.output[0], hot)


SHAPES: dict[str, Translate] = {
    "Concat": _concat,
    "DepthToSpace": _depth_to_space,
    "Dropout": _identity,
    "Expand": _expand,
    "Flatten": _reshape,
    "Gather": _gather,
    "GatherND": _gather_nd,
    "Identity": _identity,
    "OneHot": _one_hot,
    "Pad": _pad,
    "Reshape": _reshape,
    "Slice": _slice,
    "SpaceToDepth": _space_to_depth,
    "Split": _split,
    "Squeeze": _reshape,
    "Tile": _tile,
    "Transpose": _transpose,
    "Unsqueeze": _reshape,
} | dict.fromkeys(("Constant", "ConstantOfShape", "Range", "Shape", "Size"), _only_folded)
