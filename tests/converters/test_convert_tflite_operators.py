"""ONNX -> TFLite: every other operator of the table, its awkward attributes first."""

from __future__ import annotations

import pytest

for module in ("onnx", "onnxruntime", "ai_edge_litert"):
    pytest.importorskip(module, reason="a converting test: pip install edgecv[convert]")

import numpy as np
import test_convert_tflite
import test_convert_tflite_windows
from convert_graphs import Case, floats, ints, number

from edgecv.converters.tflite_ops import OPERATORS

X = "float[1,3,8,7] x"  # a picture, NCHW
C = "a = Conv(x, w, b) "  # behind it values are stored NHWC
W3 = {"w": (4, 3, 3, 3), "b": (4,)}
ROW = "float[2,6] x"

CASES = {
    # -- moving elements
    "split equal": Case(X, C + "s0, s1 = Split<axis=1>(a) y = Sub(s0, s1)", W3, "T CONV_2D SPLIT SUB T"),
    "split sizes": Case(
        X,
        "s0, s1 = Split<axis=1>(x, z) t = Concat<axis=1>(s1, s0) y=Relu(t)",
        {"z": ints(1, 2)},
        "SPLIT_V CONCATENATION RELU",
    ),
    "split negative axis": Case(X, "s0, s1 = Split<axis=-2>(x) y = Sub(s0, s1)", {}, "SPLIT SUB"),
    # every second row, as YOLO's first layer has it
    "slice focus": Case(
        X,
        "y = Slice(x, s, e, a, t)",
        {"s": ints(0), "e": ints(9223372036854775807), "a": ints(2), "t": ints(2)},
        "STRIDED_SLICE",
    ),
    "slice nhwc": Case(
        X,
        "c = Conv(x, w, b) y = Slice(c, s, e, a)",
        {**W3, "s": ints(1, -3), "e": ints(3, -1), "a": ints(1, 3)},
        "T CONV_2D SLICE T",
    ),
    # backwards to and with the first element
    "slice back": Case(
        X,
        "y = Slice(x, s, e, a, t)",
        {"s": ints(-1), "e": ints(-9223372036854775807), "a": ints(-1), "t": ints(-2)},
        "STRIDED_SLICE",
    ),
    "slice back part": Case(
        X,
        "y = Slice(x, s, e, a, t)",
        {"s": ints(6), "e": ints(1), "a": ints(2), "t": ints(-1)},
        "STRIDED_SLICE",
    ),
    # nothing cut, nothing written
    "slice all": Case(
        X, "r=Relu(x) y = Slice(r, s, e, a)", {"s": ints(0), "e": ints(100), "a": ints(2)}, "RELU"
    ),
    "pad constant": Case(X, "y = Pad(x, p)", {"p": ints(0, 0, 1, 2, 0, 0, 3, 0)}, "PAD"),
    "pad value": Case(X, "y = Pad(x, p, v)", {"p": ints(0, 0, 1, 2, 0, 0, 3, 0), "v": number(114)}, "PADV2"),
    # a negative pad cuts
    "pad negative": Case(X, "y = Pad(x, p)", {"p": ints(0, 0, -1, 2, 0, 0, -2, 0)}, "SLICE PAD"),
    "pad reflect": Case(
        X, 'y = Pad<mode="reflect">(x, p)', {"p": ints(0, 0, 1, 2, 0, 0, 3, 0)}, "GATHER GATHER"
    ),
    "pad edge": Case(X, 'y = Pad<mode="edge">(x, p)', {"p": ints(0, 0, 1, 2, 0, 0, 3, 0)}, "GATHER GATHER"),
    "pad axes": Case(X, "y = Pad(x, p, , a)", {"p": ints(1, 2), "a": ints(-1)}, "PAD", opset=18),
    "pad of conv": Case(X, C + "y = Pad(a, p)", {**W3, "p": ints(0, 1, 0, 0, 0, 0, 0, 2)}, "T CONV_2D PAD T"),
    # TFLite's own order of channels
    "d2s dcr": Case("float[1,8,3,4] x", "y = DepthToSpace<blocksize=2>(x)", {}, "T DEPTH_TO_SPACE T"),
    # PixelShuffle's: channels are sorted first
    "d2s crd": Case(
        "float[1,12,3,4] x", 'y = DepthToSpace<blocksize=2, mode="CRD">(x)', {}, "T GATHER DEPTH_TO_SPACE T"
    ),
    "s2d": Case("float[1,3,4,6] x", "y = SpaceToDepth<blocksize=2>(x)", {}, "T SPACE_TO_DEPTH T"),
    # negative indices count from the end
    "gather": Case(X, C + "y = Gather<axis=1>(a, i)", {**W3, "i": ints(3, -1, 0)}, "T CONV_2D GATHER T"),
    # a scalar index takes the axis away
    "gather scalar": Case(X, C + "y = Gather<axis=2>(a, i)", {**W3, "i": np.array(2)}, "T CONV_2D GATHER T"),
    "gather 2d": Case(
        "float[5,3] x", "y = Gather<axis=1>(x, i)", {"i": np.array([[0, 2], [1, 1]])}, "GATHER"
    ),
    "gather computed": Case("float[5,3] x, int64[4] i", "y = Gather(x, i)", {}, "GATHER"),
    "gathernd": Case("float[2,3,4] x, int64[5,2] i", "y = GatherND(x, i)", {}, "GATHER_ND"),
    "expand": Case("float[3,1] x", "y = Expand(x, s)", {"s": ints(2, 1, 6)}, "RESHAPE BROADCAST_TO"),
    "expand nhwc": Case(
        X,
        C + "g = GlobalAveragePool(a) y = Expand(g, s)",
        {**W3, "s": ints(1, 4, 3, 3)},
        "T CONV_2D MEAN RESHAPE BROADCAST_TO",
    ),
    "expand none": Case(ROW, "r=Relu(x) y = Expand(r, s)", {"s": ints(1, 6)}, "RELU"),
    "tile": Case(X, C + "y = Tile(a, s)", {**W3, "s": ints(1, 2, 1, 3)}, "T CONV_2D TILE T"),
    "onehot": Case("int64[4] i", "y = OneHot(i, d, v)", {"d": np.array(5), "v": floats(0.5, 2)}, "ONE_HOT"),
    "onehot axis0": Case(
        "int64[2,4] i", "y = OneHot<axis=0>(i, d, v)", {"d": np.array(5), "v": floats(0.5, 2)}, "ONE_HOT"
    ),
    # -- what only constants and shapes decide is folded
    # a flatten as exporters write it: all folded into one constant shape
    "shape": Case(
        X,
        C + "s = Shape(a) n = Gather(s, zero) m = Constant<value_ints=[-1]>() "
        "u = Unsqueeze(n, ax) c = Concat<axis=0>(u, m) y = Reshape(a, c)",
        {**W3, "zero": np.array(0), "ax": ints(0)},
        "T CONV_2D T RESHAPE",
    ),
    "size": Case(X, "s = Size(x) f = Cast<to=1>(s) y = Div(x, f)", {}, "DIV"),
    "constantofshape": Case(
        X, "s = Shape(x) c = ConstantOfShape<value=float[1]{2.0}>(s) y = Add(x, c)", {}, "ADD"
    ),
    "range": Case(
        "float[6] x",
        "r = Range(a, b, c) y = Mul(x, r)",
        {"a": number(0), "b": number(6), "c": number(1)},
        "MUL",
    ),
    # -- element by element
    "where": Case("float[2,3] x, float[3] z, bool[2,1] c", "y = Where(c, x, z)", {}, "RESHAPE SELECT_V2"),
    "greater": Case(
        "float[2,3] x, float[3] z",
        "g = Greater(x, z) y = Where(g, x, z)",
        {},
        "RESHAPE GREATER RESHAPE SELECT_V2",
    ),
    "compare all": Case(
        "float[2,3] x, float[2,3] z",
        "a = Less(x, z) b = GreaterOrEqual(x, z) c = LessOrEqual(z, x) d = Equal(x, z) "
        "e = Or(a, b) f = And(e, c) g = Xor(f, d) h = Not(g) y = Cast<to=1>(h)",
        {},
        "LESS GREATER_EQUAL LESS_EQUAL EQUAL LOGICAL_OR LOGICAL_AND NOT_EQUAL LOGICAL_NOT CAST",
    ),
    "bool out": Case("float[2,3] x, float[2,3] z", "y = Less(x, z)", {}, "LESS"),
    # division of int64 in int32: its kernel has no other
    "int ops": Case(
        "int64[2,3] x, int64[2,3] pz",
        "a = Add(x, pz) b = Mul(a, x) c = Sub(b, pz) d = Div(c, pz) e = Mod(d, pz) y = Neg(e)",
        {},
        "ADD MUL SUB CAST CAST DIV CAST FLOOR_MOD NEG",
    ),
    "int32 ops": Case(
        "int32[2,3] x, int32[2,3] pz",
        "a = Add(x, pz) b = Mul(a, x) c = Sub(b, pz) d = Div(c, pz) e = Mod(d, pz) y = Abs(e)",
        {},
        "ADD MUL SUB DIV FLOOR_MOD ABS",
    ),
    "int64 abs": Case("int64[2,3] x", "y = Abs(x)", {}, "NEG MAXIMUM"),
    "int64 minmax": Case(
        "int64[2,3] x, int64[3] z",
        "a = Max(x, z) y = Min(a, x, z)",
        {},
        "RESHAPE MAXIMUM RESHAPE MINIMUM MINIMUM",
    ),
    "int64 where": Case(
        "int64[2,3] x, int64[3] z",
        "c = Greater(x, z) y = Where(c, x, z)",
        {},
        "RESHAPE GREATER RESHAPE SELECT_V2",
    ),
    "int64 sum": Case("int64[2,3] x", "y = ReduceSum(x)", {}, "SUM"),
    "int64 max": Case("int64[2,3] x", "y = ReduceMax(x)", {}, "REDUCE_MAX"),
    "int64 clip": Case(
        "int64[2,3] x", "y = Clip(x, l, h)", {"l": np.array(-2), "h": np.array(3)}, "MAXIMUM MINIMUM"
    ),
    "int64 pow": Case("int64[2,3] x", "y = Pow(x, l)", {"l": np.array(3)}, "CAST CAST POW CAST"),
    "int64 eq": Case("int64[2,3] x, int64[2,3] z", "y = Equal(x, z)", {}, "EQUAL"),
    "cast int": Case(
        "float[2,3] x", "a = Cast<to=7>(x) b = Cast<to=6>(a) y = Cast<to=1>(b)", {}, "CAST CAST CAST"
    ),
    # anything but zero is true
    "cast bool": Case(
        "float[2,3] x", "a = Floor(x) b = Cast<to=9>(a) y = Cast<to=1>(b)", {}, "FLOOR NOT_EQUAL CAST"
    ),
    "cast same": Case("float[2,3] x", "a = Relu(x) y = Cast<to=1>(a)", {}, "RELU"),
    # the dividend's sign
    "mod float": Case(
        "float[2,3] x, float[3] pz", "y = Mod<fmod=1>(x, pz)", {}, "RESHAPE ABS ABS FLOOR_MOD SIGN MUL"
    ),
    # the divisor's sign
    "mod int neg": Case(
        "int32[2,3] x, int32[3] pz", "n = Neg(pz) y = Mod(x, n)", {}, "NEG RESHAPE FLOOR_MOD"
    ),
    "pow 2": Case(X, "y = Pow(x, c)", {"c": number(2)}, "MUL"),
    "pow": Case("float[2,3] px", "y = Pow(px, c)", {"c": number(1.7)}, "POW"),
    "pow int exponent": Case("float[2,3] x", "y = Pow(x, c)", {"c": np.array(3)}, "CAST POW"),
    "unaries": Case(
        "float[2,3] x",
        "a = Abs(x) b = Neg(a) c = Exp(b) d = Floor(x) e = Ceil(x) f = Round(x) "
        "g = Sin(x) h = Cos(x) s = Sign(x) y = Sum(c, d, e, f, g, h, s)",
        {},
        "ABS NEG EXP FLOOR CEIL ROUND SIN COS SIGN ADD ADD ADD ADD ADD ADD",
    ),
    "logs": Case(
        "float[2,3] px",
        "a = Log(px) b = Sqrt(px) c = Reciprocal(px) y = Sum(a, b, c)",
        {},
        "LOG SQRT DIV ADD ADD",
    ),
    "rsqrt": Case("float[2,3] px", "a = Sqrt(px) y = Reciprocal(a)", {}, "RSQRT"),
    # to even
    "round half": Case(
        "float[4] x",
        "h = Add(x, c) t = Sub(h, x) y = Round(t)",
        {"c": floats(0.5, 1.5, 2.5, -0.5)},
        "ADD SUB ROUND",
    ),
    "max of three": Case(X, "y = Max(x, c, d)", {"c": (3, 1, 1), "d": number(0.1)}, "MAXIMUM MAXIMUM"),
    # -- activations
    "mish": Case(
        "float[3,7] x",
        "s = Mul(x, c) y = Mish(s)",
        {"c": number(3)},
        "MUL ABS NEG EXP RELU ADD LOG ADD TANH MUL",
        opset=18,
    ),
    "gelu": Case("float[3,7] x", "y = Gelu(x)", {}, "GELU", opset=20),
    "gelu tanh": Case("float[3,7] x", 'y = Gelu<approximate="tanh">(x)', {}, "GELU", opset=20),
    "gelu erf 1": Case(
        "float[3,7] x",
        "a = Div(x, r) b = Erf(a) c = Add(b, one) d = Mul(x, c) y = Mul(d, half)",
        {"r": number(2**0.5), "one": number(1), "half": number(0.5)},
        "GELU",
    ),
    "gelu erf 2": Case(
        "float[3,7] x",
        "h = Mul(x, half) a = Mul(r, x) b = Erf(a) c = Add(one, b) y = Mul(h, c)",
        {"r": number(0.5**0.5), "one": number(1), "half": number(0.5)},
        "GELU",
    ),
    "gelu not": Case(
        "float[3,7] x",
        "h = Mul(x, half) a = Mul(r, x) b = Erf(a) c = Add(one, b) y = Mul(h, c)",
        {"r": number(0.5**0.5), "one": number(1), "half": number(0.4)},
        "MUL MUL MINIMUM MAXIMUM MUL MUL ADD MUL ADD MUL ADD MUL ADD MUL MUL ADD MUL ADD "
        "MUL ADD MUL ADD MUL ADD MUL ADD DIV ADD MUL",
    ),
    "prelu": Case(X, C + "y = PRelu(a, p)", {**W3, "p": (4, 1, 1)}, "T CONV_2D PRELU T"),
    # one slope for all
    "prelu scalar": Case(X, "y = PRelu(x, p)", {"p": (1,)}, "PRELU"),
    # slopes that are not constant
    "prelu computed": Case(X, "s = GlobalAveragePool(x) y = PRelu(x, s)", {}, "MEAN MUL GREATER SELECT_V2"),
    "swish": Case(X, C + "s = Sigmoid(a) y = Mul(a, s)", W3, "T CONV_2D LOGISTIC MUL T"),
    "Swish": Case(X, "y = Swish<alpha=1.5>(x)", {}, "MUL LOGISTIC MUL", opset=24),
    # the last stored axis already
    "softmax channels": Case(X, C + "y = Softmax<axis=1>(a)", W3, "T CONV_2D SOFTMAX T"),
    "softmax nchw": Case(X, "y = Softmax<axis=1>(x)", {}, "T SOFTMAX T"),
    # -- reductions and searches
    "reducesum input axes": Case(X, "y = ReduceSum<keepdims=0>(x, c)", {"c": ints(1)}, "SUM"),
    "reducemean 18": Case(X, "y = ReduceMean<keepdims=0>(x, c)", {"c": ints(-1)}, "MEAN", opset=18),
    "reducesum noop": Case(X, "r=Relu(x) y = ReduceSum<noop_with_empty_axes=1>(r)", {}, "RELU"),
    "argmax": Case(X, C + "y = ArgMax<axis=1, keepdims=0>(a)", W3, "T CONV_2D ARG_MAX"),
    "argmax keep": Case(X, C + "y = ArgMax<axis=1>(a)", W3, "T CONV_2D ARG_MAX RESHAPE"),
    "argmin": Case(ROW, "y = ArgMin<axis=-1, keepdims=0>(x)", {}, "ARG_MIN"),
    "topk": Case("float[2,7] x", "v, y = TopK(x, k)", {"k": ints(3)}, "TOPK_V2 CAST", outputs=("v", "y")),
    # the smallest are the largest of the negated
    "topk smallest axis": Case(
        X,
        "v, y = TopK<axis=1, largest=0>(x, k)",
        {"k": ints(2)},
        "T NEG TOPK_V2 NEG CAST T T",
        outputs=("v", "y"),
    ),
    "cumsum": Case("float[2,7] x", "y = CumSum(x, k)", {"k": np.array(1)}, "CUMSUM"),
    "cumsum rev": Case(
        "float[2,7] x", "y = CumSum<exclusive=1,reverse=1>(x, k)", {"k": np.array(0)}, "CUMSUM"
    ),
    # nothing overflows: the largest is taken off first
    "log sum exp": Case(
        ROW,
        "s = Mul(x, c) y = ReduceLogSumExp<axes=[1]>(s)",
        {"c": number(99)},
        "MUL REDUCE_MAX SUB EXP SUM LOG ADD",
    ),
    "log sum exp, dropped": Case(
        ROW, "y = ReduceLogSumExp<axes=[0], keepdims=0>(x)", {}, "REDUCE_MAX SUB EXP SUM LOG ADD RESHAPE"
    ),
    # -- norms
    "bn": Case(X, "y = BatchNormalization(x, p0, m, m, p1)", {"p0": (3,), "m": (3,), "p1": (3,)}, "MUL ADD"),
    "bn nhwc": Case(
        X,
        C + "y = BatchNormalization<epsilon=0.01>(a, p0, m, m, p1)",
        {**W3, "p0": (4,), "m": (4,), "p1": (4,)},
        "T CONV_2D MUL ADD T",
    ),
    "bn 2d": Case(
        ROW, "y = BatchNormalization(x, p0, m, m, p1)", {"p0": (6,), "m": (6,), "p1": (6,)}, "MUL ADD"
    ),
    "in": Case(
        X,
        C + "y = InstanceNormalization(a, p0, m)",
        {**W3, "p0": (4,), "m": (4,)},
        "T CONV_2D MEAN SQUARED_DIFFERENCE MEAN ADD RSQRT SUB MUL MUL ADD T",
    ),
    "in 3": Case(
        "float[1,3,9] x",
        "y = InstanceNormalization(x, p0, m)",
        {"p0": (3,), "m": (3,)},
        "MEAN SQUARED_DIFFERENCE MEAN ADD RSQRT SUB MUL MUL ADD",
    ),
    "ln": Case(
        "float[1,5,6] x",
        "y = LayerNormalization(x, p0, m)",
        {"p0": (6,), "m": (6,)},
        "MEAN SQUARED_DIFFERENCE MEAN ADD RSQRT SUB MUL MUL ADD",
    ),
    "ln axis1": Case(
        "float[2,5,6] x",
        "y = LayerNormalization<axis=1>(x, p0)",
        {"p0": (5, 6)},
        "MEAN SQUARED_DIFFERENCE MEAN ADD RSQRT SUB MUL MUL",
    ),
    "lp": Case(X, C + "y = LpNormalization<axis=1>(a)", W3, "T CONV_2D MUL SUM SQRT DIV T"),
    "lp1": Case(ROW, "y = LpNormalization<axis=0,p=1>(x)", {}, "ABS SUM DIV"),
    "lrn": Case(
        X, C + "y = LRN<size=3, alpha=0.1, bias=2.0>(a)", W3, "T CONV_2D LOCAL_RESPONSE_NORMALIZATION T"
    ),
    # -- products
    "gemm alpha": Case(
        ROW, "y = Gemm<alpha=0.5, beta=2.0>(x, w, b)", {"w": (6, 4), "b": (4,)}, "FULLY_CONNECTED"
    ),
    # stored transposed
    "gemm transA": Case(
        "float[6,2] x", "y = Gemm<transA=1>(x, w, b)", {"w": (6, 4), "b": (4,)}, "T FULLY_CONNECTED"
    ),
    # a bias a row, not a column
    "gemm column bias": Case(
        ROW, "y = Gemm<beta=0.5>(x, w, b)", {"w": (6, 2), "b": (2, 1)}, "FULLY_CONNECTED MUL ADD"
    ),
    "gemm full bias": Case(ROW, "y = Gemm(x, w, b)", {"w": (6, 4), "b": (2, 4)}, "FULLY_CONNECTED ADD"),
    # both computed
    "gemm computed": Case(
        "float[2,6] x, float[4,6] z, float[4] b",
        "y = Gemm<transB=1, alpha=0.3>(x, z, b)",
        {},
        "BATCH_MATMUL MUL RESHAPE ADD",
    ),
    "gemm computed bias": Case(
        "float[2,6] x, float[4] b",
        "y = Gemm<alpha=0.3>(x, w, b)",
        {"w": (6, 4)},
        "FULLY_CONNECTED RESHAPE ADD",
    ),
    "gemm const left": Case("float[6,4] z", "y = Gemm(w, z)", {"w": (2, 6)}, "BATCH_MATMUL"),
    "matmul two": Case("float[2,6] x, float[6,4] z", "y = MatMul(x, z)", {}, "BATCH_MATMUL"),
    "matmul batch": Case("float[2,3,5,6] x, float[2,3,6,4] z", "y = MatMul(x, z)", {}, "BATCH_MATMUL"),
    "matmul broadcast": Case("float[3,5,6] x, float[2,1,6,4] z", "y = MatMul(x, z)", {}, "BATCH_MATMUL"),
    # a transposed side is a flag
    "matmul attention": Case(
        "float[2,5,6] x, float[2,5,6] z",
        "t = Transpose<perm=[0,2,1]>(z) y = MatMul(x, t)",
        {},
        "BATCH_MATMUL",
    ),
    "matmul 3d const": Case("float[2,5,6] x", "y = MatMul(x, w)", {"w": (6, 4)}, "FULLY_CONNECTED"),
    "matmul 3d const bias relu": Case(
        "float[2,5,6] x",
        "a = MatMul(x, w) b = Add(a, c) y = Relu(b)",
        {"w": (6, 4), "c": (4,)},
        "FULLY_CONNECTED ADD+RELU",
    ),
    "matmul const left": Case("float[6,4] x", "y = MatMul(w, x)", {"w": (3, 6)}, "BATCH_MATMUL"),
    "matmul const batch": Case("float[2,5,6] x", "y = MatMul(x, w)", {"w": (2, 6, 4)}, "BATCH_MATMUL"),
    "matmul vector": Case("float[6] x", "y = MatMul(x, w)", {"w": (6, 4)}, "RESHAPE FULLY_CONNECTED RESHAPE"),
    "matmul by vector": Case(
        "float[2,6] x, float[6] z", "y = MatMul(x, z)", {}, "RESHAPE BATCH_MATMUL RESHAPE"
    ),
    "matmul dot": Case(
        "float[6] x, float[6] z", "y = MatMul(x, z)", {}, "RESHAPE RESHAPE BATCH_MATMUL RESHAPE"
    ),
    # -- stored orders
    # one transpose, between the two reshapes
    "channel shuffle": Case(
        X,
        C + "s = Reshape(a, r) t = Transpose<perm=[0,2,1,3,4]>(s) u = Reshape(t, q) y = Conv(u, v)",
        {**W3, "r": ints(1, 2, 2, 6, 5), "q": ints(1, 4, 6, 5), "v": (2, 4, 1, 1)},
        "T CONV_2D RESHAPE T RESHAPE CONV_2D T",
    ),
    # H and W join without a transpose, and the transpose after them is free
    "yolo head": Case(
        X,
        C + "s = Reshape(a, r) t = Transpose<perm=[0,2,1]>(s) y = Softmax(t)",
        {**W3, "r": ints(1, 4, -1)},
        "T CONV_2D RESHAPE SOFTMAX",
    ),
    # boxes in the order they are stored: free from end to end
    "ssd head": Case(
        "float[1,8,7,3] i",
        "x = Transpose<perm=[0,3,1,2]>(i) a = Conv(x, w, b) "
        "t = Transpose<perm=[0,2,3,1]>(a) y = Reshape(t, r)",
        {**W3, "r": ints(1, -1, 2)},
        "CONV_2D RESHAPE",
    ),
    # anchors before pixels: one transpose
    "anchors head": Case(
        "float[1,8,7,3] i",
        "x = Transpose<perm=[0,3,1,2]>(i) a = Conv(x, w, b) s = Reshape(a, q) "
        "t = Transpose<perm=[0,1,3,4,2]>(s) g = Sigmoid(t) y = Reshape(g, r)",
        {**W3, "q": ints(1, 2, 2, 6, 5), "r": ints(1, -1, 2)},
        "CONV_2D RESHAPE LOGISTIC T RESHAPE",
    ),
    # squeeze and excite through Gemm: free from end to end
    "se linear": Case(
        "float[1,8,7,3] i",
        "x = Transpose<perm=[0,3,1,2]>(i) a = Conv(x, w, b) p = GlobalAveragePool(a) "
        "f = Flatten(p) g = Gemm(f, v) h = Sigmoid(g) r = Reshape(h, q) m = Mul(a, r) "
        "y = ReduceMean<axes=[2,3],keepdims=0>(m)",
        {**W3, "v": (4, 4), "q": ints(1, 4, 1, 1)},
        "CONV_2D MEAN RESHAPE FULLY_CONNECTED LOGISTIC RESHAPE MUL MEAN",
    ),
    # one tensor under three names
    "outputs": Case(
        X,
        "y = Relu(x) z = Identity(y) u = Transpose<perm=[0,2,3,1]>(y)",
        {},
        "RELU T",
        outputs=("y", "z", "u"),
    ),
    "input is output": Case(X, "y = Identity(x) z = Relu(x)", {}, "RELU", outputs=("y", "z")),
    "constant is output": Case(X, "y = Identity(c) z = Relu(x)", {"c": (2,)}, "RELU", outputs=("y", "z")),
    "5d add": Case("float[1,2,3,4,5] x", "a = Add(x, c) y = Relu(a)", {"c": (2, 1, 1, 5)}, "ADD+RELU"),
    "3d mul": Case(
        "float[1,3,5] x",
        "t = Transpose<perm=[0,2,1]>(x) a = Mul(t, c) y = Sigmoid(a)",
        {"c": (1, 5, 3)},
        "MUL LOGISTIC T",
    ),
}

