"""A board on loopback: a real sshd, for this very user with another home, and Pythons that are scripts.

The user's own ~/.ssh is neither read nor written: `ssh` is a script in front of the real one that names
another configuration, and sshd gives its sessions HOME and PATH.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from waits import WAIT_S

SSHD = shutil.which("sshd") or shutil.which("sshd", path="/usr/sbin:/usr/local/sbin")

SSHD_CONFIG = """\
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/authorized_keys
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
SetEnv HOME={home} PATH={bin}:/usr/bin:/bin BOARD={home}
"""
SSH_CONFIG = """\
Host stranger
  UserKnownHostsFile {folder}/nobody_known
Host board lost-key stranger
  HostName 127.0.0.1
  Port {port}
  User {user}
  UserKnownHostsFile {folder}/known_hosts
  GlobalKnownHostsFile /dev/null
  IdentitiesOnly yes
Host board stranger
  IdentityFile {folder}/user_key
Host lost-key
  IdentityFile {folder}/host_key
"""


class BoardServer:
    """`host`: what --host takes. home: the board user's. bin: first on the PATH there."""

    host = "board"

    def __init__(self, folder: Path) -> None:
        self.folder, self.home, self.bin = folder, folder / "home", folder / "bin"
        self.log = folder / "sshd.log"
        self.port = self.pid = 0

    @property
    def cache(self) -> Path:
        return self.home / ".cache/edgecv/remote"

    def python(self, name: str = "python3", target: str = sys.executable, prepare: str = "") -> None:
        """A Python of the board: a script in front of a real one."""
        self.script(name, f'{prepare}\nexec "{target}" "$@"\n')

    def break_connections(self) -> None:
        """As a board does whose plug is pulled: the server's side of every connection dies."""
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                words = (folder / "cmdline").read_bytes()
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                if words.startswith(b"sshd") and parent == self.pid:
                    os.kill(int(folder.name), signal.SIGKILL)

    def script(self, name: str, text: str) -> None:
        path = self.bin / name
        path.unlink(missing_ok=True)
        path.write_text(f"#!/bin/sh\n{text}")
        path.chmod(0o755)

    def sessions(self) -> list[int]:
        """Processes of the board's user: those with its BOARD in their environment."""
        mark = f"BOARD={self.home}".encode()
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if mark in (folder / "environ").read_bytes().split(b"\0"):
                    found.append(int(folder.name))
        return found


def require_sshd() -> None:
    if SSHD is None or shutil.which("ssh") is None:
        pytest.skip("needs the OpenSSH server: sudo apt install openssh-server")
    if os.geteuid() == 0:  # its own separation of privileges wants an empty folder of root's
        try:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        except OSError as error:
            pytest.skip(f"sshd needs /run/sshd, which cannot be made ({error.strerror})")


def _key(path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)


@contextlib.contextmanager
def board_server(folder: Path) -> Iterator[BoardServer]:
    """A running server; the test's `ssh` has to be the one in `folder`/ssh."""
    require_sshd()
    board = BoardServer(folder)
    for path in (board.home, board.bin, folder / "ssh"):
        path.mkdir()
    for key in ("host_key", "user_key"):
        _key(folder / key)
    shutil.copy(folder / "user_key.pub", folder / "authorized_keys")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        board.port = probe.getsockname()[1]
    values = {"folder": folder, "home": board.home, "bin": board.bin, "port": board.port}
    (folder / "sshd_config").write_text(SSHD_CONFIG.format(**values))
    (folder / "ssh_config").write_text(SSH_CONFIG.format(user=getpass.getuser(), **values))
    (folder / "nobody_known").touch()
    public = (folder / "host_key.pub").read_text()
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{board.port} {public}")
    real = shutil.which("ssh")
    (folder / "ssh/ssh").write_text(f'#!/bin/sh\nexec "{real}" -F "{folder}/ssh_config" "$@"\n')
    (folder / "ssh/ssh").chmod(0o755)
    with _running(board):
        yield board


@contextlib.contextmanager
def _running(board: BoardServer) -> Iterator[None]:
    assert SSHD is not None
    words = [SSHD, "-D", "-e", "-f", str(board.folder / "sshd_config")]
    server = subprocess.Popen(words, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert server.stderr is not None
    listening, lines = threading.Event(), []

    def read() -> None:
        for line in server.stderr or ():
            lines.append(line.strip())
            if "listening" in line:
                listening.set()
        listening.set()

    reader = threading.Thread(target=read)
    reader.start()
    try:
        board.pid = server.pid
        assert listening.wait(WAIT_S)
        if server.poll() is not None:
            pytest.skip(f"this user may not run an sshd: {lines[-1] if lines else 'it said nothing'}")
        yield
    finally:
        server.terminate()
        server.wait(WAIT_S)
        reader.join(WAIT_S)
        server.stderr.close()
