"""An annotated video of the run."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from edgecv.errors import SinkError, UsageError
from edgecv.photos import quieten_opencv
from edgecv.runtime.results import Result
from edgecv.runtime.sinks.base import Context, Item, Sink, Traits
from edgecv.runtime.sinks.draw import annotated

if TYPE_CHECKING:
    import cv2
    import numpy as np
    from numpy.typing import NDArray

CODECS = {".mp4": "mp4v", ".mkv": "mp4v", ".avi": "MJPG"}
UNKNOWN_FPS = 10.0  # about what a small board classifies in a second
SPARE_BYTES = 64 << 20  # on the disk: OpenCV does not say when it is full, and the end must still fit


def open_video(text: str, context: Context) -> Sink:
    """Raises UsageError for a name that is no video's, SinkError where none can be written."""
    path = Path(os.path.expanduser(text))
    if path.suffix.lower() not in CODECS:
        raise UsageError(f"{text!r}: a video is named {', '.join(CODECS)}")
    if path.is_dir():
        raise SinkError(f"cannot write {path}: it is a folder")
    if not os.access(path.parent, os.W_OK):
        raise SinkError(f"cannot write {path}: {path.parent} is not there, or not writable")
    return Video(path, context.fps or UNKNOWN_FPS)


class Video(Sink):
    """One picture a frame, `fps` of them a second, all in the size of the first.

    It grows under a hidden name, and takes its own when it is whole.
    """

    def __init__(self, path: Path, fps: float) -> None:
        quieten_opencv()
        self.traits = Traits(str(path), pictures=True, waits=True, depth=8, whole=True)
        self._path, self._fps = path, min(max(fps, 1.0), 120.0)
        # An absolute path, since FFmpeg would take `clip:2.mp4` for a protocol.
        self._temporary = Path(os.path.abspath(path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")))
        self._writer: cv2.VideoWriter | None = None
        self._size_wh = (0, 0)
        self._frame: tuple[NDArray[np.uint8], list[Result]] | None = None  # may get another region yet
        _sweep(path)
        self._open((64, 64)).release()  # whether there is a codec at all
        self._remove()

    def write(self, item: Item) -> None:
        bgr, result = item.bgr, item.result
        assert bgr is not None
        if self._frame and self._frame[1][0].frame == result.frame:
            self._frame[1].append(result)
            return
        if shutil.disk_usage(self._path.parent).free < SPARE_BYTES:
            raise SinkError(f"cannot write {self._path}: less than {SPARE_BYTES >> 20} MiB are free")
        if self._writer is None:
            size_wh = (bgr.shape[1], bgr.shape[0])
            self._writer, self._size_wh = self._open(size_wh), size_wh
        finished, self._frame = self._frame, (bgr, [result])
        self._add(finished)

    def close(self) -> None:
        try:
            self._add(self._frame)
        finally:
            if self._writer is not None:
                self._writer.release()
                os.replace(self._temporary, self._path)

    def _add(self, frame: tuple[NDArray[np.uint8], list[Result]] | None) -> None:
        if frame is None:
            return
        import cv2

        assert self._writer is not None
        picture = annotated(*frame)
        if picture.shape[1::-1] != self._size_wh:
            picture = cv2.resize(picture, self._size_wh, interpolation=cv2.INTER_AREA)
        self._writer.write(picture)

    def _open(self, size_wh: tuple[int, int]) -> cv2.VideoWriter:
        import cv2

        codec = cv2.VideoWriter.fourcc(*CODECS[self._path.suffix.lower()])
        # OpenCV of a board may have GStreamer alone.
        known = cv2.videoio_registry.getBackends()
        backend = cv2.CAP_FFMPEG if cv2.CAP_FFMPEG in known else cv2.CAP_ANY
        writer = cv2.VideoWriter(str(self._temporary), backend, codec, self._fps, size_wh)
        if not writer.isOpened():
            self._remove()
            width, height = size_wh
            raise SinkError(
                f"cannot write {self._path}: OpenCV here encodes no {width}x{height} pixels for it"
            )
        return writer

    def _remove(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._temporary)


def _sweep(path: Path) -> None:
    """Remove what runs that were killed have left of the same video: hidden files of processes now gone."""
    ours = re.compile(rf"\.{re.escape(path.stem)}\.(\d{{1,9}}){re.escape(path.suffix)}")
    for name in os.listdir(path.parent):
        if (match := ours.fullmatch(name)) and not _alive(int(match[1])):
            with contextlib.suppress(OSError):
                path.with_name(name).unlink()


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        return True
    return True
