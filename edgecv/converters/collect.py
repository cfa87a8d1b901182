"""Gathering a calibration set from the camera that will be used: different, sharp, well exposed frames."""

from __future__ import annotations

import enum
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgecv.converters.picture_checks import MIN_PICTURES, Check, Doctor
from edgecv.data import Candidate
from edgecv.errors import EdgecvError, SourceError, UsageError
from edgecv.files import write_bytes, writing
from edgecv.photos import read_image

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

QUALITY = 95
# A scene that gave nothing new for so long gives nothing: a minute of a camera, or so many frames of a file,
# whose frames come as fast as they are looked at.
STILL_S = 60.0
STILL_FRAMES = 1000
_NAME = re.compile(r"frame-(\d{6})\.jpg")


class Ended(str, enum.Enum):
    """Why gathering ended."""

    DONE = "all there"
    SOURCE = "the source ended"
    STILL = "the scene does not change"
    TIME = "the time is up"
    INTERRUPTED = "interrupted"


_ADVICE = {
    Ended.SOURCE: "give a longer recording, or a second one with --append",
    Ended.STILL: "move the camera or what it sees, other light too, and go on with --append",
    Ended.TIME: "move the camera, or give more --minutes, and go on with --append",
    Ended.INTERRUPTED: "they are kept; --append adds to them",
}


@dataclass(frozen=True)
class Collected:
    """What was gathered: frames seen and kept, and how many of which fault were not; `before` were there."""

    folder: Path
    seen: int
    kept: int
    before: int
    wanted: int
    dropped: dict[Check, int]
    ended: Ended

    @property
    def advice(self) -> str:
        """What to do when it is not all there."""
        return _ADVICE.get(self.ended, "")

    @property
    def enough(self) -> bool:
        return self.before + self.kept >= MIN_PICTURES


def collect(
    frames: Iterator[Candidate],
    folder: Path,
    count: int,
    *,
    append: bool = False,
    live: bool = False,
    minutes: float | None = None,
    advance: Callable[[int], None] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Collected:
    """Write up to `count` frames that the doctor passes to `folder` as frame-000001.jpg and so on.

    Each file is whole or not there, so that an interrupt (Ctrl-C ends the gathering, and is no error) keeps
    what was gathered. live: frames come in their own time, so it is time that says that nothing changes.
    Raises UsageError for a folder that holds frames (`append` adds to them) or anything else.
    """
    doctor, start = Doctor(), clock()
    before, number = _known(folder, append, doctor)
    kept, newest_s, newest_frame, ended = 0, start, 0, Ended.SOURCE
    try:
        for candidate in frames:
            now = clock()
            if doctor.examine(candidate) is None and candidate.bgr is not None:
                _write(folder / f"frame-{number + kept + 1:06d}.jpg", candidate.bgr)
                kept, newest_s, newest_frame = kept + 1, now, doctor.seen
                if advance:
                    advance(1)
            if kept == count:
                ended = Ended.DONE
                break
            if minutes is not None and now - start >= 60 * minutes:
                ended = Ended.TIME
                break
            if now - newest_s >= STILL_S if live else doctor.seen - newest_frame >= STILL_FRAMES:
                ended = Ended.STILL
                break
    except KeyboardInterrupt:
        ended = Ended.INTERRUPTED
    except SourceError as error:
        raise SourceError(f"{error}; {kept} frames are in {folder}" if kept else str(error)) from error
    dropped = {check: len(places) for check, places in doctor.dropped.items() if places}
    return Collected(folder, doctor.seen, kept, before, count, dropped, ended)


def _known(folder: Path, append: bool, doctor: Doctor) -> tuple[int, int]:
    """(frames already in the folder, the highest number among them); the doctor knows them afterwards."""
    if not folder.exists():
        return 0, 0
    if not folder.is_dir():
        raise UsageError(f"{folder} is a file; -o names a folder")
    files = sorted(path for path in folder.iterdir() if not path.name.startswith(".frame-"))
    matches = [_NAME.fullmatch(path.name) for path in files]
    foreign = next((path.name for path, match in zip(files, matches, strict=True) if not match), None)
    if foreign is not None:
        raise UsageError(f"{folder} holds files that are not collected frames ({foreign}); choose another -o")
    if files and not append:
        raise UsageError(f"{folder} holds {len(files)} frames; --append adds to them, or choose another -o")
    for path in files:
        doctor.know(Candidate(path.name, read_image(path)))
    return len(files), max((int(match[1]) for match in matches if match), default=0)


def _write(path: Path, bgr: NDArray[np.uint8]) -> None:
    import cv2

    with writing(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
    whole, content = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    if not whole:
        raise EdgecvError(f"OpenCV cannot write a frame of {bgr.shape[1]}x{bgr.shape[0]} as JPEG")
    write_bytes(path, content.tobytes())
