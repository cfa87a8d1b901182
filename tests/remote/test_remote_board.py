from __future__ import annotations

import json
import sys

import pytest
from board_server import BoardServer

from edgecv.errors import EdgecvError
from edgecv.remote.address import parse_address
from edgecv.remote.board import Board, choose_python, parse_probe, probe
from edgecv.remote.ssh import connect


def python(version: tuple[int, int] = (3, 11), **changed: object) -> dict[str, object]:
    there = {"path": "/usr/bin/python3", "version": version, "machine": "aarch64", "bits": 64}
    return there | {"libc": "glibc 2.36", "venv": True} | changed


def board_of(*pythons: dict[str, object], **said: str) -> Board:
    values = {"home": "/home/pi", "cache": "/home/pi/.cache/edgecv/remote", "system": "Linux"}
    values |= {"machine": "aarch64", "free_kb": "2097152", "uv": ""} | said
    lines = [f"edgecv-probe {name}={value}" for name, value in values.items()]
    lines += [f"edgecv-probe python={json.dumps(one)}" for one in pythons]
    return parse_probe("pi@board", "\n".join(["Welcome to the board", *lines, ""]))


def test_what_the_probe_says_is_read_and_the_rest_is_not() -> None:
    board = board_of(python(), python(), python((3, 13), path="/opt/python3.13"))
    assert (board.cache, board.free_mb, board.uv) == ("/home/pi/.cache/edgecv/remote", 2048, "")
    assert [one.path for one in board.pythons] == ["/usr/bin/python3", "/opt/python3.13"]
    assert board.pythons[0].glibc == (2, 36)


@pytest.mark.parametrize(
    ("board", "chosen"),
    [
        (board_of(python(), python((3, 13), path="/opt/newer")), "/usr/bin/python3"),  # the system's own
        (board_of(python((3, 9)), python((3, 13), path="/opt/newer")), "/opt/newer"),  # which is too old
        (board_of(python(venv=False), python((3, 13), path="/opt/newer")), "/opt/newer"),  # or has no venv
        (board_of(python(venv=False), uv="/home/pi/.local/bin/uv"), "/usr/bin/python3"),  # which uv makes
    ],
)
def test_the_python_that_will_do_is_chosen(board: Board, chosen: str) -> None:
    assert choose_python(board).path == chosen


@pytest.mark.parametrize(
    ("board", "message"),
    [
        (board_of(), "there is no python3, and edgecv needs 3.10 to 3.13"),
        (board_of(python((3, 8))), "its Python is 3.8, and edgecv needs 3.10"),  # JetPack 5
        (board_of(python((3, 14))), "its Python is 3.14"),
        (board_of(python(venv=False)), "sudo apt install python3-venv"),
        (board_of(python(libc="")), "its C library is not glibc"),  # Alpine
    ],
)
def test_what_is_missing_is_said_with_the_remedy(board: Board, message: str) -> None:
    with pytest.raises(EdgecvError, match=f"pi@board.*{message}"):
        choose_python(board)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"system": "Darwin"}, "is a Darwin machine; boards run Linux"),
        ({"system": ""}, "has no POSIX shell that answers"),
        ({"home": ""}, "no home folder"),
    ],
)
def test_what_is_no_board_is_said(said: dict[str, str], message: str) -> None:
    with pytest.raises(EdgecvError, match=message):
        board_of(python(), **said)


def test_a_32_bit_system_on_a_64_bit_kernel_takes_32_bit_wheels() -> None:
    assert board_of(python(bits=32)).pythons[0].architecture == "armv7l"
    assert board_of(python(bits=64)).pythons[0].architecture == "aarch64"


def test_a_board_is_asked_over_ssh(board: BoardServer) -> None:
    (board.home / ".bashrc").write_text("echo Welcome to the board\n")
    other = 12 if sys.version_info[1] != 12 else 13
    board.python(f"python3.{other}", "/bin/false")  # as pyenv's shims: there, and does not start
    with connect(parse_address("board")) as connection:
        found = probe(connection)
    assert found.cache == str(board.cache)
    assert found.free_mb
    assert choose_python(found).glibc is not None
    assert all(python.version != (3, other) for python in found.pythons)
    assert not board.cache.exists()  # looking leaves nothing