# (call on a): written as; inputs from -10 to 10 so that the far ends are seen
ACTIVATIONS = {
    "Relu": "MUL+RELU",
    "LeakyRelu": "MUL LEAKY_RELU",
    "LeakyRelu<alpha=0.3>": "MUL LEAKY_RELU",
    "Elu": "MUL ELU",
    "Elu<alpha=0.4>": "MUL MINIMUM ELU MUL RELU ADD",
    "Selu": "MUL MINIMUM ELU MUL RELU ADD MUL",
    "Celu<alpha=0.5>": "MUL MINIMUM MUL ELU RELU MUL ADD",
    "HardSigmoid": "MUL MUL ADD+RELU6 MUL",
    "HardSigmoid<alpha=0.16666667, beta=0.5>": "MUL ADD+RELU6 MUL",
    "Softplus": "MUL ABS NEG EXP RELU ADD LOG ADD",
    "Softsign": "MUL ABS ADD DIV",
    "ThresholdedRelu<alpha=0.7>": "MUL GREATER SELECT_V2",
    "Erf": (
        "MUL MINIMUM MAXIMUM MUL MUL ADD MUL ADD MUL ADD MUL ADD MUL MUL ADD MUL ADD MUL "
        "ADD MUL ADD MUL ADD MUL ADD DIV"
    ),
    "LogSoftmax<axis=0>": "MUL T LOG_SOFTMAX T",
    "LogSoftmax": "MUL LOG_SOFTMAX",
    "Softmax<axis=0>": "MUL T SOFTMAX T",
}

