"""A real network camera on loopback: multipart MJPEG whose every part the test sends itself."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections import deque
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np


class MjpegServer:
    """One stream for one client, the newest. Parts queue up until it comes; `asked` has its addresses."""

    def __init__(self, httpd: ThreadingHTTPServer) -> None:
        self._httpd = httpd
        self._changed = threading.Condition()
        self._parts: deque[bytes | None] = deque()
        self._clients = 0
        self._closed = False
        self.asked: queue.Queue[str] = queue.Queue()

    @property
    def port(self) -> int:
        return self._httpd.server_port

    def url(self, path: str = "stream", credentials: str = "") -> str:
        return f"http://{credentials}127.0.0.1:{self.port}/{path}"

    def send(self, *levels: int) -> None:
        """Grey pictures of those levels, 0..255."""
        for level in levels:
            self.send_jpeg(jpeg(level))

    def send_jpeg(self, content: bytes) -> None:
        head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(content)}\r\n\r\n"
        self._put(head.encode() + content + b"\r\n")

    def send_half(self, level: int) -> None:
        """The first half of a part, as of a connection that breaks."""
        content = jpeg(level)
        head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(content)}\r\n\r\n"
        self._put(head.encode() + content[: len(content) // 2])

    def cut(self) -> None:
        """End the connection after what is queued."""
        self._put(None)

    def _put(self, part: bytes | None) -> None:
        with self._changed:
            self._parts.append(part)
            self._changed.notify_all()

    def come(self, path: str) -> int:
        """A client has asked for this path; its number. From here on, parts are its own."""
        with self._changed:
            self._clients += 1
            self._changed.notify_all()
            self.asked.put(path)
            return self._clients

    def parts(self, me: int) -> Iterator[bytes]:
        """What is for this client, until it is cut or another one comes."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._parts or self._closed or self._clients != me)
                part = self._parts.popleft() if self._parts and self._clients == me else None
            if part is None:
                return
            yield part

    def close(self) -> None:
        """End the connection after what is queued, and every later one at once."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()


def jpeg(level: int) -> bytes:
    """A 64x48 picture of one grey level."""
    ok, encoded = cv2.imencode(".jpg", np.full((48, 64, 3), level, np.uint8))
    assert ok
    return encoded.tobytes()


@contextlib.contextmanager
def serving(port: int = 0) -> Iterator[MjpegServer]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Not on the test's stderr."""

        def do_GET(self) -> None:
            client = server.come(self.path)
            if self.path == "/page":
                self.send_response(200)
                self.send_header("Content-Type", "text/html")
                self.end_headers()
                self.wfile.write(b"<html>not a video</html>")
                return
            if self.path == "/locked" and not self.headers["Authorization"]:
                self.send_error(401)
                return
            if self.path == "/nothing":
                self.send_error(404)
                return
            if self.path != "/silent":
                self.send_response(200)
                self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
                self.end_headers()
            with contextlib.suppress(OSError):  # the client has gone
                for part in server.parts(client):
                    self.wfile.write(part)

    httpd = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    httpd.daemon_threads = True
    server = MjpegServer(httpd)
    # A short poll, since shutdown() waits for the next one.
    thread = threading.Thread(target=httpd.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.close()
        httpd.shutdown()
        httpd.server_close()
        thread.join(5)
