"""A picture of every event."""

from __future__ import annotations

import os
import re
from collections import deque
from datetime import datetime, timezone
from pathlib import Path

from edgecv.errors import EdgecvError, SinkError
from edgecv.files import write_bytes
from edgecv.runtime.results import Event, Result
from edgecv.runtime.sinks.base import Context, Item, Sink, Traits
from edgecv.runtime.sinks.draw import annotated
from edgecv.runtime.sinks.options import count, flag, split_options

OURS = re.compile(r"\d{8}T\d{6}\.\d{3}_.+\.jpg")


def open_snapshots(text: str, _context: Context) -> Sink:
    """DIR[?keep=N&off=1]; the folder is made where the one above it is there. Raises SinkError."""
    name, options = split_options(text, ("keep", "off"))
    folder = Path(os.path.expanduser(name or "."))
    states = ("on", "off") if flag(options, "off") else ("on",)
    keep = count(options, "keep", 1000)
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise SinkError(f"cannot make the folder {folder}: {error.strerror or error}") from error
    if not os.access(folder, os.W_OK):
        raise SinkError(f"no permission to write into {folder}")
    return Snapshots(folder, keep, states)


class Snapshots(Sink):
    """The `keep` newest pictures of events; files with other names than its own are let alone."""

    def __init__(self, folder: Path, keep: int, states: tuple[str, ...]) -> None:
        self.traits = Traits(f"{folder}/", events=True, pictures=True, waits=True, depth=8)
        self._folder, self._keep, self._states = folder, keep, states
        self._names = deque(sorted(name for name in os.listdir(folder) if OURS.fullmatch(name)))

    def wants(self, result: Result) -> bool:
        return result.events[0].state in self._states

    def write(self, item: Item) -> None:
        import cv2

        assert item.bgr is not None
        name = file_name(item.result.events[0])
        jpeg = cv2.imencode(".jpg", annotated(item.bgr, [item.result]))[1].tobytes()
        try:
            write_bytes(self._folder / name, jpeg)
        except EdgecvError as error:
            raise SinkError(str(error)) from error
        self._names.append(name)
        while len(self._names) > self._keep:
            (self._folder / self._names.popleft()).unlink(missing_ok=True)

    def close(self) -> None:
        """Every picture is out already."""


def file_name(event: Event) -> str:
    """`20261122T141500.123_label.jpg`: UTC, so that names sort by time also when the clocks change."""
    moment = datetime.fromtimestamp(event.unix_s, timezone.utc)
    region = f"{_safe(event.region)}_" if event.region else ""
    off = "_off" if event.state == "off" else ""
    time = f"{moment:%Y%m%dT%H%M%S}.{moment.microsecond // 1000:03d}"
    return f"{time}_{region}{_safe(event.label)}{off}.jpg"


def _safe(text: str) -> str:
    """Letters, digits and dashes, short enough for every file system in any script."""
    return re.sub(r"[^\w]+", "-", text).strip("-")[:30] or "-"
