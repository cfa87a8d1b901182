"""The house rules that a reader relies on: who imports whom, and what loading costs."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import edgecv

ROOT = Path(edgecv.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))

# Root modules in layers: each may import those before it.
LAYERS = (
    ("errors", "quiet"),
    ("spec",),
    ("files", "photos"),
    ("timing", "tasks", "image", "bundle", "statistics"),
    ("data",),
)
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
ROOTS = set(LEVEL)
ALLOWED = {  # a package may import itself and these
    "converters": ROOTS,
    "devices": {"errors", "spec"},
    "runtime": ROOTS | {"devices"},
    "reports": ROOTS | {"devices", "runtime"},
    "doctor": ROOTS | {"devices", "runtime"},
    "remote": ROOTS | {"devices", "reports"},
}
ABOVE = {"__init__", "__main__", "api", "cli", "service", "service_unit", "show"}  # may import all
LIGHT = {"click", "msgspec", "numpy"}  # beside the standard library, at import time
ENGINE_FRAMEWORKS = {"ai_edge_litert", "onnxruntime", "openvino", "tflite_runtime"}


def area(path: Path) -> str:
    """`runtime` for a file of that package, `spec` for a root module."""
    inside = path.relative_to(ROOT)
    return inside.parts[0] if len(inside.parts) > 1 else inside.stem


def imports(tree: ast.AST, everywhere: bool) -> Iterator[str]:
    """Dotted names a module imports, those for type checking left out; `everywhere`: in functions too."""
    pending: list[ast.AST] = [tree]
    while pending:
        for node in ast.iter_child_nodes(pending.pop()):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                yield node.module or ""
            elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
                continue
            elif everywhere or not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                pending.append(node)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_one_way(path: Path) -> None:
    mine = area(path)
    for name in imports(ast.parse(path.read_text()), everywhere=True):
        parts = name.split(".")
        if parts[0] != "edgecv" or len(parts) == 1:
            continue
        theirs = parts[1]
        if mine in ALLOWED:
            assert theirs == mine or theirs in ALLOWED[mine], f"{mine} imports {name}"
        elif mine in LEVEL:
            assert LEVEL.get(theirs, 99) < LEVEL[mine], f"{mine} imports {name}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_nothing_heavy_at_import_time(path: Path) -> None:
    in_engines = path.parent.name == "engines"
    for name in imports(ast.parse(path.read_text()), everywhere=False):
        top = name.split(".")[0]
        if top in sys.stdlib_module_names or top in LIGHT or top == "edgecv":
            continue
        assert (in_engines, top in ENGINE_FRAMEWORKS) == (True, True), f"{path.name} imports {name} at once"


def test_every_root_module_has_a_layer() -> None:
    assert {path.stem for path in ROOT.glob("*.py")} - ABOVE == ROOTS
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert packages - ABOVE == set(ALLOWED)


HEAVY = (
    "ai_edge_litert",
    "cv2",
    "edgecv.converters",
    "edgecv.runtime",
    "numpy",
    "onnx",
    "onnxruntime",
    "openvino",
    "rich",
    "sklearn",
    "starlette",
    "tflite_runtime",
    "uvicorn",
)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--help",),  # the first thing a user types
        ("run", "--help"),  # and a command's own
        ("--version",),
    ],
)
def test_help_loads_nothing_heavy(arguments: tuple[str, ...]) -> None:
    code = (
        "import sys\nfrom edgecv.cli import cli\n"
        f"try:\n    cli.main({list(arguments)!r})\nexcept SystemExit as done:\n    assert not done.code\n"
        f"heavy = [m for m in {HEAVY!r} if m in sys.modules]\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_no_file_of_the_project_runs_pickled_code() -> None:
    """Unpickling is done in one place, by a class that refuses everything but four names."""
    users = [path.name for path in FILES if "pickle" in imports(ast.parse(path.read_text()), everywhere=True)]
    assert users == ["torch_weights.py"]
    for path in FILES:
        assert "allow_pickle=True" not in path.read_text()
