"""The table of operators: how one ONNX node is written in TFLite.

Each function takes (emitter, node, attributes), writes the node's output and returns the name of a
following node's output that it has swallowed (a fused activation), or None.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from edgecv.converters.architecture import same_padding
from edgecv.converters.tflite_file import NHWC, Emitter
from edgecv.errors import ConversionError

if TYPE_CHECKING:
    import onnx

Attributes = dict[str, Any]
Translate = Callable[[Emitter, "onnx.NodeProto", Attributes], "str | None"]


def _refuse(node: onnx.NodeProto, why: str) -> ConversionError:
    return ConversionError(f"node {node.name or node.output[0]} ({node.op_type}): {why}")


# -- activations -----------------------------------------------------------------------------------


def _clip_range(e: Emitter, node: onnx.NodeProto) -> tuple[float, float]:
    bounds = []
    for position, missing in ((1, -np.inf), (2, np.inf)):
        name = node.input[position] if len(node.input) > position else ""
        if name and name not in e.constants:
            raise _refuse(node, "its bounds are computed, not constant")
        bounds.append(float(e.constants[name]) if name else missing)
    return bounds[0], bounds[1]


def _activation(e: Emitter, node: onnx.NodeProto | None) -> int | None:
    """The fused activation that `node` amounts to, None when it is not one."""
    kinds = e.schema.ActivationFunctionType
    if node is None:
        return None
    if node.op_type == "Relu":
        return kinds.RELU
    if node.op_type == "Clip":
        return {(0.0, 6.0): kinds.RELU6, (0.0, np.inf): kinds.RELU, (-1.0, 1.0): kinds.RELU_N1_TO_1}.get(
            _clip_range(e, node)
        )
    return None


def _fuse(e: Emitter, node: onnx.NodeProto, options: Any) -> tuple[str, str | None]:
    """Take a following activation into `options`: (name of the output to write, name swallowed)."""
    follower = e.only_user(node.output[0])
    kind = _activation(e, follower)
    if follower is None or kind is None:
        options.fusedActivationFunction = e.schema.ActivationFunctionType.NONE
        return node.output[0], None
    options.fusedActivationFunction = kind
    return follower.output[0], follower.output[0]


def _unary(builtin: str, options_name: str | None = None) -> Translate:
    def translate(e: Emitter, node: onnx.NodeProto, _: Attributes) -> None:
        source = e.read(node.input[0])
        options = getattr(e.schema, options_name)() if options_name else None
        e.operator(builtin, [source.index], [e.output(node.output[0], source.order)], options=options)

    return translate


def _clip(e: Emitter, node: onnx.NodeProto, _: Attributes) -> None:
    low, high = _clip_range(e, node)
    source = e.read(node.input[0])
    builtin = {(0.0, 6.0): "RELU6", (0.0, np.inf): "RELU", (-1.0, 1.0): "RELU_N1_TO_1"}.get((low, high))
    if builtin:
        e.operator(builtin, [source.index], [e.output(node.output[0], source.order)])
        return
    index = source.index
    steps = [("MAXIMUM", low)] * (low != -np.inf) + [("MINIMUM", high)] * (high != np.inf)
    for position, (step, bound) in enumerate(steps):
        last = position == len(steps) - 1
        bound_index = e.constant(f"{node.output[0]}.{step.lower()}", np.array(bound, source.dtype))
        result = (
            e.output(node.output[0], source.order)
            if last
            else e.tensor(f"{node.output[0]}.low", source.stored, source.dtype)
        )
        e.operator(step, [index, bound_index], [result], options=e.schema.MaximumMinimumOptionsT())
        index = result
    if not steps:
        e.values[node.output[0]] = source


def _hard_swish(e: Emitter, node: onnx.NodeProto, _: Attributes) -> None:
    source = e.read(node.input[0])
    options = e.schema.HardSwishOptionsT()
    e.operator("HARD_SWISH", [source.index], [e.output(node.output[0], source.order)], options=options)


def _softmax(e: Emitter, node: onnx.NodeProto, a: Attributes) -> None:
    rank = len(e.shape(node.input[0]))
    if a.get("axis", -1) % rank != rank - 1:
        raise _refuse(node, "softmax over an axis that is not the last")
    source = e.read(node.input[0], tuple(range(rank)))
    options = e.schema.SoftmaxOptionsT()
    options.beta = 1.0
    e.operator("SOFTMAX", [source.index], [e.output(node.output[0])], options=options)


# -- convolutions and pooling ----------------------------------------------------------------------


def _window(e: Emitter, node: onnx.NodeProto, a: Attributes, kernel: list[int], pad_value: float) -> Any:
    """(source index, TFLite padding): SAME or VALID where ONNX's pads are that, else an explicit PAD."""
    source = e.read(node.input[0], NHWC)
    strides, dilations = a.get("strides", [1, 1]), a.get("dilations", [1, 1])
    if a.get("auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID"):
        raise _refuse(node, "auto_pad; export with explicit pads")
    pads = a.get("pads", [0, 0, 0, 0])
    if not any(pads):
        return source.index, e.schema.Padding.VALID
    size = source.shape[2:]
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    same = [same_padding(n, k, s) for n, k, s in zip(size, reach, strides, strict=True)]
    if [same[0][0], same[1][0], same[0][1], same[1][1]] == list(pads):
        return source.index, e.schema.Padding.SAME
    amounts = np.int32([[0, 0], [pads[0], pads[2]], [pads[1], pads[3]], [0, 0]])
    padded = tuple(n + int(p.sum()) for n, p in zip(source.stored, amounts, strict=True))
    index = e.tensor(f"{node.output[0]}.padded", padded, source.dtype)
    inputs = [source.index, e.constant(f"{node.output[0]}.pads", amounts)]
    if pad_value == 0:
        e.operator("PAD", inputs, [index], options=e.schema.PadOptionsT())
    else:
        inputs.append(e.constant(f"{node.output[0]}.pad_value", np.float32([pad_value])))
        e.operator("PADV2", inputs, [index], options=e.schema.PadV2OptionsT())
    return index, e.schema.Padding.VALID


