"""What `edgecv tune` found for a bundle on this board, kept in the cache and followed by `edgecv run`."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec

from edgecv.bundle import MANIFEST, Bundle
from edgecv.devices import Detected
from edgecv.errors import DataError
from edgecv.files import cache_dir, sha256_file, write_text, writing
from edgecv.spec import Format, Kind, PositiveInt, Precision, Sha256, Struct

SCHEMA_VERSION = 1


class Tuned(Struct):
    """The choice for one bundle on one board; `why` is the paragraph that explains it.

    engine: with its version, as it was measured. variant: of the engine, "" for its defaults. created: ISO
    8601, UTC. manifest_sha256, board: what it holds for, and nothing else.
    """

    schema_version: int
    manifest_sha256: Sha256
    board: str
    created: str
    format: Format
    precision: Precision
    threads: PositiveInt
    variant: str
    engine: str
    objective: str
    max_drop: float
    why: str

    @property
    def kind(self) -> Kind:
        return Kind(self.format, self.precision)


def board_key(detected: Detected) -> str:
    """The same for boards that are alike: homes are shared, and cards are moved to another board."""
    parts = (
        detected.model,
        detected.architecture,
        *sorted(detected.cpu_features),
        str(detected.logical_cores),
    )
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def path_of(bundle: Bundle, detected: Detected) -> Path:
    manifest = sha256_file(bundle.root / MANIFEST)
    return cache_dir() / "tuned" / f"{manifest[:16]}-{board_key(detected)}.json"


def save(tuned: Tuned, bundle: Bundle, detected: Detected) -> Path:
    """Write the choice; raises EdgecvError when the disk refuses."""
    path = path_of(bundle, detected)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, msgspec.json.format(msgspec.json.encode(tuned), indent=1).decode() + "\n")
    return path


def load(bundle: Bundle, detected: Detected) -> Tuned | None:
    """The choice for this bundle on this board, None when there is none; DataError when it is damaged."""
    path = path_of(bundle, detected)
    try:
        return msgspec.json.decode(path.read_bytes(), type=Tuned)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: {error}; `edgecv tune` writes it anew") from error


def forget(bundle: Bundle, detected: Detected) -> bool:
    """Remove the choice; False when there was none."""
    path = path_of(bundle, detected)
    with writing(path):
        found = path.exists()
        path.unlink(missing_ok=True)
    return found
