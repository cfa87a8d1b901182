"""ONNX -> TFLite: whole networks, from squeeze-and-excite to a detector and a segmenter."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

for module in ("onnx", "onnxruntime", "ai_edge_litert"):
    pytest.importorskip(module, reason="a converting test: pip install edgecv[convert]")

import onnx
from convert_graphs import Arrays, Constant, assert_same, feed, graph, ints, operators, run_onnx, run_tflite
from numpy.typing import NDArray
from onnx import helper

from edgecv.converters.tflite import emit
from edgecv.quiet import quiet

SWISH = " {0}s = Sigmoid({0}) {0}a = Mul({0}, {0}s)"

# A camera's picture, NHWC; names that end in `a` are activated.
EFFICIENT = (
    "x = Transpose<perm=[0,3,1,2]>(i)"
    ' c = Conv<strides=[2,2], auto_pad="SAME_UPPER">(x, w0, b0)'
    + SWISH.format("c")
    + " d = Conv<group=8, pads=[1,1,1,1]>(ca, w1, b1)"
    + SWISH.format("d")
    + " q = ReduceMean<axes=[2,3]>(da) r = Conv(q, w2, b2)"
    + SWISH.format("r")
    + " t = Conv(ra, w3, b3) g = Sigmoid(t) m = Mul(da, g) p = Conv(m, w4, b4) n = Add(p, ca)"
    " v = GlobalAveragePool(n) f = Flatten(v) y = Gemm<transB=1>(f, w5, b5)"
)
EFFICIENT_WEIGHTS: dict[str, Constant] = {
    "w0": (8, 3, 3, 3), "b0": (8,), "w1": (8, 1, 3, 3), "b1": (8,), "w2": (2, 8, 1, 1), "b2": (2,),
    "w3": (8, 2, 1, 1), "b3": (8,), "w4": (8, 8, 1, 1), "b4": (8,), "w5": (5, 8), "b5": (5,),
}  # fmt: skip

# Two feature maps; boxes and scores of both, joined; scores as probabilities
DETECTOR = """
x = Transpose<perm=[0,3,1,2]>(i)
a = Conv<strides=[2,2], pads=[1,1,1,1]>(x, w0, b0) a1 = Relu(a)
b = Conv<strides=[2,2], pads=[1,1,1,1]>(a1, w1, b1) b1a = Clip(b, zero, six)
l0 = Conv<pads=[1,1,1,1]>(a1, w2) l0t = Transpose<perm=[0,2,3,1]>(l0) l0r = Reshape(l0t, four)
l1 = Conv<pads=[1,1,1,1]>(b1a, w3) l1t = Transpose<perm=[0,2,3,1]>(l1) l1r = Reshape(l1t, four)
s0 = Conv<pads=[1,1,1,1]>(a1, w4) s0t = Transpose<perm=[0,2,3,1]>(s0) s0r = Reshape(s0t, three)
s1 = Conv<pads=[1,1,1,1]>(b1a, w5) s1t = Transpose<perm=[0,2,3,1]>(s1) s1r = Reshape(s1t, three)
l = Concat<axis=1>(l0r, l1r) s = Concat<axis=1>(s0r, s1r) scores = Softmax<axis=2>(s)
centre, size = Split<axis=2>(l) c = Mul(centre, step) z = Exp(size) boxes = Concat<axis=2>(c, z)
"""
DETECTOR_WEIGHTS: dict[str, Constant] = {
    "w0": (6, 3, 3, 3), "b0": (6,), "w1": (8, 6, 3, 3), "b1": (8,), "w2": (8, 6, 3, 3), "w3": (8, 8, 3, 3),
    "w4": (6, 6, 3, 3), "w5": (6, 8, 3, 3), "zero": np.float32(0), "six": np.float32(6),
    "step": np.float32(0.1), "four": ints(1, -1, 4), "three": ints(1, -1, 3),
}  # fmt: skip

# DeepLab's head: dilated branches and the picture's mean, resized and joined; the class of each pixel
SEGMENTER = """
x = Transpose<perm=[0,3,1,2]>(i)
f = Conv<strides=[2,2], pads=[1,1,1,1]>(x, w0, b0) f1 = Relu(f)
d1 = Conv(f1, w1) d1r = Relu(d1)
d2 = Conv<dilations=[2,2], pads=[2,2,2,2]>(f1, w2) d2r = Relu(d2)
d3 = Conv<group=6, dilations=[4,4], pads=[4,4,4,4]>(f1, w3) d3r = Relu(d3)
g = GlobalAveragePool(f1) gc = Conv(g, w4) gr = Relu(gc)
u = Resize<mode="linear">(gr, , , small)
j = Concat<axis=1>(d1r, d2r, d3r, u) k = Conv(j, w5, b5)
logits = Resize<mode="linear", coordinate_transformation_mode="align_corners">(k, , , large)
c = ArgMax<axis=1, keepdims=0>(logits) classes = Cast<to=6>(c)
"""
SEGMENTER_WEIGHTS: dict[str, Constant] = {
    "w0": (6, 3, 3, 3), "b0": (6,), "w1": (6, 6, 1, 1), "w2": (6, 6, 3, 3), "w3": (6, 1, 3, 3),
    "w4": (6, 6, 1, 1), "w5": (4, 24, 1, 1), "b5": (4,), "small": ints(1, 6, 9, 9),
    "large": ints(1, 4, 18, 18),
}  # fmt: skip


def check(inputs: str, body: str, weights: dict[str, Constant], outputs: tuple[str, ...]) -> list[str]:
    """The operators of the file, once its answers are ONNX Runtime's."""
    model = graph(inputs, body, weights, outputs)
    content, given = emit(model), feed(model)
    assert_same(run_tflite(content, given), run_onnx(model, given))
    return operators(content)


