"""What a run says on stderr about itself: one logfmt line an event, and no flood of them."""

from __future__ import annotations

import contextlib
import copy
import json
import logging
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from typing import TextIO

BURST = 5  # lines of one message in a window
WINDOW_S = 60.0
CLEAR_LINE = "\r\x1b[K"  # takes the live line off the terminal; its next update draws it again

_PRIORITY = {logging.CRITICAL: 2, logging.ERROR: 3, logging.WARNING: 4, logging.INFO: 6, logging.DEBUG: 7}
_BARE = re.compile(r'[^\s"=\\]+')


@contextlib.contextmanager
def setup(debug: bool = False, stream: TextIO | None = None) -> Iterator[None]:
    """Inside the block the logger "edgecv" writes to `stream` (stderr) and nowhere else.

    debug: DEBUG instead of INFO, tracebacks, and no limit on repetitions. The logger is as it was afterwards.
    """
    logger, handler = logging.getLogger("edgecv"), Handler(stream or sys.stderr, debug)
    before = logger.handlers, logger.level, logger.propagate
    logger.handlers, logger.propagate = [handler], False
    logger.setLevel(logging.DEBUG if debug else logging.INFO)
    try:
        yield
    finally:
        logger.handlers, level, logger.propagate = before
        logger.setLevel(level)
        handler.close()


class Handler(logging.StreamHandler):
    """Lines for a person, a file or systemd's journal, which has its own clock and levels.

    A message is its logger and its template: after BURST lines of one in WINDOW_S seconds the others are
    counted. Before the next line of any message after the window the last of them is written, its field
    `repeated` saying how many they were.
    """

    def __init__(self, stream: TextIO, debug: bool, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(stream)
        self._debug, self._clock = debug, clock
        self._journal, self._terminal = _is_journal(stream), stream.isatty()
        # By logger and template: when the window began, the records in it, and the last that was not written.
        self._windows: dict[tuple[str, object], tuple[float, int, logging.LogRecord | None]] = {}

    def emit(self, record: logging.LogRecord) -> None:  # called with the handler's lock held
        now = self._clock()
        self._end_windows(now - WINDOW_S)
        message = record.name, record.msg
        began, count, _ = self._windows.get(message, (now, 0, None))
        shown = count < BURST or self._debug
        self._windows[message] = (began, count + 1, None if shown else self._kept(record))
        if shown:
            super().emit(record)

    def format(self, record: logging.LogRecord) -> str:
        fields = {"level": record.levelname.lower(), **self._fields(record), "msg": record.getMessage()}
        line = " ".join(f"{key}={_quoted(str(value))}" for key, value in fields.items())
        if self._journal:
            return f"<{_PRIORITY.get(record.levelno, 6)}>{line}"
        seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        return f"{CLEAR_LINE if self._terminal else ''}{seconds}.{int(record.msecs):03}Z {line}"

    def close(self) -> None:
        with self.lock:
            self._end_windows(float("inf"))
        super().close()

    def _fields(self, record: logging.LogRecord) -> dict[str, object]:
        fields = dict(getattr(record, "fields", {}))
        if record.exc_info and record.exc_info[1]:
            fields["error"] = f"{type(record.exc_info[1]).__name__}: {record.exc_info[1]}"
            if self._debug:
                fields["trace"] = logging.Formatter().formatException(record.exc_info)
        return fields

    def _kept(self, record: logging.LogRecord) -> logging.LogRecord:
        """The record as text: a traceback would keep whole frames of pictures alive."""
        kept = copy.copy(record)
        kept.fields, kept.msg, kept.args, kept.exc_info = (
            self._fields(record),
            record.getMessage(),
            None,
            None,
        )
        return kept

    def _end_windows(self, before: float) -> None:
        """Forget the windows that began before this time; of those that overflowed, say how much."""
        ended = [message for message, (began, _, _) in self._windows.items() if began <= before]
        for message in ended:
            _, count, last = self._windows.pop(message)
            if last:
                last.fields["repeated"] = count - BURST
                super().emit(last)


def _is_journal(stream: TextIO) -> bool:
    """Whether systemd made this very stream; JOURNAL_STREAM alone is inherited by redirected children too."""
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):  # closed, or no file at all
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def _quoted(value: str) -> str:
    """A logfmt value on one line, nothing in it that a terminal would obey."""
    if _BARE.fullmatch(value) and value.isprintable():
        return value
    return json.dumps(value, ensure_ascii=not value.isprintable()).replace("\x7f", "\\u007f")
