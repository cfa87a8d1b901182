"""Mobile classifiers as data: blocks, the layers they unfold to, and what those layers count.

MobileNetV2 (Sandler et al., 2018), EfficientNet (Tan and Le, 2019) and EfficientNet-Lite share one
skeleton: a 3x3 stem, inverted residual blocks (expand 1x1, depthwise kxk, in some a squeeze-and-excite,
project 1x1, a skip where shapes allow), a 1x1 head, global average pooling and a linear classifier. Every
convolution but the projection is followed by the family's activation. families.py has the numbers.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgecv.errors import ModelError


class Activation(enum.Enum):
    NONE = "none"
    RELU6 = "relu6"  # min(max(x, 0), 6)
    SWISH = "swish"  # x * sigmoid(x)
    SIGMOID = "sigmoid"


class Blocks(NamedTuple):
    """A stage: `repeats` inverted residuals, of which only the first changes width and stride.

    squeeze: the squeeze-and-excite's middle width as a part of the block's input, 0 for none.
    """

    repeats: int
    kernel: int
    stride: int
    expand: int
    channels: int
    squeeze: float = 0.0


class Architecture(NamedTuple):
    stem: int
    stages: tuple[Blocks, ...]
    head: int
    classes: int
    activation: Activation = Activation.RELU6


class Layer(NamedTuple):
    """One convolution (or, with `kernel` 0, the linear classifier) and where it sits in the graph."""

    name: str
    kernel: int
    stride: int
    groups: int
    inputs: int
    outputs: int
    activation: Activation
    opens_block: bool = False  # its input is what a skip of this block adds
    skip: bool = False
    squeezes: bool = False  # it sees the mean over the picture of what came before
    excites: bool = False  # its output multiplies what was squeezed

    @property
    def weight_shape(self) -> tuple[int, ...]:
        if not self.kernel:
            return (self.outputs, self.inputs)
        return (self.outputs, self.inputs // self.groups, self.kernel, self.kernel)

    @property
    def batch_norm(self) -> bool:
        """Whether a batch norm follows in training; the other layers have a bias of their own."""
        return bool(self.kernel) and not (self.squeezes or self.excites)


class Weights(NamedTuple):
    """weight: float32 [out, in/groups, k, k], or [out, in] for the classifier; bias: float32 [out]."""

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]


def layers(architecture: Architecture) -> Iterator[Layer]:
    """Every layer in order: `stem`, `block0.depthwise`, `block0.se.reduce`, ..., `head`, `classifier`."""
    active = architecture.activation
    width = architecture.stem
    yield Layer("stem", 3, 2, 1, 3, width, active)
    index = 0
    for stage in architecture.stages:
        for repeat in range(stage.repeats):
            yield from _block(f"block{index}", stage, width, stage.stride if repeat == 0 else 1, active)
            width = stage.channels
            index += 1
    yield Layer("head", 1, 1, 1, width, architecture.head, active)
    yield Layer("classifier", 0, 1, 1, architecture.head, architecture.classes, Activation.NONE)


def _block(name: str, stage: Blocks, inputs: int, stride: int, active: Activation) -> Iterator[Layer]:
    wide = inputs * stage.expand
    narrow = stage.expand == 1  # nothing to expand: the block opens with its depthwise layer
    if not narrow:
        yield Layer(f"{name}.expand", 1, 1, 1, inputs, wide, active, opens_block=True)
    yield Layer(f"{name}.depthwise", stage.kernel, stride, wide, wide, wide, active, opens_block=narrow)
    if stage.squeeze:
        middle = max(1, int(inputs * stage.squeeze))
        yield Layer(f"{name}.se.reduce", 1, 1, 1, wide, middle, active, squeezes=True)
        yield Layer(f"{name}.se.expand", 1, 1, 1, middle, wide, Activation.SIGMOID, excites=True)
    skip = stride == 1 and inputs == stage.channels
    yield Layer(f"{name}.project", 1, 1, 1, wide, stage.channels, Activation.NONE, skip=skip)


def parameters(architecture: Architecture, of_batch_norm: int = 2) -> int:
    """How many numbers the weights are, batch norms not folded.

    of_batch_norm: how many to count a channel of a batch norm: 2, gamma and beta, is what papers count;
    4, with the moving mean and variance, is Keras's count_params; 1 is what folding leaves, a bias; 0 is
    what tables without batch norms count.
    """
    return sum(
        math.prod(layer.weight_shape) + layer.outputs * (of_batch_norm if layer.batch_norm else 1)
        for layer in layers(architecture)
    )


def macs(architecture: Architecture, size_hw: tuple[int, int]) -> int:
    """Multiply-accumulates of one picture in convolutions and the classifier; papers say MAdds or FLOPs."""
    total = 0
    height, width = size_hw
    for layer in layers(architecture):
        height, width = -(-height // layer.stride), -(-width // layer.stride)
        once = not layer.batch_norm  # squeeze-and-excite and the classifier work on a mean over the picture
        total += math.prod(layer.weight_shape) * (1 if once else height * width)
    return total


def fold_batch_norm(
    weight: NDArray[np.float32],
    gamma: NDArray[np.float32],
    beta: NDArray[np.float32],
    mean: NDArray[np.float32],
    variance: NDArray[np.float32],
    epsilon: float,
) -> Weights:
    """y = gamma * (w*x - mean) / sqrt(variance + epsilon) + beta, as one convolution with a bias.

    weight is [out, in/groups, k, k]; the rest [out]. Computed in float64, returned in float32. Statistics
    that are no statistics (a negative variance, NaN) give NaN or infinite weights.
    """
    with np.errstate(all="ignore"):
        scale = gamma.astype(np.float64) / np.sqrt(variance.astype(np.float64) + epsilon)
        return Weights(
            (weight * scale[:, None, None, None]).astype(np.float32), (beta - mean * scale).astype(np.float32)
        )


def require_shape(layer: Layer, what: str, array: NDArray, shape: tuple[int, ...]) -> None:
    """ModelError, with the layer and both shapes, when an array is not this layer's `what`."""
    if array.shape != shape:
        raise ModelError(
            f"layer {layer.name}: {what} has shape {array.shape}, this model's is {shape}; "
            "the weights belong to another model or width"
        )


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """TensorFlow's SAME rule for one axis: output ceil(size / stride), the odd pixel goes to the end."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2
