"""Static int8 TFLite through litert-quantizer."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from edgecv.converters.graph import IMAGE
from edgecv.converters.ranges import Limits
from edgecv.converters.tflite_biases import give_room
from edgecv.converters.tflite_writer import Written
from edgecv.errors import ConversionError
from edgecv.quiet import quiet
from edgecv.spec import Preprocess

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray


def quantise(
    written: Written,
    model: onnx.ModelProto,
    rule: Preprocess,
    images: NDArray[np.uint8],
    limits: Mapping[str, Limits],
    threads: int,
    in_float: Sequence[str] = (),
) -> bytes:
    """The int8 TFLite file of a canonical graph whose mean is a whole number (graph.with_integer_mean).

    written: the graph as TfliteWriter.from_normalised gives it. images: [N, H, W, 3] uint8 calibration
    pictures; limits: the range of each value of the graph over them (ranges.collect). in_float: nodes of the
    graph whose operations stay float. Raises ConversionError for those in a file by TensorFlow's converter,
    whose tensors have names of their own.
    """
    from litert_quantizer import qtyping, quantizer, recipe

    content = written.content
    if written.by and in_float:
        raise ConversionError(f"{written.by}: single operations cannot be left float in it")
    with quiet():
        work = quantizer.Quantizer(bytearray(content), recipe.static_wi8_ai8())
        # int8 logits tie: a level is 0.05 and 15 % of pictures have two classes on the top one. Both rules
        # are needed to keep the answer in float, the classifier's and the output's.
        # One scale for its weights: tflite-runtime takes a file with one a channel, and answers nonsense.
        work.add_dynamic_config(
            ".*", qtyping.TFLOperationName.FULLY_CONNECTED, 8, qtyping.QuantGranularity.TENSORWISE
        )
        work.update_quantization_recipe(
            ".*",
            qtyping.TFLOperationName.OUTPUT,
            algorithm_key=quantizer.AlgorithmName.NO_QUANTIZE,
        )
        floats = [node for node in model.graph.node if node.name in in_float]
        left = {re.escape(output) for node in floats for output in node.output}
        if left:  # an operation is known by the tensors it writes
            work.update_quantization_recipe(
                f"(^|;)({'|'.join(sorted(left))});",
                qtyping.TFLOperationName.ALL_SUPPORTED,
                algorithm_key=quantizer.AlgorithmName.NO_QUANTIZE,
            )
        known = {} if written.by else {name: _range(*both) for name, both in limits.items()}
        # Exactly the scale 1 / std and zero point mean - 128 that make a pixel its own int8 value.
        known[IMAGE] = _range(*((np.float32([0, 255]) - np.float32(rule.mean[0])) / np.float32(rule.std[0])))
        if not _values(content) <= known.keys():  # the emitter put values in between, as for a padding
            known = {**_measured(work, rule, images, threads), **known}
        result = work.quantize(known, enable_progress_report=False)
    model = _parsed(bytes(result.quantized_model))
    give_room(model, _parsed(content))
    _put_uint8_in_front(model, rule)
    return _packed(model)


def _range(low: float, high: float) -> dict[str, NDArray[np.float64]]:
    return {"min": np.float64([low]), "max": np.float64([high])}


def _values(content: bytes) -> set[str]:
    """Names of the computed float tensors of a TFLite file."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(content, 0)
    graph = model.subgraphs[0]
    made = {index for operator in graph.operators for index in operator.outputs}
    floats = (graph.tensors[i] for i in made if graph.tensors[i].type == schema.TensorType.FLOAT32)
    return {tensor.name.decode() for tensor in floats}


def _measured(
    work: Any, rule: Preprocess, images: NDArray[np.uint8], threads: int
) -> dict[str, dict[str, NDArray[np.float64]]]:
    """The quantizer's own ranges: a moving average over the pictures' extremes."""
    from litert_quantizer import calibrator

    mean, std = np.float32(rule.mean[0]), np.float32(rule.std[0])
    samples = [{IMAGE: (image[None].astype(np.float32) - mean) / std} for image in images]
    mode = calibrator.CalibrationMode.CALIBRATION_PROFILER_BASED  # same ranges, 4 times faster
    return work.calibrate({"serving_default": samples}, num_threads=threads, mode=mode)


def _parsed(content: bytes) -> Any:
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(content, 0)
    for buffer in model.buffers:  # the quantizer keeps weights behind the flatbuffer, by offset
        if buffer.offset > 1:
            buffer.data = np.frombuffer(content, np.uint8, buffer.size, buffer.offset)
            buffer.offset = buffer.size = 0
    return model


def _packed(model: Any) -> bytes:
    import flatbuffers

    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _put_uint8_in_front(model: Any, rule: Preprocess) -> None:
    """Put the uint8 picture in front of the graph.

    An int8 input takes its pixels less 128 (QUANTIZE), a float one (x - mean) / std (DEQUANTIZE).
    """
    from ai_edge_litert import schema_py_generated as schema

    graph = model.subgraphs[0]
    inner = graph.inputs[0]
    coded = graph.tensors[inner].type == schema.TensorType.INT8
    graph.tensors[inner].name = f"{IMAGE}.{'int8' if coded else 'float'}"
    outer = schema.TensorT()
    outer.name, outer.shape, outer.type, outer.buffer = (
        IMAGE,
        [int(n) for n in graph.tensors[inner].shape],
        schema.TensorType.UINT8,
        0,
    )
    outer.quantization = schema.QuantizationParametersT()
    outer.quantization.scale = [1 / rule.std[0]]
    outer.quantization.zeroPoint = [int(rule.mean[0])]
    graph.tensors.append(outer)
    index = len(graph.tensors) - 1

    code = schema.OperatorCodeT()
    builtin = schema.BuiltinOperator.QUANTIZE if coded else schema.BuiltinOperator.DEQUANTIZE
    code.builtinCode = code.deprecatedBuiltinCode = builtin
    code.version = 1
    model.operatorCodes.append(code)
    operator = schema.OperatorT()
    operator.opcodeIndex = len(model.operatorCodes) - 1
    operator.inputs, operator.outputs = [index], [inner]
    graph.operators.insert(0, operator)
    graph.inputs = [index]
    model.signatureDefs[0].inputs[0].tensorIndex = index
