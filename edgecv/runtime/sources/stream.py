"""Network cameras: MJPEG or any other video over HTTP, and RTSP."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

from edgecv.errors import SourceError
from edgecv.runtime.sources.base import Opened
from edgecv.runtime.sources.live import Live, Patience
from edgecv.runtime.sources.masking import masked_uri
from edgecv.runtime.sources.video import FFMPEG_TRIES, open_capture, rate, shots

if TYPE_CHECKING:
    import cv2

TIMEOUT_MS = 10_000
PORTS = {"http": 80, "https": 443, "rtsp": 554}

# TCP, because a lost packet smears H.264 until the next key frame; the rest is no queue before the decoder.
# Without fpsprobesize, some 20 frames are spent on guessing a rate nobody asks for.
RTSP_OPTIONS = (
    "rtsp_transport;tcp|fflags;nobuffer|flags;low_delay|max_delay;0|reorder_queue_size;0|fpsprobesize;0"
)
OPTIONS_VARIABLE = "OPENCV_FFMPEG_CAPTURE_OPTIONS"

_environment = threading.Lock()


def open_stream(uri: str, patience: Patience | None = None, timeout_ms: int = TIMEOUT_MS) -> Live:
    """The newest frame of a stream; `timeout_ms` bounds the opening.

    Raises SourceError, with the password masked, when it cannot be opened.
    """
    wait = patience or Patience()
    return Live(lambda _stop: _open(uri, timeout_ms, wait.frozen_s), masked_uri(uri), wait)


def _open(uri: str, timeout_ms: int, frozen_s: float) -> Opened:
    where = masked_uri(uri)
    started_s = time.monotonic()
    rtsp = uri.lower().startswith("rtsp:")
    with ffmpeg_options(RTSP_OPTIONS if rtsp else None):
        capture = _capture(uri, timeout_ms, frozen_s)
    if capture is None:
        late = time.monotonic() - started_s >= 0.9 * timeout_ms / 1000
        why = f"no video within {timeout_ms / 1000:g} s" if late else _why_not(uri)
        raise SourceError(f"cannot open {where}: {why}; check the address, user and password in a player")
    # MJPEG over HTTP has no rate of its own: FFmpeg would say 25.
    return Opened(shots(capture, where, tries=FFMPEG_TRIES), rate(capture) if rtsp else None)


@contextlib.contextmanager
def ffmpeg_options(options: str | None) -> Iterator[None]:
    """Hand options to FFmpeg, for which OpenCV has no way but the environment; the user's own come first."""
    with _environment:
        if options is None or OPTIONS_VARIABLE in os.environ:
            yield
            return
        os.environ[OPTIONS_VARIABLE] = options
        try:
            yield
        finally:
            del os.environ[OPTIONS_VARIABLE]


def _capture(uri: str, timeout_ms: int, frozen_s: float) -> cv2.VideoCapture | None:
    import cv2

    parameters = {
        cv2.CAP_PROP_OPEN_TIMEOUT_MSEC: timeout_ms,
        # So that a reader that is given up comes back, and frees the connection.
        cv2.CAP_PROP_READ_TIMEOUT_MSEC: round(frozen_s * 1000),
        cv2.CAP_PROP_N_THREADS: 1,  # frame threading holds back a frame a thread, and takes the model's cores
    }
    return open_capture(uri, cv2.CAP_FFMPEG, [number for pair in parameters.items() for number in pair])


def _why_not(uri: str) -> str:
    """FFmpeg's reason does not reach us, so ask the host for the commonest ones."""
    try:
        parts = urlsplit(uri)
        if not parts.hostname:
            return "the address has no host"
        port = parts.port or PORTS[parts.scheme.lower()]
        if parts.scheme.lower().startswith("http"):
            return _http_reason(parts, port)
        socket.create_connection((parts.hostname, port), timeout=2).close()
    except ValueError:  # whose words may quote a piece of the password
        return "that is not a valid address"
    except OSError as error:
        return (error.strerror or str(error)).lower()
    return "the host answers, but not with a video"


def _http_reason(parts: SplitResult, port: int) -> str:
    """What an HTTP server says to the same request, user and password included; OSError when none answers."""
    import base64
    import http.client
    from urllib.parse import unquote

    kind = http.client.HTTPSConnection if parts.scheme.lower() == "https" else http.client.HTTPConnection
    headers = {}
    if parts.username:
        secret = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers["Authorization"] = f"Basic {base64.b64encode(secret.encode()).decode()}"
    connection = kind(str(parts.hostname), port, timeout=2)
    try:
        connection.request(
            "GET", parts._replace(scheme="", netloc="", fragment="").geturl() or "/", headers=headers
        )
        status, reason = (answer := connection.getresponse()).status, answer.reason
    except http.client.HTTPException:
        return "the host answers, but not as a web server does"
    finally:
        connection.close()
    if status in (401, 403):
        return f"the host says {status} {reason}: user or password is missing or refused"
    return f"the host says {status} {reason}" if status >= 400 else "the host answers, but not with a video"
