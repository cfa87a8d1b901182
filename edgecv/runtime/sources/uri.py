"""One string for every source."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from edgecv.errors import SourceError, UsageError
from edgecv.runtime.sources.base import Source
from edgecv.runtime.sources.live import Patience
from edgecv.runtime.sources.masking import masked_uri

GRAMMAR = (
    "a camera (0, /dev/video0, picamera2, csi, gst:PIPELINE), a video, an image, a folder, a pattern "
    "('shots/*.jpg'), http://, https:// or rtsp:// and an address, - for standard input, "
    "synthetic:WxH[@FPS], sample:video, sample:photos"
)

LONGEST_S = 86400


class Asked(NamedTuple):
    """What open_source was asked for beside the source itself."""

    input_hw: tuple[int, int] | None
    loop: bool
    realtime: bool
    patience: Patience


class Kind(NamedTuple):
    """Sources that a string of this pattern names, and how one is opened from the match.

    video: it may be a video file, and so be looped or played in real time.
    """

    pattern: str
    open: Callable[[re.Match[str], Asked], Source]
    video: bool = False


def _video_node(match: re.Match[str], asked: Asked) -> Source:
    from edgecv.runtime.sources.camera import DEV, open_camera

    return open_camera(DEV / f"video{int(match[1])}", match["query"], asked.patience)


def _device(match: re.Match[str], asked: Asked) -> Source:
    from edgecv.runtime.sources.camera import open_camera

    return open_camera(Path(match[1]), match["query"], asked.patience)


def _picamera2(match: re.Match[str], asked: Asked) -> Source:
    from edgecv.runtime.sources.picamera import open_picamera

    return open_picamera(int(match[1] or 0), match["query"], asked.input_hw, asked.patience)


def _csi(match: re.Match[str], asked: Asked) -> Source:
    from edgecv.runtime.sources.gstreamer import open_csi

    return open_csi(int(match[1] or 0), match["query"], asked.input_hw, asked.patience)


def _gst(match: re.Match[str], asked: Asked) -> Source:
    from edgecv.runtime.sources.gstreamer import open_gst

    return open_gst(match[1], asked.patience)


def _stdin(match: re.Match[str], _: Asked) -> Source:
    from edgecv.runtime.sources.stdin import open_stdin

    return open_stdin(match["query"])


def _synthetic(match: re.Match[str], _: Asked) -> Source:
    from edgecv.runtime.sources.synthetic import open_synthetic

    return open_synthetic(match[0])


def _sample(match: re.Match[str], asked: Asked) -> Source:
    from edgecv import data
    from edgecv.runtime.sources.images import open_images
    from edgecv.runtime.sources.video import open_video

    if match[1] == "video":
        return open_video(data.sample_video(), asked.loop, asked.realtime)
    _need_no_video(match[0], asked)
    if match[1] == "photos":
        return open_images(data.sample_photos(), match[0])
    raise UsageError(f"{match[0]!r} is not a sample; there are sample:video and sample:photos")


def _address(match: re.Match[str], asked: Asked) -> Source:
    from edgecv.runtime.sources.stream import PORTS, open_stream

    uri, scheme = match[0], match[1]
    if scheme.lower() not in PORTS:
        raise UsageError(f"{masked_uri(uri)}: {scheme}:// is not a source; give {GRAMMAR}")
    return open_stream(uri, asked.patience)


QUERY = r"(?:\?(?P<query>.*))?"

# The first that matches the whole string is it; what none matches is a path. What one needs is imported when
# it is chosen: all together take longer to import than most need to open.
KINDS = (
    Kind(rf"(\d+){QUERY}", _video_node),
    Kind(rf"(/dev/[^?]*){QUERY}", _device),
    Kind(rf"picamera2(?::(\d+))?{QUERY}", _picamera2),
    Kind(rf"csi(?::(\d+))?{QUERY}", _csi),
    Kind(r"gst:(.*)", _gst),
    Kind(rf"-{QUERY}", _stdin),
    Kind(r"synthetic:.*", _synthetic),
    Kind(r"sample:(.*)", _sample, video=True),
    Kind(r"([A-Za-z][\w+.-]*)://.*", _address),
)


def open_source(
    uri: str,
    *,
    input_hw: tuple[int, int] | None = None,
    loop: bool = False,
    realtime: bool = False,
    reconnect: bool = True,
    frozen_s: float = 10.0,
) -> Source:
    """Open what `uri` names; see GRAMMAR.

    Live (the newest frame only): cameras, streams, synthetic with a rate. All others lose no frame.

    Args:
        uri: the source.
        input_hw: (height, width) of the smallest picture that is of use; a board's camera hardware shrinks
            to the camera's aspect ratio around it.
        loop: a video file begins again after its last frame.
        realtime: a video file is played at its own rate, and so is live.
        reconnect: a camera or stream that is lost is opened again and again; otherwise it ends.
        frozen_s: without a frame for so many seconds it is lost.

    Raises:
        UsageError: the string cannot name a source, or one that cannot be looped or played.
        SourceError: it gives no frames; from the first opening, which is never repeated.
    """
    if not uri.strip():
        raise UsageError(f"an empty source; give {GRAMMAR}")
    if not 0 < frozen_s <= LONGEST_S:
        raise UsageError(f"a source is lost after 0 to {LONGEST_S} seconds without a frame, not {frozen_s:g}")
    asked = Asked(input_hw, loop, realtime, Patience(reconnect, frozen_s))
    found = _kind(uri)
    if found is None:
        return _open_path(uri, asked)
    kind, match = found
    if not kind.video:
        _need_no_video(uri, asked)
    return kind.open(match, asked)


def is_path(uri: str) -> bool:
    """Whether the string names a file, a folder or a pattern, and no other kind of source."""
    return _kind(uri) is None


def _kind(uri: str) -> tuple[Kind, re.Match[str]] | None:
    for kind in KINDS:
        if match := re.fullmatch(kind.pattern, uri, re.ASCII | re.DOTALL):
            return kind, match
    return None


def _need_no_video(uri: str, asked: Asked) -> None:
    if asked.loop or asked.realtime:
        what = "looped" if asked.loop else "played in real time"
        raise UsageError(f"{masked_uri(uri)} cannot be {what}; only a video file can")


def _open_path(text: str, asked: Asked) -> Source:
    from edgecv.photos import SUFFIXES
    from edgecv.runtime.sources.images import open_folder, open_images, open_pattern
    from edgecv.runtime.sources.video import open_video

    path = Path(os.path.expanduser(text))
    if os.path.exists(path) and not os.access(path, os.R_OK):
        raise SourceError(f"no permission to read {path}")
    if os.path.isfile(path) and path.suffix.lower() not in SUFFIXES:
        return open_video(path, asked.loop, asked.realtime)
    _need_no_video(text, asked)
    if os.path.isdir(path):
        return open_folder(path)
    if os.path.isfile(path):
        return open_images([path], str(path))
    if any(sign in text for sign in "*?["):
        return open_pattern(str(path))
    raise SourceError(f"no file or folder {path} here; a source is {GRAMMAR}")
