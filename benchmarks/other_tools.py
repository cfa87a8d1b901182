"""MobileNetV2 through other tools: python other_tools.py TOOL SOURCE OUT [IMAGES.npy]

Run by convert.py, each in a process and an environment of its own, with nothing of edgecv: SOURCE is a
.weights.h5 file of keras.applications, or the file that an earlier tool wrote; IMAGES.npy is
[N, 224, 224, 3] uint8. A package that is missing ends it with status 3 and its name.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

MISSING = 3


def _keras(source: str) -> Any:
    import keras

    return keras.applications.MobileNetV2(weights=source)


def _pictures(path: str) -> Iterator[np.ndarray]:
    """[1, 224, 224, 3] float32 each, normalised."""
    for image in np.load(path):
        yield image[None].astype(np.float32) / np.float32(127.5) - 1


def random_weights(_source: str, out: str) -> None:
    import keras

    keras.applications.MobileNetV2(weights=None).save_weights(out)


def keras_tflite(source: str, out: str, images: str | None = None) -> None:
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_keras_model(_keras(source))
    if images:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([picture] for picture in _pictures(images))
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    Path(out).write_bytes(converter.convert())


def keras_onnx(source: str, out: str) -> None:
    import keras
    import tf2onnx  # noqa: F401  (export needs it, and says so less plainly)

    picture = keras.InputSpec(dtype="float32", shape=(1, 224, 224, 3))
    _keras(source).export(out, format="onnx", verbose=False, input_signature=[picture])


def keras_openvino(source: str, out: str, images: str | None = None) -> None:
    import openvino

    model = openvino.convert_model(_keras(source), input=[1, 224, 224, 3])
    if images:
        import nncf

        model = nncf.quantize(model, nncf.Dataset(list(_pictures(images))), subset_size=len(np.load(images)))
    openvino.save_model(model, out, compress_to_fp16=False)


def torch_onnx(_source: str, out: str) -> None:
    """The weights are random: what they are makes no difference to the time."""
    import torch

    example = (torch.zeros(1, 3, 224, 224),)
    torch.onnx.export(_torch_mobilenet().eval(), example, out, dynamo=True, external_data=False)


def onnx_openvino(source: str, out: str, images: str | None = None) -> None:
    """Of an ONNX file in PyTorch's layout."""
    import openvino

    model = openvino.convert_model(source)
    if images:
        import nncf

        pictures = [picture.transpose(0, 3, 1, 2) for picture in _pictures(images)]
        model = nncf.quantize(model, nncf.Dataset(pictures), subset_size=len(pictures))
    openvino.save_model(model, out, compress_to_fp16=False)


def onnx_int8(source: str, out: str, images: str) -> None:
    """onnxruntime.quantization.quantize_static as its documentation has it, per channel."""
    import onnxruntime
    from onnxruntime import quantization

    (given,) = onnxruntime.InferenceSession(source, providers=["CPUExecutionProvider"]).get_inputs()
    channels_first = given.shape[1] == 3

    class Reader(quantization.CalibrationDataReader):
        def __init__(self) -> None:
            self._pictures = _pictures(images)

        def get_next(self) -> dict[str, np.ndarray] | None:
            picture = next(self._pictures, None)
            if picture is None:
                return None
            return {given.name: picture.transpose(0, 3, 1, 2) if channels_first else picture}

    prepared = f"{out}.prepared.onnx"
    quantization.shape_inference.quant_pre_process(source, prepared)
    quantization.quantize_static(prepared, out, Reader(), per_channel=True)


def _torch_mobilenet() -> Any:
    """MobileNetV2 1.0 as torchvision has it."""
    from torch import nn

    def unit(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> list[Any]:
        conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
        return [conv, nn.BatchNorm2d(outputs), nn.ReLU6()]

    class Block(nn.Module):
        def __init__(self, inputs: int, outputs: int, stride: int, expand: int) -> None:
            super().__init__()
            wide = inputs * expand
            first = unit(inputs, wide, 1) if expand > 1 else []
            last = unit(wide, outputs, 1)[:2]
            self.layers = nn.Sequential(*first, *unit(wide, wide, 3, stride, wide), *last)
            self.residual = stride == 1 and inputs == outputs

        def forward(self, x: Any) -> Any:
            return x + self.layers(x) if self.residual else self.layers(x)

    layers, inputs = unit(3, 32, 3, 2), 32
    for expand, outputs, count, stride in (
        (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2),
        (6, 320, 1, 1),
    ):  # fmt: skip
        for i in range(count):
            layers.append(Block(inputs, outputs, stride if i == 0 else 1, expand))
            inputs = outputs
    head = [*unit(inputs, 1280, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1280, 1000)]
    return nn.Sequential(*layers, *head)


TOOLS: dict[str, Callable[..., None]] = {
    tool.__name__.replace("_", "-"): tool
    for tool in (
        random_weights, keras_tflite, keras_onnx, keras_openvino, torch_onnx, onnx_openvino, onnx_int8
    )
}  # fmt: skip

if __name__ == "__main__":
    try:
        TOOLS[sys.argv[1]](*sys.argv[2:])
    except ModuleNotFoundError as error:
        print(error.name)
        sys.exit(MISSING)
