"""JPEGs one after another in a stream of bytes, as `ffmpeg -f mjpeg -` writes them."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator

from edgecv.errors import SourceError

MAX_PICTURE_MB = 64
MAX_PICTURE = MAX_PICTURE_MB * 2**20

START = b"\xff\xd8\xff"  # start of image, and the first byte of the marker after it
SOI, EOI, SOS, TEM = 0xD8, 0xD9, 0xDA, 0x01
RESTARTS = range(0xD0, 0xD8)
APPLICATION = range(0xE0, 0xF0)
AFTER_PIXELS = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")  # neither a stuffed FF, nor padding, nor a restart


def jpegs(read: Callable[[], bytes]) -> Generator[bytes | None, None, None]:
    """The pictures of a stream, whole; None for one that is torn.

    `read` gives the next bytes, b'' at the end. What lies between pictures is passed over. Raises SourceError
    for more than 64 MiB without the end of a picture.
    """
    return _Splitter(read).pictures()


class _Splitter:
    def __init__(self, read: Callable[[], bytes]) -> None:
        self._read = read
        self._data = bytearray()  # begins with what has not been given out

    def pictures(self) -> Generator[bytes | None, None, None]:
        while self._find_start():
            end, whole = self._find_end()
            yield bytes(self._data[:end]) if whole else None
            del self._data[:end]

    def _fill(self, size: int) -> bool:
        """Read on until `size` bytes are there; False when the stream ends before."""
        if size > MAX_PICTURE:
            raise SourceError(f"no end of a picture within {MAX_PICTURE_MB} MiB of the stream; is it MJPEG?")
        while len(self._data) < size:
            piece = self._read()
            if not piece:
                return False
            self._data += piece
        return True

    def _find_start(self) -> bool:
        """Drop what comes before the next picture."""
        passed = 0
        while (at := self._data.find(START)) < 0:
            garbage = max(0, len(self._data) - len(START) + 1)
            del self._data[:garbage]
            passed += garbage
            if passed > MAX_PICTURE:
                raise SourceError(f"no JPEG within {MAX_PICTURE_MB} MiB of the stream; is it MJPEG?")
            if not self._fill(len(START)):
                return False
        del self._data[:at]
        return True

    def _find_end(self) -> tuple[int, bool]:
        """Where the picture at the front ends, and True; or where to go on, and False when it is torn.

        Segment by segment, since a thumbnail in an APPn segment has an end marker of its own.
        """
        at = go_on = 2
        while self._fill(at + 2) and self._data[at] == 0xFF:
            marker = self._data[at + 1]
            if marker == EOI:
                return at + 2, True
            if marker == SOI:  # the writer began anew
                return at, False
            if marker == 0xFF:  # padding
                at += 1
            elif marker == TEM or marker in RESTARTS:
                at += 2
            elif not self._fill(at + 4):
                break
            else:
                end = at + 2 + int.from_bytes(self._data[at + 2 : at + 4], "big")
                # A length that is wrong must not lead past the next picture; but a thumbnail is none.
                go_on = end if marker in APPLICATION else at + 2
                at = self._after_pixels(end) if marker == SOS else end
        return go_on, False

    def _after_pixels(self, at: int) -> int:
        """Where the marker after a scan is; the end of the stream when there is none."""
        while not (match := AFTER_PIXELS.search(self._data, at)):
            at = max(at, len(self._data) - 1)  # an FF at the very end may be half a marker
            if not self._fill(len(self._data) + 1):
                return len(self._data)
        return match.start()
