"""PyTorch models that the user's own code makes: `package.module:factory`, with a state dict or without."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import msgspec

from edgecv.bundle import Origin
from edgecv.converters.importers import Imported, ImportOptions, model_name
from edgecv.converters.importers.onnx_file import load
from edgecv.converters.importers.process import require, run
from edgecv.converters.preprocess_rules import Wanted
from edgecv.errors import ModelError
from edgecv.files import sha256_file

_TORCH = "edgecv.converters.importers.torch_side"


def read(where: str, options: ImportOptions) -> Imported:
    """Import the module (installed, or in the current folder), call the factory, export what it returns."""
    require("torch", "torch", "onnxscript")
    weights = options.weights
    if weights is not None and not weights.is_file():
        raise ModelError(f"no weights file {weights}")
    with tempfile.TemporaryDirectory(prefix="edgecv-") as folder:
        job = {
            "factory": where,
            "weights": str(weights.resolve()) if weights else None,
            "size_hw": options.preprocess.size_hw,
            "here": os.getcwd(),
        }
        answer = run(f"{_TORCH}:export_factory", job, Path(folder), where)
        path = Path(folder) / "model.onnx"
        model, _ = load(path)
        sha256 = sha256_file(weights) if weights else sha256_file(path)
    says = msgspec.convert(answer["says"], Wanted)
    notes = (
        (f"size and preprocessing are from the model's own pretrained_cfg: {answer['told']}",)
        if answer["told"]
        else ()
    )
    name = weights.stem if weights else where
    origin = Origin(model=where, weights=weights.name if weights else "the factory's own", sha256=sha256)
    return Imported(model, model_name(name), origin, says, notes)
