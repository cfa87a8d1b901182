"""With nothing faked: a package index, environments, engines, and an emulated 64-bit Arm board."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from board_server import BoardServer

from edgecv.bundle import Bundle, bundle_cache
from edgecv.devices.profile import get_profile
from edgecv.errors import EdgecvError, UsageError
from edgecv.remote.bench import Away, bench_at
from edgecv.remote.cargo import Wanted
from edgecv.remote.pack import pack

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
ARM64 = Path(os.environ.get("EDGECV_ARM64") or ROOT / ".arm64")
OFFLINE = {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9", "PIP_RETRIES": "0"}


@pytest.fixture(scope="session")
def real_bundle() -> Bundle:
    for folder in (os.environ.get("EDGECV_TEST_BUNDLE"), bundle_cache("efficientnet-lite0")):
        if folder and Path(folder).is_dir():
            return Bundle.open(folder)
    pytest.skip("needs a converted bundle: edgecv convert --int8")


def quiet(what: str, share: float) -> None:
    """Progress that nobody looks at."""


def measured(wanted: Wanted) -> Away:
    try:
        return bench_at("board", wanted, quiet, lambda _: None)
    except UsageError:
        raise
    except EdgecvError as error:
        if "cannot download" in str(error) or "could not resolve" in str(error):
            pytest.skip(f"needs a package index: {error}")
        raise


def python_of(minor: int) -> str:
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    found = sorted(root.glob(f"versions/3.{minor}.*/bin/python"))
    if not found and sys.version_info.minor != minor:
        pytest.skip(f"needs a Python 3.{minor}, as of pyenv: there is none")
    return str(found[-1]) if found else sys.executable


@pytest.mark.parametrize("minor", [10, 11, 12, 13])
def test_an_archive_installs_without_a_network(bundle: Bundle, tmp_path: Path, minor: int) -> None:
    python, out = python_of(minor), tmp_path / "a.tar.gz"
    try:
        made = pack(bundle, get_profile("x86"), f"3.{minor}", None, ("tflite", "onnx"), out, quiet)
    except UsageError:
        raise
    except EdgecvError as error:
        pytest.skip(f"needs uv and a package index: {error}")
    assert made.engines == ("tflite", "onnx")
    with tarfile.open(out) as tar:
        tar.extractall(tmp_path / "there", filter="data")
    folder = next((tmp_path / "there").iterdir())
    environment = {**os.environ, **OFFLINE, "PYTHON": python}
    words = ["sh", str(folder / "install.sh")]
    done = subprocess.run(words, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert f"'{folder}/env/bin/edgecv' bench '{folder}/bundle/tiny'" in done.stdout
    code = "import ai_edge_litert.interpreter, cv2, onnxruntime, edgecv; print(edgecv.__file__)"
    words = [f"{folder}/env/bin/python", "-c", code]
    bare = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    shown = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, env=bare, check=False)
    assert shown.stdout.startswith(str(folder / "env")), shown.stderr


def test_a_real_bench_on_the_board(board: BoardServer, real_bundle: Bundle) -> None:
    wanted = Wanted(real_bundle, ["--format", "onnx", "--precision", "int8"], engines=("onnx",))
    away = measured(wanted)
    (artifact,) = away.report.artifacts
    assert artifact.measured is not None
    assert artifact.measured.engine.startswith("ONNX Runtime")
    assert board.sessions() == []
    assert sorted(path.name for path in board.home.iterdir()) == [".cache"]


def test_an_emulated_arm64_board_with_a_wheelhouse(board: BoardServer, real_bundle: Bundle) -> None:
    """Resolved here for that board's Python, architecture and glibc, and installed there without an index."""
    if not (ARM64 / "root/usr/bin/python3.11").is_file():
        pytest.skip("needs the emulated arm64 tree, which scripts/arm64.sh makes")
    base = board.home / "usr"
    (base / "bin").mkdir(parents=True)
    (base / "lib").symlink_to(ARM64 / "root/usr/lib")
    python = base / "bin/python3"
    # argv[0] is what was typed, so that an environment's python finds its pyvenv.cfg.
    python.write_text(
        f"#!/bin/sh\nexport QEMU_LD_PREFIX='{ARM64}/root' QEMU_CPU=cortex-a76 OMP_NUM_THREADS=1\n"
        f"exec '{ARM64}/qemu-aarch64' -0 \"$0\" '{ARM64}/root/usr/bin/python3.11' \"$@\"\n"
    )
    python.chmod(0o755)
    (board.bin / "python3").unlink()
    (board.bin / "python3").symlink_to(python)
    board.script("uv", f'exec "{shutil.which("uv")}" "$@"\n')  # Debian's Python has no ensurepip
    arguments = ["--format", "tflite", "--precision", "int8"]
    away = measured(Wanted(real_bundle, arguments, engines=("tflite",), wheelhouse=True))
    assert away.report.conditions.architecture == "aarch64"
    (artifact,) = away.report.artifacts
    assert artifact.measured is not None
