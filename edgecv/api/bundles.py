"""Bundles: opening, verifying and looking into them, and the device they are run for."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from edgecv.bundle import Artifact, Bundle, find_bundle
from edgecv.spec import Format, Precision

if TYPE_CHECKING:
    from edgecv.converters.inspect import Contents
    from edgecv.devices import Selected
    from edgecv.runtime.replay import Replayed

PathLike = str | Path


def open_bundle(name: PathLike | None = None) -> Bundle:
    """A bundle by folder, by its name in the cache, or (None) the default one; raises BundleError."""
    return Bundle.open(find_bundle(None if name is None else str(name)))


def verify(
    bundle: PathLike | None = None,
    device: str = "auto",
    format: Format | None = None,
    precision: Precision | None = None,
    threads: int | None = None,
) -> tuple[Replayed, ...]:
    """Check a bundle's hashes, and replay its golden samples in every engine that is here."""
    from edgecv.runtime.choice import engine_options
    from edgecv.runtime.replay import replay

    opened = open_bundle(bundle)
    options = engine_options(select_device(device, threads))
    return replay(opened, opened.select(format, precision), options)


@dataclasses.dataclass(frozen=True)
class Inspected:
    """A bundle, and what the files of the chosen artifacts hold."""

    bundle: Bundle
    artifacts: tuple[Artifact, ...]
    contents: tuple[Contents, ...]


def inspect(
    bundle: PathLike | None = None, format: Format | None = None, precision: Precision | None = None
) -> Inspected:
    """Read the operations of a bundle's files, without running anything; the rest is in its manifest."""
    from edgecv.converters.inspect import contents

    opened = open_bundle(bundle)
    chosen = opened.select(format, precision)
    return Inspected(opened, chosen, tuple(contents(opened, artifact) for artifact in chosen))


def select_device(name: str = "auto", threads: int | None = None) -> Selected:
    """The profile a run follows, with `threads` in place of the profile's own when given."""
    from edgecv.devices import select

    selected = select(name)
    if threads is None:
        return selected
    # More threads than cores wait for each other; some engines all but stop.
    most = selected.detected.logical_cores or threads
    note = f"{threads} threads asked for, {most} used: this machine has no more cores"
    notes = [text for text in (selected.note, note if threads > most else None) if text]
    return dataclasses.replace(selected, threads=min(threads, most), note="; ".join(notes) or None)
