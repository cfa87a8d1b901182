"""What is said of boards on the terminal."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from edgecv import api
from edgecv.errors import DeviceError, UsageError
from edgecv.remote.pack import Packed
from edgecv.remote.systems import BOOKWORM
from edgecv.remote.wheelhouse import Target
from edgecv.show import boards
from edgecv.show.terminal import progress


def test_facts_are_no_python(capsys: pytest.CaptureFixture[str]) -> None:
    boards.device("rpi5")
    shown = capsys.readouterr().out
    assert "1.8, 3.0" in shown
    assert "(1.8" not in shown
    boards.detected(as_json=False)
    assert not any(word in capsys.readouterr().out for word in ("True", "False", "None"))


def test_an_archive_of_any_name_unpacks_to_its_own_folder(capsys: pytest.CaptureFixture[str]) -> None:
    target = Target("aarch64", (2, 36), (3, 11))
    packed = Packed(Path("x/p.tar.gz"), "edgecv-m-rpi5-py311", 5_000_000, target, BOOKWORM, ("tflite",), ())
    boards.packed(packed)
    assert capsys.readouterr().out.splitlines() == [
        "Wrote x/p.tar.gz (5 MB): tflite for Python 3.11 on aarch64, glibc 2.36 or newer",
        "On the board: tar xzf p.tar.gz && sh edgecv-m-rpi5-py311/install.sh",
    ]


def test_progress_as_lines_is_for_who_runs_this_from_afar(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with progress() as shown:
        shown.share("quiet", 0.1)
    monkeypatch.setenv("EDGECV_PROGRESS", "lines")
    with progress() as shown:
        shown.share("onnx:int8", 0.25)
        shown.share("at the end", 1.5)
        shown.say("a line")
    told = capsys.readouterr()
    assert told.err.splitlines() == [
        "edgecv-progress 0.250 onnx:int8",
        "edgecv-progress 1.000 at the end",
        "a line",
    ]
    assert told.out == ""


def test_a_new_profile_says_what_it_replaces_and_why_it_is_left_out(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("EDGECV_DEVICES", str(tmp_path / "own"))

    def said(name: str, out: Path | None = None) -> str:
        boards.new_device(*api.new_device(name, out))
        return capsys.readouterr().err

    path = tmp_path / "own" / "rpi5.toml"
    assert said("rpi5") == f"note: profile 'rpi5' is yours, {path}, and replaces the one of EdgeCV\n"
    assert said("mine") == said("rpi4b", tmp_path / "elsewhere.toml") == ""
    assert "name 'mine' is that of mine.toml too: choose another" in said("mine", path.with_name("z.toml"))
    with pytest.raises(UsageError, match=r"rpi5\.toml is there already: .*--force"):
        api.new_device("rpi5")
    api.new_device("rpi5", force=True)


def test_a_name_is_refused_before_anything_is_measured_for_it(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="My Board"):
        api.new_device("My Board", tmp_path / "x.toml", measure=tmp_path / "no bundle")
    assert not list(tmp_path.iterdir())


def test_a_profile_of_this_machine_is_found_by_its_name(tmp_path: Path) -> None:
    environment = {**os.environ, "XDG_CONFIG_HOME": str(tmp_path)}

    def edgecv(*words: str) -> str:
        command = [sys.executable, "-m", "edgecv", *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        return f"{done.returncode} {done.stdout}{done.stderr}"

    assert edgecv("devices", "new", "bench-box").startswith("0 Wrote ")
    assert "bench-box.toml" in edgecv("devices")
    assert f"from: {tmp_path}/edgecv/devices/bench-box.toml" in edgecv("devices", "show", "bench-box")
    (tmp_path / "edgecv/devices/broken.toml").write_text("name = 3")
    assert "left out: " in edgecv("devices")
