"""How each artifact is made: recipes as data, one line a way of writing a format and precision.

An int8 kind has a ladder, from the fastest to the safest. A conversion takes the first recipe that applies
or, asked for a bound on the accuracy lost, climbs until one holds it. Where a kind has several recipes of
the same speed (`alternatives`), a conversion without a bound builds them all and keeps the nearest to float.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from edgecv.converters import graph, int8_onnx, int8_tflite, openvino, ranges, reduced
from edgecv.converters.preparation import Prepared, with_exact_biases
from edgecv.converters.tflite_writer import TfliteWriter
from edgecv.spec import Format, Kind, Precision, Preprocess

if TYPE_CHECKING:
    import numpy as np
    import onnx
    from numpy.typing import NDArray

Advance = Callable[[int], None]


class WithRanges(NamedTuple):
    """A graph whose mean is a whole number, its rule, and the range of each of its values."""

    model: onnx.ModelProto
    rule: Preprocess
    limits: dict[str, ranges.Limits]


@dataclass(frozen=True)
class Source:
    """What every recipe starts from.

    model: the canonical float graph; prepared: what int8 is made from; calibration: [N, H, W, 3] uint8.
    in_float(share): the nodes of the most sensitive operations, as many as that share of all; measured
    when it is first asked for. measured: what recipes share, by the nodes that stay float. tflite: who
    writes the float TFLite files.
    """

    model: onnx.ModelProto
    prepared: Prepared
    rule: Preprocess
    threads: int
    calibration: NDArray[np.uint8]
    in_float: Callable[[float], tuple[str, ...]]
    measured: dict[tuple[str, ...], WithRanges] = field(default_factory=dict)
    tflite: TfliteWriter = field(default_factory=TfliteWriter)


Build = Callable[[Source, Path, Advance], "str | None"]


class Recipe(NamedTuple):
    """`build` writes the artifact at a path whose suffix is FILE_SUFFIX[format].

    What it returns, if anything, is said of the artifact behind `text`.

    saturating: only for targets whose int8 sums saturate (True), only for others (False), or for all.
    precise: the runtime is to use exact sums where the CPU saturates. risky: tried under a bound alone, on
    a CPU that shows the damage. alternative: as fast as the recipe before it.
    """

    text: str
    build: Build
    saturating: bool | None = None
    precise: bool = False
    risky: bool = False
    alternative: bool = False


FILE_SUFFIX = {Format.TFLITE: ".tflite", Format.ONNX: ".onnx", Format.OPENVINO: ".xml"}

# Importable modules that making a kind needs, beside the engine that verifies it.
NEEDS = {
    Kind(Format.TFLITE, Precision.FP32): ("ai_edge_litert",),
    Kind(Format.ONNX, Precision.FP32): (),
    Kind(Format.OPENVINO, Precision.FP32): ("openvino",),
    Kind(Format.TFLITE, Precision.INT8): ("ai_edge_litert", "litert_quantizer"),
    Kind(Format.ONNX, Precision.INT8): ("onnxruntime",),
    Kind(Format.OPENVINO, Precision.INT8): ("openvino", "nncf"),
    Kind(Format.TFLITE, Precision.FP16): ("ai_edge_litert", "litert_quantizer"),
    Kind(Format.ONNX, Precision.FP16): ("onnxruntime",),
    Kind(Format.OPENVINO, Precision.FP16): ("openvino",),
    Kind(Format.TFLITE, Precision.DYNAMIC): ("ai_edge_litert", "litert_quantizer"),
    Kind(Format.ONNX, Precision.DYNAMIC): (),
    Kind(Format.OPENVINO, Precision.DYNAMIC): ("openvino",),
}


def _tflite_fp32(source: Source, path: Path, _: Advance) -> str | None:
    written = source.tflite.from_pixels(source.model, source.rule)
    path.write_bytes(written.content)
    return written.by


def _onnx_fp32(source: Source, path: Path, _: Advance) -> None:
    path.write_bytes(graph.with_image_input(source.model, source.rule).SerializeToString())


def _openvino_fp32(source: Source, path: Path, _: Advance) -> None:
    openvino.save(openvino.read(graph.with_image_input(source.model, source.rule)), path)


def _for_int8(source: Source, floats: tuple[str, ...]) -> onnx.ModelProto:
    """The prepared graph, in which `floats`, the nodes that stay float, are as they were."""
    prepared = source.prepared
    return with_exact_biases(prepared.graph, prepared.exact, floats) if floats else prepared.graph


def _with_ranges(source: Source, floats: tuple[str, ...], advance: Advance) -> WithRanges:
    """The graph for int8 with its ranges, measured once for all recipes that leave the same in float."""
    if floats not in source.measured:
        model, rule = graph.with_integer_mean(_for_int8(source, floats), source.rule)
        limits = ranges.collect(model, rule, source.calibration, source.threads, advance)
        source.measured[floats] = WithRanges(model, rule, limits)
    return source.measured[floats]


def _tflite_int8(source: Source, path: Path, advance: Advance, *, share: float = 0.0) -> str | None:
    floats = source.in_float(share) if share else ()
    model, rule, limits = _with_ranges(source, floats, advance)
    pictures, threads = source.calibration, source.threads
    written = source.tflite.from_normalised(model, rule)
    path.write_bytes(int8_tflite.quantise(written, model, rule, pictures, limits, threads, floats))
    return written.by


def _onnx_int8(source: Source, path: Path, advance: Advance, *, share: float = 0.0) -> None:
    floats = source.in_float(share) if share else ()
    model, rule, limits = _with_ranges(source, floats, advance)
    path.write_bytes(int8_onnx.quantise(model, rule, limits, floats).SerializeToString())


def _openvino_int8(
    source: Source, path: Path, advance: Advance, *, fix: str, share: float = 0.0, depthwise: bool = False
) -> None:
    floats = source.in_float(share) if share else ()
    if depthwise:
        floats = graph.depthwise(source.prepared.graph)
    model, rule = graph.with_integer_mean(_for_int8(source, floats), source.rule)
    openvino.save(openvino.quantise(model, rule, source.calibration, fix, advance, floats), path)


_TFLITE = "static int8, per-channel weights, min-max ranges, classifier dynamic int8, output float"
_ONNX = "static int8 QDQ, uint8 activations, int8 per-channel weights, min-max ranges, output float"
_NNCF = "nncf static int8, per-channel weights, mixed preset"
_FIRST, _ALL = "7-bit weights in the first layer", "7-bit weights"
_SHARES = (("5 %", 0.05), ("10 %", 0.1), ("20 %", 0.2), ("40 %", 0.4))

RECIPES: dict[Kind, tuple[Recipe, ...]] = {
    Kind(Format.TFLITE, Precision.FP32): (Recipe("float32, batch norms folded", _tflite_fp32),),
    Kind(Format.ONNX, Precision.FP32): (Recipe("float32, batch norms folded", _onnx_fp32),),
    Kind(Format.OPENVINO, Precision.FP32): (Recipe("float32, from the ONNX graph", _openvino_fp32),),
    Kind(Format.TFLITE, Precision.INT8): (
        Recipe(f"{_TFLITE}", _tflite_int8),
        *(
            Recipe(f"{_TFLITE}, {text} of operations float", partial(_tflite_int8, share=share))
            for text, share in _SHARES
        ),
    ),
    Kind(Format.ONNX, Precision.INT8): (
        # Sums of 16 bits are the fastest where they saturate, and may do for a model.
        Recipe(f"{_ONNX}, sums may saturate", _onnx_int8, saturating=True, risky=True),
        Recipe(f"{_ONNX}", _onnx_int8, precise=True),
        *(
            Recipe(f"{_ONNX}, {text} of operations float", partial(_onnx_int8, share=share), precise=True)
            for text, share in _SHARES
        ),
    ),
    Kind(Format.OPENVINO, Precision.INT8): (
        Recipe(f"{_NNCF}, 8-bit weights", partial(_openvino_int8, fix="disable"), saturating=False),
        *(
            Recipe(
                f"{_NNCF}, 8-bit weights, {text} of operations float",
                partial(_openvino_int8, fix="disable", share=share),
                saturating=False,
            )
            for text, share in _SHARES
        ),
        # Sums of products with 7-bit weights cannot saturate. Which of the two is nearer to float depends
        # on how much the weights need their eighth bit.
        Recipe(f"{_NNCF}, {_FIRST}", partial(_openvino_int8, fix="first_layer_only"), saturating=True),
        Recipe(f"{_NNCF}, {_ALL}", partial(_openvino_int8, fix="enable"), saturating=True, alternative=True),
        *(
            Recipe(
                f"{_NNCF}, {bits}, depthwise convolutions float",
                partial(_openvino_int8, fix=fix, depthwise=True),
                saturating=True,
            )
            for bits, fix in ((_FIRST, "first_layer_only"), (_ALL, "enable"))
        ),
        *(
            Recipe(
                f"{_NNCF}, {_FIRST}, {text} of operations float",
                partial(_openvino_int8, fix="first_layer_only", share=share),
                saturating=True,
            )
            for text, share in _SHARES
        ),
    ),
    Kind(Format.TFLITE, Precision.FP16): (Recipe(reduced.FP16_TFLITE, reduced.tflite_fp16),),
    Kind(Format.ONNX, Precision.FP16): (Recipe(reduced.FP16_ONNX, reduced.onnx_fp16),),
    Kind(Format.OPENVINO, Precision.FP16): (Recipe(reduced.FP16_OPENVINO, reduced.openvino_fp16),),
    Kind(Format.TFLITE, Precision.DYNAMIC): (Recipe(reduced.DYNAMIC, reduced.tflite_dynamic),),
    Kind(Format.ONNX, Precision.DYNAMIC): (Recipe(reduced.DYNAMIC, reduced.onnx_dynamic),),
    Kind(Format.OPENVINO, Precision.DYNAMIC): (Recipe(reduced.DYNAMIC, reduced.openvino_dynamic),),
}
