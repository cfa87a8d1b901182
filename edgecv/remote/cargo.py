"""What goes to a board: the files, with their hashes, and the paths they get there."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from edgecv.bundle import MANIFEST, Bundle
from edgecv.data import labelled_files
from edgecv.errors import UsageError
from edgecv.files import sha256_file

REPORT_FOLDER = "run/report"
CACHE = "\0cache\0"  # in a word: the board's folder, not known before it is asked


class Copy(NamedTuple):
    """A file to have on the board."""

    source: Path
    size: int
    sha256: str

    @classmethod
    def of(cls, source: Path) -> Copy:
        return cls(source, source.stat().st_size, sha256_file(source))


class Wanted(NamedTuple):
    """What to measure, and how it gets to the board.

    arguments: of `edgecv bench` there, behind the bundle; a Path is a file here that is copied, too. data:
    labelled pictures, copied. engines: extras to install, all of which must be had; None: those of the
    bundle's formats that can be. wheelhouse: install what was downloaded here, not from the board's index.
    """

    bundle: Bundle
    arguments: Sequence[str | Path] = ()
    data: Path | None = None
    engines: Sequence[str] | None = None
    wheelhouse: bool = False


def load(wanted: Wanted) -> tuple[dict[str, Copy], list[str]]:
    """(files to have there, the words of the bench there from the bundle on).

    Raises DataError where there are no pictures, UsageError for a file that is not there.
    """
    name = f"bundles/{wanted.bundle.manifest.name}-{sha256_file(wanted.bundle.root / MANIFEST)[:12]}"
    files = {f"{name}/{path}": copy for path, copy in bundle_files(wanted.bundle)}
    words = [f"{CACHE}/{name}"]
    for argument in wanted.arguments:
        if isinstance(argument, Path):
            if not argument.is_file():
                raise UsageError(f"{argument}: there is no such file")
            copy = Copy.of(argument)
            path = f"files/{copy.sha256[:12]}/{argument.name}"
            files[path] = copy
            words.append(f"{CACHE}/{path}")
        else:
            words.append(argument)
    if wanted.data is not None:
        path, pictures = data_files(wanted.data)
        files |= pictures
        words += ["--data", f"{CACHE}/{path}"]
    return files, [*words, "--out", f"{CACHE}/{REPORT_FOLDER}"]


def engines_of(bundle: Bundle) -> tuple[str, ...]:
    """The extras for the bundle's formats, which are named alike."""
    return tuple(dict.fromkeys(artifact.format.value for artifact in bundle.manifest.artifacts))


def bundle_files(bundle: Bundle) -> Iterator[tuple[str, Copy]]:
    """The files of a bundle, by their paths in it, as its manifest has them."""
    manifest = bundle.manifest
    yield MANIFEST, Copy.of(bundle.root / MANIFEST)
    for file in (manifest.labels, manifest.golden, *(f for a in manifest.artifacts for f in a.files)):
        yield file.path, Copy(bundle.root / file.path, file.bytes, file.sha256)


def data_files(data: Path) -> tuple[str, dict[str, Copy]]:
    """(the path of labelled pictures there, the files with theirs); pictures that are missing stay so.

    Raises DataError where there are none, UsageError when one is outside of the folder.
    """
    table = data if data.suffix == ".csv" else data / "labels.csv"
    root = table.parent if table.is_file() else data
    found = {}
    for path in [*([table] if table.is_file() else []), *labelled_files(data)]:
        inside = os.path.relpath(path, root)
        if inside.startswith(".."):
            raise UsageError(f"{table}: {path} is outside of {root}, and only that folder is copied")
        if path.is_file():
            found[inside] = Copy.of(path)
    listing = "\n".join(f"{path} {copy.sha256}" for path, copy in sorted(found.items()))
    folder = f"data/{short(listing.encode())}/{root.resolve().name}"  # reports name the folder
    where = f"{folder}/{data.name}" if data.suffix == ".csv" else folder
    return where, {f"{folder}/{path}": copy for path, copy in found.items()}


def short(content: bytes) -> str:
    """A name for this content: the first 12 digits of its sha256."""
    return hashlib.sha256(content).hexdigest()[:12]
