"""ONNX -> TFLite: what has no translation is refused by name, and old graphs are brought up."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

for module in ("onnx", "onnxruntime", "ai_edge_litert"):
    pytest.importorskip(module, reason="a converting test: pip install edgecv[convert]")

import onnx
from convert_graphs import Constant, assert_same, feed, floats, graph, ints, operators, run_onnx, run_tflite

from edgecv.converters.tflite import emit
from edgecv.errors import ConversionError

X = "float[1,3,8,7] x"
W3 = {"w": (4, 3, 3, 3)}

REFUSED = [
    # an operator without translation, by its node's name and type
    (X, "[odd] y = Sinh(x)", {}, r"node odd: no TFLite translation of Sinh; docs/operators.md"),
    # the same, of a node without a name: its output
    (X, "[] y = Sinh(x)", {}, r"node y: no TFLite translation of Sinh"),
    # a use of a known operator that TFLite has no word for
    (X, "[n] y = MaxPool<kernel_shape=[2,2], dilations=[2,2]>(x)", {}, r"node n \(MaxPool\): dilation"),
    (X, "[n] y, i = MaxPool<kernel_shape=[2,2]>(x)", {}, r"node n \(MaxPool\): only its first output .* i$"),
    ("float[1,3,4,4,4] x", "[n] y = MaxPool<kernel_shape=[2,2,2]>(x)", {}, r"n \(MaxPool\): only pictures"),
    ("float[1,3,8,8] x, float[4,3,3,3] w", "[n] y = Conv(x, w)", {}, r"n \(Conv\): its weights must be"),
    (X, "m = ReduceMean<keepdims=0>(x) [n] y = Clip(x, m)", {}, r"node n \(Clip\): its bounds must be const"),
    (
        X,
        '[n] y = Resize<mode="linear">(x, , s)',
        {"s": floats(1, 2, 2, 2)},
        r"node n \(Resize\): .* channels",
    ),
    (X, "[n] y = ArgMax<select_last_index=1>(x)", {}, r"node n \(ArgMax\): select_last_index"),
    (X, "[n] y = LRN<size=2>(x)", {}, r"node n \(LRN\): an even size"),
    ("float[3] x", "[n] y = Cast<to=11>(x)", {}, r"value y.*: TFLite files have no place for float64"),
]


@pytest.mark.parametrize(("inputs", "body", "constants", "message"), REFUSED)
def test_what_cannot_be_written_is_named(
    inputs: str, body: str, constants: Mapping[str, Constant], message: str
) -> None:
    with pytest.raises(ConversionError, match=message):
        emit(graph(inputs, body, constants))


def test_a_dynamic_shape_is_named() -> None:
    with pytest.raises(ConversionError, match=r"value x: its shape is not fixed"):
        emit(graph("float[N,3,8,8] x", "y = Relu(x)"))


def test_shapes_that_contradict_each_other_are_one_line() -> None:
    model = graph("float[2,3] x", "y = Relu(x)")
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 4
    with pytest.raises(ConversionError, match=r"shapes of the graph cannot be worked out") as refused:
        emit(model)
    assert "\n" not in str(refused.value)


OLD = [
    # the arguments were attributes, and Softmax flattened what is behind its axis
    (11, "s = Softmax<axis=1>(x) u = Squeeze<axes=[0]>(s) v = Abs(u) y = Unsqueeze<axes=[1]>(v)"),
    # the one sampling rule of its time, which is no default any more
    (10, 'y = Resize<mode="nearest">(x, s)'),
    (10, 'y = Resize<mode="linear">(x, s)'),
    (9, 'y = Upsample<mode="nearest">(x, s)'),
]


@pytest.mark.parametrize(("opset", "body"), OLD)
def test_an_old_graph_means_what_it_meant(opset: int, body: str) -> None:
    constants = {"s": floats(1, 1, 2, 1.5)} if "s)" in body and "=[0]" not in body else {}
    model = graph(X, body, constants, opset=opset)
    inputs = feed(model)
    assert_same(run_tflite(emit(model), inputs), run_onnx(model, inputs))


def test_functions_of_a_model_are_inlined() -> None:
    text = """<ir_version: 8, opset_import: ["" : 17, "local" : 1]>
    g (float[2,3] x) => (float[2,3] y) { y = local.twice (x) }
    <domain: "local", opset_import: ["" : 17]> twice (a) => (b) { b = Add (a, a) }"""
    model = onnx.parser.parse_model(text)
    content = emit(model)
    inputs = feed(model)
    assert_same(run_tflite(content, inputs), {"y": 2 * inputs["x"]})
    assert operators(content) == ["ADD"]


def test_tensors_are_called_as_in_the_graph_and_no_two_alike() -> None:
    """Recipes of quantizers choose by these names, and keep ranges by them."""
    from ai_edge_litert import schema_py_generated as schema

    body = "a = Conv(x, w) b = Clip(a, l, h) c = Mish(b) y = Reshape(c, s)"
    constants = {**W3, "l": np.float32(-2), "h": np.float32(2), "s": ints(1, -1)}
    file = schema.ModelT.InitFromPackedBuf(emit(graph(X, body, constants, opset=18)), 0)
    names = [tensor.name.decode() for tensor in file.subgraphs[0].tensors]
    assert len(names) == len(set(names))
    assert {"x", "a", "b", "c", "y", "w"} <= set(names)
