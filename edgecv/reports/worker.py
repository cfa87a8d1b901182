"""The child's side of a measurement: its commands come on stdin, replies go to what was stdout.

Everything that a native library prints ends up on stderr, which the parent keeps for the case that this
process dies.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import msgspec

from edgecv.errors import EdgecvError
from edgecv.reports.messages import (
    Alive,
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
    Unload,
    Watch,
)
from edgecv.reports.runner import Runner, peak_memory_mb, prepared_picture
from edgecv.runtime.engines import Timed, one_line, profile_operations

ALIVE_EVERY_S = 1.0


def main() -> None:
    """Obey until stdin ends, as it does when the parent is gone; what is going on then is left."""
    channel = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # an engine that prints must not write into the messages

    def send(reply: Reply) -> None:
        channel.write(msgspec.json.encode(reply) + b"\n")
        channel.flush()

    commands: SimpleQueue[bytes] = SimpleQueue()
    threading.Thread(target=_listen, args=(commands,), name="edgecv-commands", daemon=True).start()
    hand = _Hand(lambda: send(Alive()))
    while True:
        command = msgspec.json.decode(commands.get(), type=Command)
        try:
            send(Done(result=msgspec.Raw(msgspec.json.encode(hand.obey(command)))))
        except EdgecvError as error:
            send(Failed(message=str(error)))
        except Exception as error:  # noqa: BLE001  whatever an engine raises is one line in the report
            who = hand.job_of(command).name
            send(Failed(message=f"{who} failed: {type(error).__name__}: {one_line(error)}"))


def _listen(commands: SimpleQueue[bytes]) -> None:
    # Not sys.stdin: a thread inside it would hinder the interpreter's end, and be its last words.
    with os.fdopen(os.dup(0), "rb") as stdin:
        for line in stdin:
            commands.put(line)
    os._exit(0)


class _Hand:
    """Does what it is told with the engines of this process."""

    def __init__(self, alive: Callable[[], None]) -> None:
        self._alive, self._said_s = alive, time.monotonic()
        self._runners: dict[int, Runner] = {}
        self._loads = 0

    def obey(self, command: Command) -> Any:
        """What the command says that it gives; raises what its engine raises."""
        from edgecv.reports import scenarios

        if isinstance(command, Load):
            return self._load(command)
        if isinstance(command, Take):
            return self._runners[command.index].turn(command.seconds, command.warm)
        if isinstance(command, Serve):
            return scenarios.serve(command.job, command.streams, command.seconds, self._beat)
        if isinstance(command, Watch):
            return scenarios.watch(command.job, command.bundle, command.fps, command.seconds, self._beat)
        if isinstance(command, Profile):
            return self._profile(command.job, command.runs)
        self._runners[command.index].engine.close()
        del self._runners[command.index]  # not before: an engine that fails to close is named
        return None

    def job_of(self, command: Command) -> Job:
        return self._runners[command.index].job if isinstance(command, (Take, Unload)) else command.job

    def _load(self, command: Load) -> Loaded:
        runner = Runner(command.job, self._beat)
        try:
            warmup = runner.warm_up(command.warmup, command.warmup_s)
        except Exception:
            runner.engine.close()
            raise
        index, self._loads = self._loads, self._loads + 1
        self._runners[index] = runner
        return Loaded(
            index=index,
            engine=runner.engine.name,
            load_ms=runner.load_ms,
            first_inference_ms=warmup[0],
            warmup_ms=warmup,
            peak_memory_mb=peak_memory_mb(),
        )

    def _profile(self, job: Job, runs: int) -> tuple[Timed, ...]:
        image = prepared_picture(job)
        return profile_operations(job.entry, Path(job.path), job.artifact, job.options, image, runs)

    def _beat(self) -> None:
        if time.monotonic() - self._said_s >= ALIVE_EVERY_S:
            self._alive()
            self._said_s = time.monotonic()
