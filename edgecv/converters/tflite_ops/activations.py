"""Activations: one operator where TFLite has it, a few where it has not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgecv.converters.tflite_emitter import Emitter
from edgecv.converters.tflite_ops.common import (
    FUSED_RANGES,
    Attributes,
    Translate,
    clip_range,
    refuse,
)
from edgecv.converters.tflite_order import Value, with_last

if TYPE_CHECKING:
    import onnx

    Compose = "Callable[[Emitter, Value, Attributes], Value]"

# erf(x) = x P(x^2) / Q(x^2) for |x| < 3.83, where it reaches 1 in float32: XLA's approximation.
_ERF_END = 3.832506856900711
_ERF_P = (
    2.2905065861350646e-4,
    3.4082910107109506e-3,
    5.0955695062380861e-2,
    1.8520832239976145e-1,
    1.128379143519084,
)
_ERF_Q = (
    -1.1791602954361697e-7,
    2.3547966471313185e-5,
    1.0179625278914885e-3,
    1.4070470171167667e-2,
    1.1098505178285362e-1,
    4.9746925110067538e-1,
    1.0,
)


def composed(compose: Compose) -> Translate:
    """A translation from what computes it out of one value."""

    def translate(e: Emitter, node: onnx.NodeProto, a: Attributes) -> None:
        e.define(node.output[0], compose(e, e.read(node.input[0]), a))

    return translate


def unary(builtin: str) -> Translate:
    return composed(lambda e, x, _: e.like(builtin, x))


def _clip(e: Emitter, node: onnx.NodeProto, _: Attributes) -> None:
    low, high = clip_range(e, node)
    value = e.read(node.input[0])
    builtin = FUSED_RANGES.get((low, high)) if value.dtype == np.float32 else None
    if builtin:
        value = e.like(builtin, value)
    else:
        if _bounds_below(low, value.dtype):
            value = e.like("MAXIMUM", value, low)
        if _bounds_above(high, value.dtype):
            value = e.like("MINIMUM", value, high)
    e.define(node.output[0], value)


def _bounds_below(low: float, dtype: np.dtype) -> bool:
    return low > (-np.inf if dtype.kind == "f" else np.iinfo(dtype).min)


def _bounds_above(high: float, dtype: np.dtype) -> bool:
    return high < (np.inf if dtype.kind == "f" else np.iinfo(dtype).max)


def _relu(e: Emitter, x: Value, _: Attributes) -> Value:
    return e.like("RELU", x) if x.dtype == np.float32 else e.like("MAXIMUM", x, 0)


def _leaky_relu(e: Emitter, x: Value, a: Attributes) -> Value:
    return e.like("LEAKY_RELU", x, alpha=a.get("alpha", 0.01))


def _prelu(e: Emitter, node: onnx.NodeProto, _: Attributes) -> None:
    shape = e.shape(node.output[0])
    (value, slope), order = e.operands(node.input, shape)
    if node.input[1] not in e.constants:  # TFLite wants constants: x > 0 ? x : slope * x
        product = e.apply("MUL", [value, slope], shape, order)
        positive = e.apply("GREATER", [value, 0.0], shape, order, np.bool_)
        e.define(node.output[0], e.apply("SELECT_V2", [positive, value, product], shape, order, np.float32))
        return
    # Without the batch axis, as the schema has it; a scalar stands for every channel.
    slopes = e.constants[node.input[1]]
    full = slopes.reshape((1,) * (len(shape) - slopes.ndim) + slopes.shape).transpose(order)
    if full.shape[0] != 1:
        raise refuse(node, "one slope for each picture of a batch")
    e.define(node.output[0], e.apply("PRELU", [value, full[0]], shape, order))


def _elu(e: Emitter, x: Value, alpha: float) -> Value:
    """TFLite's ELU is alpha = 1: max(x, 0) + alpha * elu(min(x, 0))."""
    if alpha == 1.0:
        return e.like("ELU", x)
    negative = e.like("MUL", e.like("ELU", e.like("MINIMUM", x, 0.0)), alpha)
    return e.like("ADD", e.like("RELU", x), negative)


def _selu(e: Emitter, x: Value, a: Attributes) -> Value:
    alpha = a.get("alpha", 1.6732631921768188)
    return e.like("MUL", _elu(e, x, alpha), a.get("gamma", 1.0507010221481323))


