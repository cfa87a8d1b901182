"""The buffer in front of a sink: what it delivers, in which order, and that its counts add up."""

from __future__ import annotations

import logging
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sinks_samples import HandSink, event, item, settle
from waits import WAIT_S

from edgecv.errors import SinkError
from edgecv.runtime.results import Result, SinkCounts
from edgecv.runtime.sinks import (
    Item,
    Outlet,
    Sink,
    SinkBusy,
    SinkClosed,
    Traits,
    close_all,
    complaints,
    outlet,
)


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outlet, "FIRST_PAUSE_S", 0.001)
    monkeypatch.setattr(outlet, "LAST_PAUSE_S", 0.004)
    monkeypatch.setattr(outlet, "GRACE_S", 0.2)


def counts(delivered: int = 0, dropped: int = 0, failed: int = 0, waiting: int = 0) -> SinkCounts:
    return SinkCounts(name="hand", delivered=delivered, dropped=dropped, failed=failed, waiting=waiting)


def offer(front: Outlet, *frames: int, wait: bool = False) -> None:
    for frame in frames:
        front.offer(item(frame), wait)


# --- what is delivered


def test_items_come_in_order_and_close_is_called_on_the_same_thread() -> None:
    sink = HandSink()
    front = Outlet(sink)
    offer(front, 0, 1, 2)
    for _ in range(3):
        sink.outcomes.put(None)
    front.close()
    assert sink.frames == [0, 1, 2]
    assert front.counts() == counts(delivered=3)
    assert sink.closer is front._thread


@pytest.mark.parametrize("pictures", [False, True])
def test_pictures_go_only_to_those_who_ask(pictures: bool) -> None:
    sink = HandSink(pictures=pictures)
    front = Outlet(sink)
    offered = item()
    front.offer(offered, False)
    sink.outcomes.put(None)
    front.close()
    assert sink.items[0].bgr is (offered.bgr if pictures else None)


def test_a_sink_of_events_gets_one_at_a_time_and_no_result_without() -> None:
    sink = HandSink(events=True)
    front = Outlet(sink)
    first, second = event("cat"), event("dog", "off")
    front.offer(item(0), False)
    front.offer(item(1, first, second, on=("cat",)), False)
    sink.outcomes.put(None)
    sink.outcomes.put(None)
    front.close()
    assert [one.result.events for one in sink.items] == [(first,), (second,)]
    assert front.counts() == counts(delivered=2)


def test_what_is_not_wanted_is_not_counted() -> None:
    class Even(HandSink):
        def wants(self, result: Result) -> bool:
            return result.frame % 2 == 0

    sink = Even()
    front = Outlet(sink)
    for _ in range(2):
        sink.outcomes.put(None)
    offer(front, 0, 1, 2)
    front.close()
    assert (sink.frames, front.counts()) == ([0, 2], counts(delivered=2))


# --- what is lost


def test_a_full_buffer_drops_its_oldest() -> None:
    sink = HandSink(depth=2)
    front = Outlet(sink)
    offer(front, 0)
    assert sink.begun.get(timeout=WAIT_S) == 0  # out of the buffer: it is being written
    offer(front, 1, 2, 3, 4)
    assert front.counts() == counts(dropped=2, waiting=3)
    for _ in range(3):
        sink.outcomes.put(None)
    front.close()
    assert (sink.frames, front.counts()) == ([0, 3, 4], counts(delivered=3, dropped=2))


def test_a_source_that_loses_nothing_waits_for_room() -> None:
    sink = HandSink(depth=1, waits=True)
    front = Outlet(sink)
    done = threading.Event()
    runner = threading.Thread(target=lambda: (offer(front, *range(5), wait=True), done.set()))
    runner.start()
    for _ in range(5):
        sink.outcomes.put(None)
    assert done.wait(WAIT_S)
    runner.join()
    front.close()
    assert (sink.frames, front.counts()) == ([0, 1, 2, 3, 4], counts(delivered=5))


