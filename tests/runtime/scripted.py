"""A capture that a test works by hand, and what waits for a live source without sleeping."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Generator

import numpy as np
from waits import WAIT_S

from edgecv.runtime.sources import Frame, Source
from edgecv.runtime.sources.base import Opened, Shot
from edgecv.runtime.sources.live import Live


class Script:
    """Plays what it is given: a level is a frame, None a torn one, an error is raised, "end" is the end."""

    def __init__(self, *what: int | Exception | str | None) -> None:
        self.todo: queue.Queue[int | Exception | str | None] = queue.Queue()
        self.released = threading.Event()
        self.play(*what)

    def shots(self) -> Generator[Shot | None, None, None]:
        try:
            while (what := self.todo.get()) != "end":
                if isinstance(what, Exception):
                    raise what
                yield None if what is None else Shot(np.full((2, 2, 3), what, np.uint8), time.perf_counter())
        finally:
            self.released.set()

    def open(self, _stop: threading.Event) -> Opened:
        return Opened(self.shots())

    def play(self, *what: int | Exception | str | None) -> None:
        for one in what:
            self.todo.put(one)


def level(frame: Frame | Shot) -> int:
    """The grey level of a flat picture."""
    return round(float(frame.bgr.mean()))


def wait_for(source: Source, reached: Callable[[Live], bool]) -> None:
    """Wait, on the source's own condition, until its reader thread has got that far."""
    assert isinstance(source, Live)
    with source._changed:
        assert source._changed.wait_for(lambda: reached(source), WAIT_S)


def has(value: int) -> Callable[[Live], bool]:
    return lambda source: source._newest is not None and level(source._newest) == value
