"""The source that loses nothing: frames are made when they are asked for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from edgecv.errors import SourceError
from edgecv.runtime.sources.base import Counts, Frame, Opened, Shot, Source


class Replay(Source):
    """Frames of a generator, one for each that is taken.

    The first one is made while opening, so that what holds no picture at all is known before a model is
    loaded. `nothing` is the message of the SourceError for that; `{skipped}` in it is the number of pictures
    that could not be decoded. `wake` makes a generator return that may wait long for its next frame.
    """

    live = False

    def __init__(self, opened: Opened, nothing: str, wake: Callable[[], None] = lambda: None) -> None:
        self._shots, self.fps = opened
        self._wake = wake
        self._lock = threading.Lock()  # a generator, and the decoder in it, bear one thread at a time
        self._closed = False
        self._index = 0
        self._skipped = 0
        try:
            self._first = self._make()
            if self._first is None:
                raise SourceError(nothing.replace("{skipped}", str(self._skipped)))
        except BaseException:  # Ctrl-C, too, while it waits for the first frame
            self._shots.close()
            raise

    @property
    def counts(self) -> Counts:
        return Counts(skipped=self._skipped)

    def __next__(self) -> Frame:
        with self._lock:
            shot = None if self._closed else self._first or self._make()
            if shot is None or self._closed:
                raise StopIteration
            if shot is self._first:
                # It waited for the taker, not for the disk: its own time would count the waiting as delay.
                shot = shot._replace(captured_s=time.perf_counter())
            self._first = None
            frame = Frame(shot.bgr, self._index, shot.captured_s, shot.name)
            self._index += 1
            return frame

    def close(self) -> None:
        self._closed = True
        self._wake()
        with self._lock:
            self._first = None
            self._shots.close()

    def _make(self) -> Shot | None:
        """The next decodable shot, None at the end."""
        for shot in self._shots:
            if shot is not None:
                return shot
            self._skipped += 1
        return None
