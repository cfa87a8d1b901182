"""Keras weight files through h5py: Keras 3 `.weights.h5` and the older `.h5` of keras.applications."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgecv.errors import ModelError


def read_layers(path: Path) -> dict[str, list[NDArray]]:
    """Each layer's arrays, in Keras's own order, by the layer's name in the model; [] where it has none.

    Raises ModelError when the file is not HDF5, is truncated, or holds no Keras layers.
    """
    import h5py

    try:
        with h5py.File(path, "r") as file:
            layers = _keras3(file["layers"]) if "layers" in file else _keras2(file.get("model_weights", file))
    except OSError as error:
        raise ModelError(f"{path}: not a readable HDF5 file: {_first_line(error)}") from error
    except (AttributeError, LookupError, MemoryError, RuntimeError, TypeError, ValueError) as error:
        raise ModelError(f"{path}: damaged Keras weights: {_first_line(error)}") from error
    if not any(layers.values()):
        raise ModelError(f"{path}: an HDF5 file without Keras layers")
    return layers


def _keras3(group) -> dict[str, list[NDArray]]:
    """layers/<class>_<n>/vars/{0,1,...}; the layer's own name is an attribute of `vars`, if there are any."""
    found = {}
    for group_name, layer in group.items():
        variables = layer.get("vars")
        if variables is None or not len(variables):
            found.setdefault(group_name, [])
        else:
            found[_text(variables.attrs["name"])] = [
                np.asarray(variables[str(i)]) for i in range(len(variables))
            ]
    return found


def _keras2(group) -> dict[str, list[NDArray]]:
    """<layer>/ with the attribute `weight_names`, each naming a dataset below it."""
    found = {}
    for name in (_text(n) for n in group.attrs.get("layer_names", ())):
        weights = [_text(n) for n in group[name].attrs.get("weight_names", ())]
        found[name] = [np.asarray(group[name][weight]) for weight in weights]
    return found


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
