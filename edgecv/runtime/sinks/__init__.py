"""Where results go: files, pictures, MQTT, Prometheus and webhooks behind one string, opened when chosen."""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Sequence
from typing import NamedTuple

from edgecv.errors import UsageError
from edgecv.runtime.sinks.base import Context, Item, Sink, SinkBusy, SinkClosed, Traits
from edgecv.runtime.sinks.outlet import Outlet, close_all

__all__ = [
    "GRAMMAR",
    "KINDS",
    "Context",
    "Item",
    "Kind",
    "Outlet",
    "Sink",
    "SinkBusy",
    "SinkClosed",
    "Traits",
    "check_distinct",
    "close_all",
    "open_sink",
    "takes_pictures",
]

GRAMMAR = (
    "- (JSON lines on stdout), FILE.jsonl, FILE.csv, FILE.mp4, .mkv or .avi (annotated video), "
    "DIR/ (a snapshot an event), mqtt://HOST/TOPIC, mqtts://HOST/TOPIC, prometheus:PORT, "
    "http:// or https:// and the address of a webhook"
)


class Kind(NamedTuple):
    """A sink as data: how its URIs begin or end, and the function that opens them.

    target: "module:function" of (text, context); text is the URI without `prefix` where that is a word and
    a colon only, and the whole URI otherwise. A folder is the kind with the prefix `snapshots:`.
    pictures: it shows the frames to people. path: the text is one, of a file or a folder.
    """

    target: str
    prefixes: tuple[str, ...] = ()
    suffixes: tuple[str, ...] = ()
    pictures: bool = False
    path: bool = False


STDOUT = Kind("edgecv.runtime.sinks.lines:open_stdout")
KINDS: list[Kind] = [
    Kind("edgecv.runtime.sinks.lines:open_jsonl", ("jsonl:",), (".jsonl", ".ndjson"), path=True),
    Kind("edgecv.runtime.sinks.lines:open_csv", ("csv:",), (".csv",), path=True),
    Kind(
        *("edgecv.runtime.sinks.video:open_video", ("video:",), (".mp4", ".mkv", ".avi")),
        pictures=True,
        path=True,
    ),
    Kind("edgecv.runtime.sinks.snapshots:open_snapshots", ("snapshots:",), pictures=True, path=True),
    Kind("edgecv.runtime.sinks.mqtt:open_mqtt", ("mqtt://", "mqtts://")),
    Kind("edgecv.runtime.sinks.prometheus:open_prometheus", ("prometheus:",)),
    Kind("edgecv.runtime.sinks.webhook:open_webhook", ("http://", "https://")),
]


def open_sink(uri: str, context: Context) -> Sink:
    """Open what `uri` names; see GRAMMAR.

    Raises UsageError for a string that cannot name a sink, SinkError for one that cannot be written to.
    """
    kind, text = _find(uri)
    module, _, function = kind.target.partition(":")
    opened: Sink = getattr(importlib.import_module(module), function)(text, context)
    return opened


def takes_pictures(uri: str) -> bool:
    """Whether the sink that `uri` names shows the frames to people; UsageError when it names none."""
    return _find(uri)[0].pictures


def check_distinct(uris: Sequence[str]) -> None:
    """Raises UsageError when two of them would write to the same place, by whatever spelling or kind."""
    taken: dict[str, str] = {}
    for uri in uris:
        place = _place(uri)
        if place in taken:
            raise UsageError(f"{_shown(taken[place])} and {_shown(uri)} are the same place: give one of them")
        taken[place] = uri


def _place(uri: str) -> str:
    kind, text = _find(uri)
    if not kind.path:
        return uri
    # A folder has options, a file's name may hold a `?`.
    return os.path.realpath(os.path.expanduser(text if kind.suffixes else text.partition("?")[0]))


def _find(uri: str) -> tuple[Kind, str]:
    """(its kind, what the target gets)"""
    lowered = uri.lower()
    if uri == "-":
        return STDOUT, uri
    for kind in KINDS:
        for prefix in kind.prefixes:
            if lowered.startswith(prefix):
                return kind, uri if prefix.endswith("/") else uri[len(prefix) :]
    if not re.match(r"[\w+.-]+://", uri):
        for kind in KINDS:
            if lowered.endswith(kind.suffixes):
                return kind, uri
        folder = uri.partition("?")[0]
        if folder.endswith("/") or os.path.isdir(os.path.expanduser(folder)):
            return _find(f"snapshots:{uri}")
    # Without an ending it was perhaps meant for a folder.
    hint = "" if not uri or "." in os.path.basename(uri) or "://" in uri else " (a folder ends with /)"
    raise UsageError(f"{_shown(uri)} is not a sink{hint}; give {GRAMMAR}")


def _shown(uri: str) -> str:
    from edgecv.runtime.sources import masked_uri

    return repr(masked_uri(uri))
