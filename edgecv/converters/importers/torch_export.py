"""`.pt2` files of torch.export.save, looked through before torch opens them.

torch.export.load runs pickles where a file holds them, evaluates the expressions for its dynamic sizes, and
calls whatever a node names below `torch`. So a file is read only if it holds tensors as plain numbers,
expressions of sizes and ATen operators, and nothing else.
"""

from __future__ import annotations

import json
import re
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edgecv.bundle import Origin
from edgecv.converters.importers import Imported, ImportOptions, model_name
from edgecv.converters.importers.onnx_file import load
from edgecv.converters.importers.process import require, run
from edgecv.errors import ModelError
from edgecv.files import sha256_file

_TORCH = "edgecv.converters.importers.torch_side"
_MEMBERS = re.compile(
    r"[^/]+/(archive_format|archive_version|byteorder|version|\.data/\w+|models/\w+\.json"
    r"|data/weights/(weight_\d+|\w+_weights_config\.json)"
    r"|data/constants/(tensor_\d+|\w+_constants_config\.json)|data/sample_inputs/\w+\.pt|extra/.*)"
)
_TARGET = re.compile(
    r"torch\.ops\.(aten|prims|higher_order)\.\w+(\.\w+)?|torch\.sym_\w+|math\.(ceil|floor|trunc|sqrt)"
    r"|_operator\.(getitem|add|sub|mul|truediv|floordiv|mod|pow|neg|pos|abs|eq|ne|lt|le|gt|ge|and_|or_|not_)"
)
_FUNCTIONS = (
    "FloorDiv|ModularIndexing|PythonMod|Mod|CleanDiv|CeilToInt|FloorToInt|CeilDiv|PowByNatural|FloatPow"
    "|FloatTrueDiv|IntTrueDiv|Max|Min|True|False"
)
# One character at a time, so that no text takes long to refuse.
_EXPRESSION = re.compile(
    rf"(?:Symbol\('[a-z]\d{{1,9}}'|positive|integer|[su]\d|{_FUNCTIONS}|[-+*/()<>=., \d])*"
)


def read(where: str, options: ImportOptions) -> Imported:
    """Raises ModelError for a damaged file, or one that holds or asks for code."""
    del options
    path = Path(where)
    check(path)
    require("torch", "torch", "onnxscript")
    with tempfile.TemporaryDirectory(prefix="edgecv-") as folder:
        run(f"{_TORCH}:export_exported", {"path": str(path.resolve())}, Path(folder), where)
        model, _ = load(Path(folder) / "model.onnx")
    origin = Origin(model=path.name, weights=path.name, sha256=sha256_file(path))
    return Imported(model, model_name(path.stem), origin)


def check(path: Path) -> None:
    """Raise ModelError unless the archive holds numbers and a graph of ATen operators only."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if not name.endswith("/")]
            for name in names:
                if not _MEMBERS.fullmatch(name) or ".." in name:
                    raise ModelError(
                        f"{path}: holds {name!r}: an old format, or code, which is not run; save it again "
                        "with torch.export.save of PyTorch 2.9 or later"
                    )
            configs = [json.loads(archive.read(n)) for n in names if n.endswith("_config.json")]
            graphs = [json.loads(archive.read(n)) for n in names if "/models/" in n]
    except (OSError, zipfile.BadZipFile, ValueError, RecursionError, NotImplementedError) as error:
        raise ModelError(f"{path}: damaged, or no file of torch.export.save ({error})") from error
    if len(graphs) != 1:
        raise ModelError(f"{path}: holds {len(graphs)} models; save one")
    for key, value in _entries(configs):
        pickled = key == "use_pickle" and value
        if pickled or (key == "path_name" and not re.fullmatch(r"(weight|tensor)_\d+", str(value))):
            raise ModelError(f"{path}: holds pickled objects, which can run code; save it from a plain model")
    for key, value in _entries(graphs):
        _check_entry(path, key, value)


def _check_entry(path: Path, key: str, value: Any) -> None:
    refused = None
    if key == "target" and isinstance(value, str) and not _TARGET.fullmatch(value):
        refused = value
    elif key == "expr_str" and not _EXPRESSION.fullmatch(str(value)):
        refused = str(value)
    elif key == "__enum__":
        refused = key
    if refused is not None:
        raise ModelError(
            f"{path}: asks for {refused[:100]!r}, which is no ATen operator or size, and a model file's code "
            "is not run"
        )


def _entries(document: Any) -> Iterator[tuple[str, Any]]:
    """Every (key, value) of nested JSON; JSON inside a string (torch's tree specs) is searched as text."""
    pending = [document]
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            yield from value.items()
            pending += value.values()
        elif isinstance(value, list):
            pending += value
        elif isinstance(value, str) and "__enum__" in value:
            yield "__enum__", value
