"""Classifiers of ten classes at 32 x 32, with random weights and pictures: converted in a second."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edgecv.converters import models
from edgecv.converters.architecture import Activation, Architecture, Blocks, Weights, layers
from edgecv.converters.models import Model
from edgecv.converters.weights_naming import Checkpoint
from edgecv.converters.weights_sources import Download
from edgecv.spec import Preprocess

NAME = "tiny"
CLASSES = 10
ARCHITECTURE = Architecture(
    stem=8, stages=(Blocks(1, 3, 1, 1, 8), Blocks(2, 5, 2, 4, 12)), head=32, classes=CLASSES
)
# As EfficientNet-B: squeeze-and-excite, swish.
SQUEEZED = ARCHITECTURE._replace(
    stages=tuple(stage._replace(squeeze=0.25) for stage in ARCHITECTURE.stages), activation=Activation.SWISH
)
# The most demanding rule: a mean that is not whole, other numbers for each channel.
RULE = Preprocess(size_hw=(32, 32), mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375))


class TinyModel(Model):
    def labels(self) -> tuple[str, ...]:
        return tuple(f"class {i}" for i in range(CLASSES))


def read_npz(path: Path, architecture: Architecture) -> Checkpoint:
    with np.load(path) as arrays:
        return Checkpoint(
            {
                layer.name: Weights(arrays[f"{layer.name}.weight"], arrays[f"{layer.name}.bias"])
                for layer in layers(architecture)
            }
        )


def write_weights(path: Path, seed: int = 0, architecture: Architecture = ARCHITECTURE) -> Path:
    """He-initialised, so that the activations keep their size from layer to layer."""
    rng = np.random.default_rng(seed)
    arrays = {}
    for layer in layers(architecture):
        spread = np.sqrt(2 / np.prod(layer.weight_shape[1:]))
        arrays[f"{layer.name}.weight"] = (spread * rng.standard_normal(layer.weight_shape)).astype(np.float32)
        arrays[f"{layer.name}.bias"] = rng.uniform(-0.5, 0.5, layer.outputs).astype(np.float32)
    np.savez(path, **arrays)
    return path


def write_pictures(folder: Path, count: int, seed: int = 0) -> Path:
    """Smooth noise, as photographs are: 5 x 4 random colours, enlarged."""
    import cv2

    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    for i in range(count):
        small = rng.integers(0, 256, (4, 5, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / f"{i}.png"), cv2.resize(small, (50, 40), interpolation=cv2.INTER_CUBIC))
    return folder


def tiny_model(architecture: Architecture = ARCHITECTURE) -> Model:
    nowhere = Download("http://127.0.0.1:9/tiny.npz", "0" * 64)
    return TinyModel(NAME, "for tests", architecture, RULE, nowhere, read_npz)


@contextlib.contextmanager
def known(architecture: Architecture = ARCHITECTURE) -> Iterator[Model]:
    """Inside the block `edgecv convert tiny` is a command."""
    model = tiny_model(architecture)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "MODELS", (*models.MODELS, model))
        yield model