@pytest.mark.parametrize(
    ("waits", "wait"),
    [
        (True, False),  # a live source waits for nobody
        (False, True),  # nobody waits for a network
    ],
)
def test_both_must_want_to_wait(waits: bool, wait: bool) -> None:
    sink = HandSink(depth=1, waits=waits)
    front = Outlet(sink)
    offer(front, 0)
    sink.begun.get(timeout=WAIT_S)
    offer(front, 1, 2, wait=wait)
    assert front.counts() == counts(dropped=1, waiting=2)
    for _ in range(2):
        sink.outcomes.put(None)
    front.close()


def test_close_from_another_thread_ends_the_waiting_for_room() -> None:
    sink = HandSink(depth=1, waits=True)
    front = Outlet(sink)
    runner = threading.Thread(target=lambda: offer(front, 0, 1, 2, wait=True))
    runner.start()
    sink.begun.get(timeout=WAIT_S)
    front.close(0.05)
    runner.join(WAIT_S)
    assert not runner.is_alive()
    assert front.counts() == counts(dropped=3)
    sink.outcomes.put(None)


@pytest.mark.parametrize(
    "error",
    [
        SinkError("no room"),
        OSError(28, "No space left on device"),
        KeyError("a fault of the sink"),
    ],
)
def test_a_failure_costs_one_item_and_goes_on(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    sink = HandSink()
    front = Outlet(sink)
    for outcome in (error, None):
        sink.outcomes.put(outcome)
    offer(front, 0, 1)
    front.close()
    assert (sink.frames, front.counts()) == ([1], counts(delivered=1, failed=1))
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert caplog.messages[0].startswith("hand: lost an item: ")


def test_after_sink_closed_nothing_is_taken() -> None:
    sink = HandSink()
    front = Outlet(sink)
    offer(front, 0, 1)
    sink.outcomes.put(None)
    sink.outcomes.put(SinkClosed("nobody reads any more"))
    assert sink.closed.wait(WAIT_S)
    offer(front, 2)
    assert front.closed
    front.close()
    assert (sink.frames, front.counts()) == ([0], counts(delivered=1, dropped=2))


# --- a sink that is busy


def test_busy_keeps_the_item_and_the_order() -> None:
    sink = HandSink()
    front = Outlet(sink)
    offer(front, 0, 1)
    for outcome in (SinkBusy("away"), SinkBusy("away"), None, None):
        sink.outcomes.put(outcome)
    settle(front)
    assert (sink.frames, front.counts()) == ([0, 1], counts(delivered=2))
    assert [sink.begun.get() for _ in range(4)] == [0, 0, 0, 1]
    front.close()


def test_what_waits_for_room_leaves_some_for_the_item_that_comes_back() -> None:
    sink = HandSink(depth=1, waits=True)
    front = Outlet(sink)
    runner = threading.Thread(target=lambda: offer(front, 0, 1, 2, wait=True))
    runner.start()
    for outcome in (SinkBusy("away"), SinkBusy("away"), None, None, None):
        sink.outcomes.put(outcome)
    runner.join(WAIT_S)
    front.close()
    assert (sink.frames, front.counts()) == ([0, 1, 2], counts(delivered=3))


def test_an_item_that_never_goes_is_pushed_out_like_any_other() -> None:
    sink = HandSink(depth=2)
    front = Outlet(sink)
    offer(front, 0)
    sink.begun.get(timeout=WAIT_S)
    offer(front, 1, 2)  # full, and 0 is being written
    sink.outcomes.put(SinkBusy("away"))
    assert sink.begun.get(timeout=WAIT_S) == 1
    assert front.counts() == counts(dropped=1, waiting=2)
    sink.outcomes.put(None)
    sink.outcomes.put(None)
    front.close()
    assert sink.frames == [1, 2]


def test_pauses_double_up_to_the_longest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outlet, "FIRST_PAUSE_S", 0.5)
    monkeypatch.setattr(outlet, "LAST_PAUSE_S", 3.0)
    pauses = [0.0]
    for _ in range(5):
        pauses.append(outlet.longer(pauses[-1]))
    assert pauses == [0.0, 0.5, 1.0, 2.0, 3.0, 3.0]