def _celu(e: Emitter, x: Value, a: Attributes) -> Value:
    """max(x, 0) + alpha * (exp(min(x, 0) / alpha) - 1)."""
    alpha = a.get("alpha", 1.0)
    scaled = e.like("ELU", e.like("MUL", e.like("MINIMUM", x, 0.0), 1 / alpha))
    return e.like("ADD", e.like("RELU", x), e.like("MUL", scaled, alpha))


def _hard_sigmoid(e: Emitter, x: Value, a: Attributes) -> Value:
    """max(0, min(1, alpha * x + beta)) as relu6(6 * alpha * x + 6 * beta) / 6, which every delegate knows."""
    alpha, beta = 6 * np.float32(a.get("alpha", 0.2)), 6 * np.float32(a.get("beta", 0.5))
    scaled = x if abs(alpha - 1) < 1e-6 else e.like("MUL", x, alpha)
    relu6 = e.file.schema.ActivationFunctionType.RELU6
    return e.like("MUL", e.like("ADD", scaled, beta, fusedActivationFunction=relu6), 1 / 6)


def _softplus(e: Emitter, x: Value) -> Value:
    """log(1 + exp(x)) = max(x, 0) + log(1 + exp(-|x|)), which overflows nowhere."""
    small = e.like("EXP", e.like("NEG", e.like("ABS", x)))
    return e.like("ADD", e.like("RELU", x), e.like("LOG", e.like("ADD", small, 1.0)))


def _mish(e: Emitter, x: Value, _: Attributes) -> Value:
    return e.like("MUL", x, e.like("TANH", _softplus(e, x)))


def _softsign(e: Emitter, x: Value, _: Attributes) -> Value:
    return e.like("DIV", x, e.like("ADD", e.like("ABS", x), 1.0))


def _thresholded_relu(e: Emitter, x: Value, a: Attributes) -> Value:
    above = e.like("GREATER", x, float(a.get("alpha", 1.0)), dtype=np.bool_)
    return e.apply("SELECT_V2", [above, x, np.zeros((), x.dtype)], x.shape, x.order, x.dtype)


def _swish(e: Emitter, x: Value, a: Attributes) -> Value:
    alpha = a.get("alpha", 1.0)
    return e.like("MUL", x, e.like("LOGISTIC", x if alpha == 1.0 else e.like("MUL", x, alpha)))


def _gelu(e: Emitter, x: Value, a: Attributes) -> Value:
    return e.like("GELU", x, approximate=a.get("approximate", b"none") == b"tanh")


def _erf(e: Emitter, x: Value, _: Attributes) -> Value:
    x = e.like("MAXIMUM", e.like("MINIMUM", x, _ERF_END), -_ERF_END)
    square = e.like("MUL", x, x)
    return e.like("DIV", e.like("MUL", x, _polynomial(e, square, _ERF_P)), _polynomial(e, square, _ERF_Q))


def _polynomial(e: Emitter, x: Value, coefficients: tuple[float, ...]) -> Value:
    """Horner's rule, the highest power first."""
    value = e.like("ADD", e.like("MUL", x, coefficients[0]), coefficients[1])
    for coefficient in coefficients[2:]:
        value = e.like("ADD", e.like("MUL", value, x), coefficient)
    return value


def _softmax(builtin: str, **options: float) -> Translate:
    """Over any axis: TFLite's is the last stored one, which a picture's channels already are."""

    def translate(e: Emitter, node: onnx.NodeProto, a: Attributes) -> None:
        value = e.read(node.input[0])
        order = with_last(value.order, a.get("axis", -1) % len(value.shape))
        e.define(node.output[0], e.like(builtin, e.stored_as(value, order), **options))

    return translate


ACTIVATIONS: dict[str, Translate] = {
    "Celu": composed(_celu),
    "Clip": _clip,
    "Elu": composed(lambda e, x, a: _elu(e, x, a.get("alpha", 1.0))),
    "Erf": composed(_erf),
    "Gelu": composed(_gelu),
    "HardSigmoid": composed(_hard_sigmoid),
    "HardSwish": unary("HARD_SWISH"),
    "LeakyRelu": composed(_leaky_relu),
    "LogSoftmax": _softmax("LOG_SOFTMAX"),
    "Mish": composed(_mish),
    "PRelu": _prelu,
    "Relu": composed(_relu),
    "Selu": composed(_selu),
    "Sigmoid": unary("LOGISTIC"),
    "Softmax": _softmax("SOFTMAX", beta=1.0),
    "Softplus": composed(lambda e, x, _: _softplus(e, x)),
    "Softsign": composed(_softsign),
    "Swish": composed(_swish),
    "Tanh": unary("TANH"),
    "ThresholdedRelu": composed(_thresholded_relu),
}
