"""Frames that another program writes to our standard input: MJPEG, or raw pixels."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import time
from typing import NamedTuple

import numpy as np

from edgecv.errors import SourceError, UsageError
from edgecv.photos import decode
from edgecv.runtime.sources.base import Opened, Shot, Shots
from edgecv.runtime.sources.mjpeg import jpegs
from edgecv.runtime.sources.options import Options
from edgecv.runtime.sources.replay import Replay

TAKES = ("raw", "format")
CHUNK = 2**16


class Layout(NamedTuple):
    """Raw pixels of a W x H picture: rows times `rows` (of H), `channels`, and OpenCV's conversion to BGR."""

    rows: float
    channels: tuple[int, ...]
    to_bgr: str


FORMATS = {
    "bgr24": Layout(1, (3,), ""),
    "rgb24": Layout(1, (3,), "COLOR_RGB2BGR"),
    "gray": Layout(1, (), "COLOR_GRAY2BGR"),
    "yuv420p": Layout(1.5, (), "COLOR_YUV2BGR_I420"),
}


def open_stdin(query: str | None = None, descriptor: int = 0) -> Replay:
    """Every frame that is written: MJPEG, or with `query` as `raw=640x480&format=rgb24` raw pixels.

    The writer waits while its frames are not taken. Raises UsageError for a terminal or a malformed query,
    SourceError when no frame comes.
    """
    options = Options.parse(query, TAKES, "-")
    layout = FORMATS.get(options.format or "bgr24")
    if layout is None or (options.format and not options.raw):
        raise UsageError(f"-?{query}: a format is {', '.join(FORMATS)}, of raw=WxH; without raw it is MJPEG")
    if options.raw and layout.rows != 1 and any(side % 2 for side in options.raw):
        raise UsageError(f"-?{query}: {options.format} has an even width and height")
    pipe = Pipe(descriptor)
    frames = _raw(pipe, options.raw, layout) if options.raw else _pictures(pipe)
    return Replay(
        Opened(frames),
        "standard input ended before a whole picture came ({skipped} torn); a camera's program must write "
        "MJPEG to it, as `ffmpeg ... -f mjpeg -`, or raw frames of the size that -?raw=WxH says",
        pipe.wake,
    )


class Pipe:
    """A file descriptor's bytes, through a copy of it; `wake` ends them from any thread, once and for all."""

    def __init__(self, descriptor: int) -> None:
        if os.isatty(descriptor):
            raise UsageError("-: standard input is a terminal; frames are piped into it by another program")
        try:
            self._file = os.fdopen(os.dup(descriptor), "rb", buffering=0)
        except OSError as error:
            raise SourceError(f"-: standard input cannot be read ({error.strerror})") from None
        self._woken, self._waker = socket.socketpair()

    def read(self) -> bytes:
        """What is there, at least a byte; b'' at the end."""
        return self._file.read(CHUNK) or b"" if self._wait() else b""

    def fill(self, pixels: np.ndarray) -> int:
        """Fill the array; how many bytes that were, fewer at the end only."""
        view, filled = memoryview(pixels).cast("B"), 0
        while filled < len(view) and self._wait():
            got = self._file.readinto(view[filled:])
            if not got:
                break
            filled += got
        return filled

    def wake(self) -> None:
        self._waker.close()

    def close(self) -> None:
        for one in (self._file, self._waker, self._woken):
            one.close()

    def _wait(self) -> bool:
        """Until there are bytes, or the end; False when woken."""
        ready, _, _ = select.select([self._file, self._woken], [], [])
        return self._woken not in ready


def _pictures(pipe: Pipe) -> Shots:
    with contextlib.closing(pipe):
        for content in jpegs(pipe.read):
            captured_s = time.perf_counter()
            bgr = None if content is None else decode(content)
            yield None if bgr is None else Shot(bgr, captured_s)


def _raw(pipe: Pipe, size: tuple[int, int], layout: Layout) -> Shots:
    import cv2

    width, height = size
    shape = (round(height * layout.rows), width, *layout.channels)
    with contextlib.closing(pipe):
        while True:
            pixels = np.empty(shape, np.uint8)
            filled = pipe.fill(pixels)
            if filled < pixels.nbytes:
                if filled:
                    yield None
                return
            captured_s = time.perf_counter()
            yield Shot(
                cv2.cvtColor(pixels, getattr(cv2, layout.to_bgr)) if layout.to_bgr else pixels, captured_s
            )
