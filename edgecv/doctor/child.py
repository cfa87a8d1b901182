"""What may crash is done in a process of its own: importing an engine, replaying, opening a camera.

`ask` is the parent's side; the functions below it are what the child can be asked.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec

from edgecv.runtime.deaths import cause, death
from edgecv.runtime.engines import Entry, Options
from edgecv.spec import Kind, Struct

TIMEOUT_S = 60.0
REPLAY_TIMEOUT_S = 300.0  # a large model on a small board
SOURCE_TIMEOUT_S = 30.0
# The parent's import path comes first of all, since `-c` would put the current folder before it.
_CHILD = "import sys; sys.path[:] = sys.argv[1:]; from edgecv.doctor.child import main; main()"


class Answer(Struct):
    """value: what the function returned; error: why there is none, in a line; died: of which signal."""

    value: Any = None
    error: str = ""
    died: str = ""


def ask(function: str, *arguments: Any, timeout_s: float = TIMEOUT_S) -> Answer:
    """Call one of this module's functions in a fresh interpreter; never an exception.

    The question goes through a pipe: sources hold passwords, and command lines are for everybody to see.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-c", _CHILD, *sys.path],
            input=msgspec.json.encode((function, arguments)),
            capture_output=True,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Answer(error=f"no answer within {timeout_s:g} s")
    if done.returncode < 0:
        return Answer(error=f"it died of {cause(done.returncode)}", died=death(done.returncode))
    try:
        return msgspec.json.decode(done.stdout, type=Answer)
    except msgspec.DecodeError:
        last = done.stderr.decode("utf-8", errors="replace").strip().split("\n")[-1]
        return Answer(error=f"exit status {done.returncode}: {last[:300]}")


def main() -> None:
    """The child: a question on standard input, its answer on standard output."""
    question = sys.stdin.buffer.read()
    answers = os.dup(1)
    os.dup2(2, 1)  # libraries print
    function, arguments = msgspec.json.decode(question)
    try:
        answer = Answer(value=FUNCTIONS[function](*arguments))
    except Exception as error:  # noqa: BLE001 - whatever a broken installation raises is the answer
        from edgecv.errors import EdgecvError
        from edgecv.runtime.engines import one_line

        kind = "" if isinstance(error, EdgecvError) else f"{type(error).__name__}: "
        answer = Answer(error=(kind + one_line(error))[:500])
    with os.fdopen(answers, "wb") as file:
        file.write(msgspec.json.encode(answer))
    os._exit(0)  # an engine that crashes at its end has answered all the same


def engine(target: str) -> str:
    """The name and version of the engine whose class is at `target`."""
    import importlib

    module, _, attribute = target.partition(":")
    return getattr(importlib.import_module(module), attribute).name


def opencv() -> tuple[str, bool]:
    """The version of OpenCV, and whether it has GStreamer."""
    import cv2

    return cv2.__version__, cv2.videoio_registry.hasBackend(cv2.CAP_GSTREAMER)


def picamera2() -> int:
    """How many cameras libcamera finds."""
    from picamera2 import Picamera2

    return len(Picamera2.global_camera_info())


def replay(entry: list[Any], bundle: str, kind: str, options: list[Any]) -> Any:
    """runtime.replay of one artifact in the engine of `entry`, and in no other."""
    from edgecv.bundle import Bundle
    from edgecv.runtime import engines
    from edgecv.runtime.replay import replay

    engines.ENGINES[:] = [msgspec.convert(entry, Entry)]
    opened, (format, precision) = Bundle.open(Path(bundle), whole=False), Kind.parse(kind)
    found = replay(opened, opened.select(format, precision), msgspec.convert(options, Options))
    return msgspec.to_builtins(found[0])


def frame(uri: str, input_hw: tuple[int, int] | None) -> tuple[int, int, float]:
    """Width and height of a source's first frame, and the seconds until it was there."""
    from edgecv.runtime.sources import open_source

    began_s = time.perf_counter()
    with open_source(uri, input_hw=input_hw and (input_hw[0], input_hw[1]), reconnect=False) as source:
        first = next(source, None)
        if first is None:
            from edgecv.errors import SourceError

            raise SourceError("it ended without a frame; is the file whole, the camera plugged in?")
        return first.bgr.shape[1], first.bgr.shape[0], time.perf_counter() - began_s


FUNCTIONS = {"engine": engine, "opencv": opencv, "picamera2": picamera2, "replay": replay, "frame": frame}