def test_squeeze_and_excite_takes_no_transpose() -> None:
    written = check("float[1,16,16,3] i", EFFICIENT, EFFICIENT_WEIGHTS, ("y",))
    assert "TRANSPOSE" not in written
    assert len(written) == 18  # an operator for each of ONNX's, less the Transpose that is free


def test_a_detector_of_two_maps_takes_no_transpose() -> None:
    written = check("float[1,16,16,3] i", DETECTOR, DETECTOR_WEIGHTS, ("boxes", "scores"))
    assert "TRANSPOSE" not in written


def test_a_segmenter_transposes_its_logits_only() -> None:
    assert "TRANSPOSE" not in check("float[1,18,18,3] i", SEGMENTER, SEGMENTER_WEIGHTS, ("classes",))
    written = check("float[1,18,18,3] i", SEGMENTER, SEGMENTER_WEIGHTS, ("logits", "classes"))
    assert written.count("TRANSPOSE") == 1


# -- a real detector ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def yolox(shared: Path) -> onnx.ModelProto:
    """YOLOX-nano behind an NHWC input: `image` [1, 416, 416, 3] float32 BGR 0..255; opset 11."""
    model = onnx.load(str(shared / "models" / "yolox_nano.onnx"))
    first = helper.make_node("Transpose", ["image"], [model.graph.input[0].name], perm=[0, 3, 1, 2])
    model.graph.node.insert(0, first)
    del model.graph.input[:]
    image = helper.make_tensor_value_info("image", onnx.TensorProto.FLOAT, [1, 416, 416, 3])
    model.graph.input.append(image)
    return model


def photographs(shared: Path, first: int, count: int) -> list[NDArray[np.float32]]:
    import cv2

    pictures = []
    for path in sorted((shared / "data" / "coco128" / "images").glob("*.jpg"))[first : first + count]:
        picture = cv2.imread(str(path))
        scale = 416 / max(picture.shape[:2])
        small = cv2.resize(picture, None, fx=scale, fy=scale)[:416, :416]
        canvas = np.full((416, 416, 3), 114, np.float32)
        canvas[: small.shape[0], : small.shape[1]] = small
        pictures.append(canvas[None])
    return pictures


@pytest.mark.slow
def test_yolox_answers_as_in_onnx_runtime(yolox: onnx.ModelProto, shared: Path) -> None:
    content = emit(yolox)
    assert "TRANSPOSE" not in operators(content)
    for picture in photographs(shared, 0, 4):
        given: Arrays = {"image": picture}
        got, want = run_tflite(content, given)["output"], run_onnx(yolox, given)["output"]
        # [1, 3549, 85]: box, objectness, 80 classes; 113 convolutions deep, values up to 3.5
        np.testing.assert_allclose(got, want, atol=1e-3)
        assert np.abs(got - want).mean() < 1e-5


@pytest.mark.slow
def test_yolox_goes_through_the_quantizer(yolox: onnx.ModelProto, shared: Path) -> None:
    """Every operator takes int8: what is left in float is the two ends. YOLOX-nano itself suffers from it."""
    pytest.importorskip("litert_quantizer")
    from litert_quantizer import calibrator, qtyping, quantizer, recipe

    content = emit(yolox)
    with quiet():
        work = quantizer.Quantizer(bytearray(content), recipe.static_wi8_ai8())
        for end in (qtyping.TFLOperationName.INPUT, qtyping.TFLOperationName.OUTPUT):
            work.update_quantization_recipe(".*", end, algorithm_key=quantizer.AlgorithmName.NO_QUANTIZE)
        samples = [{"image": picture} for picture in photographs(shared, 0, 4)]
        mode = calibrator.CalibrationMode.CALIBRATION_PROFILER_BASED
        ranges = work.calibrate({"serving_default": samples}, num_threads=1, mode=mode)
        result = bytes(work.quantize(ranges, enable_progress_report=False).quantized_model)
    assert operators(result).count("DEQUANTIZE") == 1
    (picture,) = photographs(shared, 20, 1)
    expected = run_tflite(content, {"image": picture})["output"]
    noise = run_tflite(result, {"image": picture})["output"] - expected
    assert 10 * np.log10((expected**2).sum() / (noise**2).sum()) > 4  # 5.9 to 7.3 dB measured
