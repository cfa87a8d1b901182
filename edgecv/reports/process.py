"""The parent's side of a measurement: a fresh interpreter that may crash or hang without harm to this one."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeVar

import msgspec

from edgecv.errors import EngineError
from edgecv.reports.messages import (
    WARMUP,
    WARMUP_S,
    Command,
    Done,
    Failed,
    Job,
    Load,
    Loaded,
    Profile,
    Reply,
    Serve,
    Take,
    Turned,
    Unload,
    Watch,
)
from edgecv.reports.schema import Camera, Offline
from edgecv.runtime.deaths import cause
from edgecv.runtime.engines import Timed

if TYPE_CHECKING:
    from types import TracebackType

SILENCE_S = 300.0  # OpenVINO may compile a model for a minute on a small board; this is longer than that
IDLE_S = 0.5
LEAST_S = 0.05

# Not multiprocessing: that would run the caller's __main__ again, whose imports count as peak memory.
# The parent's import path comes first of all, since `-m` would put the current folder before it.
_CHILD = "import sys; sys.path[:] = sys.argv[1:]; from edgecv.reports.worker import main; main()"

_T = TypeVar("_T")


class Worker:
    """A child process that loads jobs and gives them turns; several may be loaded at once.

    silence_s: an engine that gives no sign of life for so long is taken to hang, and stopped. idle: called
    about every IDLE_S seconds while the child works, and in the middle of a shorter turn.

    Every command raises EngineError when the engine fails, after which the others go on, or when the process
    dies or hangs, after which it is not `alive`. Leaving the context ends the process, whatever it does.
    """

    def __init__(self, silence_s: float = SILENCE_S, idle: Callable[[], None] = lambda: None) -> None:
        self._silence_s, self._idle = silence_s, idle
        self._jobs: dict[int, Job] = {}
        self._buffer = b""
        # A file, so that the child cannot be blocked by what it prints.
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115  closed by close()
        command = [sys.executable, "-c", _CHILD, *sys.path]
        pipe = subprocess.PIPE
        try:
            self._child = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=self._stderr)
        except OSError as error:  # no memory for another process
            self._stderr.close()
            raise EngineError(f"no process could be started to measure in: {error.strerror}") from error
        self.alive = True

    @property
    def pid(self) -> int:
        return self._child.pid

    def load(self, job: Job, warmup_s: float = WARMUP_S, warmup: int = WARMUP) -> Loaded:
        """Open the job's engine and warm it up, for so long and with so many inferences at least."""
        loaded = self._ask(Load(job=job, warmup=warmup, warmup_s=warmup_s), job, Loaded)
        self._jobs[loaded.index] = job
        return loaded

    def turn(self, index: int, seconds: float, warm: bool = True) -> Turned:
        """Frames back to back for `seconds`, one at least.

        warm: a few that do not count come before, since what ran in between has cooled the caches.
        """
        command = Take(index=index, seconds=seconds, warm=warm)
        return self._ask(command, self._jobs[index], Turned, min(IDLE_S, seconds / 2))

    def offline(self, job: Job, streams: int, seconds: float) -> Offline:
        """`streams` engines of one thread each at work on prepared pictures."""
        return self._ask(Serve(job=job, streams=streams, seconds=seconds), job, Offline)

    def camera(self, job: Job, bundle: Path, fps: float, seconds: float) -> Camera:
        """The pipeline of `edgecv run` before a synthetic camera; `bundle` is the folder of the job's."""
        command = Watch(job=job, bundle=str(bundle), fps=fps, seconds=seconds)
        return self._ask(command, job, Camera)

    def profile(self, job: Job, runs: int) -> tuple[Timed, ...]:
        """Each operation's median time, from an engine that is opened for it."""
        return self._ask(Profile(job=job, runs=runs), job, tuple[Timed, ...])

    def unload(self, index: int) -> None:
        self._ask(Unload(index=index), self._jobs.pop(index), type(None))

    def close(self) -> None:
        """End the process; any number of times."""
        self.alive = False
        self._child.kill()
        self._child.wait()
        for pipe in (self._child.stdin, self._child.stdout, self._stderr):
            assert pipe is not None
            pipe.close()

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ask(self, command: Command, job: Job, type: type[_T], idle_s: float = IDLE_S) -> _T:
        if not self.alive:
            raise EngineError(f"{job.name}: its process has ended")
        try:
            self._send(msgspec.json.encode(command) + b"\n")
            while True:
                reply = msgspec.json.decode(self._line(idle_s), type=Reply)
                if isinstance(reply, Done):
                    return msgspec.json.decode(reply.result, type=type)
                if isinstance(reply, Failed):
                    raise EngineError(job.shareable(reply.message))
        except TimeoutError:
            self.close()
            text = f"{job.name} gave no sign of life for {self._silence_s:g} s and was stopped"
            raise EngineError(text) from None
        except (EOFError, BrokenPipeError):
            raise EngineError(job.shareable(f"{job.name} died: {self._epitaph()}")) from None

    def _send(self, data: bytes) -> None:
        """Write it all; TimeoutError when nobody reads it."""
        assert self._child.stdin is not None
        pipe = self._child.stdin.fileno()
        left = memoryview(data)
        while left:
            if not select.select([], [pipe], [], self._silence_s)[1]:
                raise TimeoutError
            # What select says there is room for: more would wait for the reader.
            left = left[os.write(pipe, left[: select.PIPE_BUF]) :]

    def _line(self, idle_s: float) -> bytes:
        """The next line of the child's; TimeoutError when it is silent for too long, EOFError at its end."""
        assert self._child.stdout is not None
        silent_since_s = time.monotonic()
        while b"\n" not in self._buffer:
            left_s = silent_since_s + self._silence_s - time.monotonic()
            if left_s <= 0:
                raise TimeoutError
            if not select.select([self._child.stdout], [], [], min(max(idle_s, LEAST_S), left_s))[0]:
                self._idle()
                continue
            block = os.read(self._child.stdout.fileno(), 1 << 20)
            if not block:
                raise EOFError
            self._buffer += block
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    def _epitaph(self) -> str:
        """What the process died of, and the last thing it said."""
        try:
            code = self._child.wait(self._silence_s)
        except subprocess.TimeoutExpired:  # it closed its end, and hangs
            self._child.kill()
            code = self._child.wait()
        text = cause(code) + _last_line(self._stderr)
        self.close()
        return text


def _last_line(stderr: IO[Any]) -> str:
    """What the process printed last, which for a native crash is the only clue."""
    stderr.seek(0)
    lines = stderr.read().decode("utf-8", errors="replace").split("\n")
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return f" ({last[:300]})" if last else ""
