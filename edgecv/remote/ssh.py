"""The system's ssh, with the user's keys, agent and configuration: one connection for everything."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from typing import IO

from edgecv.errors import EdgecvError
from edgecv.remote.address import Address

CONNECT_TIMEOUT_S = 20
_SOCKET_FOLDER_MAX = 70  # a socket's path has at most 108 bytes, and ssh adds 17 while it makes one
_COMMON = (
    # Without a terminal of its own, and without what the configuration forwards or runs for people.
    *("-T", "-x", "-o", "ClearAllForwardings=yes", "-o", "ForwardAgent=no", "-o", "RemoteCommand=none"),
    *("-o", "PermitLocalCommand=no", "-o", "LogLevel=ERROR"),
)
_MASTER = (
    *("-M", "-o", "ControlPersist=60", "-o", f"ConnectTimeout={CONNECT_TIMEOUT_S}"),
    *("-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=4"),  # a board that has gone is noticed
)
# A client that finds no master must fail, not log in a second time.
_CLIENT = ("-o", "ControlMaster=no", "-o", "BatchMode=yes", "-o", "ProxyCommand=false")

# What ssh says, and what to do about it.
_REMEDIES = (
    ("REMOTE HOST IDENTIFICATION HAS CHANGED", "its host key is another than ~/.ssh/known_hosts has; if the"
     " board was set up anew: ssh-keygen -R {name}"),
    ("Host key verification failed", "its host key is not known here; connect once by hand and confirm it:"
     " ssh {host}"),
    ("Permission denied", "permission denied; copy a key of this user there: ssh-copy-id {host}"),
    ("Too many authentication failures", "too many keys were tried; name one in ~/.ssh/config: IdentityFile"),
    ("Could not resolve hostname", "there is no such host name; is the board on, and in this network?"),
    ("Connection refused", "nothing answers at that port; is the board's ssh server on?"
     " (Raspberry Pi: sudo raspi-config nonint do_ssh 0)"),
    ("timed out", "it does not answer; is the board on, and in this network?"),
    ("No route to host", "it does not answer; is the board on, and in this network?"),
    ("Network is unreachable", "there is no way to it from here; is this machine in the same network?"),
)  # fmt: skip


class Connection:
    """An open connection; `start` runs commands over it without logging in again."""

    def __init__(self, address: Address, socket: str) -> None:
        self.address = address
        self._socket = socket

    def start(self, command: str, stderr: IO[bytes] | int) -> subprocess.Popen[bytes]:
        """Start a line of the board's shell with pipes to its stdin and stdout; its words quoted already.

        It is out of reach of this terminal's Ctrl-C: who started it decides how it ends.
        """
        words = ("ssh", *_COMMON, *_CLIENT, "-S", self._socket, *self.address.words, command)
        pipe = subprocess.PIPE
        return subprocess.Popen(words, stdin=pipe, stdout=pipe, stderr=stderr, start_new_session=True)

    def run(self, command: str, stdin: bytes) -> bytes:
        """What the command prints, whatever its exit code. Raises EdgecvError when the connection fails."""
        with tempfile.TemporaryFile() as stderr, self.start(command, stderr) as process:
            stdout, _ = process.communicate(stdin)
            if process.returncode == 255:
                raise failed(self.address, said(stderr))
        return stdout


@contextlib.contextmanager
def connect(address: Address, interactive: bool | None = None) -> Iterator[Connection]:
    """Log in, and close the connection at the end; nothing of it is kept.

    interactive: whether ssh may ask for a password or about a host key, on the terminal; None: where there is
    one. Raises EdgecvError with what was wrong and what to do.
    """
    if interactive is None:
        interactive = sys.stdin is not None and sys.stdin.isatty()
    parent = None if len(tempfile.gettempdir()) <= _SOCKET_FOLDER_MAX else "/tmp"
    with tempfile.TemporaryDirectory(prefix="edgecv-", dir=parent) as folder:  # its mode is 0700
        socket = f"{folder}/s"
        _log_in(address, socket, interactive)
        try:
            yield Connection(address, socket)
        finally:
            words = ("ssh", "-S", socket, "-O", "exit", *address.words)
            subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, check=False)


def _log_in(address: Address, socket: str, interactive: bool) -> None:
    batch = ("-o", f"BatchMode={'no' if interactive else 'yes'}")
    words = ("ssh", *_COMMON, *_MASTER, *batch, "-S", socket, *address.words, "true")
    # A file and not a pipe: the part of ssh that stays would hold a pipe open.
    with tempfile.TemporaryFile() as stderr:
        try:
            null = subprocess.DEVNULL
            done = subprocess.run(words, stdin=null, stdout=null, stderr=stderr, check=False)
        except FileNotFoundError:
            raise EdgecvError("no ssh here: sudo apt install openssh-client") from None
        if done.returncode == 255:
            raise failed(address, said(stderr))


def said(stderr: IO[bytes]) -> str:
    stderr.seek(0)
    return stderr.read().decode(errors="replace")


def failed(address: Address, text: str) -> EdgecvError:
    """What ssh said, as one line with the remedy."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    why = lines[-1][:300] if lines else "the connection was lost"
    for sign, remedy in _REMEDIES:
        if sign.lower() in text.lower():
            host = address.destination
            why = remedy.format(host=host, name=host.rpartition("@")[2])
            break
    return EdgecvError(f"cannot reach {address}: {why}")
