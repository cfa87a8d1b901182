"""The source that loses nothing: frames are made when they are asked for."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator

from edgecv.errors import SourceError
from edgecv.runtime.sources.base import Counts, Frame, Shot, Source


class Replay(Source):
    """Frames of a generator, one for each that is taken.

    The first one is made while opening, so that what holds no picture at all is known before a model is
    loaded. `nothing` is the message of the SourceError for that; `{skipped}` in it is the number of pictures
    that could not be decoded.
    """

    live = False

    def __init__(self, shots: Generator[Shot | None, None, None], nothing: str) -> None:
        self._shots = shots
        self._lock = threading.Lock()  # a generator, and the decoder in it, bear one thread at a time
        self._closed = False
        self._index = 0
        self._skipped = 0
        self._first = self._make()
        if self._first is None:
            raise SourceError(nothing.replace("{skipped}", str(self._skipped)))

    @property
    def counts(self) -> Counts:
        return Counts(skipped=self._skipped)

    def __next__(self) -> Frame:
        with self._lock:
            shot = None if self._closed else self._first or self._make()
            if shot is None:
                raise StopIteration
            if shot is self._first:
                # It waited for the taker, not for the disk: its own time would count the waiting as delay.
                shot = shot._replace(captured_s=time.perf_counter())
            self._first = None
            frame = Frame(shot.bgr, self._index, shot.captured_s, shot.name)
            self._index += 1
            return frame

    def close(self) -> None:
        with self._lock:
            self._closed = True
            self._first = None
            self._shots.close()

    def _make(self) -> Shot | None:
        """The next decodable shot, None at the end."""
        for shot in self._shots:
            if shot is not None:
                return shot
            self._skipped += 1
        return None
