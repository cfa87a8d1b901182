"""Live sources that are lost and come back: ended, failed, frozen, or with a driver that never returns."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Iterator

import pytest
from mjpeg_server import serving
from scripted import Script, has, level, wait_for
from waits import WAIT_S

from edgecv.errors import SourceError, UsageError
from edgecv.runtime.sources import Counts, open_source
from edgecv.runtime.sources import live as live_module
from edgecv.runtime.sources import opening as opening_module
from edgecv.runtime.sources.base import Opened
from edgecv.runtime.sources.live import Live, Patience
from edgecv.runtime.sources.stream import open_stream

AT_ONCE = Patience(first_wait_s=0.0)


class Device:
    """What is found at each opening: a script, an error, or an event that the opening waits for."""

    def __init__(self, *found: Script | SourceError | ValueError | threading.Event) -> None:
        self.found = list(found)
        self.opened: queue.Queue[str] = queue.Queue()

    def open(self, stop: threading.Event) -> Opened:
        found = self.found.pop(0)
        self.opened.put("open")
        if isinstance(found, Exception):
            raise found
        if isinstance(found, threading.Event):
            found.wait()
            found = Script("end")
        return found.open(stop)


class Waits(threading.Event):
    """Does not wait; writes down for how long it should have."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        if timeout:
            self.seconds.append(timeout)
        return self.is_set()


