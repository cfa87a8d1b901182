from __future__ import annotations

import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from board_server import BoardServer

from edgecv.errors import EdgecvError
from edgecv.remote.address import Address, parse_address
from edgecv.remote.ssh import connect, failed


@pytest.mark.parametrize(
    ("said", "advice"),
    [
        ("ssh: Could not resolve hostname pi: Name or service not known", "no such host name"),
        ("ssh: connect to host pi port 22: Connection timed out", "it does not answer"),
        ("ssh: connect to host pi port 22: No route to host", "it does not answer"),
        ("@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.", "-R board"),
        ("Connection closed by 10.0.0.7 port 22", "Connection closed by 10.0.0.7"),  # as ssh says it
        ("", "the connection was lost"),
    ],
)
def test_what_ssh_says_becomes_one_line_with_advice(said: str, advice: str) -> None:
    message = str(failed(Address("pi@board", 2222), said))
    assert message.startswith("cannot reach pi@board:2222: ")
    assert advice in message
    assert "\n" not in message


@pytest.mark.usefixtures("board")
@pytest.mark.parametrize(
    ("host", "advice"),
    [
        ("lost-key", "permission denied; .*ssh-copy-id lost-key"),
        ("stranger", "its host key is not known here; .*ssh stranger"),
    ],
)
def test_a_board_that_lets_nobody_in_is_said(host: str, advice: str) -> None:
    with pytest.raises(EdgecvError, match=advice), connect(parse_address(host), interactive=False):
        pass


@pytest.mark.usefixtures("board")
def test_a_port_where_nothing_listens_is_said() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = parse_address(f"127.0.0.1:{free.getsockname()[1]}")
    with pytest.raises(EdgecvError, match="nothing answers at that port"), connect(address):
        pass


def test_no_ssh_at_all_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EdgecvError, match="apt install openssh-client"), connect(parse_address("board")):
        pass


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A folder in which a socket has a name that the system can take, as pytest's own may not be."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def test_one_login_serves_all_commands_and_nothing_is_left(
    board: BoardServer, monkeypatch: pytest.MonkeyPatch, short_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(short_path))
    with connect(parse_address("board")) as connection:
        assert connection.run("cat; echo $HOME", b"through ") == f"through {board.home}\n".encode()
        folder = next(short_path.glob("edgecv-*"))
        assert folder.stat().st_mode & 0o777 == 0o700
        (board.folder / "authorized_keys").unlink()  # nobody logs in any more
        assert connection.run("echo again", b"") == b"again\n"
    assert not list(short_path.iterdir())
    with pytest.raises(EdgecvError, match="cannot reach board"):
        connection.run("true", b"")
