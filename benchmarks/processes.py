"""Processes that are measured: what one costs, when it first says something, and why it gave nothing."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

MISSING = 3  # the status of a script beside this file when a package is not installed
LIMIT_S = 900.0


@dataclass(frozen=True)
class Cost:
    """wall_s; cpu_s: user and system, threads included; peak_mb: the largest resident set of a process.

    Linux counts a process from its fork on: peak_mb is never below what this one holds, about 100 MB.
    """

    wall_s: float
    cpu_s: float
    peak_mb: float


@dataclass(frozen=True)
class Finished:
    """first_s: from the start to the first line on stdout, None when there was none."""

    status: int
    stdout: str
    stderr: str
    cost: Cost
    first_s: float | None


def spawn(command: Sequence[str], environment: Mapping[str, str], limit_s: float = LIMIT_S) -> Finished:
    """Run a command and say what it cost; a killed one has a negative status.

    Raises FileNotFoundError for a program that is not there.
    """
    with tempfile.TemporaryFile() as err:
        start = time.perf_counter()
        child = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=err,
            stdin=subprocess.DEVNULL,
            env=dict(environment),
            start_new_session=True,  # what it starts holds the pipe as well, and is stopped with it
        )
        timer = threading.Timer(limit_s, _kill, (child.pid,))
        timer.start()
        try:
            assert child.stdout is not None
            with child.stdout as out:
                first = out.readline()
                first_s = time.perf_counter() - start if first else None
                stdout = (first + out.read()).decode(errors="replace")
            # Popen.wait would take the usage away: wait4 gives this child's own.
            _, status, usage = os.wait4(child.pid, 0)
        except BaseException:
            _kill(child.pid)
            child.wait()
            raise
        finally:
            timer.cancel()
        wall = time.perf_counter() - start
        child.returncode = os.waitstatus_to_exitcode(status)
        err.seek(0)
        stderr = err.read().decode(errors="replace")
    unit = 2**20 if sys.platform == "darwin" else 2**10  # ru_maxrss: bytes there, KiB on Linux
    cost = Cost(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / unit)
    return Finished(child.returncode, stdout, stderr, cost, first_s)


def _kill(group: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


def reason(done: Finished) -> str:
    """Why a process gave nothing, in one line."""
    if done.status == MISSING:
        return f"not installed: {done.stdout.split()[-1] if done.stdout.split() else '?'}"
    if done.status == -9:
        return f"stopped after {LIMIT_S:.0f} s, or out of memory"
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    return f"failed: {lines[-1][:100] if lines else f'status {done.status}'}"


@contextlib.contextmanager
def workplace(**more: str) -> Iterator[tuple[Path, dict[str, str]]]:
    """(a folder for the time being, the environment of what is measured: all bytecode is compiled in it)."""
    folder = Path(tempfile.mkdtemp(prefix="edgecv-benchmark."))
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    try:
        yield folder, {**kept, "PYTHONPYCACHEPREFIX": str(folder / "bytecode"), **more}
    finally:
        shutil.rmtree(folder, ignore_errors=True)
