"""The side on the board: started there by its own Python, so nothing but the standard library is used.

The file is sent over and read from stdin; no edgecv is installed there yet. Requests and answers are lines of
JSON: {"do": NAME, ...} is answered by {"ok": ...} or {"error": TEXT}, after any number of {"line": TEXT}.
A `put` is followed by the file's bytes. When stdin ends, whatever runs is stopped and everything is over: so
nothing is left running when the connection breaks.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import io
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, BinaryIO

STOP_S = (10.0, 5.0)  # after SIGINT, after SIGTERM; then SIGKILL
LOCK_S = 20.0  # one whose connection broke may still be stopping what it ran
PARTS = "parts"  # of files on their way, by the hash they will have
READY = "edgecv.json"  # in an environment: it is whole


class Refused(Exception):  # noqa: N818  reads as the fact it states
    """What the workstation is told in one line."""


class Agent:
    """All paths in requests are below `root`, which is locked while the agent lives."""

    def __init__(
        self, root: Path, requests: io.BufferedReader, answers: BinaryIO, lock_s: float = LOCK_S
    ) -> None:
        self.root, self._requests, self._answers = root, requests, answers
        self.stopped = False
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = open(self.root / "lock", "w")  # noqa: SIM115  held until the process ends
        self._wait_for_lock(lock_s)
        self._tidy()  # after one that was killed

    def _wait_for_lock(self, seconds: float) -> None:
        end_s = time.monotonic() + seconds
        while True:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            if time.monotonic() >= end_s:
                self._lock.close()
                raise Refused(f"another edgecv is at work there: {self.root} is in use")
            time.sleep(0.05)

    def say(self, **message: Any) -> None:
        with contextlib.suppress(BrokenPipeError):  # nobody listens: stdin has ended, too
            self._answers.write(json.dumps(message).encode() + b"\n")
            self._answers.flush()

    def serve(self) -> None:
        self.say(ok="edgecv-agent")
        for line in self._requests:
            asked = json.loads(line)
            try:
                answer = getattr(self, "do_" + asked.pop("do"))(**asked)
            except Refused as refused:
                self.say(error=str(refused))
            except OSError as error:
                self.say(error=f"{error.strerror or error}: {error.filename or self.root}")
                if "offset" in asked:
                    return  # the rest of that file is still on its way
            else:
                self.say(ok=answer)
            if self.stopped:
                return

    def do_missing(self, files: dict[str, tuple[int, str]]) -> dict[str, int]:
        """files: {path: [bytes, sha256]}. The paths that are not there, with how much of each has come.

        What came of other files is deleted.
        """
        missing = {}
        for path, (size, sha256) in files.items():
            whole = self.root / path
            if whole.is_file() and whole.stat().st_size == size and _sha256(whole) == sha256:
                continue
            part = self._part(sha256)
            missing[path] = part.stat().st_size if part.is_file() else 0
        wanted = {files[path][1] for path in missing}
        for part in (self.root / PARTS).glob("*"):
            if part.name not in wanted:
                part.unlink()
        return missing

    def do_put(self, path: str, size: int, sha256: str, offset: int) -> None:
        """Append what follows to what has come, and rename it when it is whole and the right one."""
        part = self._part(sha256)
        part.parent.mkdir(exist_ok=True)
        with part.open("r+b" if offset else "wb") as file:
            file.seek(offset)
            file.truncate()
            left = size - offset
            while left:
                block = self._requests.read1(min(left, 1 << 18))
                if not block:
                    self.stopped = True
                    return
                file.write(block)
                left -= len(block)
        if _sha256(part) != sha256:
            part.unlink()
            raise Refused(f"{path} was damaged on its way; run the same command again")
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        os.replace(part, self.root / path)

    def do_environment(self, folder: str) -> dict[str, Any] | None:
        """What the environment in `folder` holds, None when it is not whole."""
        try:
            return json.loads((self.root / folder / READY).read_text())
        except (OSError, ValueError):
            return None

    def do_install(
        self,
        folder: str,
        python: str,
        uv: str,
        wheel: str,
        sha256: str,
        engines: list[str],
        all_needed: bool,
        wheelhouse: bool,
        notes: list[str],
    ) -> dict[str, Any]:
        """Make the environment, or bring the edgecv in it up to date; what it then holds.

        engines: extras. all_needed: without one of them it fails. uv: makes it, where the Python cannot.
        wheelhouse: from the wheels beside `wheel`, else from the board's own index. notes: kept with it.
        Other environments go.
        """
        env, held = self.root / folder, self.do_environment(folder)
        if held and held["sha256"] == sha256:
            return held
        for other in env.parent.glob("*"):
            if other != env:
                shutil.rmtree(other)
        (env / READY).unlink(missing_ok=True)
        pip = [uv, "pip"] if uv else [f"{env}/bin/python", "-m", "pip"]
        install = [*pip, "install", *(["--python", f"{env}/bin/python"] if uv else _PIP)]
        if held:
            self._succeed([*install, "--no-index", "--no-deps", "--force-reinstall", f"{self.root / wheel}"])
            held["sha256"] = sha256
        else:
            make = [uv, "venv", "--clear", "--python", python] if uv else [python, "-m", "venv", "--clear"]
            self._succeed([*make, str(env)])
            there, more = engines, []
            if wheelhouse:
                # Resolved by uv, which does not heed upper bounds of Requires-Python; pip would.
                offline = ["--no-index", "--no-deps", *([] if uv else ["--ignore-requires-python"])]
                wheels = sorted(map(str, (self.root / wheel).parent.glob("*.whl")))
                self._succeed([*install, *offline, *wheels])
            else:
                install += ["--only-binary", ":all:"]
                there, more = self._install_engines(install, f"{self.root / wheel}", engines, all_needed)
            held = {"sha256": sha256, "engines": there, "notes": [*notes, *more]}
        (env / READY).write_text(json.dumps(held))
        shutil.rmtree(self.root / "wheels", ignore_errors=True)
        self._tidy()
        return held

    def _install_engines(
        self, install: list[str], wheel: str, engines: list[str], all_needed: bool
    ) -> tuple[list[str], list[str]]:
        """(the engines that could be installed, a note on each other)."""
        code, last = self._run([*install, f"{wheel}[{','.join(engines)}]"])
        if code == 0:
            return engines, []
        if all_needed or self.stopped:
            raise Refused(f"installing edgecv[{','.join(engines)}]: {last}")
        there: list[str] = []
        notes: list[str] = []
        for engine in engines:
            code, last = self._run([*install, f"{wheel}[{','.join([*there, engine])}]"])
            if code == 0:
                there.append(engine)
            elif self.stopped:
                raise Refused("stopped")
            else:
                notes.append(f"{engine} could not be installed there: {last}")
        if not there:
            raise Refused(notes[0])
        return there, notes

    def do_bench(self, words: list[str]) -> tuple[int, str]:
        """Run in an empty folder, its stderr line by line; the code it ended with and its last line."""
        shutil.rmtree(self.root / "run", ignore_errors=True)
        (self.root / "run").mkdir()
        return self._run(words, stdout=subprocess.DEVNULL, cwd=self.root / "run")

    def do_read(self, path: str) -> str | None:
        """The text of a file, None when it is not there."""
        file = self.root / path
        return file.read_text() if file.is_file() else None

    def do_clean(self) -> int:
        """Delete all of it; MiB that were freed."""
        freed = sum(path.lstat().st_size for path in self.root.rglob("*") if not path.is_dir())
        shutil.rmtree(self.root)
        with contextlib.suppress(OSError):  # what else is in the parent stays, and it with that
            self.root.parent.rmdir()
        self.stopped = True
        return freed >> 20

    def close(self) -> None:
        self._tidy()
        self._lock.close()

    def _tidy(self) -> None:
        for scratch in ("run", "tmp"):
            shutil.rmtree(self.root / scratch, ignore_errors=True)

    def _part(self, sha256: str) -> Path:
        return self.root / PARTS / sha256

    def _succeed(self, words: Sequence[str]) -> None:
        code, last = self._run(words)
        if code:
            raise Refused(f"{Path(words[0]).name} ended with {code}: {last}")

    def _run(
        self, words: Sequence[str], stdout: int | None = None, cwd: Path | None = None
    ) -> tuple[int, str]:
        """Run a program, saying its lines; (exit code, its last line, pip's ERROR before others).

        It and its children are stopped when stdin ends, or has something to say.
        """
        temporary = self.root / "tmp"
        temporary.mkdir(exist_ok=True)  # /tmp is often a small disk of memory
        own = {"TMPDIR": str(temporary), "UV_CACHE_DIR": str(temporary / "uv"), "UV_LINK_MODE": "copy"}
        environment = {**os.environ, **own, "PYTHONUNBUFFERED": "1", "EDGECV_PROGRESS": "lines"}
        pipe, null = subprocess.PIPE, subprocess.DEVNULL
        with subprocess.Popen(
            words, stdin=null, stdout=stdout or pipe, stderr=subprocess.STDOUT if stdout is None else pipe,
            cwd=cwd, env=environment, start_new_session=True,
        ) as child:  # fmt: skip
            over, end = os.pipe()
            watch = threading.Thread(target=self._watch, args=(child, over))
            watch.start()
            try:
                lines = self._repeat(child.stderr or child.stdout)
                code = child.wait()
            finally:
                os.close(end)
                watch.join()
                os.close(over)
                _stop(child)
        errors = [line for line in lines if line.startswith(("ERROR:", "edgecv: error:"))]
        return code, (errors or lines or ["it said nothing"])[-1][:500]

    def _repeat(self, pipe: IO[bytes]) -> list[str]:
        lines: list[str] = []
        for raw in pipe:
            line = raw.decode(errors="replace").strip()
            if line:
                lines = [*lines[-99:], line]
                self.say(line=line)
        return lines

    def _watch(self, child: subprocess.Popen[bytes], over: int) -> None:
        ready, _, _ = select.select([self._requests, over], [], [])
        if self._requests in ready:
            self.stopped = True
            _stop(child)


_PIP = ("--disable-pip-version-check", "--no-input", "--no-cache-dir", "--progress-bar", "off")


def _stop(child: subprocess.Popen[bytes]) -> None:
    """End a process and those of its group: asked first, then not."""
    for number, seconds in zip((signal.SIGINT, signal.SIGTERM), STOP_S, strict=True):
        if child.poll() is not None:
            break
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(seconds)
    with contextlib.suppress(ProcessLookupError):  # its children, which may have outlived it
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def main(root: str) -> None:
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(1))
    try:
        agent = Agent(Path(root), sys.stdin.buffer, sys.stdout.buffer)
    except (Refused, OSError) as error:
        print(json.dumps({"error": str(error)}), flush=True)
        return
    try:
        agent.serve()
    finally:
        agent.close()
