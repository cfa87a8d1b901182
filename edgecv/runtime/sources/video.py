"""OpenCV's captures: opening them quietly, video files, and the loop every capture shares."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edgecv.errors import SourceError
from edgecv.photos import quieten_opencv
from edgecv.runtime.sources.base import Opened, Shot, Shots, Source
from edgecv.runtime.sources.live import Live
from edgecv.runtime.sources.pace import paced
from edgecv.runtime.sources.replay import Replay

if TYPE_CHECKING:
    import cv2
    import numpy as np

# A stream torn on its way recovers with the next key frame; one that never does must not spin for ever.
MAX_BROKEN_IN_A_ROW = 300

# FFmpeg fails a grab over a frame that is torn within its header, and gives the next one when asked again;
# at the end of a file or stream it fails every time, at once.
FFMPEG_TRIES = 5

MAX_FPS = 480  # beyond, it is the container's clock and no rate of frames


def open_video(path: Path, loop: bool = False, realtime: bool = False) -> Source:
    """Every frame of a video file, once, in order; `loop`: from the start again after the last one.

    `realtime` makes it live: played at its own rate, newest frame only. Raises SourceError when the file
    holds no frame, or no rate to play it at.
    """
    capture = _open_file(path)
    where, fps = str(path), rate(capture)
    frames = _looped(path, capture) if loop else shots(capture, where, FFMPEG_TRIES)
    if not realtime:
        why = "it is empty or cut off, copy it again"
        return Replay(Opened(frames, fps), f"{path} was opened but holds no frame that can be decoded; {why}")
    if fps is None:
        raise SourceError(f"{path} says no frame rate, so it cannot be played in real time")
    return Live(lambda stop: Opened(paced(frames, fps, stop), fps), where)


def _open_file(path: Path) -> cv2.VideoCapture:
    import cv2

    # An absolute path, since FFmpeg would take `clip:2.mp4` for a protocol.
    capture = open_capture(os.path.abspath(path), cv2.CAP_FFMPEG)
    if capture is None:
        raise SourceError(
            f"{path} is not a video this OpenCV can open; if a player shows it, "
            f"`ffmpeg -i {path} video.mp4` converts it, otherwise it is damaged"
        )
    return capture


def _looped(path: Path, capture: cv2.VideoCapture) -> Shots:
    """The file again and again, opened anew each time: seeking back is not exact in every container."""
    while True:
        frames = 0
        with contextlib.closing(shots(capture, str(path), FFMPEG_TRIES)) as once:
            for shot in once:
                frames += shot is not None
                yield shot
        if not frames:
            return
        capture = _open_file(path)


def open_capture(where: str, backend: int, parameters: Sequence[int] = ()) -> cv2.VideoCapture | None:
    """Open with no word on stderr, None when OpenCV cannot. `parameters` are CAP_PROP_ keys and values."""
    import cv2

    quieten_opencv()
    if backend not in cv2.videoio_registry.getBackends():
        # A board's own OpenCV may come with GStreamer only, which knows none of these parameters.
        backend, parameters = cv2.CAP_ANY, ()
    try:
        capture = cv2.VideoCapture(where, backend, list(parameters))
    except cv2.error:
        return None
    return capture if capture.isOpened() else None


def rate(capture: cv2.VideoCapture) -> float | None:
    """Frames a second as the container or the driver says; None where it says nothing or nonsense."""
    import cv2

    fps = capture.get(cv2.CAP_PROP_FPS)
    return fps if 0 < fps <= MAX_FPS else None


def shots(capture: cv2.VideoCapture, where: str, tries: int = 1) -> Shots:
    """Frames in arrays of their own until `tries` grabs fail in a row; None for one that cannot be decoded.

    Raises SourceError when nothing can be decoded any more. Releases the capture at the end.
    """
    failed = broken = 0
    try:
        while broken < MAX_BROKEN_IN_A_ROW:
            captured_s, bgr = _grab(capture)
            if captured_s is None:
                failed += 1
                if failed == tries:
                    return
                continue
            for _ in range(failed):  # it goes on, so those were torn frames and not the end
                yield None
            failed = 0
            broken = broken + 1 if bgr is None else 0
            yield None if bgr is None else Shot(bgr, captured_s)
        raise SourceError(
            f"{where}: {broken} frames in a row cannot be decoded; check the cable, the sender or the file"
        )
    finally:
        capture.release()


def _grab(capture: cv2.VideoCapture) -> tuple[float | None, np.ndarray | None]:
    """When the driver had the next frame, None when there is none; and its pixels, None when torn."""
    import cv2

    captured_s = None
    try:
        if not capture.grab():
            return None, None
        captured_s = time.perf_counter()  # before a camera's JPEG is decoded: that is delay, too
        whole, bgr = capture.retrieve()
    except cv2.error:
        return captured_s, None
    return captured_s, bgr if whole and bgr is not None and bgr.size else None
