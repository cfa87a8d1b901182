"""The canonical float ONNX graph, built from an architecture and its weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from edgecv.converters.architecture import (
    Activation,
    Architecture,
    Layer,
    Weights,
    layers,
    require_shape,
    same_padding,
)
from edgecv.errors import ModelError

if TYPE_CHECKING:
    import onnx

OPSET = 17


def build_onnx(
    name: str, architecture: Architecture, weights: Mapping[str, Weights], size_hw: tuple[int, int]
) -> onnx.ModelProto:
    """The canonical float graph: input [1, 3, H, W] float32 normalised, output `logits` [1, classes].

    Raises ModelError when a layer's weights are missing, misshapen or not finite.
    """
    import onnx
    from onnx import helper

    graph = _Graph()
    value = block_input = squeezed = "input"
    height, width = size_hw
    for layer in layers(architecture):
        parameters = graph.parameters(layer, _checked(layer, weights))
        if not layer.kernel:
            value = graph.emit("GlobalAveragePool", [value], "pool")
            value = graph.emit("Flatten", [value], "flatten")
            graph.emit("Gemm", [value, *parameters], layer.name, output="logits", transB=1)
            break
        if layer.opens_block:
            block_input = value
        if layer.squeezes:
            squeezed = value
            value = graph.emit("GlobalAveragePool", [value], _sibling(layer, "squeeze"))
        top, bottom = same_padding(height, layer.kernel, layer.stride)
        left, right = same_padding(width, layer.kernel, layer.stride)
        value = graph.emit(
            "Conv",
            [value, *parameters],
            layer.name,
            kernel_shape=[layer.kernel] * 2,
            strides=[layer.stride] * 2,
            pads=[top, left, bottom, right],
            group=layer.groups,
        )
        height, width = -(-height // layer.stride), -(-width // layer.stride)
        value = graph.activate(value, layer)
        if layer.excites:
            value = graph.emit("Mul", [squeezed, value], _sibling(layer, "excite"))
        if layer.skip:
            value = graph.emit("Add", [value, block_input], f"{layer.name}.add")
    proto = helper.make_graph(
        graph.nodes,
        name,
        [helper.make_tensor_value_info("input", onnx.TensorProto.FLOAT, [1, 3, *size_hw])],
        [helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, [1, architecture.classes])],
        list(graph.constants.values()),
    )
    model = helper.make_model(
        proto, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8, producer_name="edgecv"
    )
    onnx.checker.check_model(model, full_check=True)
    return model


class _Graph:
    """Nodes and constants so far; a node's output is named after it."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}

    def emit(
        self, operator: str, inputs: list[str], node: str, output: str = "", **attributes: object
    ) -> str:
        from onnx import helper

        output = output or f"{node}.out"
        self.nodes.append(helper.make_node(operator, inputs, [output], name=node, **attributes))
        return output

    def constant(self, name: str, array: np.ndarray | np.float32) -> str:
        from onnx import numpy_helper

        if name not in self.constants:
            self.constants[name] = numpy_helper.from_array(np.asarray(array), name)
        return name

    def parameters(self, layer: Layer, weights: Weights) -> list[str]:
        return [
            self.constant(f"{layer.name}.weight", weights.weight),
            self.constant(f"{layer.name}.bias", weights.bias),
        ]

    def activate(self, value: str, layer: Layer) -> str:
        if layer.activation is Activation.RELU6:
            bounds = [self.constant("zero", np.float32(0)), self.constant("six", np.float32(6))]
            return self.emit("Clip", [value, *bounds], f"{layer.name}.relu6")
        if layer.activation is Activation.NONE:
            return value
        gate = self.emit("Sigmoid", [value], f"{layer.name}.sigmoid")
        if layer.activation is Activation.SIGMOID:
            return gate
        return self.emit("Mul", [value, gate], f"{layer.name}.swish")


def _sibling(layer: Layer, part: str) -> str:
    return f"{layer.name.rpartition('.')[0]}.{part}"


def _checked(layer: Layer, weights: Mapping[str, Weights]) -> Weights:
    if layer.name not in weights:
        raise ModelError(f"the weights have no layer {layer.name}: they belong to another model")
    weight, bias = weights[layer.name]
    for array, shape, what in ((weight, layer.weight_shape, "weight"), (bias, (layer.outputs,), "bias")):
        require_shape(layer, what, array, shape)
        if not np.isfinite(array).all():
            raise ModelError(f"layer {layer.name}: {what} holds NaN or infinite values")
    return Weights(
        np.ascontiguousarray(weight, dtype=np.float32), np.ascontiguousarray(bias, dtype=np.float32)
    )
