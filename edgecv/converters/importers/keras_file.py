"""Keras models: `.keras` and `.h5`, whose layers are looked at before TensorFlow opens the file."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from edgecv.bundle import Origin
from edgecv.converters.importers import Imported, ImportOptions, model_name
from edgecv.converters.importers.tensorflow_models import TensorFlowModel
from edgecv.errors import ModelError
from edgecv.files import sha256_file

# What a config may hold beside Keras's own classes: containers, and numbers.
_PLAIN = ("__tuple__", "__tensor__", "__numpy__", "__keras_tensor__", "slice", "TensorShape", "__bytes__")
# Where layers and what they are made of live; Keras also has functions that fetch files and allow code.
_OWN = re.compile(
    r"keras(\.src)?\.(layers|initializers|regularizers|constraints|activations|models|dtype_policies)(\.\w+)*"
)
_TOP = ("DTypePolicy", "FloatDTypePolicy", "Functional", "Model", "Sequential")
_CODE = ("Lambda", "TorchModuleWrapper", "TFSMLayer", "FlaxLayer", "JaxLayer", "__lambda__", "function")


def read(where: str, options: ImportOptions) -> Imported:
    """Raises ModelError for a damaged file, or one that needs code of its own; ConversionError without
    TensorFlow."""
    path = Path(where)
    model = TensorFlowModel("keras", where, options.preprocess.size_hw, partial(check, path))
    graph = model.to_onnx()
    origin = Origin(model=path.name, weights=path.name, sha256=sha256_file(path))
    return Imported(graph, model_name(path.stem), origin, tflite=model.to_tflite)


def check(path: Path) -> None:
    """Raise ModelError unless the file is whole and every layer in it is one of Keras's own, without code."""
    config = _from_zip(path) if path.suffix.lower() == ".keras" else _from_hdf5(path)
    for part in _parts(config):
        name, module = part["class_name"], part.get("module")
        registered = part.get("registered_name")
        if name in _CODE:
            raise ModelError(
                f"{path}: has a {name} layer, which is Python code, and a model file's code is not run; put "
                "Keras layers in its place, or export the model to ONNX yourself"
            )
        own = module is None or _OWN.fullmatch(str(module)) or (module == "keras" and name in _TOP)
        if name not in _PLAIN and (not own or (registered and ">" in str(registered))):
            label = f"{module}.{name}" if module else name
            raise ModelError(
                f"{path}: needs {label}, which is not Keras's own, and a model file's code is not run; "
                "export the model to ONNX yourself"
            )


def _from_zip(path: Path) -> Any:
    try:
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                parts = PurePosixPath(name)
                if parts.is_absolute() or ".." in parts.parts or "\\" in name:
                    raise ModelError(f"{path}: holds {name!r}, which leads out of it")
            return json.loads(archive.read("config.json"))
    except KeyError:
        raise ModelError(f"{path}: no Keras model: config.json is missing in it") from None
    except (OSError, zipfile.BadZipFile, ValueError, RecursionError, NotImplementedError) as error:
        raise ModelError(f"{path}: damaged, or no .keras file ({error})") from error


def _from_hdf5(path: Path) -> Any:
    import h5py

    try:
        with h5py.File(path, "r") as file:
            config = file.attrs.get("model_config")
        if config is None:
            raise ModelError(
                f"{path}: holds weights only; save the whole model with model.save('model.keras'), or name "
                "the known model they are of, as in `edgecv convert mobilenetv2 --weights FILE`"
            )
        return json.loads(config)
    except (OSError, RuntimeError, ValueError, RecursionError) as error:
        raise ModelError(f"{path}: damaged, or no HDF5 file ({str(error).splitlines()[0]})") from error


def _parts(config: Any) -> Iterator[dict[str, Any]]:
    """Every object of a config that Keras would make something of; how it was trained is not read."""
    pending = [config]
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            if isinstance(value.get("class_name"), str):
                yield value
            elif "class_name" in value or "module" in value:
                yield {"class_name": str(value.get("class_name")), "module": str(value.get("module"))}
            pending += (part for key, part in value.items() if key != "compile_config")
        elif isinstance(value, list):
            pending += value