def _conv(e: Emitter, node: onnx.NodeProto, a: Attributes) -> str | None:
    if node.input[1] not in e.constants or len(e.shape(node.input[0])) != 4:
        raise _refuse(node, "only 2-D convolutions with constant weights")
    weight = e.constants[node.input[1]]  # [out, in/groups, kh, kw]
    outputs, per_group, *kernel = weight.shape
    groups, channels = a.get("group", 1), e.shape(node.input[0])[1]
    depthwise = groups == channels and per_group == 1 and groups > 1
    source, padding = _window(e, node, a, kernel, 0.0)
    if depthwise:
        options = e.schema.DepthwiseConv2DOptionsT()
        options.depthMultiplier = outputs // channels
        stored, builtin = weight[:, 0].transpose(1, 2, 0)[None], "DEPTHWISE_CONV_2D"
    else:  # grouped convolutions are CONV_2D too: the kernel's depth says how many groups there are
        options = e.schema.Conv2DOptionsT()
        stored, builtin = weight.transpose(0, 2, 3, 1), "CONV_2D"
    options.padding = padding
    options.strideH, options.strideW = a.get("strides", [1, 1])
    options.dilationHFactor, options.dilationWFactor = a.get("dilations", [1, 1])
    name, swallowed = _fuse(e, node, options)
    has_bias = len(node.input) > 2 and node.input[2]
    bias = e.constants[node.input[2]] if has_bias else np.zeros(outputs, np.float32)
    inputs = [source, e.constant(node.input[1], stored), e.constant(f"{node.output[0]}.bias", bias)]
    version = 2 if depthwise and a.get("dilations", [1, 1]) != [1, 1] else 1
    e.operator(builtin, inputs, [e.output(name, NHWC)], version=version, options=options)
    return swallowed


def _pool(builtin: str) -> Translate:
    def translate(e: Emitter, node: onnx.NodeProto, a: Attributes) -> str | None:
        if a.get("ceil_mode", 0) or any(d != 1 for d in a.get("dilations", [1, 1])) or len(node.output) > 1:
            raise _refuse(node, "ceil_mode, dilation or indices")
        if len(a["kernel_shape"]) != 2:
            raise _refuse(node, "only 2-D pooling")
        average = builtin == "AVERAGE_POOL_2D"
        if average and any(a.get("pads", [0])) and a.get("count_include_pad", 0) == 0:
            kernel, size = a["kernel_shape"], e.shape(node.input[0])[2:]
            same = [
                same_padding(n, k, s) for n, k, s in zip(size, kernel, a.get("strides", [1, 1]), strict=True)
            ]
            if [same[0][0], same[1][0], same[0][1], same[1][1]] != list(a["pads"]):
                raise _refuse(node, "an average that leaves out padding which is not SAME")
        elif average and any(a.get("pads", [0])):
            raise _refuse(node, "an average that counts its padding")
        source, padding = _window(e, node, a, a["kernel_shape"], -np.inf)
        options = e.schema.Pool2DOptionsT()
        options.padding = padding
        options.filterHeight, options.filterWidth = a["kernel_shape"]
        options.strideH, options.strideW = a.get("strides", [1, 1])
        name, swallowed = _fuse(e, node, options)
        e.operator(builtin, [source], [e.output(name, NHWC)], options=options)
        return swallowed

    return translate


