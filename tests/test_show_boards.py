"""What is said of boards on the terminal."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from edgecv.remote.pack import Packed
from edgecv.remote.systems import BOOKWORM
from edgecv.remote.wheelhouse import Target
from edgecv.show import boards
from edgecv.show.terminal import progress


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


def test_a_profile_of_this_machine_is_found_by_its_name(tmp_path: Path) -> None:
    environment = {**os.environ, "XDG_CONFIG_HOME": str(tmp_path)}

    def edgecv(*words: str) -> str:
        command = [sys.executable, "-m", "edgecv", *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        return f"{done.returncode} {done.stdout}{done.stderr}"

    assert edgecv("devices", "new", "bench-box").startswith("0 Wrote ")
    assert "is there already" in edgecv("devices", "new", "bench-box")
    assert "bench-box.toml" in edgecv("devices")
    assert f"from: {tmp_path}/edgecv/devices/bench-box.toml" in edgecv("devices", "show", "bench-box")
    (tmp_path / "edgecv/devices/broken.toml").write_text("name = 3")
    assert "left out: " in edgecv("devices")
