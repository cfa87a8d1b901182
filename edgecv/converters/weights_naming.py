"""Weight files to layers: each framework's names and layouts, put into ours, with batch norms folded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgecv.converters.architecture import (
    Architecture,
    Layer,
    Weights,
    fold_batch_norm,
    layers,
    require_shape,
)
from edgecv.converters.keras_weights import read_layers
from edgecv.converters.torch_weights import read_state_dict
from edgecv.errors import ModelError
from edgecv.spec import Rgb

_EPSILON = 1e-3  # of every batch norm in the three families
_BATCH_NORM = ("gamma", "beta", "mean", "variance")

# One layer's arrays as every reader gives them: a convolution's kernel and, if it has one, its bias; a batch
# norm's gamma, beta, moving mean and moving variance.
Arrays = list[NDArray]
# Our layer's name -> (the file's name of it, the file's name of its batch norm)
Names = Callable[[str], tuple[str, str]]


class Checkpoint(NamedTuple):
    """What a weights file says: the layers and, where the file has it, the normalisation of its input.

    mean_std: mean and std of each channel on the 0..255 scale.
    """

    layers: dict[str, Weights]
    mean_std: tuple[Rgb, Rgb] | None = None


def read_efficientnet_torch(path: Path, architecture: Architecture) -> Checkpoint:
    """A state dict of efficientnet-lite-pytorch: _conv_stem, _blocks.N._expand_conv, _bn0.._bn2, _fc."""
    found: dict[str, dict[str, NDArray]] = {}
    for name, array in read_state_dict(path).items():
        module, _, field = name.rpartition(".")
        found.setdefault(module, {})[field] = array
    order = ("weight", "bias", "running_mean", "running_var")
    file = {module: [fields[f] for f in order if f in fields] for module, fields in found.items()}
    return Checkpoint(_collect(path, architecture, file, _efficientnet_torch_names, lambda weight, _: weight))


def read_mobilenet_keras(path: Path, architecture: Architecture) -> Checkpoint:
    """Weights of keras.applications.MobileNetV2, by the names of today or those of the published files."""
    file = read_layers(path)
    names = _mobilenet_2018_names if "mobl0_conv_0_depthwise" in file else _mobilenet_names
    return Checkpoint(_collect(path, architecture, file, names, _from_keras))


def read_efficientnet_keras(path: Path, architecture: Architecture) -> Checkpoint:
    """Weights of keras.applications.EfficientNetB0..B7; the graph there normalises its own input."""
    file = read_layers(path)
    rescaled = sum(name.startswith("rescaling") for name in file) > 1
    mean_std = None
    for name in [name for name in file if name.startswith("normalization")]:
        mean_std = _keras_normalisation(path, file.pop(name), rescaled)
    names = _efficientnet_keras_names(architecture)
    return Checkpoint(_collect(path, architecture, file, names, _from_keras), mean_std)


# -- names -----------------------------------------------------------------------------------------


def _efficientnet_torch_names(layer: str) -> tuple[str, str]:
    fixed = {"stem": ("_conv_stem", "_bn0"), "head": ("_conv_head", "_bn1"), "classifier": ("_fc", "")}
    if layer in fixed:
        return fixed[layer]
    block, _, part = layer.partition(".")
    prefix = f"_blocks.{block.removeprefix('block')}"
    norm = {"expand": "_bn0", "depthwise": "_bn1", "project": "_bn2"}[part]
    return f"{prefix}._{part}_conv", f"{prefix}.{norm}"


def _mobilenet_names(layer: str) -> tuple[str, str]:
    fixed = {
        "stem": ("Conv1", "bn_Conv1"),
        "head": ("Conv_1", "Conv_1_bn"),
        "classifier": ("predictions", ""),
    }
    if layer in fixed:
        return fixed[layer]
    block, _, part = layer.partition(".")
    number = block.removeprefix("block")
    name = f"expanded_conv_{part}" if number == "0" else f"block_{number}_{part}"
    return name, f"{name}_BN"


def _mobilenet_2018_names(layer: str) -> tuple[str, str]:
    """The files on keras.applications' server are older than the names; Keras loads them by their order."""
    if layer == "classifier":
        return "Logits", ""
    if layer in ("stem", "head"):
        return _mobilenet_names(layer)
    block, _, part = layer.partition(".")
    number = block.removeprefix("block")
    return f"mobl{number}_conv_{number}_{part}", f"bn{number}_conv_{number}_bn_{part}"


