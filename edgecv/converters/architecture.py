"""Mobile classifiers as data: one description of blocks, and the ONNX graph built from it.

MobileNetV2 (Sandler et al., 2018) and EfficientNet-Lite share one skeleton: a 3x3 stem, inverted
residual blocks (expand 1x1, depthwise kxk, project 1x1, a skip where shapes allow), a 1x1 head, global
average pooling and a linear classifier. Every convolution but the projection is followed by ReLU6.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgecv.errors import ModelError

if TYPE_CHECKING:
    import onnx

OPSET = 17


class Blocks(NamedTuple):
    """A stage: `repeats` inverted residuals, of which only the first changes width and stride."""

    repeats: int
    kernel: int
    stride: int
    expand: int
    channels: int


class Architecture(NamedTuple):
    stem: int
    stages: tuple[Blocks, ...]
    head: int
    classes: int


class Layer(NamedTuple):
    """One convolution (or, with `kernel` 0, the linear classifier) and where it sits in the graph."""

    name: str
    kernel: int
    stride: int
    groups: int
    inputs: int
    outputs: int
    relu6: bool
    opens_block: bool = False  # its input is what a skip of this block adds
    skip: bool = False

    @property
    def weight_shape(self) -> tuple[int, ...]:
        if not self.kernel:
            return (self.outputs, self.inputs)
        return (self.outputs, self.inputs // self.groups, self.kernel, self.kernel)


class Weights(NamedTuple):
    """weight: float32 [out, in/groups, k, k], or [out, in] for the classifier; bias: float32 [out]."""

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]


MOBILENET_V2 = Architecture(
    stem=32,
    stages=(
        Blocks(1, 3, 1, 1, 16),
        Blocks(2, 3, 2, 6, 24),
        Blocks(3, 3, 2, 6, 32),
        Blocks(4, 3, 2, 6, 64),
        Blocks(3, 3, 1, 6, 96),
        Blocks(3, 3, 2, 6, 160),
        Blocks(1, 3, 1, 6, 320),
    ),
    head=1280,
    classes=1000,
)

EFFICIENTNET_LITE0 = Architecture(
    stem=32,
    stages=(
        Blocks(1, 3, 1, 1, 16),
        Blocks(2, 3, 2, 6, 24),
        Blocks(2, 5, 2, 6, 40),
        Blocks(3, 3, 2, 6, 80),
        Blocks(3, 5, 1, 6, 112),
        Blocks(4, 5, 2, 6, 192),
        Blocks(1, 3, 1, 6, 320),
    ),
    head=1280,
    classes=1000,
)


def layers(architecture: Architecture) -> Iterator[Layer]:
    """Every layer in order. Names are `stem`, `block0.depthwise`, `block1.expand`, ..., `classifier`."""
    width = architecture.stem
    yield Layer("stem", 3, 2, 1, 3, width, relu6=True)
    index = 0
    for stage in architecture.stages:
        for repeat in range(stage.repeats):
            stride = stage.stride if repeat == 0 else 1
            wide = width * stage.expand
            block = f"block{index}"
            narrow = stage.expand == 1  # nothing to expand: the block opens with its depthwise layer
            if not narrow:
                yield Layer(f"{block}.expand", 1, 1, 1, width, wide, relu6=True, opens_block=True)
            yield Layer(
                f"{block}.depthwise", stage.kernel, stride, wide, wide, wide, relu6=True, opens_block=narrow
            )
            skip = stride == 1 and width == stage.channels
            yield Layer(f"{block}.project", 1, 1, 1, wide, stage.channels, relu6=False, skip=skip)
            width = stage.channels
            index += 1
    yield Layer("head", 1, 1, 1, width, architecture.head, relu6=True)
    yield Layer("classifier", 0, 1, 1, architecture.head, architecture.classes, relu6=False)


def fold_batch_norm(
    weight: NDArray[np.float32],
    gamma: NDArray[np.float32],
    beta: NDArray[np.float32],
    mean: NDArray[np.float32],
    variance: NDArray[np.float32],
    epsilon: float,
) -> Weights:
    """y = gamma * (w*x - mean) / sqrt(variance + epsilon) + beta, as one convolution with a bias.

    weight is [out, in/groups, k, k]; the rest [out]. Computed in float64, returned in float32.
    """
    scale = gamma.astype(np.float64) / np.sqrt(variance.astype(np.float64) + epsilon)
    return Weights(
        (weight * scale[:, None, None, None]).astype(np.float32), (beta - mean * scale).astype(np.float32)
    )


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """TensorFlow's SAME rule for one axis: output ceil(size / stride), the odd pixel goes to the end."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def build_onnx(
    name: str, architecture: Architecture, weights: Mapping[str, Weights], size_hw: tuple[int, int]
) -> onnx.ModelProto:
    """The canonical float graph: input [1, 3, H, W] float32 normalised, output `logits` [1, classes].

    Raises ModelError when a layer's weights are missing, misshapen or not finite.
    """
    import onnx
    from onnx import helper, numpy_helper

    nodes: list[onnx.NodeProto] = []
    constants = [
        numpy_helper.from_array(np.float32(0), "zero"),
        numpy_helper.from_array(np.float32(6), "six"),
    ]

    def emit(operator: str, inputs: list[str], node: str, **attributes: object) -> str:
        output = f"{node}.out" if node != "classifier" else "logits"
        nodes.append(helper.make_node(operator, inputs, [output], name=node, **attributes))
        return output

    value = block_input = "input"
    height, width = size_hw
    for layer in layers(architecture):
        weight, bias = _checked(layer, weights)
        constants.append(numpy_helper.from_array(weight, f"{layer.name}.weight"))
        constants.append(numpy_helper.from_array(bias, f"{layer.name}.bias"))
        parameters = [f"{layer.name}.weight", f"{layer.name}.bias"]
        if not layer.kernel:
            value = emit("GlobalAveragePool", [value], "pool")
            value = emit("Flatten", [value], "flatten")
            value = emit("Gemm", [value, *parameters], layer.name, transB=1)
            break
        if layer.opens_block:
            block_input = value
        top, bottom = same_padding(height, layer.kernel, layer.stride)
        left, right = same_padding(width, layer.kernel, layer.stride)
        value = emit(
            "Conv",
            [value, *parameters],
            layer.name,
            kernel_shape=[layer.kernel] * 2,
            strides=[layer.stride] * 2,
            pads=[top, left, bottom, right],
            group=layer.groups,
        )
        height, width = -(-height // layer.stride), -(-width // layer.stride)
        if layer.relu6:
            value = emit("Clip", [value, "zero", "six"], f"{layer.name}.relu6")
        if layer.skip:
            value = emit("Add", [value, block_input], f"{layer.name}.add")
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info("input", onnx.TensorProto.FLOAT, [1, 3, *size_hw])],
        [helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, [1, architecture.classes])],
        constants,
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8, producer_name="edgecv"
    )
    onnx.checker.check_model(model, full_check=True)
    return model


def _checked(layer: Layer, weights: Mapping[str, Weights]) -> Weights:
    if layer.name not in weights:
        raise ModelError(f"the weights have no layer {layer.name}: they belong to another model")
    weight, bias = weights[layer.name]
    for array, shape, what in ((weight, layer.weight_shape, "weight"), (bias, (layer.outputs,), "bias")):
        if array.shape != shape:
            raise ModelError(
                f"layer {layer.name}: {what} has shape {array.shape}, this model's is {shape}; "
                "the weights belong to another model or width"
            )
        if not np.isfinite(array).all():
            raise ModelError(f"layer {layer.name}: {what} holds NaN or infinite values")
    return Weights(
        np.ascontiguousarray(weight, dtype=np.float32), np.ascontiguousarray(bias, dtype=np.float32)
    )
