"""Artifacts that need no calibration: `fp16`, and `dynamic`, which is int8 weights with float arithmetic.

Measured on EfficientNet-Lite0, 200 photographs, one thread of an x86-64 with AVX-512; the float files are
18.5 MB (18.9 OpenVINO); time is the quickest picture against the float file's in the same engine.

| artifact                                        |   MB | SQNR dB | agree | time |
|-------------------------------------------------|------|---------|-------|------|
| fp16 TFLite, halves behind DEQUANTIZE           |  9.3 |    47.7 | 1.000 |  1.0 |
| fp16 ONNX, computed in halves                   |  9.3 |    45.8 | 1.000 |  1.4 |
| fp16 OpenVINO, halves behind Convert            |  9.7 |    45.8 | 1.000 |  1.0 |
| dynamic TFLite, weight only                     |  5.0 |    19.4 | 0.965 |  1.0 |
| dynamic ONNX, int8 -> Cast -> Mul               |  4.8 |    19.4 | 0.965 |  1.0 |
| dynamic OpenVINO, the same graph                |  5.3 |    19.3 | 0.965 |  1.0 |
| - not used: TFLite with integer activations     |  5.0 |    18.9 | 0.965 |  1.9 |
| - not used: ONNX int8 -> DequantizeLinear       |  4.8 |    19.4 | 0.965 |  2.9 |
| - not used: onnxruntime's quantize_dynamic      |  4.8 |     6.5 | 0.835 |   15 |

TFLite with integer activations ("dynamic range") answers nonsense in tflite-runtime 2.14 where the weights
have a scale a channel. ONNX Runtime folds Cast and Mul of constants when it loads a file, and never folds
DequantizeLinear: it would widen every weight again for every picture. OpenVINO knows Convert and Multiply of
an int8 constant as compressed weights, and keeps them so in its file.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgecv.converters import openvino
from edgecv.converters.graph import with_image_input
from edgecv.errors import ConversionError
from edgecv.quiet import quiet

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray

    from edgecv.converters.recipes import Advance, Source

FP16_TFLITE = "float16 weights, widened when the file is loaded"
FP16_ONNX = "float16 weights and arithmetic, logits float32"
FP16_OPENVINO = "float16 weights, the plugin chooses the arithmetic"
DYNAMIC = "int8 weights, symmetric, a scale a channel; float arithmetic"

_LARGEST_HALF = float(np.finfo(np.float16).max)
_WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")


def tflite_fp16(source: Source, path: Path, _: Advance) -> str | None:
    """Halves behind DEQUANTIZE, which XNNPACK and the GPU delegates take; biases stay float32."""
    from litert_quantizer import qtyping, quantizer

    _check_halves(source.model)
    halves = qtyping.OpQuantizationConfig(
        weight_tensor_config=qtyping.TensorQuantizationConfig(16, dtype=qtyping.TensorDataType.FLOAT),
        compute_precision=qtyping.ComputePrecision.FLOAT,
        explicit_dequantize=True,
    )

    def add(work: Any, operator: Any) -> None:
        work.update_quantization_recipe(".*", operator, halves, quantizer.AlgorithmName.FLOAT_CASTING)

    return _with_recipe(source, path, add)


def tflite_dynamic(source: Source, path: Path, _: Advance) -> str | None:
    """int8 weights behind DEQUANTIZE, biases and everything computed float32."""
    return _with_recipe(source, path, lambda work, op: work.add_weight_only_config(".*", op, 8))


def onnx_fp16(source: Source, path: Path, _: Advance) -> None:
    """Normalised in float32, as every artifact is, then halves down to a Cast whose output is `logits`."""
    path.write_bytes(with_image_input(in_halves(source.model), source.rule).SerializeToString())


def onnx_dynamic(source: Source, path: Path, _: Advance) -> None:
    path.write_bytes(with_int8_weights(_whole(source)).SerializeToString())


def openvino_fp16(source: Source, path: Path, _: Advance) -> None:
    _check_halves(source.model)
    openvino.save(openvino.read(_whole(source)), path, compress_to_fp16=True)


def openvino_dynamic(source: Source, path: Path, _: Advance) -> None:
    openvino.save(openvino.read(with_int8_weights(_whole(source))), path)


def in_halves(model: onnx.ModelProto) -> onnx.ModelProto:
    """A float32 graph's copy that computes in float16; its inputs and outputs stay float32.

    Operators that have no float16 kernel (Resize, TopK, ...) stay float32 between two Casts.
    Raises ConversionError naming the weight that float16 cannot hold.
    """
    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16
    from onnxruntime.transformers.onnx_model import OnnxModel

    _check_halves(model)
    own = onnx.ModelProto()  # the library edits what it is given
    own.CopyFrom(model)
    halved = convert_float_to_float16(own, keep_io_types=True)
    OnnxModel.graph_topological_sort(halved.graph)  # it puts its Casts last
    return halved


def with_int8_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """A float32 graph's copy whose convolutions and matrix products read Mul(Cast(int8), scale).

    One scale an output channel, symmetric: real = scale * code, -127 <= code <= 127.
    """
    import onnx
    from onnx import helper, numpy_helper

    edited = onnx.ModelProto()
    edited.CopyFrom(model)
    graph = edited.graph
    constants = {constant.name: constant for constant in graph.initializer}
    front = []
    for node in model.graph.node:
        weight = constants.pop(node.input[1], None) if node.op_type in ("Conv", "Gemm", "MatMul") else None
        if weight is None:  # computed, or a weight that an earlier node shares
            continue
        name = weight.name
        codes, scale = _codes(numpy_helper.to_array(weight), _output_axis(node, len(weight.dims)))
        graph.initializer.remove(weight)
        graph.initializer.append(numpy_helper.from_array(codes, f"{name}.int8"))
        graph.initializer.append(numpy_helper.from_array(scale, f"{name}.scale"))
        front.append(helper.make_node("Cast", [f"{name}.int8"], [f"{name}.cast"], f"{name}.cast", to=1))
        front.append(helper.make_node("Mul", [f"{name}.cast", f"{name}.scale"], [name], f"{name}.widen"))
    nodes = [*front, *model.graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    onnx.checker.check_model(edited)
    return edited


def _codes(weight: NDArray[np.float32], axis: int) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    others = tuple(i for i in range(weight.ndim) if i != axis)
    scale = np.abs(weight).max(axis=others, keepdims=True) / np.float32(127)
    scale = np.where(scale > 0, scale, np.float32(1))  # a channel of zeros
    return np.round(weight / scale).astype(np.int8), scale


def _output_axis(node: onnx.NodeProto, rank: int) -> int:
    if node.op_type == "Conv":
        return 0
    transposed = any(a.name == "transB" and a.i for a in node.attribute)
    return 0 if transposed else rank - 1


def _whole(source: Source) -> onnx.ModelProto:
    return with_image_input(source.model, source.rule)


def _with_recipe(source: Source, path: Path, add: Callable[[Any, Any], None]) -> str | None:
    from litert_quantizer import qtyping, quantizer

    written = source.tflite.from_pixels(source.model, source.rule)
    with quiet():
        work = quantizer.Quantizer(bytearray(written.content))
        for name in _WEIGHTED:
            add(work, qtyping.TFLOperationName[name])
        path.write_bytes(work.quantize(enable_progress_report=False).quantized_model)
    return written.by


def _check_halves(model: onnx.ModelProto) -> None:
    from onnx import TensorProto, numpy_helper

    for constant in model.graph.initializer:
        if constant.data_type == TensorProto.FLOAT:
            largest = float(np.abs(numpy_helper.to_array(constant)).max(initial=0.0))
            if not largest <= _LARGEST_HALF:
                raise ConversionError(
                    f"weight {constant.name} holds {largest:.3g}, and float16 ends at {_LARGEST_HALF:.0f}; "
                    "leave fp16 out"
                )