def _efficientnet_keras_names(architecture: Architecture) -> Names:
    """block1a_dwconv: stages count from 1, the blocks of a stage are letters."""
    blocks = [
        f"block{number}{chr(ord('a') + repeat)}_"
        for number, stage in enumerate(architecture.stages, start=1)
        for repeat in range(stage.repeats)
    ]
    parts = {
        "expand": ("expand_conv", "expand_bn"),
        "depthwise": ("dwconv", "bn"),
        "se.reduce": ("se_reduce", ""),
        "se.expand": ("se_expand", ""),
        "project": ("project_conv", "project_bn"),
    }
    fixed = {
        "stem": ("stem_conv", "stem_bn"),
        "head": ("top_conv", "top_bn"),
        "classifier": ("predictions", ""),
    }

    def names(layer: str) -> tuple[str, str]:
        if layer in fixed:
            return fixed[layer]
        block, _, part = layer.partition(".")
        prefix = blocks[int(block.removeprefix("block"))]
        name, norm = parts[part]
        return prefix + name, norm and prefix + norm

    return names


# -- arrays ----------------------------------------------------------------------------------------


def _from_keras(kernel: NDArray, layer: Layer) -> NDArray:
    """[k, k, in, out] to [out, in, k, k]; depthwise [k, k, in, 1] to [in, 1, k, k]; [in, out] transposed."""
    if kernel.ndim != len(layer.weight_shape):
        return kernel  # as it is, for the message
    if kernel.ndim == 2:
        return kernel.T
    return kernel.transpose((2, 3, 0, 1) if layer.groups > 1 else (3, 2, 0, 1))


def _collect(
    path: Path,
    architecture: Architecture,
    file: Mapping[str, Arrays],
    names: Names,
    layout: Callable[[NDArray, Layer], NDArray],
) -> dict[str, Weights]:
    """Every layer of the architecture out of a file that holds exactly these; ModelError otherwise."""
    found: dict[str, Weights] = {}
    left = {name for name, arrays in file.items() if arrays}
    try:
        for layer in layers(architecture):
            name, norm = names(layer.name)
            left -= {name, norm}
            kernel, *bias = _arrays(file, name, 1 if layer.batch_norm else 2)
            weight = layout(kernel, layer)
            require_shape(layer, "weight", weight, layer.weight_shape)
            if layer.batch_norm:
                statistics = _arrays(file, norm, 4)
                for what, array in zip(_BATCH_NORM, statistics, strict=True):
                    require_shape(layer, f"batch norm {what}", array, (layer.outputs,))
                found[layer.name] = fold_batch_norm(weight, *statistics, _EPSILON)
            else:
                require_shape(layer, "bias", bias[0], (layer.outputs,))
                found[layer.name] = Weights(weight, bias[0])
        if left:
            raise ModelError(
                f"layer {min(left)} has no place in this model: these are the weights of another model"
            )
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from None
    return found


def _arrays(file: Mapping[str, Arrays], name: str, count: int) -> Arrays:
    arrays = file.get(name, [])
    if len(arrays) != count:
        raise ModelError(
            f"layer {name} has {len(arrays)} arrays, {count} expected: these are the weights of another model"
            if arrays
            else f"no weights of a layer {name}: these are the weights of another model"
        )
    return arrays


# Of the published EfficientNets, whose Normalization layer has the standard deviations where variances belong
# (https://github.com/tensorflow/tensorflow/issues/49930). keras.applications puts that right with a second
# Rescaling by 1 / sqrt(std) behind it, but only in a graph made with weights="imagenet".
_IMAGENET_STD = (0.229, 0.224, 0.225)


def _keras_normalisation(path: Path, arrays: Arrays, rescaled: bool) -> tuple[Rgb, Rgb]:
    """Rescaling(1 / 255), Normalization and, if `rescaled`, the correction, as mean and std on 0..255."""
    if len(arrays) < 2 or any(array.size != 3 for array in arrays[:2]):
        raise ModelError(f"{path}: its Normalization layer has no mean and variance of three channels")
    mean, variance = (np.asarray(array, np.float64).reshape(3) for array in arrays[:2])
    if not (np.isfinite(mean).all() and np.isfinite(variance).all() and (variance > 0).all()):
        raise ModelError(f"{path}: its Normalization layer has a mean or variance that is none")
    std = np.sqrt(variance)
    if rescaled or np.allclose(variance, _IMAGENET_STD, rtol=1e-4):
        std = std * np.sqrt(_IMAGENET_STD)
    return _rgb(255 * mean), _rgb(255 * std)


def _rgb(values: NDArray[np.float64]) -> Rgb:
    """To the digits a float32 has, so that the published numbers are found again as they are written."""
    red, green, blue = (float(f"{value:.7g}") for value in values)
    return red, green, blue