def test_close_cuts_a_pause_short_and_tries_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outlet, "FIRST_PAUSE_S", 3600.0)
    monkeypatch.setattr(outlet, "LAST_PAUSE_S", 3600.0)
    sink = HandSink()
    front = Outlet(sink)
    offer(front, 0)
    sink.outcomes.put(SinkBusy("away"))
    sink.begun.get(timeout=WAIT_S)
    with front._changed:
        assert front._changed.wait_for(lambda: not front._writing, WAIT_S)
    sink.outcomes.put(None)
    front.close()
    assert front.counts() == counts(delivered=1)


# --- the end


def test_what_is_not_delivered_in_time_is_dropped() -> None:
    class Away(HandSink):
        def write(self, item: Item) -> None:  # noqa: ARG002
            raise SinkBusy("away")

    sink = Away()
    front = Outlet(sink)
    offer(front, 0, 1, 2)
    front.close(0.05)
    assert sink.closed.is_set()
    assert front.counts() == counts(dropped=3)


def test_stuck_sinks_hold_nobody_up_and_their_late_outcome_changes_no_count() -> None:
    sinks = [HandSink(), HandSink()]
    fronts = [Outlet(sink) for sink in sinks]
    for front, sink in zip(fronts, sinks, strict=True):
        offer(front, 0, 1)
        sink.begun.get(timeout=WAIT_S)
    close_all(fronts, 0.01)
    assert [front.counts() for front in fronts] == [counts(dropped=2)] * 2
    for front, sink in zip(fronts, sinks, strict=True):
        sink.outcomes.put(None)
        assert sink.closed.wait(WAIT_S)
        offer(front, 2)
        assert front.counts() == counts(dropped=3)


def test_a_sink_that_cannot_close_is_told_of(caplog: pytest.LogCaptureFixture) -> None:
    class Torn(HandSink):
        def close(self) -> None:
            raise OSError(28, "No space left on device")

    front = Outlet(Torn())
    front.close()
    front.close()  # any number of times
    assert caplog.messages == ["hand: closing failed: [Errno 28] No space left on device"]


OUTCOMES = {
    "ok": None,
    "busy": SinkBusy("away"),
    "failed": SinkError("no room"),
    "fault": ValueError("fault"),
}


class Scripted(Sink):
    """Goes through a list of outcomes, and is fine after it."""

    def __init__(self, script: list[str], traits: Traits) -> None:
        self.traits, self.script, self.frames = traits, list(script), []  # type: ignore[var-annotated]

    def write(self, item: Item) -> None:
        error = OUTCOMES[self.script.pop(0)] if self.script else None
        if error is not None:
            raise error
        self.frames.append(item.result.frame)

    def close(self) -> None: ...


@given(
    script=st.lists(st.sampled_from(sorted(OUTCOMES)), max_size=12),
    offered=st.integers(0, 15),
    depth=st.integers(1, 4),
    wait=st.booleans(),
    timeout_s=st.sampled_from([0.0, 5.0]),
)
def test_the_counts_always_add_up(
    script: list[str], offered: int, depth: int, wait: bool, timeout_s: float
) -> None:
    sink = Scripted(script, Traits("hand", waits=True, depth=depth))
    front = Outlet(sink)
    offer(front, *range(offered), wait=wait)
    found = front.counts()
    assert found.delivered + found.dropped + found.failed + found.waiting == offered
    front.close(timeout_s)
    found = front.counts()
    assert found.delivered == len(sink.frames)
    assert found.delivered + found.dropped + found.failed == offered
    assert found.waiting == 0
    assert sink.frames == sorted(sink.frames)
    if wait and timeout_s:
        assert found.dropped == 0


# --- the log


def test_repeated_failures_are_one_line_in_ten_seconds(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = iter([100.0, 100.1, 109.9, 110.0])
    monkeypatch.setattr(complaints.time, "monotonic", lambda: next(now))
    told = complaints.Complaints(logging.getLogger("edgecv.test"), "hand")
    for text in ("one", "two", "three", "four\nlines"):
        told.tell(text)
    assert caplog.messages == ["hand: one", "hand: four lines (and 2 more since the last such line)"]
