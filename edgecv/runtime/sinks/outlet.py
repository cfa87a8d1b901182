"""A thread and a bounded buffer in front of a sink, so that no sink ever holds up the run or another sink."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Sequence

import msgspec

from edgecv.errors import SinkError
from edgecv.runtime.results import SinkCounts
from edgecv.runtime.sinks.base import Item, Sink, SinkBusy, SinkClosed
from edgecv.runtime.sinks.complaints import Complaints

log = logging.getLogger(__name__)

FIRST_PAUSE_S, LAST_PAUSE_S = 0.5, 30.0  # between tries of a busy sink, doubled from one to the other
CLOSE_S = 5.0
GRACE_S = 2.0  # beyond it, for the sink's own close()


class Outlet:
    """Delivers items to one sink in their order.

    Every item that is offered and wanted ends in exactly one of the counts. Live, a full buffer drops its
    oldest item; the one that is being written at that moment is not in the buffer any more.
    """

    def __init__(self, sink: Sink) -> None:
        self._sink, self.traits, self.name = sink, sink.traits, sink.traits.name
        self._complaints = Complaints(log, self.name)
        self._changed = threading.Condition(threading.Lock())
        # Everything below is guarded by _changed.
        self._buffer: deque[Item] = deque()
        self._writing = False
        self._delivered = self._dropped = self._failed = 0
        self._deadline_s: float | None = None  # of close(): nothing is accepted any more
        self._over = False  # nothing is delivered any more
        self._closed = False
        self._thread = threading.Thread(
            target=self._work, name=f"edgecv-sink {sink.traits.name}", daemon=True
        )
        self._thread.start()

    @property
    def closed(self) -> bool:
        """The sink said SinkClosed: nobody reads any more."""
        return self._closed

    def offer(self, item: Item, wait: bool) -> None:
        """Hand over, from the run's thread; `wait`: for room in the buffer, where the sink's traits say so.

        A wait ends when there is room, the sink is closed, or another thread calls close().
        """
        if not self.traits.events:
            self._offer(item, wait)
            return
        for event in item.result.events:
            self._offer(item._replace(result=msgspec.structs.replace(item.result, events=(event,))), wait)

    def counts(self) -> SinkCounts:
        with self._changed:
            return SinkCounts(
                name=self.name,
                delivered=self._delivered,
                dropped=self._dropped,
                failed=self._failed,
                waiting=len(self._buffer) + self._writing,
            )

    def finish(self, timeout_s: float = CLOSE_S) -> None:
        """Begin to close: accept no more, and deliver what is buffered within `timeout_s`."""
        with self._changed:
            if self._deadline_s is None:
                self._deadline_s = time.monotonic() + timeout_s
            self._changed.notify_all()

    def close(self, timeout_s: float = CLOSE_S) -> None:
        """Deliver what is buffered within `timeout_s`, and close the sink; what is left is dropped.

        Never waits longer than timeout_s + GRACE_S, even for a sink that is stuck: its thread is left to
        itself. From any thread, any number of times.
        """
        self.finish(timeout_s)
        assert self._deadline_s is not None
        self._thread.join(max(0.0, self._deadline_s - time.monotonic()) + GRACE_S)
        with self._changed:
            self._drop_the_rest()

    def _offer(self, item: Item, wait: bool) -> None:
        traits = self.traits
        if not self._sink.wants(item.result):
            return
        if not traits.pictures and item.bgr is not None:
            item = Item(item.result)
        with self._changed:
            if wait and traits.waits:
                # Room also for the item that is being written, should it come back.
                self._changed.wait_for(lambda: self._has_room(self._writing) or self._refuses())
            if self._refuses():
                self._dropped += 1
                return
            if not self._has_room():
                self._buffer.popleft()
                self._dropped += 1
            self._buffer.append(item)
            self._changed.notify_all()

    def _has_room(self, taken: int = 0) -> bool:
        return len(self._buffer) + taken < self.traits.depth

    def _refuses(self) -> bool:
        return self._over or self._deadline_s is not None

    def _drop_the_rest(self) -> None:
        """Under the lock. The item being written counts as dropped, too: nobody waits for its end."""
        self._dropped += len(self._buffer) + self._writing
        self._buffer.clear()
        self._writing = False
        self._over = True
        self._changed.notify_all()

    def _work(self) -> None:
        pause_s = 0.0
        while (item := self._take(pause_s)) is not None:
            pause_s = self._write(item, pause_s)
        with self._changed:
            self._drop_the_rest()
        try:
            self._sink.close()
        except Exception as error:  # noqa: BLE001 - a sink of anybody's; there is nobody to raise it to
            self._complaints.tell(f"closing failed: {_described(error)}")
            if self.traits.whole:
                with self._changed:
                    self._failed, self._delivered = self._failed + self._delivered, 0

    def _take(self, pause_s: float) -> Item | None:
        """The next item, after a pause that close() cuts short; None when there is nothing more to do."""
        with self._changed:
            if pause_s and self._deadline_s is None:
                self._changed.wait_for(lambda: self._deadline_s is not None, pause_s)
            elif pause_s:
                self._changed.wait(min(FIRST_PAUSE_S, self._left_s()))
            self._changed.wait_for(lambda: self._buffer or self._refuses())
            if self._over or not self._buffer or not self._left_s():
                return None
            item = self._buffer.popleft()
            self._writing = True
            return item

    def _left_s(self) -> float:
        return LAST_PAUSE_S if self._deadline_s is None else max(0.0, self._deadline_s - time.monotonic())

    def _write(self, item: Item, pause_s: float) -> float:
        """Try once; how long to wait before the next one."""
        try:
            self._sink.write(item)
        except SinkBusy as error:
            if not pause_s:
                self._complaints.tell(f"{error}; items wait for it")
            self._put_back(item)
            return longer(pause_s)
        except SinkClosed:
            with self._changed:
                self._closed = True
                self._drop_the_rest()
        except Exception as error:  # noqa: BLE001 - one sink's fault is not the run's end
            self._complaints.tell(f"lost an item: {_described(error)}")
            self._written(failed=True)
        else:
            self._written()
        return 0.0

    def _put_back(self, item: Item) -> None:
        with self._changed:
            if not self._writing:  # close() has given up on it
                return
            self._writing = False
            if self._has_room():
                self._buffer.appendleft(item)
            else:  # it filled up meanwhile, and this is the oldest
                self._dropped += 1
            self._changed.notify_all()

    def _written(self, failed: bool = False) -> None:
        with self._changed:
            if not self._writing:  # the same
                return
            self._writing = False
            self._failed += failed
            self._delivered += not failed
            self._changed.notify_all()


def close_all(outlets: Sequence[Outlet], timeout_s: float = CLOSE_S) -> None:
    """Close all of them at once, so that several that are stuck cost no more time than one."""
    for outlet in outlets:
        outlet.finish(timeout_s)
    for outlet in outlets:
        outlet.close(timeout_s)


def longer(pause_s: float) -> float:
    """The pause after this one, while the sink is busy."""
    return min(max(2 * pause_s, FIRST_PAUSE_S), LAST_PAUSE_S)


def _described(error: Exception) -> str:
    """A sink's own words for what it foresaw; for anything else what it is, too."""
    return str(error) if isinstance(error, (SinkError, OSError)) else f"{type(error).__name__}: {error}"