def _mean(e: Emitter, node: onnx.NodeProto, axes: list[int], keep: bool) -> None:
    source = e.read(node.input[0])
    stored_axes = np.int32(sorted(source.axis(axis) for axis in axes))
    rank = len(source.shape)
    gone = {axis % rank for axis in axes}
    if keep:
        order = source.order
    else:  # the axes that are left, renumbered
        left = [axis for axis in range(rank) if axis not in gone]
        order = tuple(left.index(axis) for axis in source.order if axis not in gone)
    options = e.schema.ReducerOptionsT()
    options.keepDims = keep
    inputs = [source.index, e.constant(f"{node.output[0]}.axes", stored_axes)]
    e.operator("MEAN", inputs, [e.output(node.output[0], order)], options=options)


def _global_average_pool(e: Emitter, node: onnx.NodeProto, _: Attributes) -> None:
    _mean(e, node, list(range(2, len(e.shape(node.input[0])))), keep=True)


def _reduce_mean(e: Emitter, node: onnx.NodeProto, a: Attributes) -> None:
    axes = a.get("axes")
    if len(node.input) > 1 and node.input[1]:
        axes = e.constants[node.input[1]].tolist()
    if not axes:
        axes = list(range(len(e.shape(node.input[0]))))
    _mean(e, node, list(axes), keep=bool(a.get("keepdims", 1)))


# -- arithmetic ------------------------------------------------------------------------------------


def _binary(builtin: str, options_name: str) -> Translate:
    def translate(e: Emitter, node: onnx.NodeProto, _: Attributes) -> str | None:
        rank = len(e.shape(node.output[0]))
        computed = [name for name in node.input if name in e.values]
        orders = {e.values[name].order for name in computed if len(e.shape(name)) == rank}
        order = NHWC if rank == 4 and NHWC in orders else tuple(range(rank))
        options = getattr(e.schema, options_name)()
        name, swallowed = (
            _fuse(e, node, options)
            if hasattr(options, "fusedActivationFunction")
            else (
                node.output[0],
                None,
            )
        )
        operands = [_operand(e, source, rank, order) for source in node.input]
        e.operator(builtin, operands, [e.output(name, order)], options=options)
        return swallowed

    return translate


def _operand(e: Emitter, name: str, rank: int, order: tuple[int, ...]) -> int:
    """One side of a broadcast, with ONNX's leading 1s written out so that it can be stored in `order`."""
    shape = e.shape(name)
    if len(shape) in (0, rank):
        return e.read(name, order if shape else None).index
    full = (1,) * (rank - len(shape)) + shape
    if name in e.constants:
        return e.constant(f"{name}.{rank}d", e.constants[name].reshape(full).transpose(order))
    flat = e.read(name, tuple(range(len(shape))))
    stored = tuple(full[axis] for axis in order)
    if sum(n != 1 for n in shape) > 1 and order != tuple(range(rank)):
        raise ConversionError(f"value {name}: a {len(shape)}-D value broadcast against a picture")
    index = e.tensor(f"{name}.{rank}d", stored, flat.dtype)
    _reshape_to(e, flat.index, index, stored, name)
    return index


# -- shapes ----------------------------------------------------------------------------------------


def _reshape_to(e: Emitter, source: int, target: int, stored: tuple[int, ...], name: str) -> None:
    options = e.schema.ReshapeOptionsT()
    options.newShape = [int(n) for n in stored]
    e.operator("RESHAPE", [source, e.constant(f"{name}.shape", np.int32(stored))], [target], options=options)


