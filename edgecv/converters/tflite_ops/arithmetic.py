"""Element by element: arithmetic with broadcasting, comparisons, logic, choices and casts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgecv.converters.tflite_emitter import Emitter
from edgecv.converters.tflite_ops.activations import composed, unary
from edgecv.converters.tflite_ops.common import Attributes, Translate, fused_activation, refuse
from edgecv.converters.tflite_order import Value

if TYPE_CHECKING:
    import onnx

_FUSING = ("ADD", "SUB", "MUL", "DIV")


def _binary(builtin: str, dtype: type | None = None) -> Translate:
    """dtype: of the result, None where it is the operands'."""

    def translate(e: Emitter, node: onnx.NodeProto, _: Attributes) -> None:
        shape = e.shape(node.output[0])
        operands, order = e.operands(node.input, shape)
        options, name = {}, node.output[0]
        if builtin in _FUSING:
            options["fusedActivationFunction"], name = fused_activation(e, node)
        narrow = builtin == "DIV" and operands[0].dtype == np.int64  # its kernel takes int32 and float
        if narrow:
            operands = [e.like("CAST", value, dtype=np.int32) for value in operands]
        result = e.apply(builtin, operands, shape, order, dtype, **options)
        e.define(name, e.like("CAST", result, dtype=np.int64) if narrow else result)

    return translate


def _pow(e: Emitter, node: onnx.NodeProto, _: Attributes) -> None:
    shape = e.shape(node.output[0])
    (x, y), order = e.operands(node.input, shape)
    exponent = e.constants.get(node.input[1])
    if exponent is not None and exponent.size == 1 and float(exponent.reshape(())) == 2 and x.shape == shape:
        e.define(node.output[0], e.like("MUL", x, x))  # which every delegate and int8 has
        return
    kept, narrow = x.dtype, np.int32 if x.dtype == np.int64 else x.dtype  # its kernel has no int64
    x, y = (side if side.dtype == narrow else e.like("CAST", side, dtype=narrow) for side in (x, y))
    power = e.apply("POW", [x, y], shape, order)
    e.define(node.output[0], power if kept == narrow else e.like("CAST", power, dtype=kept))


def _chain(builtin: str) -> Translate:
    """Min, Max, Sum: any number of operands, two at a time."""

    def translate(e: Emitter, node: onnx.NodeProto, _: Attributes) -> None:
        shape = e.shape(node.output[0])
        operands, order = e.operands(node.input, shape)
        value = operands[0]
        for other in operands[1:]:
            between = np.broadcast_shapes(value.shape, other.shape)
            value = e.apply(builtin, [value, other], between, order if len(between) == len(order) else None)
        e.define(node.output[0], value)

    return translate


def _mod(e: Emitter, node: onnx.NodeProto, a: Attributes) -> None:
    shape = e.shape(node.output[0])
    (x, y), order = e.operands(node.input, shape)
    if not a.get("fmod", 0):  # the divisor's sign, as TFLite's
        e.define(node.output[0], e.apply("FLOOR_MOD", [x, y], shape, order))
        return
    if x.dtype != np.float32:
        raise refuse(node, f"fmod of {x.dtype}: only float32")
    sizes = e.apply("FLOOR_MOD", [e.like("ABS", x), e.like("ABS", y)], shape, order)  # the dividend's sign
    e.define(node.output[0], e.apply("MUL", [sizes, e.like("SIGN", x)], shape, order))


def _not(e: Emitter, x: Value, _: Attributes) -> Value:
    return e.like("LOGICAL_NOT", x)


def _where(e: Emitter, node: onnx.NodeProto, _: Attributes) -> None:
    shape = e.shape(node.output[0])
    operands, order = e.operands(node.input, shape)
    e.define(node.output[0], e.apply("SELECT_V2", operands, shape, order, operands[1].dtype))


def _sqrt(e: Emitter, node: onnx.NodeProto, _: Attributes) -> None:
    """1 / sqrt(x) is one operator."""
    value = e.read(node.input[0])
    follower = e.only_user(node.output[0])
    if follower is not None and follower.op_type == "Reciprocal":
        e.swallowed.add(follower.output[0])
        e.define(follower.output[0], e.like("RSQRT", value))
    else:
        e.define(node.output[0], e.like("SQRT", value))


def _abs(e: Emitter, x: Value, _: Attributes) -> Value:
    return e.like("ABS", x) if x.dtype != np.int64 else e.like("MAXIMUM", x, e.like("NEG", x))


def _reciprocal(e: Emitter, x: Value, _: Attributes) -> Value:
    return e.like("DIV", np.array(1, x.dtype), x)


def _sign(e: Emitter, x: Value, _: Attributes) -> Value:
    return e.like("SIGN", x)


def _cast(e: Emitter, node: onnx.NodeProto, _: Attributes) -> None:
    value, dtype = e.read(node.input[0]), e.dtype(node.output[0])
    if value.dtype == dtype:
        e.define(node.output[0], value)
        return
    if dtype == np.bool_:  # TFLite's cast to bool keeps the low bits only
        zero = np.zeros((), value.dtype)
        e.define(node.output[0], e.like("NOT_EQUAL", value, zero, dtype=np.bool_))
        return
    e.define(node.output[0], e.like("CAST", value, dtype=dtype))


ARITHMETIC: dict[str, Translate] = {
    "Abs": composed(_abs),
    "Add": _binary("ADD"),
    "And": _binary("LOGICAL_AND"),
    "Cast": _cast,
    "Ceil": unary("CEIL"),
    "Cos": unary("COS"),
    "Div": _binary("DIV"),
    "Equal": _binary("EQUAL", np.bool_),
    "Exp": unary("EXP"),
    "Floor": unary("FLOOR"),
    "Greater": _binary("GREATER", np.bool_),
    "GreaterOrEqual": _binary("GREATER_EQUAL", np.bool_),
    "Less": _binary("LESS", np.bool_),
    "LessOrEqual": _binary("LESS_EQUAL", np.bool_),
    "Log": unary("LOG"),
    "Max": _chain("MAXIMUM"),
    "Min": _chain("MINIMUM"),
    "Mod": _mod,
    "Mul": _binary("MUL"),
    "Neg": unary("NEG"),
    "Not": composed(_not),
    "Or": _binary("LOGICAL_OR"),
    "Pow": _pow,
    "Reciprocal": composed(_reciprocal),
    "Round": unary("ROUND"),
    "Sign": composed(_sign),
    "Sin": unary("SIN"),
    "Sqrt": _sqrt,
    "Sub": _binary("SUB"),
    "Sum": _chain("ADD"),
    "Where": _where,
    "Xor": _binary("NOT_EQUAL", np.bool_),
}
