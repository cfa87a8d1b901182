"""A moving pattern, for trying a pipeline and measuring it without a camera."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Generator
from dataclasses import dataclass

import numpy as np

from edgecv.errors import UsageError
from edgecv.runtime.sources.base import Shot, Source
from edgecv.runtime.sources.live import Live
from edgecv.runtime.sources.replay import Replay

FORM = "synthetic:WxH[@FPS], as synthetic:640x480@30; W and H are 1..8192, FPS 0..1000 (0: as fast as asked)"
MAX_SIDE = 8192
MAX_FPS = 1000


@dataclass(frozen=True)
class Synthetic:
    """`fps` 0 means a frame whenever one is asked for. Rates are held to thousandths."""

    width: int
    height: int
    fps: float = 0.0

    @classmethod
    def parse(cls, text: str) -> Synthetic:
        """Read `synthetic:WxH` or `synthetic:WxH@FPS`; UsageError says what is allowed."""
        match = re.fullmatch(r"synthetic:(\d{1,5})x(\d{1,5})(?:@(\d{1,4}(?:\.\d{1,3})?))?", text, re.ASCII)
        if match:
            width, height, fps = int(match[1]), int(match[2]), float(match[3] or 0)
            if 1 <= width <= MAX_SIDE and 1 <= height <= MAX_SIDE and fps <= MAX_FPS:
                return cls(width, height, fps)
        raise UsageError(f"{text!r} is not a synthetic source: {FORM}")

    def __str__(self) -> str:
        rate = f"{self.fps:.3f}".rstrip("0").rstrip(".")
        return f"synthetic:{self.width}x{self.height}" + (f"@{rate}" if self.fps else "")


def open_synthetic(text: str) -> Source:
    """Endless frames, the same ones every time. Raises UsageError for a malformed `text`."""
    spec = Synthetic.parse(text)
    if not spec.fps:
        return Replay(_shots(spec), f"{spec} gives no frame")
    stop = threading.Event()
    return Live(_paced(spec, stop), str(spec), stop)


def _shots(spec: Synthetic) -> Generator[Shot, None, None]:
    """Blue grows to the right, green downwards, red is a chequerboard; all of it moves to the left."""
    x, y = np.arange(spec.width), np.arange(spec.height)[:, None]
    once = np.empty((spec.height, spec.width, 3), np.uint8)
    once[..., 0] = x * 255 // spec.width
    once[..., 1] = y * 255 // spec.height
    once[..., 2] = ((x // 32 + y // 32) % 2) * 255
    twice = np.concatenate([once, once], axis=1)
    step = max(1, spec.width // 100)
    shift = 0
    while True:
        bgr = twice[:, shift : shift + spec.width].copy()
        yield Shot(bgr, time.perf_counter())
        shift = (shift + step) % spec.width


def _paced(spec: Synthetic, stop: threading.Event) -> Generator[Shot, None, None]:
    due_s = time.perf_counter()
    for shot in _shots(spec):
        if stop.wait(max(0.0, due_s - time.perf_counter())):
            return
        now_s = time.perf_counter()
        yield shot._replace(captured_s=now_s)
        due_s = max(due_s + 1 / spec.fps, now_s)  # late once is late once, not a burst to catch up
