"""Files that are whole or not there: hashes, atomic writes, and the one cache folder."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from edgecv.errors import EdgecvError


def sha256_file(path: Path) -> str:
    with path.open("rb") as file:
        if hasattr(hashlib, "file_digest"):
            return hashlib.file_digest(file, "sha256").hexdigest()
        digest = hashlib.sha256()  # Python 3.10
        while block := file.read(1 << 20):
            digest.update(block)
        return digest.hexdigest()


def cache_dir() -> Path:
    """$EDGECV_CACHE, else $XDG_CACHE_HOME/edgecv, else ~/.cache/edgecv. Not created here."""
    if own := os.environ.get("EDGECV_CACHE"):
        return Path(own)
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "edgecv"


def write_text(path: Path, text: str) -> None:
    """Write a text file under a temporary name, then rename it into place."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file under a temporary name, then rename it into place."""
    with writing(path):
        descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
            os.chmod(temporary, 0o666 & ~_umask())
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)
            raise


@contextlib.contextmanager
def writing(destination: Path) -> Iterator[None]:
    """Turn an OSError inside the block into one line that names the destination."""
    try:
        yield
    except OSError as error:
        raise EdgecvError(
            f"cannot write {destination}: {error.strerror or error}; nothing was left behind"
        ) from error


@contextlib.contextmanager
def new_folder(destination: Path, ours: Callable[[Path], bool]) -> Iterator[Path]:
    """Yield a temporary folder that becomes `destination` when the block ends without an error.

    Raises EdgecvError as `refuse_stranger` does, or when the disk refuses.
    """
    destination = Path(os.path.abspath(destination))
    refuse_stranger(destination, ours)
    with writing(destination):
        destination.parent.mkdir(parents=True, exist_ok=True)
        temporary = _sibling(destination)
        try:
            os.chmod(temporary, 0o777 & ~_umask())
            yield temporary
            _swap(temporary, destination)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise


@contextlib.contextmanager
def scratch_folder(beside: Path) -> Iterator[Path]:
    """Yield an empty folder on the same disk as `beside`, which is gone when the block ends."""
    beside = Path(os.path.abspath(beside))
    with writing(beside):
        beside.parent.mkdir(parents=True, exist_ok=True)
        folder = _sibling(beside)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def check_writable(destination: Path) -> None:
    """Raise EdgecvError where a folder cannot be made at `destination`, before work is put into it."""
    destination = Path(os.path.abspath(destination))
    parent = next(folder for folder in destination.parents if folder.exists())
    with writing(destination), tempfile.TemporaryDirectory(prefix=f".{destination.name}."[:100], dir=parent):
        pass


def refuse_stranger(destination: Path, ours: Callable[[Path], bool]) -> None:
    """Raise EdgecvError unless `destination` is absent, an empty folder, or one that `ours` says is ours.

    So a slip in `-o` cannot delete somebody's photographs.
    """
    if not destination.exists() or (
        destination.is_dir() and (not any(destination.iterdir()) or ours(destination))
    ):
        return
    raise EdgecvError(
        f"{destination} exists and holds something that edgecv did not write; choose another -o"
    )


def _sibling(destination: Path) -> Path:
    return Path(tempfile.mkdtemp(prefix=f".{destination.name}.", dir=destination.parent))


def _swap(new: Path, destination: Path) -> None:
    """Put `new` in the place of `destination`; what was there comes back when that fails."""
    if not destination.exists():
        os.replace(new, destination)
        return
    aside = _sibling(destination)
    try:
        os.replace(destination, aside / "old")
        try:
            os.replace(new, destination)
        except OSError:
            os.replace(aside / "old", destination)
            raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
