"""Static int8 ONNX (QDQ) through onnxruntime.quantization."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from edgecv.converters.graph import IMAGE, with_image_input
from edgecv.converters.ranges import Limits
from edgecv.spec import Preprocess

if TYPE_CHECKING:
    import onnx

_WEIGHTED = ("Conv", "ConvTranspose", "Gemm")


def quantise(
    model: onnx.ModelProto,
    rule: Preprocess,
    limits: Mapping[str, Limits],
    in_float: Sequence[str] = (),
) -> onnx.ModelProto:
    """The int8 ONNX model of a canonical graph whose mean is a whole number (graph.with_integer_mean).

    limits: the range of each value of the graph (ranges.collect). in_float: nodes that stay float.
    """
    import onnx
    from onnxruntime import quantization
    from onnxruntime.quantization.calibrate import CalibrationMethod, TensorsData
    from onnxruntime.quantization.qdq_quantizer import QDQQuantizer
    from onnxruntime.quantization.registry import QDQRegistry, QLinearOpsRegistry

    # quantize_static is these few lines around a calibrator that needs four times as long for the ranges.
    source = model.graph.input[0].name
    override = {
        "scale": np.array(1 / rule.std[0], np.float32),
        "zero_point": np.array(rule.mean[0], np.uint8),
        "quant_type": quantization.QuantType.QUInt8,
    }
    work = QDQQuantizer(
        onnx.shape_inference.infer_shapes(model),
        per_channel=True,
        reduce_range=False,
        weight_qType=quantization.QuantType.QInt8,
        activation_qType=quantization.QuantType.QUInt8,
        tensors_range=TensorsData(CalibrationMethod.MinMax, dict(limits)),
        nodes_to_quantize=[],
        nodes_to_exclude=list(in_float),
        op_types_to_quantize=[*QLinearOpsRegistry, *QDQRegistry],
        extra_options={
            "OpTypesToExcludeOutputQuantization": ["Gemm"],
            "TensorQuantOverrides": {source: [override]},
        },
    )
    work.quantize_model()
    _hold_in_float(work.model.model, in_float)
    work.model.topological_sort()
    return _with_uint8_input(work.model.model, rule)


def _hold_in_float(model: onnx.ModelProto, nodes: Sequence[str]) -> None:
    """Read the int8 inputs of these nodes through a scale a channel, all of them equal.

    Where a convolution or Gemm with float weights stands between a DequantizeLinear with one scale and a
    QuantizeLinear, ONNX Runtime (WeightBiasQuantization, since 1.20) makes its weights int8 while loading,
    with one scale for all channels: less exact than what was to be spared. It passes over an input with a
    scale a channel.
    """
    from onnx import helper, numpy_helper

    graph = model.graph
    constants = {constant.name: constant for constant in graph.initializer}
    makers = {output: node for node in graph.node for output in node.output}
    for node in graph.node:
        if node.name not in nodes or node.op_type not in _WEIGHTED or node.input[1] not in constants:
            continue
        reader = makers.get(node.input[0])
        if reader is None or reader.op_type != "DequantizeLinear":
            continue
        codes, *one = reader.input
        channels = _channels_in(node, constants[node.input[1]])
        each = [f"{node.name}.{name}" for name in ("input_scale", "input_zero_point")]
        for name, constant in zip(each, one, strict=True):
            values = np.full(channels, numpy_helper.to_array(constants[constant]))
            graph.initializer.append(numpy_helper.from_array(values, name))
        held = f"{node.name}.float_input"
        graph.node.append(
            helper.make_node(
                "DequantizeLinear", [codes, *each], [held], name=f"{node.name}.dequantise", axis=1
            )
        )
        node.input[0] = held


def _channels_in(node: onnx.NodeProto, weights: onnx.TensorProto) -> int:
    """Channels of what a convolution or Gemm reads, along axis 1."""
    attributes = {attribute.name: attribute.i for attribute in node.attribute}
    if node.op_type == "Gemm":
        return weights.dims[1 if attributes.get("transB", 0) else 0]
    if node.op_type == "ConvTranspose":
        return weights.dims[0]
    return weights.dims[1] * attributes.get("group", 1)


def _with_uint8_input(model: onnx.ModelProto, rule: Preprocess) -> onnx.ModelProto:
    """Replace the float input and its QuantizeLinear by the image itself: a pixel is its own code.

    Where what reads the input stays float there is none, and the picture is normalised in float.
    """
    import onnx
    from onnx import helper

    graph = model.graph
    source = graph.input[0].name
    readers = [node for node in graph.node if source in node.input]
    if len(readers) != 1 or readers[0].op_type != "QuantizeLinear":
        return with_image_input(model, rule)
    first = helper.make_node(
        "Transpose", [IMAGE], [readers[0].output[0]], name="image.transpose", perm=[0, 3, 1, 2]
    )
    nodes = [first, *(node for node in graph.node if node is not readers[0])]
    del graph.node[:]
    graph.node.extend(nodes)
    del graph.input[:]
    shape = [1, *rule.size_hw, 3]
    graph.input.append(helper.make_tensor_value_info(IMAGE, onnx.TensorProto.UINT8, shape))
    model.producer_name = "edgecv"
    onnx.checker.check_model(model)
    return model
