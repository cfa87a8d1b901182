"""An RTSP camera on loopback: enough of RTSP and of JPEG over RTP (RFC 2435) to be played, and a real one."""

from __future__ import annotations

import contextlib
import itertools
import os
import queue
import signal
import socket
import socketserver
import struct
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from mjpeg_server import jpeg
from scripted import level
from waits import WAIT_S

from edgecv.errors import SourceError
from edgecv.runtime.sources import Counts, open_source
from edgecv.runtime.sources.live import Patience
from edgecv.runtime.sources.stream import OPTIONS_VARIABLE, open_stream

SDP = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=video 0 RTP/AVP 26\r\na=control:track0\r\n"


class RtspServer(socketserver.ThreadingTCPServer):
    """Plays the grey `levels` at 25 frames a second of RTP time, as fast as they are queued; None ends it."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), RtspHandler)
        self.levels: queue.Queue[int | None] = queue.Queue()
        self.requests: list[str] = []
        self.transports: list[str] = []

    def url(self, credentials: str = "") -> str:
        return f"rtsp://{credentials}127.0.0.1:{self.server_address[1]}/camera"


class RtspHandler(socketserver.StreamRequestHandler):
    server: RtspServer

    def handle(self) -> None:
        while line := self.rfile.readline().decode().strip():
            method = line.split()[0]
            headers = {}
            while header := self.rfile.readline().decode().strip():
                name, _, value = header.partition(": ")
                headers[name] = value
            self.server.requests.append(method)
            self.answer(method, headers)
            if method == "PLAY":
                with contextlib.suppress(OSError):
                    self.play()
                return

    def answer(self, method: str, headers: dict[str, str]) -> None:
        extra, body = "", ""
        if method == "OPTIONS":
            extra = "Public: DESCRIBE, SETUP, PLAY\r\n"
        elif method == "DESCRIBE":
            body = SDP
            extra = f"Content-Type: application/sdp\r\nContent-Length: {len(body)}\r\n"
        elif method == "SETUP":
            self.server.transports.append(headers["Transport"])
            extra = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n"
        reply = f"RTSP/1.0 200 OK\r\nCSeq: {headers['CSeq']}\r\nSession: 1\r\n{extra}\r\n{body}"
        self.wfile.write(reply.encode())

    def play(self) -> None:
        for number, grey in enumerate(iter(self.server.levels.get, None)):
            packet = struct.pack(">BBHII", 0x80, 0x80 | 26, number, number * 3600, 1) + payload(jpeg(grey))
            self.wfile.write(struct.pack(">cBH", b"$", 0, len(packet)) + packet)


def payload(content: bytes) -> bytes:
    """A 64x48 4:2:0 JPEG as one RFC 2435 packet: header, quantisation tables, entropy-coded pixels."""
    tables, at = b"", 2
    while content[at + 1] != 0xDA:
        length = struct.unpack_from(">H", content, at + 2)[0]
        if content[at + 1] == 0xDB:
            segment = content[at + 4 : at + 2 + length]
            tables += b"".join(segment[start + 1 : start + 65] for start in range(0, len(segment), 65))
        at += 2 + length
    at += 2 + struct.unpack_from(">H", content, at + 2)[0]
    head = struct.pack(">IBBBB", 0, 1, 255, 64 // 8, 48 // 8) + struct.pack(">BBH", 0, 0, len(tables))
    return head + tables + content[at:-2]


@pytest.fixture
def server() -> Iterator[RtspServer]:
    with RtspServer() as rtsp:
        thread = threading.Thread(target=rtsp.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield rtsp
        rtsp.levels.put(None)
        rtsp.shutdown()
        thread.join(WAIT_S)


def test_an_rtsp_camera_gives_its_newest_frame_over_tcp(
    server: RtspServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv(OPTIONS_VARIABLE, raising=False)
    for grey in (*range(0, 200, 5), None):
        server.levels.put(grey)
    with open_source(server.url("me:secret@"), reconnect=False) as source:
        assert OPTIONS_VARIABLE not in os.environ
        source._thread.join(WAIT_S)
        (frame,) = source
        assert float(frame.bgr.mean()) == pytest.approx(195, abs=2)
        assert frame.bgr.shape == (48, 64, 3)
        captured = source.counts.dropped + 1
    assert source.counts == Counts(dropped=captured - 1)
    assert 30 <= captured <= 40  # what FFmpeg looks at to find the format is lost (nobuffer), which is little
    assert "SETUP" in server.requests
    assert all("TCP" in transport for transport in server.transports)
    assert caplog.messages == [f"{server.url('me:***@')} ended after {captured} frames"]


# --- gst-rtsp-server, in a process of Debian's Python

SYSTEM_PYTHON = "/usr/bin/python3"
PARTS = """
import gi
gi.require_version("GstRtspServer", "1.0")
from gi.repository import Gst, GstRtspServer
Gst.init(None)
assert Gst.ElementFactory.find("x264enc")
"""


@contextlib.contextmanager
def camera(port: int, grey: int) -> Iterator[subprocess.Popen[str]]:
    """A camera with user me and password secret; killed at the end, as by a power cut."""
    script = Path(__file__).with_name("rtsp_server.py")
    command = [SYSTEM_PYTHON, str(script), str(port), str(grey), "me:secret"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


@pytest.fixture
def free_port() -> int:
    if subprocess.run([SYSTEM_PYTHON, "-c", PARTS], capture_output=True, check=False).returncode:
        pytest.skip(
            "needs Debian's python3-gi, gir1.2-gst-rtsp-server-1.0 and gstreamer1.0-plugins-ugly (x264enc)"
        )
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        return reserved.getsockname()[1]


@pytest.mark.slow
def test_a_real_camera_that_is_killed_and_started_again(
    free_port: int, caplog: pytest.LogCaptureFixture
) -> None:
    uri = f"rtsp://me:secret@127.0.0.1:{free_port}/camera"
    with contextlib.ExitStack() as stack:
        with camera(free_port, 50):
            source = stack.enter_context(open_stream(uri, Patience(first_wait_s=0.1)))
            assert source.fps == 25
            frames = [next(source) for _ in range(10)]
            assert frames[-1].bgr.shape == (48, 64, 3)
            assert level(frames[-1]) == pytest.approx(50, abs=4)
        stack.enter_context(camera(free_port, 180))
        assert any(level(frame) > 150 for frame in itertools.islice(source, 200))
        assert source.counts.reconnects == 1
        assert next(source).index > 9
        assert [message.split()[2] for message in caplog.messages] == ["lost", "back"]
    assert "secret" not in caplog.text


@pytest.mark.slow
def test_a_real_camera_that_freezes(free_port: int, caplog: pytest.LogCaptureFixture) -> None:
    uri = f"rtsp://me:secret@127.0.0.1:{free_port}/camera"
    with camera(free_port, 50) as process, open_stream(uri, Patience(frozen_s=1, first_wait_s=0.1)) as source:
        next(source)
        process.send_signal(signal.SIGSTOP)
        thawing = threading.Timer(1.5, process.send_signal, [signal.SIGCONT])
        thawing.start()
        for _ in itertools.takewhile(lambda _: not source.counts.reconnects, source):
            pass
        assert level(next(source)) == pytest.approx(50, abs=4)
        thawing.join()
    assert "is lost (no frame for 1 s)" in caplog.messages[0] or "is lost (it ended)" in caplog.messages[0]


@pytest.mark.slow
def test_a_real_camera_and_a_wrong_password(free_port: int) -> None:
    uri = f"rtsp://me:wrong@127.0.0.1:{free_port}/camera"
    with (
        camera(free_port, 50),
        pytest.raises(SourceError, match="check the address, user and pass") as raised,
    ):
        open_source(uri)
    assert "wrong" not in str(raised.value)
