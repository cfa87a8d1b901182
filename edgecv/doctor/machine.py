"""All that the checks touch of this machine, so that a test can put another in its place."""

from __future__ import annotations

import datetime
import getpass
import grp
import importlib.metadata
import importlib.util
import os
import platform
import re
import struct
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from edgecv.devices.resources import Usage
from edgecv.devices.system import SYSTEM
from edgecv.doctor.child import Answer, ask
from edgecv.files import cache_dir

COMMAND_TIMEOUT_S = 3.0


class Package(NamedTuple):
    """An installed distribution; tags: of its wheel, "cp311-cp311-manylinux_2_28_aarch64"."""

    version: str
    tags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Python:
    """This interpreter.

    machine: the kernel's, which the markers of packages are judged by. glibc: "" for another C library.
    prefix: the folder of its environment.
    """

    version: tuple[int, int, int] = sys.version_info[:3]
    bits: int = 8 * struct.calcsize("P")
    machine: str = field(default_factory=platform.machine)
    glibc: str = field(default_factory=lambda: _glibc())
    prefix: str = sys.prefix


@dataclass(frozen=True)
class User:
    """name, and the names of the groups of this process, which a new group joins at the next login."""

    name: str
    groups: frozenset[str]


def run_command(command: Sequence[str]) -> str:
    """What a program prints, "" when it is not installed or fails."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=COMMAND_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""


def installed_package(name: str) -> Package | None:
    try:
        found = importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return None
    tags = re.findall(r"^Tag: (\S+)$", found.read_text("WHEEL") or "", re.MULTILINE)
    return Package(found.version, tuple(tags))


def importable(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def this_user() -> User:
    groups = set()
    for number in {*os.getgroups(), os.getegid()}:
        try:
            groups.add(grp.getgrgid(number).gr_name)
        except KeyError:  # a group of the host that a container has no name for
            groups.add(str(number))
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # a user without a name, as containers have them
        name = str(os.getuid())
    return User(name, frozenset(groups))


def may_use(path: Path) -> bool:
    return os.access(path, os.R_OK | os.W_OK)


def usage_of(path: Path) -> Usage:
    """Of the file system that `path` lies on, or would lie on. Raises OSError."""
    there = next(folder for folder in (path, *path.parents) if folder.exists())
    found = os.statvfs(there)
    return Usage(found.f_bavail * found.f_frsize >> 20, bool(found.f_flag & os.ST_RDONLY))


def local_time() -> datetime.datetime:
    return datetime.datetime.now().astimezone()


@dataclass(frozen=True)
class Machine:
    """root: where the system's files are; run: gives what a command prints; ask: calls a function of
    doctor.child in a process of its own, which may crash."""

    root: Path = SYSTEM
    run: Callable[[Sequence[str]], str] = run_command
    ask: Callable[..., Answer] = ask
    python: Python = field(default_factory=Python)
    package: Callable[[str], Package | None] = installed_package
    importable: Callable[[str], bool] = importable
    user: User = field(default_factory=this_user)
    may_use: Callable[[Path], bool] = may_use
    usage: Callable[[Path], Usage] = usage_of
    now: Callable[[], datetime.datetime] = local_time
    cache: Path = field(default_factory=cache_dir)


def _glibc() -> str:
    try:
        return (os.confstr("CS_GNU_LIBC_VERSION") or "").removeprefix("glibc ")
    except (ValueError, OSError):  # another C library, as musl
        return ""
