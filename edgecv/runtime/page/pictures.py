"""The newest picture, encoded once for all who look, and only while somebody waits for one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from edgecv.errors import SinkError
from edgecv.runtime.sinks.base import Item

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    # [H, W, 3] uint8 BGR, the greatest width (None: as it is) and the quality, 1 to 100, to a JPEG file.
    Encode = Callable[[NDArray[np.uint8], int | None, int], bytes]

T = TypeVar("T")

MAX_FPS = 15.0
MAX_WIDTH = 960
QUALITY, SNAPSHOT_QUALITY = 80, 95
# Of one core, at most: a slow board classifies first, and is looked at second.
ENCODER_SHARE = 0.25


class Snapshot(NamedTuple):
    jpeg: bytes
    unix_s: float


class Pictures:
    """Between three threads: the run asks `wanted`, the sink's thread puts, and the event loop waits.

    A viewer is a future in `_viewers` while it waits for a picture and nothing at all while it sends one:
    who is slow gets fewer, and nothing is kept for anybody. The lists are changed by the loop's thread only.
    """

    def __init__(self, encode: Encode, clock: Callable[[], float] = time.perf_counter) -> None:
        self._encode, self._clock = encode, clock
        self._viewers: list[asyncio.Future[bytes | None]] = []
        self._snapshots: list[asyncio.Future[Snapshot | None]] = []
        self._due_s = 0.0
        self._over = False
        self.loop: asyncio.AbstractEventLoop | None = None

    def wanted(self) -> bool:
        """Whether the next frame is to be put; counts it as taken if so."""
        now_s = self._clock()
        if not self._snapshots and (not self._viewers or now_s < self._due_s):
            return False
        # Counted from when it was due, so that 30 frames a second give 15 and not 10.
        self._due_s = max(self._due_s + 1 / MAX_FPS, now_s)
        return True

    def put(self, item: Item) -> None:
        """Encode the item's picture for those who wait; SinkError when it cannot be."""
        if item.bgr is None:
            return
        if self._snapshots:
            jpeg = self._encode(item.bgr, None, SNAPSHOT_QUALITY)
            self._hand_out(self._snapshots, Snapshot(jpeg, item.result.unix_s))
        if self._viewers:
            started_s = self._clock()
            jpeg = self._encode(item.bgr, MAX_WIDTH, QUALITY)
            now_s = self._clock()
            self._due_s = max(self._due_s, now_s + (now_s - started_s) * (1 / ENCODER_SHARE - 1))
            self._hand_out(self._viewers, jpeg)

    async def next(self) -> bytes | None:
        """The next picture; None after the end."""
        return await self._wait(self._viewers)

    async def snapshot(self, timeout_s: float) -> Snapshot | None:
        """The next frame at full size; None when none comes in time."""
        try:
            return await asyncio.wait_for(self._wait(self._snapshots), timeout_s)
        except asyncio.TimeoutError:
            return None

    def end(self) -> None:
        """Nobody waits any more; on the loop's thread."""
        self._over = True
        _resolve(self._viewers, None)
        _resolve(self._snapshots, None)

    async def _wait(self, waiting: list[asyncio.Future[T | None]]) -> T | None:
        if self._over:
            return None
        future: asyncio.Future[T | None] = asyncio.get_running_loop().create_future()
        waiting.append(future)
        try:
            return await future
        finally:
            if future in waiting:
                waiting.remove(future)

    def _hand_out(self, waiting: list[asyncio.Future[T | None]], content: T) -> None:
        assert self.loop is not None
        try:
            self.loop.call_soon_threadsafe(_resolve, waiting, content)
        except RuntimeError:  # the loop is closed
            raise SinkError("the page's server has stopped") from None


def _resolve(waiting: list[asyncio.Future[T | None]], content: T | None) -> None:
    while waiting:
        future = waiting.pop()
        if not future.done():
            future.set_result(content)


def encode_jpeg(bgr: NDArray[np.uint8], max_width: int | None, quality: int) -> bytes:
    """A JPEG file of a picture, [H, W, 3] uint8 BGR, no wider than max_width; SinkError if that fails."""
    import cv2

    height, width = bgr.shape[:2]
    try:
        if max_width is not None and width > max_width:
            size_wh = (max_width, max(1, round(height * max_width / width)))
            bgr = cv2.resize(bgr, size_wh, interpolation=cv2.INTER_AREA)
        return cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
    except cv2.error as error:
        raise SinkError(f"a picture of {width}x{height} cannot be encoded: {error.err}") from None
