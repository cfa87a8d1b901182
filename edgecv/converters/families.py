"""The published families: MobileNetV2 by width, EfficientNet and EfficientNet-Lite by compound scaling."""

from __future__ import annotations

import math
from typing import NamedTuple

from edgecv.converters.architecture import Activation, Architecture, Blocks

CLASSES = 1000  # ImageNet's

# Those with published weights (tensorflow/models, research/slim/nets/mobilenet): 1.3 and 1.4 at 224 only.
MOBILENET_V2_WIDTHS = (0.35, 0.5, 0.75, 1.0, 1.3, 1.4)
MOBILENET_V2_SIZES = (96, 128, 160, 192, 224)

_MOBILENET_V2 = (
    Blocks(1, 3, 1, 1, 16),
    Blocks(2, 3, 2, 6, 24),
    Blocks(3, 3, 2, 6, 32),
    Blocks(4, 3, 2, 6, 64),
    Blocks(3, 3, 1, 6, 96),
    Blocks(3, 3, 2, 6, 160),
    Blocks(1, 3, 1, 6, 320),
)

_EFFICIENTNET = (
    Blocks(1, 3, 1, 1, 16),
    Blocks(2, 3, 2, 6, 24),
    Blocks(2, 5, 2, 6, 40),
    Blocks(3, 3, 2, 6, 80),
    Blocks(3, 5, 1, 6, 112),
    Blocks(4, 5, 2, 6, 192),
    Blocks(1, 3, 1, 6, 320),
)
_STEM, _HEAD, _SQUEEZE = 32, 1280, 0.25


class Scale(NamedTuple):
    """Compound scaling: width and depth multiply the channels and repeats of the base network.

    size and lite_size are the pixels of a side for EfficientNet and, up to 4, for EfficientNet-Lite.
    """

    width: float
    depth: float
    size: int
    lite_size: int = 0


# tensorflow/tpu, models/official/efficientnet: efficientnet_builder.py and lite/efficientnet_lite_builder.py
SCALES = (
    Scale(1.0, 1.0, 224, 224),
    Scale(1.0, 1.1, 240, 240),
    Scale(1.1, 1.2, 260, 260),
    Scale(1.2, 1.4, 300, 280),
    Scale(1.4, 1.8, 380, 300),
    Scale(1.6, 2.2, 456),
    Scale(1.8, 2.6, 528),
    Scale(2.0, 3.1, 600),
)
LITE_SCALES = tuple(scale for scale in SCALES if scale.lite_size)


def round_channels(channels: float) -> int:
    """To the nearest multiple of 8, but never down by more than 10 %."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


def mobilenet_v2(width: float = 1.0) -> Architecture:
    return Architecture(
        stem=round_channels(_STEM * width),
        stages=tuple(s._replace(channels=round_channels(s.channels * width)) for s in _MOBILENET_V2),
        head=round_channels(_HEAD * max(width, 1.0)),  # thin networks keep the whole head
        classes=CLASSES,
    )


def efficientnet(scale: Scale) -> Architecture:
    return Architecture(
        stem=round_channels(_STEM * scale.width),
        stages=tuple(_scaled(stage, scale)._replace(squeeze=_SQUEEZE) for stage in _EFFICIENTNET),
        head=round_channels(_HEAD * scale.width),
        classes=CLASSES,
        activation=Activation.SWISH,
    )


def efficientnet_lite(scale: Scale) -> Architecture:
    """Stem, head and the repeats of the first and last stage are not scaled; no squeeze-and-excite."""
    first, *middle, last = (_scaled(stage, scale) for stage in _EFFICIENTNET)
    return Architecture(
        stem=_STEM,
        stages=(
            first._replace(repeats=_EFFICIENTNET[0].repeats),
            *middle,
            last._replace(repeats=_EFFICIENTNET[-1].repeats),
        ),
        head=_HEAD,
        classes=CLASSES,
    )


def _scaled(stage: Blocks, scale: Scale) -> Blocks:
    return stage._replace(
        repeats=math.ceil(stage.repeats * scale.depth), channels=round_channels(stage.channels * scale.width)
    )
