"""What a board is, as its shell and its Pythons say, and which of these will do."""

from __future__ import annotations

import re
from importlib import resources
from typing import NamedTuple

import msgspec

from edgecv.errors import EdgecvError
from edgecv.remote.ssh import Connection

PYTHONS = ((3, 10), (3, 13))  # the oldest and the newest that edgecv runs on
_LINE = re.compile(r"^edgecv-probe (\w+)=(.*)$", re.MULTILINE)


class Python(msgspec.Struct, frozen=True):
    """An interpreter. libc: "glibc 2.36", "" where it is another. venv: it makes environments with pip."""

    path: str
    version: tuple[int, int]
    machine: str
    bits: int
    libc: str
    venv: bool

    @property
    def architecture(self) -> str:
        """Of the wheels it takes: a 32-bit system on a 64-bit Arm kernel takes those of armv7l."""
        return "armv7l" if self.bits == 32 and self.machine in ("aarch64", "armv8l") else self.machine

    @property
    def glibc(self) -> tuple[int, int] | None:
        found = re.fullmatch(r"glibc (\d+)\.(\d+).*", self.libc)
        return (int(found[1]), int(found[2])) if found else None

    @property
    def number(self) -> str:
        return ".".join(map(str, self.version))


class Board(NamedTuple):
    """cache: edgecv's folder there. uv: its path, "" for none. pythons: in order of preference."""

    where: str
    cache: str
    machine: str
    free_mb: int | None
    uv: str
    pythons: tuple[Python, ...]


def probe(connection: Connection) -> Board:
    """Ask the board. Raises EdgecvError when it does not answer as a Linux machine does."""
    script = (resources.files("edgecv.remote") / "probe.sh").read_bytes()
    printed = connection.run("sh -s", script).decode(errors="replace")
    return parse_probe(str(connection.address), printed)


def parse_probe(where: str, printed: str) -> Board:
    """A Board of what the probe printed; other lines, from the shell's start-up files, are left out."""
    found = _LINE.findall(printed)
    said = dict(found)
    if said.get("system") != "Linux":
        what = f"is a {said['system']} machine" if said.get("system") else "has no POSIX shell that answers"
        raise EdgecvError(f"{where} {what}; boards run Linux")
    if not said.get("home"):
        raise EdgecvError(f"{where}: that user has no home folder to put anything into")
    pythons = {}
    for name, value in found:
        if name == "python":
            python = msgspec.json.decode(value, type=Python)
            pythons.setdefault(python.path, python)
    free = said.get("free_kb", "")
    return Board(
        where=where,
        cache=said["cache"],
        machine=said["machine"],
        free_mb=int(free) >> 10 if free.isdecimal() else None,
        uv=said.get("uv", ""),
        pythons=tuple(pythons.values()),
    )


def choose_python(board: Board) -> Python:
    """The system's own Python if it will do, else the newest that will.

    Raises EdgecvError that says what is missing and how to get it.
    """
    new_enough = [python for python in board.pythons if PYTHONS[0] <= python.version <= PYTHONS[1]]
    if not new_enough:
        versions = ", ".join(dict.fromkeys(python.number for python in board.pythons))
        there = f"its Python is {versions}" if versions else "there is no python3"
        raise EdgecvError(
            f"{board.where}: {there}, and edgecv needs 3.10 to 3.13; where the system has none,"
            " uv brings one: https://docs.astral.sh/uv, then `uv python install 3.11`"
        )
    for python in new_enough:
        if python.venv or board.uv:
            break
    else:
        raise EdgecvError(
            f"{board.where}: Python {new_enough[0].number} cannot make virtual environments there:"
            " sudo apt install python3-venv"
        )
    if python.glibc is None:
        raise EdgecvError(f"{board.where}: its C library is not glibc, and no engine has wheels for another")
    return python
