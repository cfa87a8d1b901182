"""ONNX -> TFLite: what a classifier is made of answers as in ONNX Runtime, with no transpose too many."""

from __future__ import annotations

import pytest

for module in ("onnx", "onnxruntime", "ai_edge_litert"):
    pytest.importorskip(module, reason="a converting test: pip install edgecv[convert]")

from convert_graphs import Case, graph, ints, number

from edgecv.converters.tflite import emit

X = "float[1,3,8,7] x"  # a picture, NCHW
ROW = "float[2,6] x"


W3 = {"w": (4, 3, 3, 3), "b": (4,)}
DEPTHWISE = {"w": (3, 1, 3, 3), "b": (3,)}
SIX = {"zero": number(0), "six": number(6)}

CASES = {
    # -- convolutions: padding
    "conv valid": Case(X, "y = Conv(x, w, b)", W3, "T CONV_2D T"),
    # the odd pixel of SAME goes to the end: 8 rows in steps of 2 need (0, 1), 7 columns (1, 1)
    "conv same, stride 2": Case(X, "y = Conv<strides=[2,2], pads=[0,1,1,1]>(x, w, b)", W3, "T CONV_2D T"),
    "conv same": Case(X, "y = Conv<pads=[1,1,1,1]>(x, w, b)", W3, "T CONV_2D T"),
    # PyTorch's symmetric padding at stride 2 is not SAME
    "conv symmetric, stride 2": Case(
        X, "y = Conv<strides=[2,2], pads=[1,1,1,1]>(x, w, b)", W3, "T PAD CONV_2D T"
    ),
    "conv asymmetric": Case(X, "y = Conv<pads=[2,0,1,3]>(x, w, b)", W3, "T PAD CONV_2D T"),
    # -- convolutions: the rest
    "conv unequal strides": Case(X, "y = Conv<strides=[1,2]>(x, w, b)", W3, "T CONV_2D T"),
    "conv dilated valid": Case(X, "y = Conv<dilations=[2,3]>(x, w, b)", W3, "T CONV_2D T"),
    "conv dilated same": Case(
        X, "y = Conv<dilations=[2,2], pads=[2,2,2,2]>(x, w, b)", W3, "T CONV_2D T"
    ),
    "conv without bias": Case(X, "y = Conv(x, w)", {"w": (4, 3, 1, 1)}, "T CONV_2D T"),
    "conv 5x1": Case(X, "y = Conv<pads=[2,0,2,0]>(x, w)", {"w": (4, 3, 5, 1)}, "T CONV_2D T"),
    "conv auto_pad VALID": Case(X, 'y = Conv<auto_pad="VALID">(x, w, b)', W3, "T CONV_2D T"),
    "conv of one channel": Case(
        "float[1,1,6,6] x", "y = Conv(x, w, b)", {"w": (2, 1, 3, 3), "b": (2,)}, "RESHAPE CONV_2D T"
    ),
    "conv grouped": Case(
        "float[1,4,6,6] x", "y = Conv<group=2>(x, w, b)", {"w": (6, 2, 3, 3), "b": (6,)}, "T CONV_2D T"
    ),
    "conv depthwise": Case(
        X, "y = Conv<group=3, pads=[1,1,1,1]>(x, w, b)", DEPTHWISE, "T DEPTHWISE_CONV_2D T"
    ),
    "conv depthwise, stride 2": Case(
        X, "y = Conv<group=3, strides=[2,2], pads=[0,1,1,1]>(x, w, b)", DEPTHWISE, "T DEPTHWISE_CONV_2D T"
    ),
    "conv depthwise, dilated": Case(
        X, "y = Conv<group=3, dilations=[2,2]>(x, w, b)", DEPTHWISE, "T DEPTHWISE_CONV_2D T"
    ),
    # two outputs a channel
    "conv depth multiplier": Case(
        X, "y = Conv<group=3>(x, w, b)", {"w": (6, 1, 3, 3), "b": (6,)}, "T DEPTHWISE_CONV_2D T"
    ),
    "conv batch of two": Case("float[2,3,5,5] x", "y = Conv(x, w, b)", W3, "T CONV_2D T"),
    # -- pooling
    "max pool valid": Case(X, "y = MaxPool<kernel_shape=[2,3], strides=[2,1]>(x)", {}, "T MAX_POOL_2D T"),
    "max pool same": Case(
        X, "y = MaxPool<kernel_shape=[3,3], strides=[2,2], pads=[0,1,1,1]>(x)", {}, "T MAX_POOL_2D T"
    ),
    # padded with its own mirror image: a zero would win over negative pixels, infinity has no int8
    "max pool explicit": Case(
        X, "n = Sub(x, five) y = MaxPool<kernel_shape=[3,3], strides=[2,2], pads=[1,1,1,1]>(n)",
        {"five": number(5)}, "SUB T MIRROR_PAD MAX_POOL_2D T",
    ),
    "average pool valid": Case(X, "y = AveragePool<kernel_shape=[2,2]>(x)", {}, "T AVERAGE_POOL_2D T"),
    # TFLite leaves SAME's padding out of the mean, as count_include_pad = 0 does
    "average pool same": Case(
        X, "y = AveragePool<kernel_shape=[3,3], pads=[1,1,1,1]>(x)", {}, "T AVERAGE_POOL_2D T"
    ),
    "global average pool": Case(X, "y = GlobalAveragePool(x)", {}, "MEAN"),
    "global average pool of a sequence": Case("float[1,3,5] x", "y = GlobalAveragePool(x)", {}, "MEAN"),
    # -- arithmetic: broadcasting, beside values that are kept NHWC
    "add two pictures": Case(X, "y = Add(x, x)", {}, "ADD"),
    "add [C,1,1]": Case(X, "a = Conv(x, w, b) y = Add(a, c)", {**W3, "c": (4, 1, 1)}, "T CONV_2D ADD T"),
    "mul [1,C,1,1]": Case(
        X, "a = Conv(x, w, b) y = Mul(a, c)", {**W3, "c": (1, 4, 1, 1)}, "T CONV_2D MUL T"
    ),
    "mul scalar": Case(X, "a = Conv(x, w, b) y = Mul(a, c)", {**W3, "c": number(3)}, "T CONV_2D MUL T"),
    "sub from a scalar": Case(X, "y = Sub(c, x)", {"c": number(3)}, "SUB"),
    "add [W]": Case(X, "a = Conv(x, w, b) y = Add(a, c)", {**W3, "c": (5,)}, "T CONV_2D ADD T"),
    "add [H,W]": Case(X, "a = Conv(x, w, b) y = Add(a, c)", {**W3, "c": (6, 5)}, "T CONV_2D ADD T"),
    "add [N,1]": Case(ROW, "y = Add(x, c)", {"c": (2, 1)}, "ADD"),
    "add [N,1] to a vector": Case("float[6] x", "y = Add(c, x)", {"c": (2, 1)}, "RESHAPE ADD"),
    "div by a constant": Case(X, "y = Div(x, p)", {"p": (3, 1, 1)}, "DIV"),
    "div of a constant": Case(X, "s = Sigmoid(x) y = Div(c, s)", {"c": number(1)}, "LOGISTIC DIV"),
    # squeeze and excite: a picture times one number a channel
    "mul by channel means": Case(
        X, "a = Conv(x, w, b) m = GlobalAveragePool(a) y = Mul(a, m)", W3, "T CONV_2D MEAN MUL T"
    ),
    # one side NHWC, the other as the graph's input has it: that is transposed once
    "add in two orders": Case(
        X, "a = Conv<pads=[1,1,1,1]>(x, w) y = Add(a, x)", {"w": (3, 3, 3, 3)}, "T CONV_2D ADD T"
    ),
    # -- activations, alone
    "relu": Case(X, "y = Relu(x)", {}, "RELU"),
    "sigmoid": Case(X, "y = Sigmoid(x)", {}, "LOGISTIC"),
    "tanh": Case(X, "y = Tanh(x)", {}, "TANH"),
    "hard swish": Case(X, "y = HardSwish(x)", {}, "HARD_SWISH"),
    "softmax": Case(ROW, "y = Softmax(x)", {}, "SOFTMAX"),
    "softmax of a picture's columns": Case(
        X, "a = Conv(x, w, b) y = Softmax<axis=3>(a)", W3, "T CONV_2D T SOFTMAX"
    ),
    "clip 0..6": Case(X, "y = Clip(x, zero, six)", SIX, "RELU6"),
    "clip -1..1": Case(X, "y = Clip(x, a, b)", {"a": number(-1), "b": number(1)}, "RELU_N1_TO_1"),
    "clip 0..": Case(X, "y = Clip(x, zero)", SIX, "RELU"),
    "clip ..0.5": Case(X, "y = Clip(x, , b)", {"b": number(0.5)}, "MINIMUM"),
    "clip -0.3..": Case(X, "y = Clip(x, a)", {"a": number(-0.3)}, "MAXIMUM"),
    "clip -0.3..0.4": Case(
        X, "y = Clip(x, a, b)", {"a": number(-0.3), "b": number(0.4)}, "MAXIMUM MINIMUM"
    ),
    "clip without bounds": Case(X, "r = Tanh(x) y = Clip(r)", {}, "TANH"),
    # -- activations, fused into their producer
    "conv relu6": Case(X, "a = Conv(x, w, b) y = Clip(a, zero, six)", {**W3, **SIX}, "T CONV_2D+RELU6 T"),
    "depthwise relu": Case(
        X, "a = Conv<group=3>(x, w, b) y = Relu(a)", DEPTHWISE, "T DEPTHWISE_CONV_2D+RELU T"
    ),
    "conv clip -1..1": Case(
        X, "a = Conv(x, w, b) y = Clip(a, l, h)", {**W3, "l": number(-1), "h": number(1)},
        "T CONV_2D+RELU_N1_TO_1 T",
    ),
    "conv other clip": Case(
        X, "a = Conv(x, w, b) y = Clip(a, l, h)", {**W3, "l": number(0), "h": number(1)},
        "T CONV_2D MAXIMUM MINIMUM T",
    ),
    "add relu": Case(X, "a = Add(x, x) y = Relu(a)", {}, "ADD+RELU"),
    "mul relu6": Case(X, "a = Mul(x, x) y = Clip(a, zero, six)", SIX, "MUL+RELU6"),
    "sub relu": Case(X, "a = Sub(x, c) y = Relu(a)", {"c": (3, 1, 1)}, "SUB+RELU"),
    "div relu": Case(X, "a = Div(x, p) y = Relu(a)", {"p": (3, 1, 1)}, "DIV+RELU"),
    "max pool relu": Case(X, "a = MaxPool<kernel_shape=[2,2]>(x) y = Relu(a)", {}, "T MAX_POOL_2D+RELU T"),
    "gemm relu": Case(ROW, "a = Gemm(x, w) y = Relu(a)", {"w": (6, 4)}, "FULLY_CONNECTED+RELU"),
    # TFLite's concatenation takes no activation
    "concat relu": Case(X, "a = Concat<axis=1>(x, x) y = Relu(a)", {}, "CONCATENATION RELU"),
    # -- activations that must stay apart: somebody else wants to see what is before them
    "relu of an output": Case(
        X, "a = Conv(x, w, b) y = Relu(a)", W3, "T CONV_2D RELU T T", outputs=("a", "y")
    ),
    "relu of a value read twice": Case(
        X, "a = Conv(x, w, b) r = Relu(a) y = Add(a, r)", W3, "T CONV_2D RELU ADD T"
    ),
    "two relus": Case(X, "a = Conv(x, w, b) r = Relu(a) q = Relu(a) y = Add(q, r)", W3,
                      "T CONV_2D RELU RELU ADD T"),
    # -- shapes
    "flatten of a picture": Case(
        X, "a = Conv(x, w, b) y = Flatten(a)", W3, "T CONV_2D T RESHAPE"
    ),  # H and W are real: the elements must move
    "flatten of one pixel": Case(X, "a = GlobalAveragePool(x) y = Flatten(a)", {}, "MEAN RESHAPE"),
    "flatten of one pixel after a conv": Case(
        "float[1,3,3,3] x", "a = Conv(x, w, b) y = Flatten(a)", W3, "T CONV_2D RESHAPE"
    ),
    "flatten of one channel": Case(
        "float[1,3,4,4] x", "a = Conv(x, w) y = Flatten(a)", {"w": (1, 3, 1, 1)}, "T CONV_2D RESHAPE"
    ),
    "flatten axis 2": Case(X, "y = Flatten<axis=2>(x)", {}, "RESHAPE"),
    "flatten axis 0": Case(X, "y = Flatten<axis=0>(x)", {}, "RESHAPE"),
    "reshape": Case(X, "y = Reshape(x, s)", {"s": ints(1, 6, -1, 7)}, "RESHAPE"),
    "reshape with a kept axis": Case(X, "y = Reshape(x, s)", {"s": ints(0, 0, -1)}, "RESHAPE"),
    "reshape of a conv": Case(
        X, "a = Conv(x, w, b) y = Reshape(a, s)", {**W3, "s": ints(1, 2, 2, -1)}, "T CONV_2D RESHAPE T"
    ),
    "squeeze": Case("float[1,3,1,5] x", "y = Squeeze(x, s)", {"s": ints(0, 2)}, "RESHAPE"),
    "squeeze of a conv": Case(
        "float[1,3,8,1] x", "a = Conv(x, w) y = Squeeze(a, s)", {"w": (4, 3, 3, 1), "s": ints(-1)},
        "T CONV_2D RESHAPE T",
    ),
    "unsqueeze": Case(ROW, "y = Unsqueeze(x, s)", {"s": ints(0, -1)}, "RESHAPE"),
    "transpose to the output": Case(X, "y = Transpose<perm=[0,2,3,1]>(x)", {}, "T"),
    "transpose by default": Case("float[2,3,4] x", "y = Transpose(x)", {}, "T"),
    "transpose of three axes": Case("float[2,3,4] x", "y = Transpose<perm=[1,2,0]>(x)", {}, "T"),
    "transpose and back": Case(
        X, "t = Transpose<perm=[0,2,3,1]>(x) r = Relu(t) y = Transpose<perm=[0,3,1,2]>(r)", {}, "RELU"
    ),
    "transpose of a conv": Case(
        X, "a = Conv(x, w, b) y = Transpose<perm=[0,2,3,1]>(a)", W3, "T CONV_2D"
    ),
    "transpose before arithmetic": Case(
        "float[2,3,4] x", "t = Transpose<perm=[2,0,1]>(x) y = Add(t, c)", {"c": (4, 2, 3)}, "ADD T"
    ),
    # the picture as a camera gives it: no transpose is left
    "conv of an NHWC input": Case(
        "float[1,8,7,3] i",
        "x = Transpose<perm=[0,3,1,2]>(i) a = Conv(x, w, b) y = ReduceMean<axes=[2,3], keepdims=0>(a)",
        W3, "CONV_2D MEAN",
    ),
    "concat axis 0": Case(ROW, "y = Concat<axis=0>(x, x)", {}, "CONCATENATION"),
    "concat channels": Case(
        X, "a = Conv(x, w, b) c = Relu(a) d = Tanh(a) y = Concat<axis=1>(c, d)", W3,
        "T CONV_2D RELU TANH CONCATENATION T",
    ),
    "concat rows": Case(X, "y = Concat<axis=2>(x, x)", {}, "CONCATENATION"),
    "concat columns": Case(X, "y = Concat<axis=-1>(x, x)", {}, "CONCATENATION"),
    "concat with a constant": Case(ROW, "y = Concat<axis=1>(x, c)", {"c": (2, 3)}, "CONCATENATION"),
    # -- reductions
    "mean of the channels, kept": Case(X, "y = ReduceMean<axes=[1]>(x)", {}, "MEAN"),
    "mean of the pixels, kept": Case(
        X, "a = Conv(x, w, b) y = ReduceMean<axes=[2,3]>(a)", W3, "T CONV_2D MEAN RESHAPE"
    ),
    "mean of the pixels": Case(
        X, "a = Conv(x, w, b) y = ReduceMean<axes=[-2,-1], keepdims=0>(a)", W3, "T CONV_2D MEAN"
    ),
    # what is left of NHWC is H, W, C without W: its order must be put right
    "mean of the columns": Case(
        X, "a = Conv(x, w, b) y = ReduceMean<axes=[3], keepdims=0>(a)", W3, "T CONV_2D MEAN T"
    ),
    "mean of all": Case(X, "y = ReduceMean<keepdims=0>(x)", {}, "MEAN"),
    # -- the classifier
    "gemm": Case(ROW, "y = Gemm(x, w, b)", {"w": (6, 4), "b": (4,)}, "FULLY_CONNECTED"),
    "gemm transB": Case(ROW, "y = Gemm<transB=1>(x, w, b)", {"w": (4, 6), "b": (4,)}, "FULLY_CONNECTED"),
    "gemm without bias": Case(ROW, "y = Gemm<transB=1>(x, w)", {"w": (4, 6)}, "FULLY_CONNECTED"),
    "gemm with a row of bias": Case(ROW, "y = Gemm(x, w, b)", {"w": (6, 4), "b": (1, 4)}, "FULLY_CONNECTED"),
    "gemm with one bias": Case(ROW, "y = Gemm(x, w, b)", {"w": (6, 4), "b": (1,)}, "FULLY_CONNECTED"),
    "matmul": Case(ROW, "y = MatMul(x, w)", {"w": (6, 4)}, "FULLY_CONNECTED"),
    # -- the rest
    "cast of a picture": Case(
        "uint8[1,4,4,3] x", "y = Cast<to=1>(x)", {}, "CAST"
    ),
    "identity": Case(X, "a = Relu(x) y = Identity(a)", {}, "RELU"),
    "dropout": Case(X, "a = Relu(x) d = Dropout(a) y = Tanh(d)", {}, "RELU TANH"),
    "two inputs": Case("float[1,3,4,4] x, float[1,3,1,1] z", "y = Mul(x, z)", {}, "MUL"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_it_answers_as_onnx_runtime_does(name: str) -> None:
    CASES[name].check()


def test_the_file_is_the_same_every_time() -> None:
    case = CASES["conv relu6"]
    model = graph(case.inputs, case.body, case.constants)
    assert emit(model) == emit(model)
