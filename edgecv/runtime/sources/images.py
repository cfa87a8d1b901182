"""Photographs: one file, a folder, a pattern, or a list of paths."""

from __future__ import annotations

import glob
import os
import re
import time
import zlib
from collections.abc import Generator, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edgecv.errors import SourceError
from edgecv.runtime.sources.base import Shot
from edgecv.runtime.sources.replay import Replay
from edgecv.runtime.sources.video import quieten_opencv

if TYPE_CHECKING:
    import numpy as np

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
PNG_MAGIC = b"\x89PNG\r\n\x1a\n"


def open_images(paths: Sequence[Path], where: str) -> Replay:
    """The photographs in the order given; those that cannot be read are counted as skipped."""
    quieten_opencv()
    if len(paths) == 1:
        return Replay(_shots(paths), f"{paths[0]} cannot be read as an image; is it damaged or half copied?")
    return Replay(
        _shots(paths),
        f"{where}: none of its {len(paths)} images can be read; are they damaged or half copied?",
    )


def open_folder(folder: Path) -> Replay:
    """The images in and below a folder, `img2` before `img10`; hidden ones stay out, being thumbnails mostly.

    Raises SourceError when there is none.
    """
    paths = natural_order(
        path
        for path in folder.rglob("*")
        if _is_image(path) and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )
    if not paths:
        raise SourceError(f"no image in {folder} or below it ({' '.join(SUFFIXES)})")
    return open_images(paths, str(folder))


def open_pattern(pattern: str) -> Replay:
    """The images a shell pattern matches, `**` reaching into folders. SourceError when there is none."""
    matches = [Path(match) for match in glob.glob(pattern, recursive=True)]
    paths = natural_order(path for path in matches if _is_image(path))
    if not paths:
        what = f"{len(matches)} matches, none an image ({' '.join(SUFFIXES)})" if matches else "no match"
        raise SourceError(f"{pattern}: {what}; patterns choose images, a video is given by its own path")
    return open_images(paths, pattern)


def natural_order(paths: Iterable[Path]) -> list[Path]:
    """As people count: `img2.jpg` before `img10.jpg`, folder by folder."""
    return sorted(paths, key=_natural_key)


def _natural_key(path: Path) -> tuple[list[list[tuple[int, str]]], str]:
    parts = [
        [(int(piece), "") if piece.isdecimal() else (-1, piece) for piece in re.split(r"(\d+)", part.lower())]
        for part in path.parts
    ]
    return parts, str(path)  # the path itself decides between `1.jpg`, `01.jpg` and `1.JPG`


def decode(content: bytes) -> np.ndarray | None:
    """[H, W, 3] uint8 BGR, turned upright by its EXIF; None when it is no image or not a whole one."""
    import cv2
    import numpy as np

    # OpenCV gives half a JPEG with a grey rest, and libpng and libjpeg complain on stderr themselves.
    if not _is_whole(content):
        return None
    try:
        return cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:  # empty, or more pixels than OpenCV allows
        return None


def _shots(paths: Sequence[Path]) -> Generator[Shot | None, None, None]:
    for path in paths:
        try:
            bgr = decode(path.read_bytes())
        except OSError:
            bgr = None
        yield None if bgr is None else Shot(bgr, time.perf_counter(), path.name)


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and os.path.isfile(path)


def _is_whole(content: bytes) -> bool:
    if content.startswith(b"\xff\xd8"):
        return _is_whole_jpeg(content)
    if content.startswith(PNG_MAGIC):
        return _is_whole_png(content)
    return True  # OpenCV itself refuses half of the other formats


def _is_whole_jpeg(content: bytes) -> bool:
    """Walk the segments, since an EXIF thumbnail has an end marker of its own, then look for the end."""
    at = 2
    while at + 4 <= len(content) and content[at] == 0xFF:
        marker = content[at + 1]
        if marker == 0xFF:  # padding
            at += 1
            continue
        if marker == 0xDA:  # start of scan: no length leads past the pixels, which never hold FF D9
            return content.find(b"\xff\xd9", at) >= 0
        at += 2 + int.from_bytes(content[at + 2 : at + 4], "big")
    return False


def _is_whole_png(content: bytes) -> bool:
    """Every chunk, with the right checksum, up to IEND."""
    at = len(PNG_MAGIC)
    while at + 12 <= len(content):
        end = at + 8 + int.from_bytes(content[at : at + 4], "big")
        if zlib.crc32(content[at + 4 : end]) != int.from_bytes(content[end : end + 4], "big"):
            return False
        if content[at + 4 : at + 8] == b"IEND":
            return True
        at = end + 4
    return False
