"""OpenCV's captures: opening them quietly, video files, and the loop every capture shares."""

from __future__ import annotations

import os
import time
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edgecv.errors import SourceError
from edgecv.photos import quieten_opencv
from edgecv.runtime.sources.base import Shot
from edgecv.runtime.sources.replay import Replay

if TYPE_CHECKING:
    import cv2
    import numpy as np

# A stream torn on its way recovers with the next key frame; one that never does must not spin for ever.
MAX_BROKEN_IN_A_ROW = 300

# FFmpeg fails a grab over a frame that is torn within its header, and gives the next one when asked again;
# at the end of a file or stream it fails every time, at once.
FFMPEG_TRIES = 5


def open_video(path: Path) -> Replay:
    """Every frame of a video file, once, in order. Raises SourceError when it holds none."""
    import cv2

    # An absolute path, since FFmpeg would take `clip:2.mp4` for a protocol.
    capture = open_capture(os.path.abspath(path), cv2.CAP_FFMPEG)
    if capture is None:
        raise SourceError(
            f"{path} is not a video this OpenCV can open; if a player shows it, "
            f"`ffmpeg -i {path} video.mp4` converts it, otherwise it is damaged"
        )
    return Replay(
        shots(capture, str(path), FFMPEG_TRIES),
        f"{path} was opened but holds no frame that can be decoded; it is empty or cut off, copy it again",
    )


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


def shots(capture: cv2.VideoCapture, where: str, tries: int = 1) -> Generator[Shot | None, None, None]:
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
