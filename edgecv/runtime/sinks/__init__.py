"""Where results go: files, pictures, MQTT, Prometheus and webhooks behind one string, opened when chosen."""

from __future__ import annotations

import importlib
import os
import re
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
    pictures: it shows the frames to people.
    """

    target: str
    prefixes: tuple[str, ...] = ()
    suffixes: tuple[str, ...] = ()
    pictures: bool = False


STDOUT = Kind("edgecv.runtime.sinks.lines:open_stdout")
KINDS: list[Kind] = [
    Kind("edgecv.runtime.sinks.lines:open_jsonl", ("jsonl:",), (".jsonl", ".ndjson")),
    Kind("edgecv.runtime.sinks.lines:open_csv", ("csv:",), (".csv",)),
    Kind("edgecv.runtime.sinks.video:open_video", ("video:",), (".mp4", ".mkv", ".avi"), pictures=True),
    Kind("edgecv.runtime.sinks.snapshots:open_snapshots", ("snapshots:",), pictures=True),
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
    from edgecv.runtime.sources import masked_uri

    raise UsageError(f"{masked_uri(uri)!r} is not a sink; give {GRAMMAR}")
