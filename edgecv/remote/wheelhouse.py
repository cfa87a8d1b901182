"""The wheels that a board needs, got here: uv resolves for its Python, architecture and glibc."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, NamedTuple

import msgspec

from edgecv.errors import EdgecvError, UsageError
from edgecv.files import cache_dir, scratch_folder, sha256_file, writing

TIMEOUT_S = 60.0
MACHINES = ("aarch64", "x86_64")
_GLIBC = (17, 28, *range(31, 41))  # the minor versions that uv has a name for

Progress = Callable[[str, float], None]


class Target(NamedTuple):
    """Whose wheels: `uname -m` of the system, glibc and Python as (major, minor)."""

    machine: str
    glibc: tuple[int, int]
    python: tuple[int, int]

    @property
    def platform(self) -> str:
        """The newest of uv's platforms that runs there. Raises UsageError where it has none."""
        if self.machine not in MACHINES:
            raise UsageError(
                f"no wheelhouse for {self.machine}: engines have wheels for {' and '.join(MACHINES)};"
                " leave --wheelhouse out to install from the board's own index"
            )
        known = [minor for minor in _GLIBC if (2, minor) <= self.glibc]
        if not known:
            raise UsageError(f"no wheelhouse for glibc {self.glibc_number}: engines need 2.17 or newer")
        return f"{self.machine}-manylinux_2_{known[-1]}"

    @property
    def python_number(self) -> str:
        return ".".join(map(str, self.python))

    @property
    def glibc_number(self) -> str:
        return ".".join(map(str, self.glibc))

    def __str__(self) -> str:
        return f"Python {self.python_number}, {self.machine}, glibc {self.glibc_number}"


class Wheelhouse(NamedTuple):
    """files: in the cache. engines: the extras they are for; notes: on each that has no wheels there."""

    files: tuple[Path, ...]
    engines: tuple[str, ...]
    notes: tuple[str, ...]


class _Wheel(msgspec.Struct):
    """Of a pylock.toml (PEP 751): where it is, and what it has to be."""

    hashes: dict[str, str]
    url: str | None = None
    path: str | None = None

    @property
    def name(self) -> str:
        return Path(urllib.parse.unquote(urllib.parse.urlsplit(self.url or self.path or "").path)).name


class _Package(msgspec.Struct):
    name: str
    wheels: tuple[_Wheel, ...] = ()


class _Lock(msgspec.Struct):
    packages: tuple[_Package, ...] = ()


def gather(
    own: Path, engines: Sequence[str], target: Target, all_needed: bool, progress: Progress
) -> Wheelhouse:
    """The wheels that edgecv's `own` needs with those engines on the target.

    all_needed: fail when an engine has no wheels there, else leave it out and say so. Raises UsageError when
    nothing is left, EdgecvError when uv is missing or a download fails.
    """
    found, there, notes = _resolve_engines(own, tuple(engines), target, all_needed)
    files = []
    for number, wheel in enumerate(found):
        progress(f"getting {wheel.name}", number / len(found))
        files.append(_fetch(wheel))
    return Wheelhouse(tuple(files), there, notes)


def _resolve_engines(
    own: Path, engines: tuple[str, ...], target: Target, all_needed: bool
) -> tuple[list[_Wheel], tuple[str, ...], tuple[str, ...]]:
    """(wheels, the engines they are for, a note on each other)."""
    try:
        return _resolve(own, engines, target), engines, ()
    except UsageError:
        if all_needed or len(engines) < 2:
            raise
    there: tuple[str, ...] = ()
    notes = []
    for engine in engines:
        try:
            found = _resolve(own, (*there, engine), target)
            there = (*there, engine)
        except UsageError as error:
            notes.append(str(error))
    if not there:
        raise UsageError(notes[0])
    return found, there, tuple(notes)


def _resolve(own: Path, engines: tuple[str, ...], target: Target) -> list[_Wheel]:
    """A wheel of each package. Raises UsageError when something has none for the target."""
    wanted = f"edgecv[{','.join(engines)}] @ {own.as_uri()}"
    words = (
        *(*_uv(), "pip", "compile", "-", "--quiet", "--no-header", "--format", "pylock.toml"),
        *("--only-binary", ":all:", "--python-platform", target.platform),
        *("--python-version", target.python_number, "--no-emit-package", "edgecv"),
    )
    done = subprocess.run(words, input=wanted.encode(), capture_output=True, check=False)
    if done.returncode:
        why = " ".join(done.stderr.decode("ascii", "ignore").split())  # without its frame
        if "No solution found" not in why:
            raise EdgecvError(f"uv could not resolve the wheels: {why[:300]}")
        because = re.sub(r"\{[^}]*\}", "", "Because " + why.partition("Because ")[2])
        raise UsageError(f"{', '.join(engines)}: no wheels for {target} ({because[:300]})")
    try:
        lock = msgspec.toml.decode(done.stdout, type=_Lock)
    except msgspec.DecodeError as error:
        raise EdgecvError(f"uv writes a pylock.toml that cannot be read ({error}): upgrade uv") from error
    return [_best(package) for package in lock.packages]


def _best(package: _Package) -> _Wheel:
    """All fit; one that was compiled is faster than one for any machine."""
    if not package.wheels:
        raise EdgecvError(f"uv names no wheel of {package.name}: upgrade uv")
    return min(package.wheels, key=lambda wheel: wheel.name.endswith("-any.whl"))


def _uv() -> tuple[str, ...]:
    """The command, which may be there and still not start: pyenv's shims. EdgecvError where none does."""
    for words in (("uv",), (sys.executable, "-m", "uv")):
        with contextlib.suppress(OSError):
            if subprocess.run((*words, "--version"), capture_output=True, check=False).returncode == 0:
                return words
    raise EdgecvError("wheels for another machine are resolved by uv, which is not here: pip install uv")


def _fetch(wheel: _Wheel) -> Path:
    """The wheel in this machine's cache, downloaded unless it is there."""
    sha256 = wheel.hashes["sha256"]
    path = cache_dir() / "wheels" / sha256 / wheel.name
    if path.is_file():
        return path
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    with scratch_folder(path) as folder:
        part = folder / "part"
        with _open(wheel) as source, part.open("wb") as file:
            shutil.copyfileobj(source, file, 1 << 20)
        if sha256_file(part) != sha256:
            raise EdgecvError(f"{wheel.name}: what {wheel.url} gave is not what the index says; try again")
        os.replace(part, path)
    return path


@contextlib.contextmanager
def _open(wheel: _Wheel) -> Iterator[IO[bytes]]:
    url = wheel.url or Path(wheel.path or "").absolute().as_uri()
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as source:
            yield source
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        raise EdgecvError(f"cannot download {wheel.name}: {getattr(error, 'reason', error)}") from error
