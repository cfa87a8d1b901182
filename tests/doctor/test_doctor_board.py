"""What of the board's lines is the doctor's own: which profile they go by, and what is only told."""

from __future__ import annotations

from pathlib import Path

import pytest
from doctor_checks import OK, PI5, WARNING, MakeCase, check

from edgecv.devices.new import new_profile
from edgecv.doctor import board

ZONE = "sys/class/thermal/thermal_zone0"
# 2880 mA, a big-endian number
WEAK = PI5 | {"proc/device-tree/chosen/power/max_current": "\0\0\x0b\x40"}


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only file in the user's folder of profiles."""
    monkeypatch.setenv("EDGECV_DEVICES", str(tmp_path / "own"))
    (tmp_path / "own").mkdir()
    return tmp_path / "own" / "mine.toml"


def test_a_profile_of_ones_own_hides_no_fact_of_the_board(make_case: MakeCase, mine: Path) -> None:
    files = WEAK | {f"{ZONE}/type": "cpu-thermal\n", f"{ZONE}/temp": "45000\n"}
    content = new_profile("mine", make_case(files).selected.detected)
    mine.write_text(content)
    case = make_case(files)
    assert case.selected.profile.name == "mine"
    check(board.supply(case), (WARNING, "power supply", ("offers 2.88 A", "5 V 5 A")))
    check(board.cooling(case), (OK, "cooling", ("slows down from 80 °C",)))
    fact = '{ name = "throttle_c", value = 60, source = "my case", verified = true },'
    mine.write_text(content.replace("facts = [", f"facts = [\n  {fact}"))
    check(board.cooling(make_case(files)), (OK, "cooling", ("slows down from 60 °C",)))


def test_a_profile_that_was_left_out_is_a_line(make_case: MakeCase, mine: Path) -> None:
    mine.write_text("name = 3")
    left_out = (WARNING, "profiles", ("left out", "mine.toml"))
    check(board.model(make_case()), (OK, "board", ("rpi5",)), left_out)


def test_an_accelerator_is_told(make_case: MakeCase) -> None:
    check(board.accelerator(make_case()))
    case = make_case(PI5 | {"dev/hailo0": ""})
    check(board.accelerator(case), (OK, "accelerator", ("Hailo (NPU), /dev/hailo0: not used by EdgeCV yet",)))
