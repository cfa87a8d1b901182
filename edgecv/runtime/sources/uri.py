"""One string for every source."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from edgecv.errors import SourceError, UsageError
from edgecv.photos import SUFFIXES
from edgecv.runtime.sources.base import Source
from edgecv.runtime.sources.camera import DEV, open_camera
from edgecv.runtime.sources.gstreamer import open_csi, open_gst
from edgecv.runtime.sources.images import open_folder, open_images, open_pattern
from edgecv.runtime.sources.live import Patience
from edgecv.runtime.sources.masking import masked_uri
from edgecv.runtime.sources.picamera import open_picamera
from edgecv.runtime.sources.stdin import open_stdin
from edgecv.runtime.sources.stream import PORTS, open_stream
from edgecv.runtime.sources.synthetic import open_synthetic
from edgecv.runtime.sources.video import open_video

GRAMMAR = (
    "a camera (0, /dev/video0, picamera2, csi, gst:PIPELINE), a video, an image, a folder, a pattern "
    "('shots/*.jpg'), http://, https:// or rtsp:// and an address, - for standard input, "
    "synthetic:WxH[@FPS], sample:video, sample:photos"
)


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


QUERY = r"(?:\?(?P<query>.*))?"

# The first that matches the whole string is it; what none matches is a path.
KINDS = (
    Kind(rf"(\d+){QUERY}", lambda m, a: open_camera(DEV / f"video{int(m[1])}", m["query"], a.patience)),
    Kind(rf"(/dev/[^?]*){QUERY}", lambda m, a: open_camera(Path(m[1]), m["query"], a.patience)),
    Kind(
        rf"picamera2(?::(\d+))?{QUERY}",
        lambda m, a: open_picamera(int(m[1] or 0), m["query"], a.input_hw, a.patience),
    ),
    Kind(
        rf"csi(?::(\d+))?{QUERY}", lambda m, a: open_csi(int(m[1] or 0), m["query"], a.input_hw, a.patience)
    ),
    Kind(r"gst:(.*)", lambda m, a: open_gst(m[1], a.patience)),
    Kind(rf"-{QUERY}", lambda m, _: open_stdin(m["query"])),
    Kind(r"synthetic:.*", lambda m, _: open_synthetic(m[0])),
    Kind(r"sample:(.*)", lambda m, a: _open_sample(m[1], a), video=True),
    Kind(r"([A-Za-z][\w+.-]*)://.*", lambda m, a: _open_address(m[0], m[1], a)),
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
    if frozen_s <= 0:
        raise UsageError(f"a source is lost after more than 0 seconds, not {frozen_s:g}")
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


def _open_address(uri: str, scheme: str, asked: Asked) -> Source:
    if scheme.lower() not in PORTS:
        raise UsageError(f"{masked_uri(uri)}: {scheme}:// is not a source; give {GRAMMAR}")
    return open_stream(uri, asked.patience)


def _open_path(text: str, asked: Asked) -> Source:
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


def _open_sample(name: str, asked: Asked) -> Source:
    from edgecv import data

    if name == "video":
        return open_video(data.sample_video(), asked.loop, asked.realtime)
    _need_no_video(f"sample:{name}", asked)
    if name == "photos":
        return open_images(data.sample_photos(), "sample:photos")
    raise UsageError(f"'sample:{name}' is not a sample; there are sample:video and sample:photos")
