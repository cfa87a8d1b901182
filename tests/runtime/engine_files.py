"""One small classifier as a file of each format, written by the converters, and what is in it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from edgecv.bundle import Artifact, File
from edgecv.converters import graph, openvino
from edgecv.converters.tflite_writer import TfliteWriter
from edgecv.spec import Format, Precision, Preprocess, TensorSpec

RULE = Preprocess(size_hw=(32, 32), mean=(127.5, 127.5, 127.5), std=(127.5, 127.5, 127.5))
BODY = """
    stem = Conv<pads=[1,1,1,1], strides=[2,2]>(x, stem_w, stem_b)  stem6 = Clip(stem, zero, six)
    depth = Conv<group=16, pads=[1,1,1,1]>(stem6, depth_w, depth_b)  depth6 = Clip(depth, zero, six)
    wide = Conv(depth6, wide_w, wide_b)  wide6 = Clip(wide, zero, six)
    pool = GlobalAveragePool(wide6)  flat = Flatten(pool)  logits = Gemm<transB=1>(flat, top_w, top_b)
"""
WEIGHTS = {
    "stem_w": (16, 3, 3, 3), "stem_b": (16,), "depth_w": (16, 1, 3, 3), "depth_b": (16,),
    "wide_w": (64, 16, 1, 1), "wide_b": (64,), "top_w": (100, 64), "top_b": (100,),
}  # fmt: skip
# Multiply-adds by the value that the convolution or its clamp gives.
MACS = {"stem": 16 * 16 * 16 * 27, "depth": 16 * 16 * 16 * 9, "wide": 16 * 16 * 64 * 16, "logits": 100 * 64}
SUFFIX = {Format.TFLITE: ".tflite", Format.ONNX: ".onnx", Format.OPENVINO: ".xml"}


def classifier() -> onnx.ModelProto:
    head = '<ir_version: 8, opset_import: ["" : 17]> g (float[1,3,32,32] x) => (float[1,100] logits)'
    model = onnx.parser.parse_model(f"{head} {{{BODY}}}")
    rng = np.random.default_rng(5)
    constants = {name: rng.standard_normal(shape) / 8 for name, shape in WEIGHTS.items()}
    for name, array in {**constants, "zero": np.float32(0), "six": np.float32(6)}.items():
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(array, np.float32), name))
    for node in model.graph.node:
        node.name = node.output[0]
    return onnx.shape_inference.infer_shapes(model)


def write(folder: Path, format: Format) -> Path:
    """The classifier as float pixels' file of a format."""
    path = folder / f"model{SUFFIX[format]}"
    if format is Format.TFLITE:
        path.write_bytes(TfliteWriter().from_pixels(classifier(), RULE).content)
    elif format is Format.ONNX:
        path.write_bytes(graph.with_image_input(classifier(), RULE).SerializeToString())
    else:
        openvino.save(openvino.read(graph.with_image_input(classifier(), RULE)), path)
    return path


def artifact(format: Format, precise: bool = False) -> Artifact:
    """The classifier's entry in a manifest."""
    return Artifact(
        format=format,
        precision=Precision.FP32,
        files=(File(path=f"model{SUFFIX[format]}", bytes=1, sha256="0" * 64),),
        input=TensorSpec(name="image", shape=(1, 32, 32, 3), dtype="uint8"),
        output=TensorSpec(name="logits", shape=(1, 100), dtype="float32"),
        recipe="as it is",
        precise_if_saturating=precise,
    )
