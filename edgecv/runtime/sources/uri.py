"""One string for every source."""

from __future__ import annotations

import os
import re
from pathlib import Path

from edgecv.errors import SourceError, UsageError
from edgecv.photos import SUFFIXES
from edgecv.runtime.sources.base import Source
from edgecv.runtime.sources.camera import DEV, open_camera
from edgecv.runtime.sources.images import open_folder, open_images, open_pattern
from edgecv.runtime.sources.stream import PORTS, masked_uri, open_stream
from edgecv.runtime.sources.synthetic import open_synthetic
from edgecv.runtime.sources.video import open_video

GRAMMAR = (
    "a camera (0 or /dev/video0), a video, an image, a folder, a pattern ('shots/*.jpg'), "
    "http://, https:// or rtsp:// and an address, synthetic:WxH[@FPS], sample:video, sample:photos"
)


def open_source(uri: str) -> Source:
    """Open what `uri` names; see GRAMMAR.

    Live (the newest frame only): cameras, streams, synthetic with a rate. All others lose no frame.
    Raises UsageError for a string that cannot name a source, SourceError for one that gives no frames.
    """
    if not uri.strip():
        raise UsageError(f"an empty source; give {GRAMMAR}")
    if re.fullmatch(r"\d+", uri, re.ASCII):
        return open_camera(DEV / f"video{int(uri)}")
    if uri.startswith("/dev/"):
        return open_camera(Path(uri))
    if uri.startswith("synthetic:"):
        return open_synthetic(uri)
    if uri.startswith("sample:"):
        return _open_sample(uri)
    if match := re.match(r"([A-Za-z][\w+.-]*)://", uri):
        if match[1].lower() not in PORTS:
            raise UsageError(f"{masked_uri(uri)}: {match[1]}:// is not a source; give {GRAMMAR}")
        return open_stream(uri)
    return _open_path(uri)


def _open_path(text: str) -> Source:
    path = Path(os.path.expanduser(text))
    if os.path.exists(path) and not os.access(path, os.R_OK):
        raise SourceError(f"no permission to read {path}")
    if os.path.isdir(path):
        return open_folder(path)
    if os.path.isfile(path):
        if path.suffix.lower() in SUFFIXES:
            return open_images([path], str(path))
        return open_video(path)
    if any(sign in text for sign in "*?["):
        return open_pattern(str(path))
    raise SourceError(f"no file or folder {path} here; a source is {GRAMMAR}")


def _open_sample(uri: str) -> Source:
    from edgecv import data

    if uri == "sample:video":
        return open_video(data.sample_video())
    if uri == "sample:photos":
        return open_images(data.sample_photos(), uri)
    raise UsageError(f"{uri!r} is not a sample; there are sample:video and sample:photos")
