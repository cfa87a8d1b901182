"""Cameras the kernel gives as /dev/videoN: USB cameras, and CSI cameras with a V4L2 driver."""

from __future__ import annotations

import os
from pathlib import Path

from edgecv.errors import SourceError
from edgecv.photos import natural_order
from edgecv.runtime.sources.live import Live
from edgecv.runtime.sources.video import open_capture, shots

DEV = Path("/dev")


def open_camera(device: Path) -> Live:
    """The newest frame of a V4L2 camera. Raises SourceError with what to do when it gives none."""
    import cv2

    if not device.exists():
        raise SourceError(f"no camera at {device}; {_those_here()}")
    if not os.access(device, os.R_OK | os.W_OK):
        raise SourceError(
            f"no permission for {device}; add yourself to the group video "
            "(`sudo usermod -aG video $USER`), then log in again"
        )
    capture = open_capture(str(device), cv2.CAP_V4L2)
    if capture is None:
        raise SourceError(
            f"{device} gives no pictures: another program has it, or it is not a camera's capture node; "
            + _those_here()
        )
    return Live(shots(capture, str(device)), str(device))


def _those_here() -> str:
    here = natural_order(DEV.glob("video*"))
    if here:
        return f"here are {', '.join(map(str, here))}"
    return "there is no /dev/video* here at all: is the camera plugged in and its driver loaded?"
