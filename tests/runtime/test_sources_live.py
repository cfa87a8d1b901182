"""Sources that are never behind: network cameras on loopback, the paced pattern, and how they end."""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator

import numpy as np
import pytest
from mjpeg_server import MjpegServer, jpeg, serving
from scripted import Script, has, level, wait_for
from waits import WAIT_S

from edgecv.errors import SourceError
from edgecv.runtime.sources import Counts, masked_uri, open_source
from edgecv.runtime.sources import live as live_module
from edgecv.runtime.sources.live import Live, Patience
from edgecv.runtime.sources.stream import OPTIONS_VARIABLE, RTSP_OPTIONS, ffmpeg_options, open_stream


@pytest.fixture
def server() -> Iterator[MjpegServer]:
    with serving() as mjpeg:
        yield mjpeg


@pytest.fixture
def script() -> Iterator[Script]:
    made = Script()
    yield made
    made.play("end")


# --- the newest frame, and no other


def test_a_slow_taker_gets_the_newest_frame_and_the_rest_is_counted(server: MjpegServer) -> None:
    server.send(*range(0, 200, 5))
    with open_source(server.url()) as source:
        assert source.live
        wait_for(source, has(195))
        frame = next(source)
        assert (frame.index, level(frame), frame.name) == (0, 195, "")
        assert frame.bgr.shape == (48, 64, 3)
        assert source.counts == Counts(dropped=39)

        server.send(50, 100, 150)  # while the taker holds the first frame
        wait_for(source, has(150))
        second = next(source)
        assert (second.index, level(second)) == (1, 150)
        assert second.captured_s > frame.captured_s
        assert source.counts == Counts(dropped=41)
        assert level(frame) == 195  # what was handed out stays as it was
        server.cut()


def test_a_waiting_taker_gets_every_frame(script: Script) -> None:
    with Live(script.open, "camera") as source:
        for value in range(20):
            script.play(value)
            assert level(next(source)) == value
        assert source.counts == Counts()
        script.play("end")


def test_torn_frames_are_counted_and_left_out(script: Script) -> None:
    script.play(None, 7, None, "end")
    with Live(script.open, "camera") as source:
        wait_for(source, lambda live: live._over)
        assert [level(frame) for frame in source] == [7]
        assert source.counts == Counts(skipped=2)


@pytest.mark.parametrize(
    ("torn", "frames"),
    [
        (jpeg(40)[:-10], 7),  # within the picture: FFmpeg makes one of what there is
        (jpeg(40)[:-100], 6),  # within the tables
        (b"\xff\xd8 no JPEG at all", 6),
        (b"", 6),
    ],
)
def test_half_a_jpeg_does_not_end_a_stream(server: MjpegServer, torn: bytes, frames: int) -> None:
    server.send(10, 20, 30)
    server.send_jpeg(torn)
    server.send(200, 210, 220)
    server.cut()
    with open_source(server.url(), reconnect=False) as source:
        wait_for(source, lambda live: live._over)
        assert source.counts == Counts(dropped=frames - 1, skipped=7 - frames)
        assert [level(frame) for frame in source] == [220]


def test_the_paced_pattern_is_live_and_keeps_its_rate() -> None:
    with open_source("synthetic:64x48@200") as source:
        assert source.live
        assert source.fps == 200
        frames = [next(source) for _ in range(21)]
    seconds = frames[-1].captured_s - frames[0].captured_s
    assert seconds >= 18 / 200  # nobody is early, but a busy machine may be late with the first
    with open_source("synthetic:64x48") as still:
        np.testing.assert_array_equal(frames[0].bgr.shape, next(still).bgr.shape)


def test_the_paced_pattern_drops_what_nobody_takes() -> None:
    with open_source("synthetic:64x48@500") as source:
        wait_for(source, lambda live: live._dropped >= 5)
        assert source.counts.dropped >= 5
        assert next(source).index == 0


# --- the end


