"""Each board as a whole. Not run on hardware: the trees follow what kernels and vendors publish."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from devices_boards import BOARDS, Board

from edgecv.devices import detect, load_profiles
from edgecv.devices.accelerators import accelerators
from edgecv.devices.telemetry import Telemetry, power_mode, throttle_c

Lay = Callable[[dict[str, object]], Path]
each_board = pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS.keys())


def test_every_profile_has_its_board() -> None:
    assert sorted(BOARDS) == [profile.name for profile in load_profiles()]


@each_board
def test_detection(board: Board, lay: Lay) -> None:
    found = detect(lay(board.files))
    assert found.profile is not None
    assert (found.profile.name, found.cpu, found.jetpack) == (board.profile, board.cpu, board.jetpack)
    assert (found.ram_mb, found.swap_mb) == (4096, 200)


@each_board
def test_telemetry(board: Board, lay: Lay) -> None:
    telemetry = Telemetry(lay(board.files))
    assert telemetry.read() == board.reading
    assert telemetry.power_source == board.power_source


@each_board
def test_limits(board: Board, lay: Lay) -> None:
    root = lay(board.files)
    assert (throttle_c(root), power_mode(root)) == (board.throttle_c, board.power_mode)


@each_board
def test_accelerators(board: Board, lay: Lay) -> None:
    found = accelerators(lay(board.files))
    assert tuple(accelerator.name for accelerator in found) == board.accelerators
    assert all("not used by EdgeCV yet" in accelerator.usable for accelerator in found)
