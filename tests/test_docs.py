"""The documents are true: what they print is what happens."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from edgecv.cli import cli

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


def console(page: Path) -> list[str]:
    """The edgecv commands a page shows: lines that start with `$ edgecv`."""
    return [
        line.removeprefix("$ ")
        for block in blocks(page, "console")
        for line in block.splitlines()
        if line.startswith("$ edgecv")
    ]


@pytest.mark.skipif(
    tuple(map(int, importlib.metadata.version("click").split(".")[:2])) < (8, 5),
    reason="click has changed how it words a usage line: the page is as 8.5 prints it",
)
def test_the_command_page_is_what_help_prints() -> None:
    spec = importlib.util.spec_from_file_location("update_docs", ROOT / "scripts" / "update_docs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.TARGET.read_text() == module.text(), "run python scripts/update_docs.py"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_that_is_shown_can_be_parsed(page: Path) -> None:
    for line in console(page):
        command, words = cli, shlex.split(line)[1:]
        while words and words[0] in getattr(command, "commands", {}):
            command = command.commands[words.pop(0)]
        command.make_context("edgecv", words, resilient_parsing=False)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_inside_the_project_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", page.read_text()):
        if not target.startswith(("http://", "https://")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_operators_are_listed() -> None:
    pytest.importorskip("onnx", reason="the emitter is part of the convert extra")
    from edgecv.converters.tflite_ops import OPERATORS

    rows = re.findall(r"^\| (\w+) \|", (ROOT / "docs" / "operators.md").read_text(), re.MULTILINE)
    assert rows[0] == "ONNX"
    assert rows[1:] == sorted(OPERATORS)


def test_pages_stay_short_where_they_promise_to() -> None:
    assert len((ROOT / "CONTRIBUTING.md").read_text().splitlines()) < 60
    for example in EXAMPLES:
        assert len(example.read_text().splitlines()) <= 40, example.name
    assert len(EXAMPLES) == 4


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty place to work in, with a cache of its own that lasts for the module."""
    pytest.importorskip("nncf", reason="the tour converts: it needs the convert extra")
    return tmp_path_factory.mktemp("tour")


def run(command: list[str], home: Path) -> str:
    scripts = str(Path(sys.executable).parent)
    environment = {
        **os.environ,
        "EDGECV_CACHE": str(home / "cache"),
        "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}",
    }
    done = subprocess.run(command, cwd=home, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout


@pytest.mark.slow
def test_the_tour_of_the_readme(home: Path) -> None:
    lines = console(ROOT / "README.md")
    assert lines[0] == "edgecv convert --int8"  # everything after it lives on its bundle
    outputs = {line: run(shlex.split(line), home) for line in lines}
    photos = next(text for line, text in outputs.items() if "sample:photos" in line)
    assert re.search(r"espresso 0\.\d", photos)
    assert re.search(r"(tabby|Egyptian cat|tiger cat) 0\.\d", photos)
    for block in blocks(ROOT / "README.md", "python"):
        assert run([sys.executable, "-c", block], home)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "arguments", "says"),
    [
        ("convert.py", ["out"], "openvino:int8"),
        ("camera.py", ["sample:video"], "%"),
        ("compare_devices.py", [], "Raspberry Pi 5"),
        ("add_engine.py", [], "espresso"),
    ],
)
def test_the_examples(home: Path, name: str, arguments: list[str], says: str) -> None:
    if not (home / "cache").exists():
        run(["edgecv", "convert", "--int8"], home)
    assert says in run([sys.executable, str(ROOT / "examples" / name), *arguments], home)