# written as, between a convolution and the transpose to ONNX's order
REDUCTIONS = {
    "ReduceL1": "ABS SUM",
    "ReduceL2": "MUL SUM SQRT",
    "ReduceMax": "REDUCE_MAX",
    "ReduceMean": "MEAN",
    "ReduceMin": "REDUCE_MIN",
    "ReduceProd": "REDUCE_PROD",
    "ReduceSum": "SUM",
    "ReduceSumSquare": "MUL SUM",
}


@pytest.mark.parametrize("name", CASES)
def test_it_answers_as_onnx_runtime_does(name: str) -> None:
    CASES[name].check()


@pytest.mark.parametrize("call", ACTIVATIONS)
def test_activation_answers_as_onnx_runtime_does(call: str) -> None:
    Case("float[3,7] x", f"s = Mul(x, c) y = {call}(s)", {"c": number(4)}, ACTIVATIONS[call]).check()


@pytest.mark.parametrize("keep", [0, 1])
@pytest.mark.parametrize("name", REDUCTIONS)
def test_reduction_answers_as_onnx_runtime_does(name: str, keep: int) -> None:
    """Over the columns of a picture stored NHWC: kept they stay, else what is left is stored N, H, C."""
    # its axes were the first to become an input
    call = f"<keepdims={keep}>(a, c)" if name == "ReduceSum" else f"<axes=[3], keepdims={keep}>(a)"
    body = f"a = Conv(x, w, b) y = {name}{call}"
    Case(X, body, {**W3, "c": ints(3)}, f"T CONV_2D {REDUCTIONS[name]} T").check()


def test_every_operator_is_tried() -> None:
    tables = (CASES, test_convert_tflite.CASES, test_convert_tflite_windows.CASES)
    nodes = [node for table in tables for case in table.values() for node in case.model().graph.node]
    called = {call.split("<")[0] for call in ACTIVATIONS}
    assert {node.op_type for node in nodes} | called | set(REDUCTIONS) == set(OPERATORS)
