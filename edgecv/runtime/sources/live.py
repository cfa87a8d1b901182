"""The source that is never behind: a thread captures, and only the newest frame is kept."""

from __future__ import annotations

import logging
import threading
from collections.abc import Generator

from edgecv.errors import SourceError
from edgecv.runtime.sources.base import Counts, Frame, Shot, Source

log = logging.getLogger(__name__)

# A reader stuck in a driver leaves by its own read timeout; nobody who presses Ctrl-C waits for that.
JOIN_S = 2.0


class Live(Source):
    """The newest frame of a generator that runs in a daemon thread of its own.

    `where` names the source in messages (passwords already masked). `stop`, where given, is set at close
    for a generator that waits for something else than a driver. The thread that runs the generator also
    ends it: a capture must not be released under the feet of a read.
    """

    live = True

    def __init__(
        self,
        shots: Generator[Shot | None, None, None],
        where: str,
        stop: threading.Event | None = None,
    ) -> None:
        self._shots = shots
        self._where = where
        self._stop = stop or threading.Event()
        self._changed = threading.Condition()
        # Everything below is guarded by _changed.
        self._newest: Shot | None = None
        self._captured = self._taken = self._dropped = self._skipped = 0
        self._over = False  # no further frame will come
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._read, name="edgecv-source", daemon=True)
        self._thread.start()

    @property
    def counts(self) -> Counts:
        with self._changed:
            return Counts(self._dropped, self._skipped)

    def __next__(self) -> Frame:
        with self._changed:
            self._changed.wait_for(lambda: self._newest is not None or self._over)
            shot, self._newest = self._newest, None
            if shot is not None:
                frame = Frame(shot.bgr, self._taken, shot.captured_s, shot.name)
                self._taken += 1
                return frame
            if self._stop.is_set():
                raise StopIteration
            if self._error is not None:
                raise self._error
            if not self._captured:
                raise SourceError(
                    f"{self._where} was opened but gave no frame; "
                    "is another program using it, or is its sender paused?"
                )
            raise StopIteration

    def close(self) -> None:
        with self._changed:
            self._stop.set()
            self._over = True
            self._newest = None
            self._changed.notify_all()
        self._thread.join(JOIN_S)

    def _read(self) -> None:
        error = None
        try:
            for shot in self._shots:
                if not self._keep(shot):
                    break
        except Exception as caught:  # noqa: BLE001 - handed to the taker, who would wait for ever otherwise
            error = caught
        finally:
            self._shots.close()
            with self._changed:
                self._error = error
                self._over = True
                self._changed.notify_all()
        if not self._stop.is_set():
            log.warning("%s ended after %d frames", self._where, self._captured)

    def _keep(self, shot: Shot | None) -> bool:
        """Put the shot in the place of the one before; False when nobody wants any more."""
        with self._changed:
            if self._over:
                return False
            if shot is None:
                self._skipped += 1
                return True
            self._dropped += self._newest is not None
            self._newest = shot
            self._captured += 1
            self._changed.notify()
            return True
