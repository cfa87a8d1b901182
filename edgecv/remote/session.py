"""This side of the agent: requests to the board, and its answers."""

from __future__ import annotations

import base64
import contextlib
import shlex
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from importlib import resources
from typing import IO, Any

import msgspec

from edgecv.errors import EdgecvError
from edgecv.remote.cargo import Copy
from edgecv.remote.ssh import Connection, said

Line = Callable[[str], None]
BLOCK_BYTES = 1 << 18
STOP_S = 25.0  # the agent takes up to 15 to stop what runs there
# No character of this means anything to any shell inside single quotes.
_LOADER = "import sys,base64;exec(base64.b64decode(sys.stdin.buffer.readline()))"


class _Answer(msgspec.Struct):
    ok: Any = None
    error: str | None = None
    line: str | None = None


class Session:
    """An agent that is at work on the board, the only one there. Paths are relative to edgecv's folder."""

    def __init__(self, connection: Connection, process: subprocess.Popen[bytes], stderr: IO[bytes]) -> None:
        self.where = str(connection.address)
        self._process, self._stderr = process, stderr
        assert process.stdin is not None
        assert process.stdout is not None
        self._requests, self._answers = process.stdin, process.stdout

    def ask(self, do: str, line: Line = lambda _: None, **fields: Any) -> Any:
        """Have the agent do something; what it prints meanwhile goes to `line`.

        Raises EdgecvError with what the board says is wrong, or when the connection breaks.
        """
        self._send(msgspec.json.encode({"do": do, **fields}) + b"\n")
        return self._answer(line)

    def greet(self) -> None:
        """Wait for the agent; what the shell's start-up files print comes before it."""
        for raw in self._answers:
            with contextlib.suppress(msgspec.DecodeError):
                answer = msgspec.json.decode(raw, type=_Answer)
                if answer.error:
                    raise EdgecvError(f"{self.where}: {answer.error}")
                if answer.ok == "edgecv-agent":
                    return
        raise self._lost()

    def missing(self, files: Mapping[str, Copy]) -> dict[str, int]:
        """Which of these files, by their paths there, the board lacks, and how many bytes of each came."""
        wanted = {path: (copy.size, copy.sha256) for path, copy in files.items()}
        return self.ask("missing", files=wanted)

    def send(
        self, files: Mapping[str, Copy], missing: Mapping[str, int], progress: Callable[[int, int], None]
    ) -> None:
        """Send what is missing; a file that came in part goes on from there, and is checked by its hash.

        progress: gets the bytes that are there and those that will be. Raises EdgecvError.
        """
        total = sum(files[path].size for path in missing)
        done = sum(missing.values())
        for path, offset in missing.items():
            copy = files[path]
            fields = {"path": path, "size": copy.size, "sha256": copy.sha256, "offset": offset}
            self._send(msgspec.json.encode({"do": "put", **fields}) + b"\n")
            for block in _blocks(copy, offset):
                self._send(block)
                done += len(block)
                progress(done, total)
            self._answer(lambda _: None)

    def close(self) -> None:
        """End the agent, and with it whatever runs there."""
        with contextlib.suppress(OSError):
            self._requests.close()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            pass
        finally:  # a second Ctrl-C, too
            self._process.kill()
            self._process.wait()
            self._answers.close()

    def _send(self, block: bytes) -> None:
        try:
            self._requests.write(block)
            self._requests.flush()
        except OSError:
            self._answer(lambda _: None)  # the agent may have said why it left
            raise self._lost() from None

    def _answer(self, line: Line) -> Any:
        for raw in self._answers:
            if not raw.endswith(b"\n"):  # the connection broke in the middle of it
                break
            answer = msgspec.json.decode(raw, type=_Answer)
            if answer.line is not None:
                line(answer.line)
            elif answer.error is not None:
                raise EdgecvError(f"{self.where}: {answer.error}")
            else:
                return answer.ok
        raise self._lost()

    def _lost(self) -> EdgecvError:
        lines = said(self._stderr).strip().splitlines()
        why = f" ({lines[-1][:300]})" if lines else ""
        return EdgecvError(
            f"{self.where}: the connection was lost{why}; run the same command again:"
            " what was copied there is kept"
        )


@contextlib.contextmanager
def open_session(connection: Connection, python: str, cache: str) -> Iterator[Session]:
    """Start the agent with the board's `python` on its folder `cache`; it has ended when the block has.

    Raises EdgecvError, as when another edgecv is at work there.
    """
    source = (resources.files("edgecv.remote") / "agent.py").read_bytes()
    agent = base64.b64encode(source + f"\nmain({cache!a})\n".encode())
    with tempfile.TemporaryFile() as stderr:
        process = connection.start(f"{shlex.quote(python)} -c {shlex.quote(_LOADER)}", stderr)
        session = Session(connection, process, stderr)
        try:
            session._send(agent + b"\n")
            session.greet()
            yield session
        finally:
            session.close()


def _blocks(copy: Copy, offset: int) -> Iterator[bytes]:
    """The rest of a file from `offset`; EdgecvError when it is no longer as long as it was."""
    left = copy.size - offset
    with copy.source.open("rb") as file:
        file.seek(offset)
        while left:
            block = file.read(min(left, BLOCK_BYTES))
            if not block:
                raise EdgecvError(f"{copy.source} became shorter while it was copied")
            left -= len(block)
            yield block
