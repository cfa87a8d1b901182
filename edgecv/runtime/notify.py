"""What systemd is told about the run: sd_notify(3), without its library and harmless without systemd."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable

log = logging.getLogger(__name__)

TIMEOUT_S = 1.0  # systemd reads at once, or has other worries than us


def ready(text: str = "") -> None:
    """The run has started. A unit of Type=notify counts as started, and its watchdog begins, from here."""
    _send("READY=1", f"STATUS={_line(text)}")


def status(text: str) -> None:
    """A line for people: `systemctl status` shows it."""
    _send(f"STATUS={_line(text)}")


def watchdog() -> None:
    """The run is alive; a service that has not said so for its WatchdogSec is killed and started again."""
    _send("WATCHDOG=1")


def stopping() -> None:
    """The run ends now, on purpose."""
    _send("STOPPING=1")


def watchdog_interval_s() -> float | None:
    """Half of the time in which systemd wants to hear from this process; None where it does not wait."""
    owner = os.environ.get("WATCHDOG_PID", "")
    if owner and owner != str(os.getpid()):  # inherited from a service that started us
        return None
    limit_us = os.environ.get("WATCHDOG_USEC", "")
    return int(limit_us) / 2e6 if limit_us.isdecimal() and int(limit_us) else None


class Watchdog:
    """Says `watchdog` at most once an interval (None: never), so that `beat` may be called for every frame.

    `beat` has to come at least as often as the interval, also while a live source has no frames to give.
    """

    def __init__(self, interval_s: float | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._interval_s, self._clock = interval_s, clock
        self._due_s = float("inf") if interval_s is None else float("-inf")

    def beat(self) -> None:
        now = self._clock()
        if now >= self._due_s and self._interval_s is not None:
            self._due_s = now + self._interval_s
            watchdog()


def _line(text: str) -> str:
    return " ".join(text.split())


def _send(*assignments: str) -> None:
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    import socket  # 5 ms, for services only

    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as link:
            link.settimeout(TIMEOUT_S)
            # "@" stands for the NUL byte of an abstract name.
            link.sendto("\n".join(assignments).encode(), "\0" + address[1:] if address[0] == "@" else address)
    except OSError as error:
        log.warning("systemd could not be told %s: %s", assignments[0], error)
