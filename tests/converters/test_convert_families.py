"""Each family's graph in the three formats: they answer as the canonical graph does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

for module in ("onnx", "onnxruntime", "ai_edge_litert", "openvino"):
    pytest.importorskip(module, reason="a converting test: pip install edgecv[convert]")

import convert_tiny

from edgecv.converters import openvino, tflite
from edgecv.converters.architecture import Architecture, Blocks
from edgecv.converters.float_model import FloatModel
from edgecv.converters.graph import with_image_input
from edgecv.converters.models import get_model, load
from edgecv.converters.verify import float_logits

MOBILENET = convert_tiny.ARCHITECTURE._replace(stages=(Blocks(1, 3, 1, 1, 8), Blocks(2, 3, 2, 6, 8)))
LITE = convert_tiny.ARCHITECTURE  # has 5x5 kernels
EFFICIENTNET = convert_tiny.SQUEEZED


def run_tflite(content: bytes, images: np.ndarray) -> np.ndarray:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    (source,), (target,) = interpreter.get_input_details(), interpreter.get_output_details()
    rows = []
    for image in images:
        interpreter.set_tensor(source["index"], image[None])
        interpreter.invoke()
        rows.append(interpreter.get_tensor(target["index"])[0].copy())
    return np.stack(rows)


def run_onnx(content: bytes, images: np.ndarray) -> np.ndarray:
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return np.concatenate([session.run(None, {name: image[None]})[0] for image in images])


def run_openvino(model, images: np.ndarray) -> np.ndarray:
    import openvino as runtime

    compiled = runtime.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return np.concatenate([next(iter(compiled(image[None]).values())) for image in images])


def assert_formats_agree(source: FloatModel) -> None:
    """To 1e-4 of the largest logit: the bound of the tests against the models' own frameworks."""
    bright, dark = 256, 64
    images = np.random.default_rng(3).integers(
        0, [[[[bright]]], [[[dark]]]], (2, *source.preprocess.size_hw, 3), dtype=np.uint8
    )
    expected = float_logits(source.graph, source.preprocess, images, 1, lambda _: None)
    whole = with_image_input(source.graph, source.preprocess)
    answers = {
        "TFLite": run_tflite(tflite.emit(whole), images),
        "ONNX": run_onnx(whole.SerializeToString(), images),
        "OpenVINO": run_openvino(openvino.read(whole), images),
    }
    assert np.ptp(expected, axis=0).max() > 0.01 * np.abs(expected).max()  # the pictures matter
    for format, got in answers.items():
        np.testing.assert_allclose(got, expected, rtol=0, atol=1e-4 * np.abs(expected).max(), err_msg=format)


@pytest.mark.parametrize(
    "architecture", [MOBILENET, LITE, EFFICIENTNET], ids=["MobileNetV2", "EfficientNet-Lite", "EfficientNet"]
)
def test_a_small_member_answers_alike_in_every_format(architecture: Architecture, tmp_path: Path) -> None:
    path = convert_tiny.write_weights(tmp_path / "w.npz", architecture=architecture)
    assert_formats_agree(load(convert_tiny.tiny_model(architecture), path))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["efficientnet-b0", "efficientnet-lite1", "mobilenetv2-0.35-96"])
def test_a_whole_model_answers_alike_in_every_format(name: str, tmp_path: Path) -> None:
    """With random weights."""
    model = get_model(name)
    path = convert_tiny.write_weights(tmp_path / "w.npz", architecture=model.architecture)
    assert_formats_agree(load(model._replace(read=convert_tiny.read_npz), path))
