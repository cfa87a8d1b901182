"""Cameras the kernel gives as /dev/videoN: USB cameras, and CSI cameras with a V4L2 driver.

Not run on hardware: tested on a fake of OpenCV's capture, and through its error paths.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

from edgecv.errors import SourceError, UsageError
from edgecv.photos import natural_order
from edgecv.runtime.sources.base import Opened
from edgecv.runtime.sources.live import Live, Patience
from edgecv.runtime.sources.options import Options
from edgecv.runtime.sources.video import open_capture, rate, shots

if TYPE_CHECKING:
    import cv2

log = logging.getLogger(__name__)

DEV = Path("/dev")
V4L2_MAJOR = 81  # of character devices, in the kernel's list of them
TAKES = ("size", "fps", "format")

# One is being filled while the other is decoded; the driver's usual four would each add a frame of delay
# where decoding is slower than the camera.
BUFFERS = 2


def open_camera(device: Path, query: str | None = None, patience: Patience | None = None) -> Live:
    """The newest frame of a V4L2 camera, `query` being `size=1280x720&fps=30&format=MJPG` or part of it.

    Raises SourceError with what to do when the camera gives none, UsageError for a malformed query.
    """
    options = Options.parse(query, TAKES, str(device))
    if options.format and len(options.format) != 4:
        raise UsageError(f"{device}: a pixel format is four letters, as MJPG or YUYV, not {options.format!r}")
    return Live(lambda _stop: _open(device, options), str(device), patience or Patience())


def _open(device: Path, options: Options) -> Opened:
    import cv2

    if not device.exists():
        raise SourceError(f"no camera at {device}; {_those_here()}")
    if device.is_char_device() and os.major(device.stat().st_rdev) != V4L2_MAJOR:
        raise SourceError(f"{device} is not a camera; {_those_here()}")
    if not os.access(device, os.R_OK | os.W_OK):
        raise SourceError(
            f"no permission for {device}; add yourself to the group video "
            "(`sudo usermod -aG video $USER`), then log in again"
        )
    asked = _parameters(options)
    capture = open_capture(str(device), cv2.CAP_V4L2, [number for pair in asked.items() for number in pair])
    if capture is None:
        modes = (
            f", it has no such mode (`v4l2-ctl -d {device} --list-formats-ext` lists them)" if asked else ""
        )
        raise SourceError(
            f"{device} gives no pictures: another program has it{modes}, or it is not a camera's capture "
            f"node (a Raspberry Pi's ribbon camera is picamera2, a Jetson's csi); {_those_here()}"
        )
    capture.set(cv2.CAP_PROP_BUFFERSIZE, BUFFERS)
    _compare(capture, asked, str(device))
    return Opened(shots(capture, str(device)), rate(capture))


def _parameters(options: Options) -> dict[int, int]:
    """CAP_PROP_ keys and values in the order a driver wants them: the format decides on the sizes."""
    import cv2

    width, height = options.size or (None, None)
    asked = {
        cv2.CAP_PROP_FOURCC: options.format and cv2.VideoWriter_fourcc(*options.format),
        cv2.CAP_PROP_FRAME_WIDTH: width,
        cv2.CAP_PROP_FRAME_HEIGHT: height,
        cv2.CAP_PROP_FPS: options.fps and max(1, round(options.fps)),  # OpenCV knows whole rates only
    }
    return {key: int(value) for key, value in asked.items() if value}


def _compare(capture: cv2.VideoCapture, asked: dict[int, int], where: str) -> None:
    """A driver may choose what is nearest; warn where that is something else."""
    import cv2

    names = {
        cv2.CAP_PROP_FOURCC: "format",
        cv2.CAP_PROP_FRAME_WIDTH: "width",
        cv2.CAP_PROP_FRAME_HEIGHT: "height",
        cv2.CAP_PROP_FPS: "fps",
    }
    for key, value in asked.items():
        got = round(capture.get(key))
        if got != value:
            shown = [n.to_bytes(4, "little").decode("ascii", "replace") for n in (value, got & 0xFFFFFFFF)]
            wanted, given = shown if key == cv2.CAP_PROP_FOURCC else (value, got)
            log.warning("%s: asked for %s %s, its driver gives %s", where, names[key], wanted, given)


def _those_here() -> str:
    here = natural_order(DEV.glob("video*"))
    if here:
        return f"here are {', '.join(map(str, here))}"
    return "there is no /dev/video* here at all: is the camera plugged in and its driver loaded?"
