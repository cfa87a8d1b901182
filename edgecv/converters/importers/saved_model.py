"""TensorFlow SavedModels: a folder with saved_model.pb."""

from __future__ import annotations

import tempfile
from pathlib import Path

from edgecv.bundle import Origin
from edgecv.converters.importers import Imported, ImportOptions, model_name
from edgecv.converters.importers.onnx_file import digest, load
from edgecv.converters.importers.process import require, run
from edgecv.errors import ModelError

_TENSORFLOW = "edgecv.converters.importers.tensorflow_side"


def read(where: str, options: ImportOptions) -> Imported:
    """Raises ModelError for a damaged folder, or one that calls Python or touches files."""
    root = Path(where)
    files = sorted(path for path in root.rglob("*") if path.is_file())
    for file in files:
        if not file.resolve().is_relative_to(root.resolve()):
            raise ModelError(f"{where}: {file.name} is a link out of it")
    require("keras", "tensorflow", "tf2onnx")
    with tempfile.TemporaryDirectory(prefix="edgecv-") as folder:
        job = {"path": str(root.resolve()), "size_hw": options.preprocess.size_hw}
        run(f"{_TENSORFLOW}:export_saved_model", job, Path(folder), where)
        model, _ = load(Path(folder) / "model.onnx")
    name = root.resolve().name
    return Imported(model, model_name(name), Origin(model=name, weights=name, sha256=digest(files)))