def freeze(source: Live) -> None:
    """Let the time be up for the reader's next sign of life."""
    with source._changed:
        source._due_s = 0.0
        source._changed.notify_all()


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody ends the scripts: their readers stay behind, as those of a driver that hangs."""
    monkeypatch.setattr(live_module, "JOIN_S", 0.05)


@pytest.fixture
def stuck() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


@pytest.mark.parametrize(
    ("loss", "why"),
    [
        ("end", "it ended"),  # unplugged, or the server was stopped
        (SourceError("300 frames in a row"), "300 frames in a row"),  # nothing can be decoded any more
    ],
)
def test_a_lost_source_comes_back_and_says_so_once(
    loss: str | SourceError, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    gone = SourceError("no camera at /dev/video0")
    device = Device(Script(1, 2, loss), gone, gone, Script("end"), Script(3))
    with Live(device.open, "camera", AT_ONCE) as source:
        wait_for(source, has(3))
        frame = next(source)
        assert (frame.index, level(frame)) == (0, 3)
        assert source.counts == Counts(dropped=2, reconnects=1)
        device_messages = list(caplog.messages)
    assert device_messages[0] == f"camera is lost ({why}); opening it again until it is back"
    assert device_messages[1].startswith("camera is back after 0.")
    assert len(device_messages) == 2
    assert {record.levelno for record in caplog.records} == {logging.WARNING}


def test_the_waits_double_up_to_the_longest_and_begin_anew_after_a_frame() -> None:
    gone = SourceError("gone")
    first = Script(1)
    device = Device(first, *[gone] * 6, Script(2, "end"), gone, gone, Script(3))
    with Live(device.open, "camera", Patience()) as source:
        source._stop = waits = Waits()
        assert level(next(source)) == 1
        first.play("end")
        wait_for(source, has(3))
        assert source.counts.reconnects == 2
    assert waits.seconds == [0.5, 1, 2, 4, 8, 10, 10, 0.5, 1, 2]


def test_close_does_not_wait_for_the_next_attempt() -> None:
    with Live(Device(Script(1, "end")).open, "camera", Patience(first_wait_s=3600)) as source:
        wait_for(source, lambda live: live.counts.lost)
    assert not source._thread.is_alive()
    assert next(source, None) is None


@pytest.mark.parametrize("found", [Script("end"), Script(None, None, SourceError("torn, all of them"))])
def test_what_never_gave_a_frame_is_not_opened_again(found: Script) -> None:
    with Live(Device(found).open, "camera", AT_ONCE) as source, pytest.raises(SourceError):
        next(source)


def test_a_slip_of_ours_is_not_retried() -> None:
    with Live(Device(Script(1, ValueError("a slip"))).open, "camera", AT_ONCE) as source:
        assert level(next(source)) == 1
        with pytest.raises(ValueError, match="a slip"):
            next(source)
    with Live(Device(Script(1, "end"), ValueError("in opening")).open, "camera", AT_ONCE) as source:
        wait_for(source, lambda live: live._over)
        assert level(next(source)) == 1
        with pytest.raises(ValueError, match="in opening"):
            next(source)


# --- readers that do not come back


def test_a_read_that_never_returns_is_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    first = Script(1)
    with Live(Device(first, Script(2)).open, "camera", AT_ONCE) as source:
        assert level(next(source)) == 1
        abandoned = source._thread
        freeze(source)
        assert level(next(source)) == 2
        assert source.counts == Counts(reconnects=1)
        assert not first.released.is_set()
        first.play(99)  # the driver returns after all: it is freed, and its frame ignored
        assert first.released.wait(WAIT_S)
        abandoned.join(WAIT_S)
        assert source.counts == Counts(reconnects=1)
        assert source._newest is None
    assert caplog.messages[0].startswith("camera is lost (no frame for 10 s)")


def test_an_opening_that_never_returns_is_left_alone(stuck: threading.Event) -> None:
    device = Device(Script(1, "end"), stuck, Script(2))
    with Live(device.open, "camera", AT_ONCE) as source:
        assert level(next(source)) == 1
        assert device.opened.get(timeout=WAIT_S) == device.opened.get(timeout=WAIT_S) == "open"
        freeze(source)
        assert level(next(source)) == 2
        assert source.counts.reconnects == 1


def test_a_first_opening_that_never_returns(stuck: threading.Event, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening_module, "OPENING_S", 0.05)
    with pytest.raises(SourceError, match=r"camera did not open within 0.05 s; its driver hangs, or"):
        Live(Device(stuck).open, "camera", AT_ONCE)


def test_a_driver_that_hangs_for_good_ends_the_run(
    stuck: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_module, "MAX_STUCK", 0)
    device = Device(Script(1, "end"), stuck)
    with Live(device.open, "camera", AT_ONCE) as source:
        assert level(next(source)) == 1
        assert device.opened.get(timeout=WAIT_S) == device.opened.get(timeout=WAIT_S) == "open"
        freeze(source)
        with pytest.raises(SourceError, match="camera: 1 reads never returned"):
            next(source)


@pytest.mark.parametrize(("frames", "ends"), [([1], StopIteration), ([], SourceError)])
def test_a_frozen_source_that_is_not_to_come_back_ends(frames: list[int], ends: type[Exception]) -> None:
    script = Script(*frames)
    with Live(script.open, "camera", Patience(reconnect=False)) as source:
        for value in frames:
            assert level(next(source)) == value
        freeze(source)
        with pytest.raises(ends):
            next(source)
        script.play("end")


def test_a_source_is_not_frozen_while_its_taker_is_busy() -> None:
    script = Script(1)
    with Live(script.open, "camera", AT_ONCE) as source:
        assert level(next(source)) == 1
        freeze(source)  # as if the taker had been away for long
        script.play(2)
        wait_for(source, has(2))
        assert level(next(source)) == 2
        assert source.counts.reconnects == 0
        script.play("end")


@pytest.mark.parametrize("frozen_s", [0, -1, float("nan"), float("inf")])
def test_a_time_that_cannot_be(frozen_s: float) -> None:
    with pytest.raises(UsageError, match="after 0 to 86400 seconds without a frame, not"):
        open_source("0", frozen_s=frozen_s)


# --- a real server on loopback


def test_a_server_that_is_cut_and_started_again_on_its_port(caplog: pytest.LogCaptureFixture) -> None:
    with serving() as server:
        server.send(10, 20, 30)
        source = open_stream(server.url(credentials="me:secret@"), Patience(first_wait_s=0.01))
        wait_for(source, has(30))
        assert level(next(source)) == 30
    wait_for(source, lambda live: live.counts.lost)
    with serving(server.port) as again, source:
        again.send(100, 110, 120)
        assert level(next(source)) in (100, 110, 120)
        wait_for(source, lambda live: live._captured == 6)
        assert source.counts.reconnects == 1
    assert "secret" not in caplog.text
    assert [message.split()[2] for message in caplog.messages] == ["lost", "back"]


def test_a_stream_that_freezes_is_opened_again() -> None:
    with serving() as server:
        server.send(10, 20, 30)
        with open_stream(server.url(), AT_ONCE) as source:
            wait_for(source, has(30))
            assert level(next(source)) == 30
            freeze(source)
            taken: list[int] = []
            taker = threading.Thread(target=lambda: taken.append(level(next(source))), daemon=True)
            taker.start()
            assert server.asked.get(timeout=WAIT_S) == server.asked.get(timeout=WAIT_S) == "/stream"
            server.send(100, 110, 120)
            taker.join(WAIT_S)
            assert taken[0] in (100, 110, 120)
            assert source.counts.reconnects == 1


def test_a_connection_that_breaks_within_a_picture() -> None:
    with serving() as server:
        server.send(10, 20, 30)
        with open_stream(server.url(), Patience(first_wait_s=0.0)) as source:
            wait_for(source, has(30))
            server.send_half(40)
            server.cut()
            server.send(100, 110, 120)
            wait_for(source, has(120))
            assert level(next(source)) == 120
            assert source.counts.reconnects == 1


def test_a_wrong_address_is_not_retried() -> None:
    with serving() as server, pytest.raises(SourceError, match="but not with a video"):
        open_source(server.url("page"))
