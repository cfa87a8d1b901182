"""How long a test waits for what must come; nothing is slower for it where all is well."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

WAIT_S = 60  # an emulated core with much to do takes ten seconds to start Python


def wait_until(reached: Callable[[], bool]) -> None:
    """For what nothing tells us of, within WAIT_S."""
    pause, end_s = threading.Event(), time.monotonic() + WAIT_S
    while not reached():
        assert time.monotonic() < end_s, "it did not come to that"
        pause.wait(0.01)
