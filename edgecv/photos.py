"""Photographs on disk: which files they are, in which order, and their pixels."""

from __future__ import annotations

import glob
import os
import re
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
PNG_MAGIC = b"\x89PNG\r\n\x1a\n"


def is_image(path: Path) -> bool:
    """A file that is there and has the name of an image."""
    return path.suffix.lower() in SUFFIXES and os.path.isfile(path)


def list_images(folder: Path) -> list[Path]:
    """The images in and below a folder, `img2` before `img10`; hidden ones, mostly thumbnails, stay out."""
    return natural_order(
        path
        for path in folder.rglob("*")
        if is_image(path) and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )


def match_images(pattern: str) -> tuple[list[Path], int]:
    """The images a shell pattern matches, `**` reaching into folders, and how many matches there are."""
    matches = [Path(match) for match in glob.glob(os.path.expanduser(pattern), recursive=True)]
    return natural_order(path for path in matches if is_image(path)), len(matches)


def natural_order(paths: Iterable[Path]) -> list[Path]:
    """As people count: `img2.jpg` before `img10.jpg`, folder by folder."""
    return sorted(paths, key=_natural_key)


def _natural_key(path: Path) -> tuple[list[list[tuple[int, str]]], str]:
    parts = [
        [(int(piece), "") if piece.isdecimal() else (-1, piece) for piece in re.split(r"(\d+)", part.lower())]
        for part in path.parts
    ]
    return parts, str(path)  # the path itself decides between `1.jpg`, `01.jpg` and `1.JPG`


def read_image(path: Path) -> np.ndarray | None:
    """[H, W, 3] uint8 BGR, turned upright by its EXIF; None when there is no whole image to read."""
    quieten_opencv()
    try:
        return decode(path.read_bytes())
    except (OSError, ValueError):  # ValueError: a NUL in the name
        return None


def why_unreadable(path: Path) -> str:
    """The likeliest reason for None from `read_image`, in a few words."""
    try:
        content = path.read_bytes()
    except (OSError, ValueError) as error:
        return getattr(error, "strerror", None) or "not a file name"
    if not content:
        return "empty file"
    return "no image OpenCV can decode" if _is_whole(content) else "cut off or damaged"


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


def quieten_opencv() -> None:
    """Silence OpenCV's and FFmpeg's own words on stderr: the one-line error is ours.

    Somebody who set OpenCV's variables wants to see them, and does.
    """
    import cv2

    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # AV_LOG_QUIET; read when FFmpeg is first used
    if "OPENCV_LOG_LEVEL" not in os.environ:
        # OpenCV 4 has it at the top, 5 under utils.
        set_level = getattr(cv2, "setLogLevel", None) or cv2.utils.logging.setLogLevel
        set_level(0)
