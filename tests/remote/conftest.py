"""A board on loopback, see board_server.py."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from board_server import BoardServer, board_server


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[BoardServer]:
    """A board with this Python as its own, under a user of its own."""
    folder = tmp_path / "board"
    folder.mkdir()
    with board_server(folder) as server:
        monkeypatch.setenv("PATH", f"{folder}/ssh:{os.environ['PATH']}")
        server.python()
        yield server
