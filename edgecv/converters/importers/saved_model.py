"""TensorFlow SavedModels: a folder with saved_model.pb."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from edgecv.bundle import Origin
from edgecv.converters.importers import Imported, ImportOptions, model_name
from edgecv.converters.importers.onnx_file import digest
from edgecv.converters.importers.tensorflow_models import TensorFlowModel
from edgecv.errors import ModelError


def read(where: str, options: ImportOptions) -> Imported:
    """Raises ModelError for a damaged folder, or one that calls Python or touches files."""
    root = Path(where)
    model = TensorFlowModel("saved_model", where, options.preprocess.size_hw, partial(_files, root))
    graph = model.to_onnx()
    name = root.resolve().name
    origin = Origin(model=name, weights=name, sha256=digest(_files(root)))
    return Imported(graph, model_name(name), origin, tflite=model.to_tflite)


def _files(root: Path) -> list[Path]:
    """Every file of the folder; ModelError for a link that leads out of it."""
    files = sorted(path for path in root.rglob("*") if path.is_file())
    for file in files:
        if not file.resolve().is_relative_to(root.resolve()):
            raise ModelError(f"{root}: {file.name} is a link out of it")
    return files
