"""fp16 and dynamic artifacts of a small classifier, in their own engines."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

for module in ("onnx", "onnxruntime", "ai_edge_litert", "litert_quantizer", "openvino"):
    pytest.importorskip(module, reason="a converting test: pip install edgecv[convert]")

import onnx
import onnxruntime
from convert_graphs import BUILTINS, feed, graph, operators, run_onnx
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from onnx import numpy_helper

from edgecv.converters import reduced
from edgecv.converters.graph import normalise
from edgecv.converters.recipes import Source
from edgecv.errors import ConversionError
from edgecv.runtime.engines import Options
from edgecv.spec import Preprocess
from edgecv.tasks import sqnr_db

# A mean that is not whole and other numbers for each channel: what rounds worst.
RULE = Preprocess(size_hw=(16, 16), mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375))
BODY = """
    a = Conv<pads=[1,1,1,1], strides=[2,2]>(x, stem, stem_b)  b = Clip(a, zero, six)
    c = Conv<group=16, pads=[1,1,1,1]>(b, depth, depth_b)     d = Clip(c, zero, six)
    e = Conv(d, wide, wide_b)                                 f = Clip(e, zero, six)
    g = GlobalAveragePool(f)   h = Flatten(g)   logits = Gemm<transB=1>(h, classes, classes_b)
