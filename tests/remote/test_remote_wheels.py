from __future__ import annotations

import base64
import csv
import hashlib
import io
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from fake_uv import fake_uv

from edgecv import __version__
from edgecv.devices import select
from edgecv.devices.profile import get_profile, load_profiles
from edgecv.errors import EdgecvError, UsageError
from edgecv.files import cache_dir
from edgecv.remote import wheelhouse
from edgecv.remote.own_wheel import requirements, write_wheel
from edgecv.remote.systems import target
from edgecv.remote.wheelhouse import Target, gather

PI = Target("aarch64", (2, 36), (3, 11))


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGECV_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", f"{tmp_path}/uv:{os.environ['PATH']}")


def ignored(what: str, share: float) -> None:
    """Progress that nobody looks at."""


def test_the_wheel_is_whole_and_the_same_every_time(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    path = write_wheel(first)
    assert path.read_bytes() == write_wheel(second).read_bytes()
    assert path.name == f"edgecv-{__version__}-py3-none-any.whl"
    with zipfile.ZipFile(path) as wheel:
        names = wheel.namelist()
        info = f"edgecv-{__version__}.dist-info"
        assert {"edgecv/__main__.py", "edgecv/devices/profiles/rpi5.toml", "edgecv/remote/probe.sh"} <= set(
            names
        )
        assert {f"{info}/METADATA", f"{info}/WHEEL", f"{info}/entry_points.txt"} <= set(names)
        assert not [name for name in names if "__pycache__" in name or name.startswith("/")]
        rows = {row[0]: row[1:] for row in csv.reader(io.StringIO(wheel.read(f"{info}/RECORD").decode()))}
        assert sorted(rows) == sorted(names)
        for name, (digest, size) in rows.items():
            if name != f"{info}/RECORD":
                content = wheel.read(name)
                made = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
                assert (digest, int(size)) == (f"sha256={made}", len(content))


def test_the_wheel_runs_where_nothing_else_of_edgecv_is(tmp_path: Path) -> None:
    path = write_wheel(tmp_path)
    code = "import edgecv.files; print(edgecv.__file__)"
    words, own = [sys.executable, "-c", code], {"PYTHONPATH": str(path)}
    done = subprocess.run(words, env=own, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert str(path) in done.stdout


def test_what_is_needed_is_known() -> None:
    assert any(line.startswith("numpy") for line in requirements())
    assert any("extra == 'onnx'" in line or 'extra == "onnx"' in line for line in requirements())


@pytest.mark.parametrize(
    ("wanted", "platform"),
    [
        (PI, "aarch64-manylinux_2_36"),
        (Target("aarch64", (2, 30), (3, 10)), "aarch64-manylinux_2_28"),  # the newest that uv knows below it
        (Target("x86_64", (2, 17), (3, 10)), "x86_64-manylinux_2_17"),
        (Target("x86_64", (2, 99), (3, 13)), "x86_64-manylinux_2_40"),
    ],
)
def test_the_platform_is_the_newest_that_runs_there(wanted: Target, platform: str) -> None:
    assert wanted.platform == platform


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (PI._replace(machine="armv7l"), "no wheelhouse for armv7l: .* leave --wheelhouse out"),
        (PI._replace(glibc=(2, 12)), "no wheelhouse for glibc 2.12"),
    ],
)
def test_a_board_without_wheels_is_said(wanted: Target, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        wanted.platform  # noqa: B018  a property that raises


def test_wheels_are_got_once_and_are_those_the_index_means(tmp_path: Path) -> None:
    chosen = fake_uv(tmp_path / "uv")
    own = write_wheel(tmp_path)
    house = gather(own, ("tflite", "onnx"), PI, True, ignored)
    assert (house.engines, house.notes) == (("tflite", "onnx"), ())
    assert [path.name for path in house.files] == [path.name for path in chosen]  # compiled before pure
    assert all(path.is_relative_to(cache_dir()) for path in house.files)
    called = (tmp_path / "uv/calls").read_text()
    assert "--python-platform aarch64-manylinux_2_36 --python-version 3.11" in called
    assert "--only-binary :all:" in called
    for path in chosen:
        path.unlink()
    assert gather(own, ("tflite", "onnx"), PI, True, ignored) == house  # from the cache

    fake_uv(tmp_path / "again")
    (tmp_path / "uv/uv").write_bytes((tmp_path / "again/uv").read_bytes())
    lock = tmp_path / "again/pylock.toml"
    lock.write_text(lock.read_text().replace('sha256 = "', 'sha256 = "0'))
    with pytest.raises(EdgecvError, match="fast-1.0.* is not what the index says; try again"):
        gather(own, ("tflite",), PI, True, ignored)
    assert not list(cache_dir().rglob("part"))


def test_an_engine_without_wheels_is_left_out_or_an_error(tmp_path: Path) -> None:
    fake_uv(tmp_path / "uv", without="openvino")
    own = write_wheel(tmp_path)
    said = "openvino: no wheels for Python 3.11, aarch64, glibc 2.36 (Because openvino has no wheels with a"
    house = gather(own, ("onnx", "openvino"), PI, False, ignored)
    assert house.engines == ("onnx",)
    assert [note.startswith(f"onnx, {said}") for note in house.notes] == [True]
    for engines, all_needed in ((("openvino",), False), (("onnx", "openvino"), True)):
        with pytest.raises(UsageError, match="openvino: no wheels for Python 3.11"):
            gather(own, engines, PI, all_needed, ignored)


def test_a_download_that_fails_is_one_line(tmp_path: Path) -> None:
    for path in fake_uv(tmp_path / "uv"):
        path.unlink()
    with pytest.raises(EdgecvError, match="cannot download fast-1.0-cp311"):
        gather(write_wheel(tmp_path), ("onnx",), PI, True, ignored)


def test_no_uv_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(wheelhouse.sys, "executable", "/bin/false")
    with pytest.raises(EdgecvError, match="pip install uv"):
        gather(write_wheel(tmp_path), ("onnx",), PI, True, ignored)


@pytest.mark.parametrize(
    ("device", "python", "glibc", "wanted"),
    [
        ("rpi5", None, None, Target("aarch64", (2, 36), (3, 11))),  # Raspberry Pi OS bookworm
        ("rpi5", "3.13", "2.41", Target("aarch64", (2, 41), (3, 13))),  # and its trixie, by hand
        ("jetson-orin-nano", None, None, Target("aarch64", (2, 35), (3, 10))),  # JetPack 6
        ("jetson-xavier-nx", "3.10", None, Target("aarch64", (2, 31), (3, 10))),  # JetPack 5
        ("x86", None, None, Target("x86_64", (2, 35), (3, 10))),
    ],
)
def test_what_a_device_takes(device: str, python: str | None, glibc: str | None, wanted: Target) -> None:
    assert target(get_profile(device), python, glibc)[0] == wanted


def test_every_profile_has_a_system() -> None:
    for profile in (*load_profiles(), select("auto").profile):
        assert target(profile, "3.11", None)[0].python == (3, 11)


@pytest.mark.parametrize(
    ("device", "python", "message"),
    [
        ("rpi5", "3.9", "edgecv runs on Python 3.10 to 3.13, not 3.9$"),
        ("jetson-xavier-nx", None, "not 3.8, the Python of JetPack 5 .*; name another with --python"),
        ("rpi5", "three", "--python three: give two numbers, as 3.11"),
        ("rpi5", "3.11.2", "--python 3.11.2: give two numbers"),
    ],
)
def test_a_python_that_cannot_be_is_refused(device: str, python: str | None, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        target(get_profile(device), python, None)
