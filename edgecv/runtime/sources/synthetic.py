"""A moving pattern, for trying a pipeline and measuring it without a camera."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass

import numpy as np

from edgecv.errors import UsageError
from edgecv.runtime.sources.base import Opened, Shot, Shots, Source
from edgecv.runtime.sources.live import Live
from edgecv.runtime.sources.pace import paced
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
        return Replay(Opened(_shots(spec)), f"{spec} gives no frame")
    return Live(lambda stop: Opened(paced(_shots(spec), spec.fps, stop), spec.fps), str(spec))


def _shots(spec: Synthetic) -> Shots:
    """Blue grows to the right, green downwards, red is a chequerboard; all of it moves to the left.

    Every frame is a read-only view of one picture, shown twice side by side: no pixel is copied.
    """
    x, y = np.arange(spec.width), np.arange(spec.height)[:, None]
    twice = np.empty((spec.height, 2 * spec.width, 3), np.uint8)
    once = twice[:, : spec.width]
    once[..., 0] = x * 255 // spec.width
    once[..., 1] = y * 255 // spec.height
    once[..., 2] = ((x // 32 + y // 32) % 2) * 255
    twice[:, spec.width :] = once
    twice.flags.writeable = False
    step = max(1, spec.width // 100)
    shift = 0
    while True:
        yield Shot(twice[:, shift : shift + spec.width], time.perf_counter())
        shift = (shift + step) % spec.width