"""
CONSTANTS = {
    "stem": (16, 3, 3, 3), "stem_b": (16,), "depth": (16, 1, 3, 3), "depth_b": (16,),
    "wide": (64, 16, 1, 1), "wide_b": (64,), "classes": (200, 64), "classes_b": (200,),
    "zero": np.float32(0), "six": np.float32(6),
}  # fmt: skip
ENGINES = {".tflite": "litert:LiteRTEngine", ".onnx": "onnx:OnnxEngine", ".xml": "openvino:OpenVinoEngine"}


@pytest.fixture(scope="module")
def model() -> onnx.ModelProto:
    return graph("float[1,3,16,16] x", BODY, CONSTANTS, outputs=("logits",))


@pytest.fixture(scope="module")
def images() -> NDArray[np.uint8]:
    return np.random.default_rng(1).integers(0, 256, (8, 16, 16, 3), dtype=np.uint8)


def start(model: onnx.ModelProto) -> Source:
    """Without calibration pictures: nothing here may need them."""
    return Source(model, model, RULE, 1, np.zeros((0, 16, 16, 3), np.uint8), lambda _share: ())


def expected(model: onnx.ModelProto, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.concatenate([run_onnx(model, {"x": normalise(i[None], RULE)})["logits"] for i in images])


def answers(path: Path, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    module, _, name = ENGINES[path.suffix].partition(":")
    engine = getattr(importlib.import_module(f"edgecv.runtime.engines.{module}"), name)(path, Options())
    rows = np.concatenate([engine.infer(image[None]).copy() for image in images])
    engine.close()
    return rows


CASES = {
    # how it is made: the suffix, the least SQNR in dB, the largest file against the float weights
    "tflite_fp16": (".tflite", 50, 0.65),
    "onnx_fp16": (".onnx", 50, 0.6),
    "openvino_fp16": (".xml", 50, 0.6),
    "tflite_dynamic": (".tflite", 35, 0.5),
    "onnx_dynamic": (".onnx", 35, 0.45),
    "openvino_dynamic": (".xml", 35, 0.35),
}


@pytest.mark.parametrize("name", CASES)
def test_answers_are_near_the_float_models(
    model: onnx.ModelProto, images: NDArray[np.uint8], tmp_path: Path, name: str
) -> None:
    suffix, least, largest = CASES[name]
    path = tmp_path / f"model{suffix}"
    before = model.SerializeToString()
    getattr(reduced, name)(start(model), path, lambda _count: None)
    assert model.SerializeToString() == before  # what the next recipe starts from
    got = answers(path, images)
    assert got.dtype == np.float32
    assert sqnr_db(expected(model, images), got) >= least
    weights = sum(numpy_helper.to_array(c).nbytes for c in model.graph.initializer)
    file = path.with_suffix(".bin") if suffix == ".xml" else path
    assert file.stat().st_size < largest * weights


def test_dynamic_artifacts_compute_with_the_rounded_weights(
    model: onnx.ModelProto, images: NDArray[np.uint8], tmp_path: Path
) -> None:
    """All three are the float model whose weights are codes * scale, and nothing else is rounded."""
    rounded = onnx.ModelProto()
    rounded.CopyFrom(model)
    for constant in rounded.graph.initializer:
        array = numpy_helper.to_array(constant)
        if array.ndim > 1:
            codes, scale = reduced._codes(array, 0)
            constant.CopyFrom(numpy_helper.from_array(codes * scale, constant.name))
    want = expected(rounded, images)
    source = start(model)
    for name, tolerance in (
        ("tflite_dynamic", 1e-4),
        ("onnx_dynamic", 1e-4),
        ("openvino_dynamic", 2e-2),  # its plugin rounds what an int8 classifier multiplies
    ):
        path = tmp_path / f"model{CASES[name][0]}"
        getattr(reduced, name)(source, path, lambda _count: None)
        np.testing.assert_allclose(answers(path, images), want, atol=tolerance, err_msg=name)


@given(
    arrays.arrays(
        np.float32,
        arrays.array_shapes(min_dims=2, max_dims=4, max_side=5),
        elements=st.one_of(st.just(0.0), st.floats(-1e4, 1e4, width=32)),
    ),
    st.integers(0, 1),
)
def test_a_code_is_within_half_a_step(weight: NDArray[np.float32], axis: int) -> None:
    codes, scale = reduced._codes(weight, axis)
    assert codes.dtype == np.int8
    assert codes.min() >= -127
    assert scale.dtype == np.float32
    assert scale.size == weight.shape[axis]
    assert np.all(np.abs(codes * np.float64(scale) - weight) <= 0.5001 * scale + 1e-44)


@pytest.mark.parametrize(
    ("inputs", "body", "shape", "scales"),
    [
        # a scale an output channel, wherever the operator has it
        ("float[1,3,8,8] x", "y = Conv(x, w)", (4, 3, 3, 3), (4, 1, 1, 1)),
        ("float[2,6] x", "y = Gemm<transB=1>(x, w)", (4, 6), (4, 1)),
        ("float[2,6] x", "y = Gemm(x, w)", (6, 4), (1, 4)),
        ("float[2,6] x", "y = MatMul(x, w)", (6, 4), (1, 4)),
        # one weight of two operators is stored once
        ("float[6,6] x", "a = MatMul(x, w) y = MatMul(a, w)", (6, 6), (1, 6)),
    ],
)
def test_the_scales_follow_the_output_channels(
    inputs: str, body: str, shape: tuple[int, ...], scales: tuple[int, ...]
) -> None:
    model = graph(inputs, body, {"w": shape})
    edited = reduced.with_int8_weights(model)
    held = {c.name: numpy_helper.to_array(c) for c in edited.graph.initializer}
    assert {name: (a.shape, a.dtype) for name, a in held.items()} == {
        "w.int8": (shape, np.int8),
        "w.scale": (scales, np.float32),
    }
    given = feed(model)
    np.testing.assert_allclose(run_onnx(edited, given)["y"], run_onnx(model, given)["y"], atol=0.05)


def test_a_computed_weight_stays_as_it_is() -> None:
    model = graph("float[2,6] x, float[6,4] w", "y = MatMul(x, w)")
    assert [node.op_type for node in reduced.with_int8_weights(model).graph.node] == ["MatMul"]


def test_onnx_runtime_widens_the_weights_once(model: onnx.ModelProto, tmp_path: Path) -> None:
    settings = onnxruntime.SessionOptions()
    settings.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    content = reduced.with_int8_weights(model).SerializeToString()
    onnxruntime.InferenceSession(content, settings, providers=["CPUExecutionProvider"])
    left = {node.op_type for node in onnx.load(settings.optimized_model_filepath).graph.node}
    assert not left & {"Cast", "Mul"}


@pytest.mark.parametrize(("name", "kind"), [("tflite_fp16", "FLOAT16"), ("tflite_dynamic", "INT8")])
def test_tflite_weights_are_widened_before_a_float_operator(
    model: onnx.ModelProto, tmp_path: Path, name: str, kind: str
) -> None:
    """What XNNPACK unpacks when it loads a file, and other kernels take."""
    from ai_edge_litert import schema_py_generated as schema

    path = tmp_path / "model.tflite"
    getattr(reduced, name)(start(model), path, lambda _count: None)
    content = path.read_bytes()
    assert operators(content).count("DEQUANTIZE") == 4
    (subgraph,) = schema.ModelT.InitFromPackedBuf(content, 0).subgraphs
    codes = schema.ModelT.InitFromPackedBuf(content, 0).operatorCodes
    for operator in subgraph.operators:
        types = [subgraph.tensors[index].type for index in operator.inputs]
        if BUILTINS[codes[operator.opcodeIndex].builtinCode] == "DEQUANTIZE":
            assert types == [getattr(schema.TensorType, kind)]
        elif operator.inputs[0] != subgraph.inputs[0]:
            assert not set(types) & {schema.TensorType.FLOAT16, schema.TensorType.INT8}


def test_openvino_keeps_int8_constants(model: onnx.ModelProto, tmp_path: Path) -> None:
    import openvino

    path = tmp_path / "model.xml"
    reduced.openvino_dynamic(start(model), path, lambda _count: None)
    operations = openvino.Core().read_model(str(path)).get_ops()
    kinds = [op.get_element_type() for op in operations if op.get_type_name() == "Constant"]
    assert kinds.count(openvino.Type.i8) == 4


@pytest.mark.parametrize("make", [reduced.tflite_fp16, reduced.onnx_fp16, reduced.openvino_fp16])
def test_a_weight_that_halves_cannot_hold_is_named(tmp_path: Path, make: Callable[..., None]) -> None:
    model = graph("float[1,3,16,16] x", "logits = Conv(x, w)", {"w": np.full((4, 3, 1, 1), 7e4, np.float32)},
                  outputs=("logits",))  # fmt: skip
    with pytest.raises(ConversionError, match=r"weight w holds 7e\+04, and float16 ends at 65504"):
        make(start(model), tmp_path / "model", lambda _count: None)


def test_an_operator_without_halves_is_computed_in_float() -> None:
    """Resize has no float16 kernel: it comes to lie between two Casts, in an order that runs."""
    body = "a = Conv(x, w) b = Resize(a, , scales) y = Relu(b)"
    constants = {"w": (4, 3, 1, 1), "scales": np.float32([1, 1, 2, 2])}
    model = graph("float[1,3,4,4] x", body, constants)
    halved = reduced.in_halves(model)
    onnx.checker.check_model(halved, full_check=True)
    given = feed(model)
    got = run_onnx(halved, given)["y"]
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, run_onnx(model, given)["y"], atol=0.01)
