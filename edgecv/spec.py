"""The vocabulary: small, frozen, validated types that every other module speaks."""

from __future__ import annotations

import enum
from typing import Annotated, NamedTuple

import msgspec

Pixels = Annotated[int, msgspec.Meta(ge=1, le=16384)]
PositiveInt = Annotated[int, msgspec.Meta(ge=1)]
NonNegativeInt = Annotated[int, msgspec.Meta(ge=0)]
NonNegative = Annotated[float, msgspec.Meta(ge=0.0)]
Fraction = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
Sha256 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
Rgb = tuple[float, float, float]
PositiveRgb = tuple[
    Annotated[float, msgspec.Meta(gt=0)],
    Annotated[float, msgspec.Meta(gt=0)],
    Annotated[float, msgspec.Meta(gt=0)],
]
Byte = Annotated[int, msgspec.Meta(ge=0, le=255)]


class Format(str, enum.Enum):
    TFLITE = "tflite"
    ONNX = "onnx"
    OPENVINO = "openvino"


class Precision(str, enum.Enum):
    FP32 = "fp32"
    FP16 = "fp16"  # weights halved, for GPUs and for storage
    INT8 = "int8"  # weights and activations, with calibrated ranges
    DYNAMIC = "dynamic"  # int8 weights only: four times smaller, no calibration


class Kind(NamedTuple):
    """What distinguishes the artifacts of one bundle; written `tflite:int8`."""

    format: Format
    precision: Precision

    @classmethod
    def parse(cls, text: str) -> Kind:
        """Read `format:precision`; ValueError when either is unknown."""
        format_name, _, precision = text.partition(":")
        return cls(Format(format_name), Precision(precision))

    def __str__(self) -> str:
        return f"{self.format.value}:{self.precision.value}"


class Interpolation(str, enum.Enum):
    """How a picture is resampled, by OpenCV's name, because the filter is worth points of accuracy."""

    LINEAR = "linear"  # INTER_LINEAR: 2x2 taps, no antialiasing when shrinking
    CUBIC = "cubic"  # INTER_CUBIC (a = -0.75): 4x4 taps, no antialiasing when shrinking
    AREA = "area"  # INTER_AREA: pixel-area average, which is antialiased when shrinking


class Color(str, enum.Enum):
    """The order of a pixel's three bytes as the artifact takes them."""

    RGB = "rgb"
    BGR = "bgr"


class Resize(str, enum.Enum):
    CENTER_CROP = "center_crop"  # the middle crop_fraction of the shorter side, then resized
    STRETCH = "stretch"  # the whole frame, aspect ratio not kept
    LETTERBOX = "letterbox"  # the whole frame, aspect ratio kept, pad_value on the right or at the bottom


class Struct(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of everything that is read from a file: immutable, and strict about unknown keys."""


class Quant(Struct):
    """Affine quantisation: real = scale * (q - zero_point)."""

    scale: float
    zero_point: int


class TensorSpec(Struct):
    """One tensor at the edge of an artifact; `shape` is as the engine takes it (images are NHWC)."""

    name: str
    shape: tuple[PositiveInt, ...]
    dtype: str
    quant: Quant | None = None


class Interval(Struct):
    """A 95 % confidence interval, in the unit of what it is of."""

    low: float
    high: float


class Drop(Struct):
    """What an artifact loses against its float model on the same pictures, in percentage points.

    points: positive is worse. low, high: its 95 % interval. basis `labels`: top-1 accuracy lost; basis
    `float`: top-1 answers that differ from the float model's, for pictures without labels.
    """

    points: float
    low: float
    high: float
    images: PositiveInt
    basis: Annotated[str, msgspec.Meta(pattern="^(labels|float)$")]


class Preprocess(Struct):
    """From a camera frame to the model's input; the same for calibration, running and scoring.

    The artifacts take `[1, H, W, 3] uint8` in `color` order. `mean` and `std`, one value a channel in the
    same order on the 0..255 scale, are already inside every artifact: they are recorded, nobody applies
    them again. `crop_fraction` belongs to center_crop, `pad_value` (a grey) to letterbox.
    """

    size_hw: tuple[Pixels, Pixels]
    resize: Resize = Resize.CENTER_CROP
    crop_fraction: Annotated[float, msgspec.Meta(gt=0.0, le=1.0)] = 1.0
    interpolation: Interpolation = Interpolation.CUBIC
    pad_value: Byte = 114
    color: Color = Color.RGB
    mean: Rgb = (0.0, 0.0, 0.0)
    std: PositiveRgb = (1.0, 1.0, 1.0)