def test_a_stream_that_is_cut_ends_with_its_last_frame(
    server: MjpegServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.send(10, 20, 30, 40)
    server.cut()
    with open_source(server.url(credentials="me:secret@"), reconnect=False) as source:
        wait_for(source, lambda live: live._over)
        assert [level(frame) for frame in source] == [40]
        assert next(source, None) is None
    (record,) = caplog.records
    assert (record.levelno, record.name) == (logging.WARNING, "edgecv.runtime.sources.live")
    assert record.getMessage() == f"{server.url(credentials='me:***@')} ended after 4 frames"


def test_a_stream_that_falls_silent_ends_when_it_is_not_to_come_back(server: MjpegServer) -> None:
    server.send(10, 20, 30)
    with open_source(server.url(), reconnect=False, frozen_s=0.5) as source:
        assert [level(frame) for frame in source][-1] == 30


@pytest.mark.parametrize("path", ["stream", "script"])
def test_close_wakes_a_waiting_taker(server: MjpegServer, script: Script, path: str) -> None:
    server.send(10, 20, 30)
    script.play(30)
    source = open_source(server.url()) if path == "stream" else Live(script.open, "camera")
    wait_for(source, has(30))
    taken, ended = threading.Event(), threading.Event()

    def take() -> None:
        for _ in source:
            taken.set()
        ended.set()

    threading.Thread(target=take, daemon=True).start()
    assert taken.wait(WAIT_S)
    threading.Timer(0, server.cut).start()  # a driver comes back from its read, sooner or later
    threading.Timer(0, script.play, ["end"]).start()
    source.close()
    source.close()
    assert ended.wait(WAIT_S)
    assert not source._thread.is_alive()
    assert next(source, None) is None


def test_close_does_not_wait_for_a_stuck_driver(script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_module, "JOIN_S", 0.05)
    source = Live(script.open, "camera")
    source.close()
    assert next(source, None) is None
    assert not script.released.is_set()
    script.play(1)  # the driver comes back: its thread frees it and ends
    assert script.released.wait(WAIT_S)
    source._thread.join(WAIT_S)
    assert not source._thread.is_alive()
    assert source.counts == Counts()


def test_closing_the_paced_pattern_does_not_wait_for_its_next_frame() -> None:
    source = open_source("synthetic:8x8@0.001")  # a frame every 17 minutes
    assert next(source).index == 0
    source.close()
    assert not source._thread.is_alive()


# In a process of its own: under pytest's faulthandler, whose signal stack is too small for the registers of
# a CPU with AMX, a SIGINT would end the whole suite once OpenVINO has been loaded.
CONTROL_C = """
import os, signal, threading
import numpy as np
from edgecv.runtime.sources.base import Opened, Shot
from edgecv.runtime.sources.live import Live

signal.signal(signal.SIGINT, signal.default_int_handler)  # a background shell hands it down ignored
taken = threading.Event()

def shots(stop):
    yield Shot(np.zeros((2, 2, 3), np.uint8), 0.0)
    taken.wait(30)
    os.kill(os.getpid(), signal.SIGINT)
    if not stop.wait(2):  # it came in the moment before the taker's lock began to wait
        os.kill(os.getpid(), signal.SIGINT)
    stop.wait(30)

try:
    with Live(lambda stop: Opened(shots(stop)), "camera") as source:
        thread = source._thread
        for _ in source:
            taken.set()
except KeyboardInterrupt:
    print("woken", thread.is_alive())
"""


def test_control_c_wakes_a_waiting_taker() -> None:
    done = subprocess.run(
        [sys.executable, "-c", CONTROL_C], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "woken False\n"


# --- what cannot be


def test_a_live_source_without_any_frame_says_so(script: Script) -> None:
    script.play("end")
    with (
        Live(script.open, "/dev/video0", Patience()) as source,
        pytest.raises(SourceError, match=r"/dev/video0 was opened but gave no frame; is another program"),
    ):
        next(source)


@pytest.mark.parametrize("error", [SourceError("300 frames in a row"), ValueError("a slip of ours")])
def test_an_error_in_the_reader_reaches_the_taker_after_the_last_frame(
    script: Script, error: Exception
) -> None:
    script.play(1, error)
    with Live(script.open, "camera") as source:
        wait_for(source, lambda live: live._over)
        assert level(next(source)) == 1
        with pytest.raises(type(error), match=str(error)):
            next(source)


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        return reserved.getsockname()[1]


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("http://127.0.0.1:{port}/a", "connection refused; check the address"),  # nobody listens
        ("rtsp://me:secret@127.0.0.1:{port}/a", r"rtsp://me:\*\*\*@127.0.0.1:\d+/a: connection refused"),
        ("http://camera.invalid/a", "cannot open http://camera.invalid/a: "),  # no such host, in libc's words
        ("http:///a", "the address has no host"),
        ("http://[bad/a", "not a valid address"),
        ("rtsp://me:se/cret@host/a", r"rtsp://me:\*\*\*@host/a: that is not a valid address"),
    ],
)
def test_a_stream_that_cannot_be_opened(address: str, words: str, closed_port: int) -> None:
    with pytest.raises(SourceError, match=words) as raised:
        open_source(address.format(port=closed_port))
    assert "\n" not in str(raised.value)
    assert "cret" not in str(raised.value)


