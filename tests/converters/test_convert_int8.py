"""What int8 files answer where the libraries that make and run them lose more than int8 has to."""

from __future__ import annotations

import platform

import numpy as np
import pytest

for module in ("onnx", "onnxruntime", "ai_edge_litert", "litert_quantizer"):
    pytest.importorskip(module, reason="a converting test: pip install edgecv[convert]")

import onnx
import onnxruntime
from ai_edge_litert.interpreter import Interpreter
from convert_graphs import graph
from numpy.typing import NDArray
from onnx import numpy_helper

from edgecv.converters import int8_onnx, int8_tflite, ranges
from edgecv.converters import openvino as openvino_files
from edgecv.converters.graph import normalise
from edgecv.converters.tflite_writer import TfliteWriter
from edgecv.quiet import quiet
from edgecv.spec import Preprocess
from edgecv.tasks import sqnr_db

RULE = Preprocess(size_hw=(16, 16), mean=(127.0,) * 3, std=(128.0,) * 3)
BODY = """
    a = Conv<pads=[1,1,1,1], strides=[2,2]>(input, stem, stem_b)  b = Clip(a, zero, six)
    c = Conv(b, one, one_b)  d = Clip(c, zero, six)
    e = Conv<pads=[1,1,1,1], group=16>(d, each, each_b)  f = Clip(e, zero, six)
    g = Conv(f, two, two_b)  h = GlobalAveragePool(g)  i = Flatten(h)
    logits = Gemm<transB=1>(i, classes, classes_b)
"""
CONSTANTS = {
    "stem": (16, 3, 3, 3), "stem_b": (16,), "one": (16, 16, 1, 1), "one_b": (16,), "each": (16, 1, 3, 3),
    "each_b": (16,), "two": (16, 16, 1, 1), "two_b": (16,), "classes": (10, 16), "classes_b": (10,),
    "zero": np.float32(0), "six": np.float32(6),
}  # fmt: skip


def network(**replaced: NDArray) -> onnx.ModelProto:
    model = graph("float[1,3,16,16] input", BODY, {**CONSTANTS, **replaced}, ["logits"])
    for node in model.graph.node:
        node.name = node.output[0]
    return model


@pytest.fixture(scope="module")
def pictures() -> NDArray[np.uint8]:
    return np.random.default_rng(3).integers(0, 256, (32, 16, 16, 3), dtype=np.uint8)


def float_answers(model: onnx.ModelProto, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return np.concatenate([session.run(None, {"input": normalise(p[None], RULE)})[0] for p in pictures])


def int8_onnx_answers(
    model: onnx.ModelProto, pictures: NDArray[np.uint8], in_float: tuple[str, ...], optimised: bool = True
) -> NDArray[np.float32]:
    limits = ranges.collect(model, RULE, pictures, 2, lambda _: None)
    settings = onnxruntime.SessionOptions()
    if not optimised:
        settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    made = int8_onnx.quantise(model, RULE, limits, in_float)
    session = onnxruntime.InferenceSession(made.SerializeToString(), settings)
    return np.concatenate([session.run(None, {"image": p[None]})[0] for p in pictures])


def int8_tflite_answers(model: onnx.ModelProto, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    limits = ranges.collect(model, RULE, pictures, 2, lambda _: None)
    written = TfliteWriter().from_normalised(model, RULE)
    content = int8_tflite.quantise(written, model, RULE, pictures, limits, 2)
    with quiet():
        engine = Interpreter(model_content=content, num_threads=1)
        engine.allocate_tensors()
    answers = []
    for picture in pictures:
        engine.set_tensor(engine.get_input_details()[0]["index"], picture[None])
        engine.invoke()
        answers.append(engine.get_tensor(engine.get_output_details()[0]["index"]))
    return np.concatenate(answers)


@pytest.mark.parametrize(
    "in_float",
    [
        ("c", "d"),  # one that stands between two of int8, with the activation behind it
        ("e", "f"),  # a depthwise one
        ("g",),  # its output is quantised at once
        ("c", "d", "e", "f", "g"),
    ],
)
def test_what_stays_float_is_float_when_onnx_runtime_has_optimised_the_file(
    pictures: NDArray[np.uint8], in_float: tuple[str, ...]
) -> None:
    """ONNX Runtime makes float weights between int8 values int8 itself, with one scale for all channels."""
    rng = np.random.default_rng(5)
    uneven = {  # so that one scale is far from enough
        name: (rng.standard_normal(shape) * np.geomspace(0.01, 1, 16).reshape(16, 1, 1, 1)).astype(np.float32)
        for name, shape in CONSTANTS.items()
        if name in ("one", "each", "two")
    }
    model = network(**uneven)
    plain = int8_onnx_answers(model, pictures, in_float, optimised=False)
    optimised = int8_onnx_answers(model, pictures, in_float)
    assert sqnr_db(plain, optimised) > 40
    everything = int8_onnx_answers(model, pictures, ())
    reference = float_answers(model, pictures)
    assert sqnr_db(reference, optimised) > sqnr_db(reference, everything)


@pytest.mark.parametrize(
    ("layer", "dead"),
    [
        ("stem", 0.0),  # weights that are nothing but zeros
        ("one", 1e-30),  # next to nothing
        ("each", 0.0),  # a depthwise one, whose channels are along the last axis of the file
        ("two", 1e-12),
    ],
)
def test_a_dead_channel_keeps_its_bias(pictures: NDArray[np.uint8], layer: str, dead: float) -> None:
    """The quantizer cuts a bias off where the scale of the weights is next to nothing."""
    model = network()
    constants = {constant.name: constant for constant in model.graph.initializer}
    weights, bias = (numpy_helper.to_array(constants[name]).copy() for name in (layer, f"{layer}_b"))
    weights[[1, 6]], bias[[1, 6]] = dead, (1.5, 2.5)
    constants[layer].CopyFrom(numpy_helper.from_array(weights, layer))
    constants[f"{layer}_b"].CopyFrom(numpy_helper.from_array(bias, f"{layer}_b"))
    reference = float_answers(model, pictures)
    assert sqnr_db(reference, int8_tflite_answers(model, pictures)) > 30


@pytest.mark.skipif(platform.machine() != "x86_64", reason="which layers are int8 is known for x86")
def test_openvino_runs_every_convolution_in_int8(pictures: NDArray[np.uint8]) -> None:
    """nncf gave depthwise weights a scale for each column of a kernel, and the plugin ran them in float."""
    openvino = pytest.importorskip("openvino")
    pytest.importorskip("nncf", reason="OpenVINO's int8: pip install edgecv[convert]")
    model = network()
    made = openvino_files.quantise(model, RULE, pictures, "disable", lambda _: None)
    compiled = openvino.Core().compile_model(made, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    layers = [
        {
            key: info.astype(str)
            for key, info in node.get_rt_info().items()
            if key in ("layerType", "runtimePrecision")
        }
        for node in compiled.get_runtime_model().get_ops()
    ]
    precisions = [layer["runtimePrecision"] for layer in layers if layer["layerType"] == "Convolution"]
    assert len(precisions) == 4
    assert set(precisions) <= {"u8", "i8"}
    answers = np.concatenate([next(iter(compiled({0: picture[None]}).values())) for picture in pictures])
    assert sqnr_db(float_answers(model, pictures), answers) > 25
