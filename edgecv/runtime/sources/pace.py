"""Frames at a rate, for what has no clock of its own."""

from __future__ import annotations

import contextlib
import threading
import time

from edgecv.runtime.sources.base import Shots


def paced(shots: Shots, fps: float, stop: threading.Event) -> Shots:
    """The same frames, each no earlier than 1/fps seconds after the one before, until `stop` is set."""
    due_s = time.perf_counter()
    with contextlib.closing(shots):
        for shot in shots:
            if stop.wait(max(0.0, due_s - time.perf_counter())):
                return
            now_s = time.perf_counter()
            yield shot and shot._replace(captured_s=now_s)
            due_s = max(due_s + 1 / fps, now_s)  # late once is late once, not a burst to catch up
