from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from board_server import BoardServer

from edgecv.errors import EdgecvError
from edgecv.remote.address import parse_address
from edgecv.remote.agent import Agent, Refused
from edgecv.remote.cargo import Copy
from edgecv.remote.session import BLOCK_BYTES, Session, open_session
from edgecv.remote.ssh import connect

SIZE = 40 * BLOCK_BYTES + 7  # more than what the pipes and sockets between hold


@contextlib.contextmanager
def session(board: BoardServer) -> Iterator[Session]:
    with (
        connect(parse_address(board.host)) as connection,
        open_session(connection, f"{board.bin}/python3", str(board.cache)) as opened,
    ):
        yield opened


def ignored(done: int, total: int) -> None:
    """Progress that nobody looks at."""


def copy_of(path: Path, size: int) -> Copy:
    path.write_bytes(os.urandom(size))
    return Copy.of(path)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Copy]:
    names = {"data/a b/ü'$(x).bin": BLOCK_BYTES + 7, "data/empty": 0, "small": 3}
    return {name: copy_of(tmp_path / f"source {size}", size) for name, size in names.items()}


def test_files_arrive_whole_and_only_once(board: BoardServer, files: dict[str, Copy]) -> None:
    seen = []
    with session(board) as opened:
        missing = opened.missing(files)
        assert missing == dict.fromkeys(files, 0)
        opened.send(files, missing, lambda done, total: seen.append((done, total)))
        assert opened.missing(files) == {}
        for name, copy in files.items():
            assert (board.cache / name).read_bytes() == copy.source.read_bytes()
        assert not list((board.cache / "parts").iterdir())
        (board.cache / "small").write_bytes(b"oh!")  # as long as before
        assert opened.missing(files) == {"small": 0}
        assert opened.ask("clean") == 0  # MiB
    total = BLOCK_BYTES + 10
    assert seen[-1] == (total, total)
    assert seen == sorted(seen)
    assert not board.cache.parent.exists()


def test_a_broken_transfer_goes_on_where_it_ended(board: BoardServer, tmp_path: Path) -> None:
    large = {"large": copy_of(tmp_path / "large", SIZE)}

    def pull_the_plug(done: int, total: int) -> None:
        if done > total // 2:
            board.break_connections()

    lost = pytest.raises(EdgecvError, match="board: the connection was lost.*run the same command again")
    with lost, session(board) as opened:
        opened.send(large, opened.missing(large), pull_the_plug)
    assert not (board.cache / "large").exists()
    with session(board) as opened:
        missing = opened.missing(large)
        assert SIZE // 4 < missing["large"] < SIZE
        sent = []
        opened.send(large, missing, lambda done, _: sent.append(done))
    assert sent[0] == missing["large"] + BLOCK_BYTES  # not from the start
    assert (board.cache / "large").read_bytes() == large["large"].source.read_bytes()


def test_what_came_damaged_is_thrown_away(board: BoardServer, files: dict[str, Copy]) -> None:
    small = {"small": files["small"]}
    part = board.cache / "parts" / files["small"].sha256
    part.parent.mkdir(parents=True)
    part.write_bytes(b"??")
    stray = part.with_name("0" * 64)
    stray.write_bytes(b"of another file")
    with session(board) as opened:
        with pytest.raises(EdgecvError, match="small was damaged on its way; run the same command again"):
            opened.send(small, opened.missing(small), ignored)
        assert not stray.exists()
        opened.send(small, opened.missing(small), ignored)
    assert (board.cache / "small").read_bytes() == small["small"].source.read_bytes()


def test_a_full_disk_is_said_in_the_middle_of_a_file(board: BoardServer, files: dict[str, Copy]) -> None:
    board.python(prepare="ulimit -f 100")  # the same error path: the system takes no more bytes
    with pytest.raises(EdgecvError, match="board: File too large"), session(board) as opened:
        opened.send(files, opened.missing(files), ignored)


def test_a_python_that_dies_is_said_with_its_last_words(board: BoardServer) -> None:
    board.script("python3", "echo no memory >&2; exit 3\n")
    with pytest.raises(EdgecvError, match=r"the connection was lost \(no memory\)"), session(board):
        pass


def test_a_connection_that_breaks_in_the_middle_of_an_answer_is_said(board: BoardServer) -> None:
    greeting, half = '{"ok": "edgecv-agent"}', '{"ok": "a report, a large'
    board.script("python3", f"read -r agent; echo '{greeting}'; read -r request; printf '%s' '{half}'\n")
    with session(board) as opened, pytest.raises(EdgecvError, match="the connection was lost"):
        opened.ask("read", path="run/report/report.json")


def test_a_board_is_one_workstations_at_a_time(tmp_path: Path) -> None:
    first = Agent(tmp_path / "cache", io.BytesIO(), io.BytesIO())
    with pytest.raises(Refused, match="another edgecv is at work there"):
        Agent(tmp_path / "cache", io.BytesIO(), io.BytesIO(), lock_s=0.01)
    first.close()
    Agent(tmp_path / "cache", io.BytesIO(), io.BytesIO()).close()
