"""The source that is never behind: a thread captures, and only the newest frame is kept."""

from __future__ import annotations

import logging
import math
import threading
import time
from dataclasses import dataclass

from edgecv.errors import SourceError
from edgecv.runtime.sources.base import Counts, Frame, Shot, Shots, Source
from edgecv.runtime.sources.opening import OPENING_S, Opener, open_in_time

log = logging.getLogger(__name__)

# A reader stuck in a driver leaves by its own read timeout; nobody who presses Ctrl-C waits for that.
JOIN_S = 2.0

# Threads stuck in a driver are given up one by one; so many of them mean that only a new process helps.
MAX_STUCK = 8


@dataclass(frozen=True)
class Patience:
    """What is done about a source that is lost: it ended, it failed, or no frame came for `frozen_s` seconds.

    It is opened again `first_wait_s` seconds later, then after waits that double up to `longest_wait_s`;
    a frame makes the next wait short again. Without `reconnect`, the iteration ends instead.
    """

    reconnect: bool = True
    frozen_s: float = 10.0
    first_wait_s: float = 0.5
    longest_wait_s: float = 10.0


class Live(Source):
    """The newest frame of a generator that runs in a daemon thread of its own.

    `opener` gives the generator; it is called here, where its SourceError is the caller's, and again by the
    reader after each loss. It gets the event that is set at close, for a generator that waits for something
    else than a driver. `where` names the source in messages (passwords already masked). Without `patience`
    the source is one that just ends, as a file does.

    The thread that runs a generator also ends it: a capture must not be released under the feet of a read.
    A reader whose driver never returns is left alone. It belongs to an older generation from then on, and
    what it still gives is ignored.
    """

    live = True

    def __init__(self, opener: Opener, where: str, patience: Patience | None = None) -> None:
        self._opener = opener
        self._where = where
        self._ends = patience is None
        self._patience = patience or Patience(reconnect=False, frozen_s=math.inf)
        self._stop = threading.Event()
        self._changed = threading.Condition()
        # Everything below is guarded by _changed.
        self._newest: Shot | None = None
        self._captured = self._taken = self._dropped = self._skipped = self._reconnects = 0
        self._over = False  # no further frame will come
        self._error: Exception | None = None
        self._generation = 0
        self._due_s = math.inf  # on time.monotonic(), when the reader counts as stuck
        self._lost_s: float | None = None  # since when there is no source
        self._stuck: list[threading.Thread] = []
        shots, self.fps = opener(self._stop) if self._ends else open_in_time(opener, self._stop, where)
        with self._changed:
            self._start(shots)

    @property
    def counts(self) -> Counts:
        with self._changed:
            return Counts(self._dropped, self._skipped, self._reconnects, self._lost_s is not None)

    def __next__(self) -> Frame:
        with self._changed:
            while self._newest is None and not self._over:
                left_s = self._due_s - time.monotonic()
                if left_s <= 0:
                    self._abandon()
                else:
                    self._changed.wait(min(left_s, threading.TIMEOUT_MAX))
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

    # --- from here on, with _changed held

    def _start(self, shots: Shots | None) -> None:
        """A new generation; None: it begins with the wait that comes before opening."""
        self._generation += 1
        self._due_s = time.monotonic() + self._patience.frozen_s if shots else math.inf
        self._thread = threading.Thread(
            target=self._read, args=(self._generation, shots), name="edgecv-source", daemon=True
        )
        self._thread.start()

    def _abandon(self) -> None:
        """Go on without a reader that has not come back."""
        self._stuck = [thread for thread in (*self._stuck, self._thread) if thread.is_alive()]
        if not self._may_return(f"no frame for {self._patience.frozen_s:g} s"):
            self._generation += 1
            self._end()
        elif len(self._stuck) > MAX_STUCK:
            self._generation += 1
            self._end(
                SourceError(f"{self._where}: {len(self._stuck)} reads never returned; restart the program")
            )
        else:
            self._start(None)

    def _may_return(self, why: str) -> bool:
        """Whether to open the source anew. What never gave a frame is no camera that comes back."""
        if not self._patience.reconnect or not self._captured or self._stop.is_set():
            return False
        if self._lost_s is None:
            self._lost_s = time.monotonic()
            self._changed.notify_all()
            log.warning("%s is lost (%s); opening it again until it is back", self._where, why)
        return True

    def _end(self, error: Exception | None = None) -> None:
        self._error, self._over = error, True
        self._changed.notify_all()
        if not self._ends and not self._stop.is_set():
            log.warning("%s ended after %d frames", self._where, self._captured)

    # --- in the reader's thread

    def _read(self, generation: int, shots: Shots | None) -> None:
        try:
            self._read_on(generation, shots)
        except Exception as slip:  # noqa: BLE001 - handed to the taker, who would wait for ever otherwise
            with self._changed:
                if generation == self._generation:
                    self._end(slip)

    def _read_on(self, generation: int, shots: Shots | None) -> None:
        """Drain, wait, open again and so on, until this reader is no longer wanted."""
        patience = self._patience
        wait_s = patience.first_wait_s
        while True:
            if shots is None:
                if self._stop.wait(wait_s) or not self._due_in(generation, max(OPENING_S, patience.frozen_s)):
                    return
                wait_s = min(2 * wait_s, patience.longest_wait_s)
                shots = self._open_again()
                wanted = self._due_in(generation, patience.frozen_s if shots else math.inf)
                if shots is None:
                    if wanted:
                        continue
                    return
            frames, error = self._drain(generation, shots)
            shots = None
            if frames:
                wait_s = patience.first_wait_s
            with self._changed:
                if generation != self._generation:
                    return
                self._due_s = math.inf
                why = str(error or "it ended").removeprefix(f"{self._where}: ")
                if not self._may_return(why):
                    self._end(error)
                    return

    def _open_again(self) -> Shots | None:
        try:
            return self._opener(self._stop).shots
        except SourceError as error:
            log.debug("%s", error)  # the loss itself has been told, once
            return None

    def _due_in(self, generation: int, seconds: float) -> bool:
        """Expect a sign of life within so many seconds; False when this reader has been given up."""
        with self._changed:
            if generation != self._generation:
                return False
            self._due_s = time.monotonic() + seconds
            self._changed.notify_all()
            return True

    def _drain(self, generation: int, shots: Shots) -> tuple[int, SourceError | None]:
        """Keep what comes until the end, or until nobody wants any more; how many frames, and what failed."""
        frames, error = 0, None
        try:
            for shot in shots:
                if not self._keep(generation, shot):
                    break
                frames += shot is not None
        except SourceError as failed:
            error = failed
        finally:
            shots.close()
        return frames, error

    def _keep(self, generation: int, shot: Shot | None) -> bool:
        """Put the shot in the place of the one before; False when nobody wants it."""
        with self._changed:
            if self._over or generation != self._generation:
                return False
            if shot is None:
                self._skipped += 1
                return True
            self._dropped += self._newest is not None
            self._newest = shot
            self._captured += 1
            now_s = time.monotonic()
            self._due_s = now_s + self._patience.frozen_s
            if self._lost_s is not None:
                log.warning("%s is back after %.1f s", self._where, now_s - self._lost_s)
                self._lost_s = None
                self._reconnects += 1
            self._changed.notify()
            return True
