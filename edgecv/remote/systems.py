"""What boards are usually set up with, which decides the wheels they take."""

from __future__ import annotations

from typing import NamedTuple

from edgecv.devices.profile import Family, Profile
from edgecv.errors import UsageError
from edgecv.remote.board import PYTHONS
from edgecv.remote.wheelhouse import Target


class System(NamedTuple):
    """An operating system: `glibc` and its own `python` by the packages of its release."""

    title: str
    glibc: tuple[int, int]
    python: tuple[int, int]


# The versions of the releases' own packages, from memory; JetPack's Ubuntu from public release tables.
BOOKWORM = System("Raspberry Pi OS 12 (bookworm)", (2, 36), (3, 11))
JETPACK_4 = System("JetPack 4 (Ubuntu 18.04)", (2, 27), (3, 6))
JETPACK_5 = System("JetPack 5 (Ubuntu 20.04)", (2, 31), (3, 8))
JETPACK_6 = System("JetPack 6 (Ubuntu 22.04)", (2, 35), (3, 10))
JETPACK_7 = System("JetPack 7 (Ubuntu 24.04)", (2, 39), (3, 12))
DEBIAN_12 = System("Debian 12 (bookworm)", (2, 36), (3, 11))
UBUNTU_22 = System("Ubuntu 22.04", (2, 35), (3, 10))

# The last that NVIDIA made for these two, and the only one for the third.
_OF_PROFILE = {"jetson-nano": JETPACK_4, "jetson-xavier-nx": JETPACK_5, "jetson-thor": JETPACK_7}
_OF_FAMILY = {
    Family.RPI: BOOKWORM,
    Family.JETSON: JETPACK_6,
    Family.ARM: DEBIAN_12,
    Family.X86: UBUNTU_22,
}


def target(profile: Profile, python: str | None, glibc: str | None) -> tuple[Target, System]:
    """What a board of that profile takes, and the system that is assumed on it; newer ones take it, too.

    python, glibc: "3.11" and "2.36", None for the system's own. Raises UsageError for a Python that edgecv
    does not run on, and for what is no version.
    """
    system = _OF_PROFILE.get(profile.name, _OF_FAMILY[profile.family])
    version = _version("--python", python) if python else system.python
    if not PYTHONS[0] <= version <= PYTHONS[1]:
        own = "" if python else f", the Python of {system.title}; name another with --python"
        raise UsageError(f"edgecv runs on Python 3.10 to 3.13, not {version[0]}.{version[1]}{own}")
    machine = "x86_64" if profile.family is Family.X86 else "aarch64"
    return Target(machine, _version("--glibc", glibc) if glibc else system.glibc, version), system


def _version(option: str, text: str) -> tuple[int, int]:
    major, _, minor = text.partition(".")
    if not (major.isdecimal() and minor.isdecimal()):
        raise UsageError(f"{option} {text}: give two numbers, as 3.11")
    return int(major), int(minor)