def _reshape(e: Emitter, node: onnx.NodeProto, _: Attributes) -> None:
    """Flatten, Reshape, Squeeze and Unsqueeze: the elements keep ONNX's order, the shape is inferred."""
    source = e.read(node.input[0])
    # Without its axes of length 1 the stored order may already be ONNX's: then nothing need be moved.
    real = [axis for axis in source.order if source.shape[axis] != 1]
    if real != sorted(real):
        source = e.read(node.input[0], tuple(range(len(source.shape))))
    shape = e.shape(node.output[0])
    _reshape_to(e, source.index, e.output(node.output[0]), shape, node.output[0])


def _transpose(e: Emitter, node: onnx.NodeProto, a: Attributes) -> None:
    """Free: the same stored tensor, explained by another permutation."""
    source = e.read(node.input[0])
    permutation = a.get("perm", list(range(len(source.shape)))[::-1])
    shape = tuple(source.shape[axis] for axis in permutation)
    order = tuple(permutation.index(axis) for axis in source.order)
    e.values[node.output[0]] = type(source)(source.index, shape, order, source.dtype)


def _concat(e: Emitter, node: onnx.NodeProto, a: Attributes) -> None:
    rank = len(e.shape(node.output[0]))
    order = NHWC if rank == 4 else tuple(range(rank))
    sources = [e.read(name, order) for name in node.input]
    options = e.schema.ConcatenationOptionsT()
    options.axis = order.index(a["axis"] % rank)  # no activation: LiteRT ignores one that is fused here
    output = e.output(node.output[0], order)
    e.operator("CONCATENATION", [s.index for s in sources], [output], options=options)


def _cast(e: Emitter, node: onnx.NodeProto, _: Attributes) -> None:
    source = e.read(node.input[0])
    e.operator(
        "CAST", [source.index], [e.output(node.output[0], source.order)], options=e.schema.CastOptionsT()
    )


def _identity(e: Emitter, node: onnx.NodeProto, _: Attributes) -> None:
    e.values[node.output[0]] = e.read(node.input[0])


# -- the classifier --------------------------------------------------------------------------------


def _gemm(e: Emitter, node: onnx.NodeProto, a: Attributes) -> str | None:
    if a.get("transA", 0) or a.get("alpha", 1.0) != 1.0 or a.get("beta", 1.0) != 1.0:
        raise _refuse(node, "transA, alpha or beta")
    if node.input[1] not in e.constants or len(e.shape(node.input[0])) != 2:
        raise _refuse(node, "only [N, in] times constant weights")
    weight = e.constants[node.input[1]]
    weight = weight if node.op_type == "Gemm" and a.get("transB", 0) else weight.T  # [out, in]
    bias_name = node.input[2] if len(node.input) > 2 else ""
    bias = e.constants.get(bias_name) if bias_name else np.zeros(1, np.float32)
    if bias is None or bias.shape not in ((), (1,), weight.shape[:1], (1, 1), (1, len(weight))):
        raise _refuse(node, "only a constant bias, the same for every row")
    bias = np.broadcast_to(bias.reshape(-1), weight.shape[:1])
    source = e.read(node.input[0], (0, 1))
    options = e.schema.FullyConnectedOptionsT()
    name, swallowed = _fuse(e, node, options)
    inputs = [source.index, e.constant(node.input[1], weight), e.constant(f"{node.output[0]}.bias", bias)]
    e.operator("FULLY_CONNECTED", inputs, [e.output(name)], options=options)
    return swallowed


OPERATORS: dict[str, Translate] = {
    "Add": _binary("ADD", "AddOptionsT"),
    "AveragePool": _pool("AVERAGE_POOL_2D"),
    "Cast": _cast,
    "Clip": _clip,
    "Concat": _concat,
    "Conv": _conv,
    "Div": _binary("DIV", "DivOptionsT"),
    "Dropout": _identity,
    "Flatten": _reshape,
    "Gemm": _gemm,
    "GlobalAveragePool": _global_average_pool,
    "HardSwish": _hard_swish,
    "Identity": _identity,
    "MatMul": _gemm,
    "MaxPool": _pool("MAX_POOL_2D"),
    "Mul": _binary("MUL", "MulOptionsT"),
    "ReduceMean": _reduce_mean,
    "Relu": _unary("RELU"),
    "Reshape": _reshape,
    "Sigmoid": _unary("LOGISTIC"),
    "Softmax": _softmax,
    "Squeeze": _reshape,
    "Sub": _binary("SUB", "SubOptionsT"),
    "Tanh": _unary("TANH"),
    "Transpose": _transpose,
    "Unsqueeze": _reshape,
}
