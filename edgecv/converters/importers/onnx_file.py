"""ONNX files, with their external data where it lies beside them."""

from __future__ import annotations

import hashlib
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from edgecv.bundle import Origin
from edgecv.converters.importers import Imported, ImportOptions, model_name
from edgecv.errors import ModelError
from edgecv.files import sha256_file

if TYPE_CHECKING:
    import onnx


def read(where: str, options: ImportOptions) -> Imported:
    """Raises ModelError for a damaged file, or external data that is missing or outside the folder."""
    del options
    path = Path(where)
    model, parts = load(path)
    origin = Origin(model=path.name, weights=path.name, sha256=digest([path, *parts]))
    return Imported(model, model_name(path.stem), origin)


def load(path: Path) -> tuple[onnx.ModelProto, list[Path]]:
    """The model with its external data in it, and the files that held that."""
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load(str(path), load_external_data=False)
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror}") from error
    except (DecodeError, ValueError, RecursionError) as error:
        raise ModelError(f"{path}: damaged, or no ONNX file") from error
    parts: dict[Path, None] = {}
    for tensor in onnx.external_data_helper._get_all_tensors(model):
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            parts[_external(tensor, path)] = None
    if parts:
        try:
            onnx.external_data_helper.load_external_data_for_model(model, str(path.parent))
        except Exception as error:
            raise ModelError(f"{path}: its external data cannot be read ({error})") from error
    return model, list(parts)


def digest(files: list[Path]) -> str:
    """The sha256 of one file, or of the sha256s of several in their order."""
    sums = [sha256_file(file) for file in files]
    return sums[0] if len(sums) == 1 else hashlib.sha256("".join(sums).encode()).hexdigest()


def _external(tensor: onnx.TensorProto, path: Path) -> Path:
    """The file a tensor's numbers are in: in or below the model's own folder, and long enough."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
    inside = PurePosixPath(location)
    folder = path.parent.resolve()
    file = folder / inside
    leaves = inside.is_absolute() or ".." in inside.parts or "\\" in location or "\0" in location
    if not location or leaves or not file.resolve().is_relative_to(folder):
        raise ModelError(f"{path}: tensor {tensor.name} is in {location!r}, outside the model's folder")
    if not file.is_file():
        raise ModelError(f"{path}: its weights are in {location}, which is not beside it; copy both")
    try:
        offset, length = int(entries.get("offset", 0)), int(entries.get("length", 0))
    except ValueError:
        offset = length = -1
    if min(offset, length) < 0 or offset + length > file.stat().st_size:
        raise ModelError(f"{path}: {location} is shorter than the model says; copy it again")
    return file
