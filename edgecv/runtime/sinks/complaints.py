"""Warnings that do not fill a log in a night."""

from __future__ import annotations

import logging
import time

EVERY_S = 10.0


class Complaints:
    """At most one warning in EVERY_S about `name`, with the number of those left out since the last one."""

    def __init__(self, log: logging.Logger, name: str) -> None:
        self._log, self._name = log, name
        self._next_s = 0.0
        self._silent = 0

    def tell(self, text: object) -> None:
        now_s = time.monotonic()
        if now_s < self._next_s:
            self._silent += 1
            return
        more = f" (and {self._silent} more since the last such line)" if self._silent else ""
        self._log.warning("%s: %s%s", self._name, " ".join(str(text).split()), more)
        self._next_s, self._silent = now_s + EVERY_S, 0
