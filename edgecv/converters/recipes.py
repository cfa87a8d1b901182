"""How each artifact is made: recipes as data, one entry a way of writing a format and precision.

Where a kind has several recipes that apply, all are built and the one nearest to the float model, measured
in its own engine, is kept.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from edgecv.converters import graph, int8_onnx, int8_tflite, openvino, tflite
from edgecv.spec import Format, Kind, Precision, Preprocess

if TYPE_CHECKING:
    import numpy as np
    import onnx
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Source:
    """What every recipe starts from.

    model: the canonical float graph; rule: its preprocessing; calibration: [N, H, W, 3] uint8 or None.
    """

    model: onnx.ModelProto
    rule: Preprocess
    threads: int
    calibration: NDArray[np.uint8] | None = None


Advance = Callable[[int], None]
Build = Callable[[Source, Path, Advance], None]


class Recipe(NamedTuple):
    """`build` writes the artifact at a path whose suffix is FILE_SUFFIX[format]."""

    text: str
    build: Build
    only_if_saturating: bool = False
    precise_if_saturating: bool = False


FILE_SUFFIX = {Format.TFLITE: ".tflite", Format.ONNX: ".onnx", Format.OPENVINO: ".xml"}

# Importable modules that making a kind needs, beside the engine that verifies it.
NEEDS = {
    Kind(Format.TFLITE, Precision.FP32): ("ai_edge_litert",),
    Kind(Format.ONNX, Precision.FP32): (),
    Kind(Format.OPENVINO, Precision.FP32): ("openvino",),
    Kind(Format.TFLITE, Precision.INT8): ("ai_edge_litert", "litert_quantizer"),
    Kind(Format.ONNX, Precision.INT8): ("onnxruntime",),
    Kind(Format.OPENVINO, Precision.INT8): ("openvino", "nncf"),
}


def _tflite_fp32(source: Source, path: Path, _: Advance) -> None:
    path.write_bytes(tflite.emit(graph.with_image_input(source.model, source.rule)))


def _onnx_fp32(source: Source, path: Path, _: Advance) -> None:
    path.write_bytes(graph.with_image_input(source.model, source.rule).SerializeToString())


def _openvino_fp32(source: Source, path: Path, _: Advance) -> None:
    openvino.save(openvino.read(graph.with_image_input(source.model, source.rule)), path)


def _tflite_int8(source: Source, path: Path, advance: Advance) -> None:
    model, rule = graph.with_integer_mean(source.model, source.rule)
    path.write_bytes(int8_tflite.quantise(model, rule, source.calibration, source.threads, advance))


def _onnx_int8(source: Source, path: Path, advance: Advance) -> None:
    model, rule = graph.with_integer_mean(source.model, source.rule)
    quantised = int8_onnx.quantise(model, rule, source.calibration, advance)
    path.write_bytes(quantised.SerializeToString())


def _openvino_int8(overflow_fix: str) -> Build:
    def build(source: Source, path: Path, advance: Advance) -> None:
        quantised = openvino.quantise(source.model, source.rule, source.calibration, overflow_fix, advance)
        openvino.save(quantised, path)

    return build


_NNCF = "nncf static int8, per-channel weights, mixed preset, fast bias correction"

RECIPES: dict[Kind, tuple[Recipe, ...]] = {
    Kind(Format.TFLITE, Precision.FP32): (Recipe("float32, written from the ONNX graph", _tflite_fp32),),
    Kind(Format.ONNX, Precision.FP32): (Recipe("float32, batch norms folded", _onnx_fp32),),
    Kind(Format.OPENVINO, Precision.FP32): (Recipe("float32, from the ONNX graph", _openvino_fp32),),
    Kind(Format.TFLITE, Precision.INT8): (Recipe(int8_tflite.RECIPE, _tflite_int8),),
    Kind(Format.ONNX, Precision.INT8): (Recipe(int8_onnx.RECIPE, _onnx_int8, precise_if_saturating=True),),
    Kind(Format.OPENVINO, Precision.INT8): (
        # 7 bits in the first layer cost half a point of agreement where int8 does not saturate, and save
        # six where it does.
        Recipe(f"{_NNCF}, 7-bit weights in the first layer", _openvino_int8("first_layer_only")),
        Recipe(f"{_NNCF}, 7-bit weights everywhere", _openvino_int8("enable"), only_if_saturating=True),
    ),
}
