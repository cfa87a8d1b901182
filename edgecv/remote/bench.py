"""`edgecv bench` on a board across the room: what it needs is copied there, and its report comes back."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from edgecv.errors import EdgecvError
from edgecv.remote.address import parse_address
from edgecv.remote.board import Board, Python, choose_python, probe
from edgecv.remote.cargo import CACHE, REPORT_FOLDER, Copy, Wanted, engines_of, load, short
from edgecv.remote.own_wheel import requirements, write_wheel
from edgecv.remote.session import Session, open_session
from edgecv.remote.ssh import connect
from edgecv.remote.wheelhouse import Target, gather
from edgecv.reports.render import JSON, load_report
from edgecv.reports.schema import Report

ENVIRONMENT_MB = 700  # what an installation with three engines takes, and what unpacking it does
PROGRESS = re.compile(r"edgecv-progress (\d\.\d+) (.*)")

Progress = Callable[[str, float], None]
Line = Callable[[str], None]


class Away(NamedTuple):
    """report: as it came. where: the board. cache: the folder that stays there. notes: for a user."""

    report: Report
    where: str
    cache: str
    notes: tuple[str, ...]


class Cleaned(NamedTuple):
    """The folder that was deleted on the board, and the MiB it held."""

    cache: str
    freed_mb: int


def bench_at(host: str, wanted: Wanted, progress: Progress, line: Line) -> Away:
    """Measure on the board at `host`, an address or a name of ~/.ssh/config.

    progress: what is done, and the share of all that is. line: gets what the bench there says beside. Raises
    UsageError for what cannot be asked for, and EdgecvError with what is wrong at the board or between;
    nothing is then left running there.
    """
    address = parse_address(host)
    files, words = load(wanted)
    with connect(address) as connection, tempfile.TemporaryDirectory(prefix="edgecv-") as scratch:
        progress(f"looking at {address}", 0.0)  # not before: ssh may have asked for a password
        board = probe(connection)
        python = choose_python(board)
        with open_session(connection, python.path, board.cache) as session:
            there = _Installing(session, board, python, wanted, Path(scratch), progress)
            notes = there.install(files)
            progress("measuring", 0.4)
            absolute = [word.replace(CACHE, board.cache) for word in words]
            report = _measure(session, [there.python, "-m", "edgecv", "bench", *absolute], progress, line)
    return Away(report, board.where, board.cache, notes)


def clean(host: str) -> Cleaned:
    """Delete what edgecv keeps on the board. Raises EdgecvError as `bench_at` does."""
    with connect(parse_address(host)) as connection:
        board = probe(connection)
        with open_session(connection, choose_python(board).path, board.cache) as session:
            return Cleaned(board.cache, session.ask("clean"))


class _Installing:
    """The environment on the board; `python` is its interpreter."""

    def __init__(
        self,
        session: Session,
        board: Board,
        python: Python,
        wanted: Wanted,
        scratch: Path,
        progress: Progress,
    ) -> None:
        self._session, self._board, self._base, self._wanted = session, board, python, wanted
        self._progress = progress
        self._all_needed = wanted.engines is not None
        self._engines = tuple(wanted.engines or engines_of(wanted.bundle))
        self._wheel = write_wheel(scratch)
        made_of = (python, self._engines, self._all_needed, requirements())
        self._folder = f"environments/{short(repr(made_of).encode())}"
        self.python = f"{board.cache}/{self._folder}/bin/python"

    def install(self, files: dict[str, Copy]) -> tuple[str, ...]:
        """Copy `files` and what the environment lacks, and make it; notes on engines that it has not."""
        wheel = Copy.of(self._wheel)
        held = self._session.ask("environment", folder=self._folder)
        if held and held["sha256"] == wheel.sha256:
            self._copy(files, 0)
            return tuple(held["notes"])
        engines, notes, wheels = self._engines, (), {self._wheel.name: wheel}
        if not held and self._wanted.wheelhouse:
            got = gather(self._wheel, engines, self._target(), self._all_needed, self._getting)
            wheels |= {path.name: Copy.of(path) for path in got.files}
            engines, notes = got.engines, got.notes
        house = f"wheels/{short(repr([copy.sha256 for copy in wheels.values()]).encode())}"
        needed = files | {f"{house}/{name}": copy for name, copy in wheels.items()}
        self._copy(needed, 0 if held else ENVIRONMENT_MB)
        self._progress("installing there", 0.2)
        held = self._session.ask(
            "install",
            lambda text: self._progress(f"installing there: {text[:60]}", 0.2),
            folder=self._folder,
            python=self._base.path,
            uv="" if self._base.venv else self._board.uv,
            wheel=f"{house}/{self._wheel.name}",
            sha256=wheel.sha256,
            engines=engines,
            all_needed=self._all_needed,
            wheelhouse=self._wanted.wheelhouse,
            notes=notes,
        )
        return tuple(held["notes"])

    def _target(self) -> Target:
        assert self._base.glibc is not None  # choose_python has seen to it
        return Target(self._base.architecture, self._base.glibc, self._base.version)

    def _getting(self, what: str, share: float) -> None:
        self._progress(what, 0.1 * share)

    def _copy(self, files: dict[str, Copy], beside_mb: int) -> None:
        missing = self._session.missing(files)
        left = sum(files[path].size - there for path, there in missing.items())
        needed_mb, free_mb = (left >> 20) + beside_mb, self._board.free_mb
        if free_mb is not None and free_mb < needed_mb:
            raise EdgecvError(
                f"{self._board.where}: {free_mb} MiB are free below {self._board.cache},"
                f" and about {needed_mb} are needed; make room there"
            )
        self._session.send(
            files,
            missing,
            lambda done, total: self._progress(
                f"copying: {done >> 20} of {total >> 20} MiB", 0.1 + 0.1 * done / max(total, 1)
            ),
        )


def _measure(session: Session, words: list[str], progress: Progress, line: Line) -> Report:
    def told(text: str) -> None:
        if found := PROGRESS.fullmatch(text):
            progress(found[2], 0.4 + 0.6 * float(found[1]))
        else:
            line(text)

    code, last = session.ask("bench", told, words=words)
    text = session.ask("read", path=f"{REPORT_FOLDER}/{JSON}")
    if text is None:
        why = last.removeprefix("edgecv: error: ")
        raise EdgecvError(f"{session.where}: the bench there ended with {code}: {why}")
    with tempfile.TemporaryDirectory(prefix="edgecv-") as folder:
        path = Path(folder) / JSON
        path.write_text(text, encoding="utf-8")
        return load_report(path)
