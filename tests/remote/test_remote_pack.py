from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from fake_uv import fake_uv

from edgecv.bundle import Bundle
from edgecv.devices.profile import get_profile
from edgecv.errors import EdgecvError, UsageError
from edgecv.remote import pack as packing
from edgecv.remote.pack import Packed, pack

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"


@pytest.fixture(autouse=True)
def _uv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_uv(tmp_path / "uv", without="openvino")
    monkeypatch.setenv("EDGECV_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", f"{tmp_path}/uv:{os.environ['PATH']}")


def packed(bundle: Bundle, out: Path | None, device: str = "rpi5", python: str | None = None) -> Packed:
    return pack(bundle, get_profile(device), python, None, None, out, lambda *_: None)


def unpacked(archive: Path, where: Path) -> Path:
    with tarfile.open(archive) as tar:
        tar.extractall(where, filter="data")
    return next(where.iterdir())


def install(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    words, own = ["sh", str(folder / "install.sh")], {**os.environ, **environment}
    return subprocess.run(words, capture_output=True, text=True, check=False, env=own)


def test_the_archive_holds_all_and_is_the_same_every_time(bundle: Bundle, tmp_path: Path) -> None:
    made = packed(bundle, tmp_path / "a.tar.gz")
    assert made.path.read_bytes() == packed(bundle, tmp_path / "b.tar.gz").path.read_bytes()
    assert (made.bytes, made.engines) == (made.path.stat().st_size, ("onnx", "tflite"))
    assert "openvino: no wheels for Python 3.11, aarch64, glibc 2.36" in made.notes[0]
    folder = unpacked(made.path, tmp_path / "there")
    assert folder.name == "edgecv-tiny-rpi5-py311"
    assert Bundle.open(folder / "bundle/tiny").manifest == bundle.manifest
    names = sorted(path.name for path in (folder / "wheels").iterdir())
    assert [name.partition("-")[0] for name in names] == ["edgecv", "fast", "pure"]
    sums = dict(line.split("  ")[::-1] for line in (folder / "SHA256SUMS").read_text().splitlines())
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert set(sums) == files - {"SHA256SUMS"}
    for name, digest in sums.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
    assert "Python 3.11, aarch64, glibc 2.36" in (folder / "README.txt").read_text()
    assert os.access(folder / "install.sh", os.X_OK)


def test_a_default_name_says_what_it_is_for(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert packed(bundle, None, "rpi4b", "3.12").path == tmp_path / "edgecv-tiny-rpi4b-py312.tar.gz"


def test_what_was_there_stays_when_it_fails(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "a.tar.gz"
    out.write_text("of yesterday")

    def damaged(archive: Path, top: str, files: dict[str, Path]) -> None:
        write(archive, top, {name: path for name, path in files.items() if "fast" not in name})

    write = packing._write
    monkeypatch.setattr(packing, "_write", damaged)
    with pytest.raises(EdgecvError, match="not written as it should be.*fast-1.0"):
        packed(bundle, out)
    with pytest.raises(UsageError, match="openvino: no wheels"):
        pack(bundle, get_profile("rpi5"), None, None, ("openvino",), out, lambda *_: None)
    assert out.read_text() == "of yesterday"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tar.gz", "cache", "tiny", "uv"]


@pytest.fixture
def folder(bundle: Bundle, tmp_path: Path) -> Path:
    """An unpacked archive for the Python that runs the tests."""
    if platform.machine() != "x86_64":
        pytest.skip("the archive is for x86-64")
    made = packed(bundle, tmp_path / "a.tar.gz", "x86", HERE)
    return unpacked(made.path, tmp_path / "a folder with 'marks'")


def test_install_refuses_a_damaged_archive(folder: Path) -> None:
    next((folder / "wheels").glob("pure*")).write_bytes(b"?")
    done = install(folder, PYTHON=sys.executable)
    assert done.returncode == 1
    assert "install.sh: damaged; copy the archive again" in done.stderr
    assert not (folder / "env").exists()


@pytest.mark.parametrize(
    ("replaced", "by", "message"),
    [
        (f"python='{HERE}'", "python='3.99'", "needs Python 3.99 on x86_64, and there is none"),
        ("machine='x86_64'", "machine='aarch64'", f"needs Python {HERE} on aarch64, and there is none"),
        ("glibc='2.35'", "glibc='2.99'", "these wheels need glibc 2.99 or newer, and this is glibc"),
    ],
)
def test_install_refuses_another_machine(folder: Path, replaced: str, by: str, message: str) -> None:
    settings = folder / "settings.sh"
    settings.write_text(settings.read_text().replace(replaced, by))
    sums = folder / "SHA256SUMS"
    lines = [line for line in sums.read_text().splitlines(True) if "settings.sh" not in line]
    sums.write_text("".join(lines))
    done = install(folder, PATH=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    assert done.returncode == 1
    assert message in done.stderr
    assert not (folder / "env").exists()


def test_install_says_that_a_python_will_not_do(folder: Path) -> None:
    done = install(folder, PYTHON="/bin/false")
    assert f"PYTHON=/bin/false is not a Python {HERE} for x86_64" in done.stderr


@pytest.mark.slow
def test_a_failed_install_leaves_no_half_environment(folder: Path) -> None:
    done = install(folder, PYTHON=sys.executable)  # its fast wheel is for aarch64
    assert "is not a supported wheel on this platform" in done.stderr
    assert "install.sh: pip could not install the wheels of this archive" in done.stderr
    assert not (folder / "env").exists()
