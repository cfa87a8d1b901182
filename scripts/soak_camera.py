"""The camera of soak.py: photographs as MJPEG over HTTP, on loopback, with the faults of a real one."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

HOST = "127.0.0.1"
FPS = 10
HOLD_S = (2.0, 4.0)  # that a photograph is shown for
WAIT_S = 10.0
# What costs the run its connection: methods of the Camera, and what they do.
FAULTS = {
    "cut": "connection closed",
    "stop": "camera gone, refusing connections",
    "freeze": "connection open, no bytes",
    "half": "connection closed within a picture",
}


def free_port() -> int:
    with socket.socket() as free:
        free.bind((HOST, 0))
        port: int = free.getsockname()[1]
        return port


class Server:
    """An HTTP server on a port of its own, which is the same after a restart."""

    def __init__(self, do: str, answer: Callable[[BaseHTTPRequestHandler], None]) -> None:
        """do: the handler's method, as do_GET."""
        members = {do: lambda handler: answer(handler), "log_message": lambda *_: None}
        self._handler = type("Handler", (BaseHTTPRequestHandler,), members)
        self.port = free_port()
        self.start()

    def start(self) -> None:
        self._httpd = ThreadingHTTPServer((HOST, self.port), self._handler)
        self._httpd.daemon_threads = True
        self._thread = threading.Thread(target=self._httpd.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """No more connections; those that are open are the handlers' to end."""
        self._httpd.shutdown()
        self._httpd.server_close()
        self._thread.join(WAIT_S)


class Camera:
    """MJPEG over HTTP: photographs, each for some seconds, every other one with something that moves.

    sent: pictures that went out, the halves of some included; connections: how many streams have begun.
    """

    def __init__(self, photos: list[Path], size_wh: tuple[int, int]) -> None:
        self._photos = [_filling(path, size_wh) for path in photos]
        self.sent = self.connections = 0
        self._changed = threading.Condition()
        self._jpeg, self._number = b"", -1  # the newest picture
        self._era = 0  # a stream ends with the era it began in
        self._halved = self._frozen = self._over = False
        self._server = Server("do_GET", self._stream)
        self._thread = threading.Thread(target=self._show, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self._server.port}/stream"

    def cut(self) -> None:
        """The connection ends after a picture."""
        self._change(era=1)

    def half(self) -> None:
        """It ends within a picture."""
        self._change(era=1, halved=True)

    def stop(self) -> None:
        """It ends, and nobody listens any more."""
        self._server.stop()
        self._change(era=1)

    def start(self) -> None:
        self._server.start()

    def freeze(self) -> None:
        """The connection stays, and nothing comes; new ones are accepted, and get nothing."""
        self._change(frozen=True)

    def thaw(self) -> None:
        self._change()

    def close(self) -> None:
        self._over = True
        self._change(era=1)
        self._thread.join(WAIT_S)
        self._server.stop()

    def _change(self, era: int = 0, halved: bool = False, frozen: bool = False) -> None:
        with self._changed:
            self._era += era
            self._halved, self._frozen = halved, frozen
            self._changed.notify_all()

    def _show(self) -> None:
        draw = np.random.default_rng(0)
        number, due_s = 0, time.monotonic()
        while True:
            for photo in self._photos:
                moving = draw.random() < 0.5
                for _ in range(int(FPS * draw.uniform(*HOLD_S))):
                    jpeg = _jpeg(photo, number, moving)
                    with self._changed:
                        self._jpeg, self._number = jpeg, number
                        self._changed.notify_all()
                        due_s = max(due_s + 1 / FPS, time.monotonic())
                        if self._changed.wait_for(lambda: self._over, due_s - time.monotonic()):
                            return
                    number += 1

    def _stream(self, handler: BaseHTTPRequestHandler) -> None:
        handler.close_connection = True
        with contextlib.suppress(OSError):  # whoever watched has gone
            for part in self._parts(handler):
                handler.wfile.write(part)

    def _parts(self, handler: BaseHTTPRequestHandler) -> Iterator[bytes]:
        with self._changed:
            era = self._era
            self._changed.wait_for(lambda: not self._frozen or era != self._era)
            self.connections += 1
        handler.send_response(200)
        handler.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        handler.end_headers()
        number = -1
        while True:
            jpeg, number, share = self._after(number, era)
            head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n".encode()
            part = head + jpeg + b"\r\n"
            yield part[: int(share * len(part))]
            with self._changed:
                self.sent += share > 0
            if share < 1:
                return

    def _after(self, number: int, era: int) -> tuple[bytes, int, float]:
        """The picture after `number`, its own, and what share of it goes out: not all at the era's end."""
        with self._changed:
            self._changed.wait_for(lambda: era != self._era or (self._number != number and not self._frozen))
            if era == self._era:
                return self._jpeg, self._number, 1.0
            return self._jpeg, self._number, 0.5 if self._halved else 0.0


def _filling(path: Path, size_wh: tuple[int, int]) -> NDArray[np.uint8]:
    """The middle of a photograph, as large as the camera's pictures."""
    bgr = cv2.imread(str(path))
    assert bgr is not None, path
    width, height = size_wh
    scale = max(width / bgr.shape[1], height / bgr.shape[0])
    bgr = cv2.resize(bgr, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    top, left = (bgr.shape[0] - height) // 2, (bgr.shape[1] - width) // 2
    return bgr[top : top + height, left : left + width]


def _jpeg(photo: NDArray[np.uint8], number: int, moving: bool) -> bytes:
    """The frame's number, too small for the motion gate; where it moves, a disc that is not."""
    bgr = photo.copy()
    height, width = bgr.shape[:2]
    if moving:
        x = int(width * (0.5 + 0.4 * np.sin(number / 5)))
        cv2.circle(bgr, (x, height - height // 8), height // 12, (255, 255, 255), -1)
    cv2.putText(bgr, str(number), (4, 12), cv2.FONT_HERSHEY_PLAIN, 0.8, (255, 255, 255))
    jpeg: bytes = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 80])[1].tobytes()
    return jpeg