def test_a_page_that_is_no_video(server: MjpegServer) -> None:
    with pytest.raises(SourceError, match="the host answers, but not with a video"):
        open_source(server.url("page"))


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("locked", "the host says 401 Unauthorized: user or password is missing or refused"),
        ("nothing", "the host says 404 Not Found"),
    ],
)
def test_what_the_host_says_is_told(server: MjpegServer, path: str, says: str) -> None:
    with pytest.raises(SourceError, match=says):
        open_source(server.url(path))


def test_a_host_that_never_answers(server: MjpegServer) -> None:
    with pytest.raises(SourceError, match=r"no video within 0.3 s"):
        open_stream(server.url("silent"), timeout_ms=300)


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("rtsp://me:secret@host:554/a", "rtsp://me:***@host:554/a"),
        ("rtsp://me:se@cret@host/a", "rtsp://me:***@host/a"),  # the last @ ends the password
        ("rtsp://me:se/c@ret@host/a", "rtsp://me:***@host/a"),  # a slash should be %2F, and is often not
        ("rtsp://:secret@host/a", "rtsp://:***@host/a"),  # no user
        ("rtsp://me@host/a", "rtsp://me@host/a"),  # no password
        ("http://host:8080/a@b", "http://host:8080/a@b"),  # a port is none
        ("http://[::1]:8080/a@b", "http://[::1]:8080/a@b"),  # nor is IPv6
        ("http://host/cgi?user=me&pwd=secret&size=2", "http://host/cgi?user=me&pwd=***&size=2"),
        ("http://host/?access_token=secret", "http://host/?access_token=***"),
        ("/home/me/clip.mp4", "/home/me/clip.mp4"),
        ("gst:rtspsrc location=rtsp://me:secret@h/a ! x", "gst:rtspsrc location=rtsp://me:***@h/a ! x"),
        ("gst:rtspsrc user-id=me user-pw=secret ! x", "gst:rtspsrc user-id=me user-pw=*** ! x"),
        ('gst:a password = "se cret" ! b', "gst:a password = *** ! b"),
        ("gst:v4l2src device=/dev/video0", "gst:v4l2src device=/dev/video0"),
    ],
)
def test_passwords_are_masked(uri: str, shown: str) -> None:
    assert masked_uri(uri) == shown


@pytest.mark.parametrize(
    ("before", "options", "inside"),
    [
        (None, RTSP_OPTIONS, RTSP_OPTIONS),  # ours for RTSP
        (None, None, None),  # none for HTTP
        ("rtsp_transport;udp", RTSP_OPTIONS, "rtsp_transport;udp"),  # the user's own come first
    ],
)
def test_ffmpeg_options_last_only_while_opening(
    monkeypatch: pytest.MonkeyPatch, before: str | None, options: str | None, inside: str | None
) -> None:
    monkeypatch.delenv(OPTIONS_VARIABLE, raising=False)
    if before:
        monkeypatch.setenv(OPTIONS_VARIABLE, before)
    with ffmpeg_options(options):
        assert os.environ.get(OPTIONS_VARIABLE) == inside
    assert os.environ.get(OPTIONS_VARIABLE) == before
