"""The parent's side of a measurement: a fresh interpreter that may crash or hang without harm to this one."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from typing import IO

import msgspec

from edgecv.errors import EngineError
from edgecv.reports.schema import Measured
from edgecv.reports.worker import Done, Failed, Job, Message, Progress

SILENCE_S = 300.0  # OpenVINO may compile a model for a minute on a small board; this is longer than that

# Not multiprocessing: that would run the caller's __main__ again, whose imports count as peak memory.
# The parent's import path comes first of all, since `-m` would put the current folder before it.
_CHILD = "import sys; sys.path[:] = sys.argv[1:]; from edgecv.reports.worker import main; main()"

_SIGNAL_HINTS = {
    "SIGKILL": "; the system does that when memory runs out",
    "SIGILL": "; the engine's build needs CPU instructions that this machine lacks",
}


def run_job(job: Job, progress: Callable[[float], None], silence_s: float = SILENCE_S) -> Measured:
    """Run one job in a fresh interpreter.

    Raises EngineError when the engine fails, the process dies, or it says nothing for `silence_s` seconds.
    """
    who = f"{job.path}: {job.entry.name}"
    # Files and not pipes, so that neither side can block the other: only the messages are a pipe.
    with tempfile.TemporaryFile() as stdin, tempfile.TemporaryFile() as stderr:
        stdin.write(msgspec.json.encode(job))
        stdin.seek(0)
        command = [sys.executable, "-c", _CHILD, *sys.path]
        child = subprocess.Popen(command, stdin=stdin, stdout=subprocess.PIPE, stderr=stderr)
        assert child.stdout is not None
        try:
            for message in _messages(child.stdout, silence_s):
                if isinstance(message, Done):
                    return message.measured
                if isinstance(message, Failed):
                    raise EngineError(message.message)
                progress(message.fraction)
            code = child.wait(silence_s)
        except (TimeoutError, subprocess.TimeoutExpired):
            raise EngineError(f"{who} gave no sign of life for {silence_s:g} s and was stopped") from None
        finally:
            child.kill()
            child.wait()
            child.stdout.close()
        raise EngineError(f"{who} died: {_cause(code)}{_last_line(stderr)}")


def _messages(pipe: IO[bytes], silence_s: float) -> Iterator[Done | Failed | Progress]:
    """Messages until the child closes its end; TimeoutError when it is silent for too long."""
    buffer = b""
    while True:
        if not select.select([pipe], [], [], silence_s)[0]:
            raise TimeoutError
        block = os.read(pipe.fileno(), 1 << 16)
        if not block:
            return
        *lines, buffer = (buffer + block).split(b"\n")
        for line in lines:
            yield msgspec.json.decode(line, type=Message)


def _cause(code: int) -> str:
    if code >= 0:
        return f"exit status {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:  # a real-time signal has no name
        name = f"signal {-code}"
    return name + _SIGNAL_HINTS.get(name, "")


def _last_line(stderr: IO[bytes]) -> str:
    """What the process printed last, which for a native crash is the only clue."""
    stderr.seek(0)
    lines = stderr.read().decode("utf-8", errors="replace").split("\n")
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return f" ({last[:300]})" if last else ""
