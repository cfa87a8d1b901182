"""A real network camera on loopback: multipart MJPEG whose every part the test sends itself."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np


class MjpegServer:
    """One stream. Parts queue up until a client comes; `paths` are the addresses it asked for."""

    def __init__(self, httpd: ThreadingHTTPServer) -> None:
        self._httpd = httpd
        self.parts: queue.Queue[bytes | None] = queue.Queue()
        self.asked: queue.Queue[str] = queue.Queue()

    def url(self, path: str = "stream", credentials: str = "") -> str:
        return f"http://{credentials}127.0.0.1:{self._httpd.server_port}/{path}"

    def send(self, *levels: int) -> None:
        """Grey pictures of those levels, 0..255."""
        for level in levels:
            self.send_jpeg(jpeg(level))

    def send_jpeg(self, content: bytes) -> None:
        head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(content)}\r\n\r\n"
        self.parts.put(head.encode() + content + b"\r\n")

    def cut(self) -> None:
        """End the connection after what is queued."""
        self.parts.put(None)


def jpeg(level: int) -> bytes:
    """A 64x48 picture of one grey level."""
    ok, encoded = cv2.imencode(".jpg", np.full((48, 64, 3), level, np.uint8))
    assert ok
    return encoded.tobytes()


@contextlib.contextmanager
def serving() -> Iterator[MjpegServer]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Not on the test's stderr."""

        def do_GET(self) -> None:
            server.asked.put(self.path)
            if self.path == "/page":
                self.send_response(200)
                self.send_header("Content-Type", "text/html")
                self.end_headers()
                self.wfile.write(b"<html>not a video</html>")
                return
            if self.path != "/silent":
                self.send_response(200)
                self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
                self.end_headers()
            with contextlib.suppress(OSError):  # the client has gone
                while (part := server.parts.get()) is not None:
                    self.wfile.write(part)

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    httpd.daemon_threads = True
    server = MjpegServer(httpd)
    # A short poll, since shutdown() waits for the next one.
    thread = threading.Thread(target=httpd.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.cut()
        httpd.shutdown()
        httpd.server_close()
        thread.join(5)
