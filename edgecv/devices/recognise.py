"""Which profile fits a machine, and how closely, by what the machine says of itself."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from edgecv.devices import cpu
from edgecv.devices.cpu import UNKNOWN, Cpu
from edgecv.devices.profile import Detect, Family, Own, Profile, Sibling, builtin_profiles, family_default
from edgecv.devices.system import printable

VENDORS = {"raspberrypi": Family.RPI, "brcm": Family.RPI, "nvidia": Family.JETSON}
_NO_PROFILE = "no profile fits a machine with CPU architecture"


class _Rank(enum.IntEnum):
    """How closely a rule names a machine."""

    NONE = 0
    ARCHITECTURE = 1
    FEATURES = 2
    RELEASE = 3
    SIBLING = 4
    BOARD = 5
    MODEL = 6


@dataclass(frozen=True)
class Match:
    """How a profile fits; `length` is that of the device tree's name that did it: a longer one says more."""

    profile: Profile | None
    exact: bool
    reason: str
    rank: _Rank
    length: int = 0


class Clues(NamedTuple):
    """What a machine can be recognised by; `names`: the device tree's, the most particular first."""

    model: str
    names: tuple[str, ...]
    chip: Cpu
    l4t: str | None


def recognise(clues: Clues, own: Own) -> tuple[Match, Path | None]:
    """The closest match, and its file where it is the user's; among equals the user's own profile wins."""
    builtin = _builtin(clues)
    fitting = _own(clues, tuple(own.profiles.values()))
    mine = max(fitting, key=lambda match: (match.rank, match.length), default=None)
    if mine is None or mine.rank < builtin.rank:
        return builtin, None
    if mine.rank == builtin.rank and 0 < mine.length < builtin.length:
        return builtin, None
    path = own.path_of(mine.profile)
    return replace(mine, reason=f"{mine.reason} (your profile {path})"), path


def _builtin(clues: Clues) -> Match:
    """The match among this package's profiles, of which only the families in question are read."""
    vendors = {name.partition(",")[0] for name in clues.names}
    families = [family for vendor, family in VENDORS.items() if vendor in vendors]
    chip = clues.chip
    return (
        (_by_device_tree(clues.names, builtin_profiles(*dict.fromkeys(families))) if families else None)
        or (_by_revision(chip.pi_revision, builtin_profiles(Family.RPI)) if chip.pi_revision else None)
        or _by_tegra_release(clues.l4t)
        or _by_architecture(chip)
        or Match(None, False, f"{_NO_PROFILE} {chip.architecture!r}", _Rank.NONE)
    )


def _own(clues: Clues, profiles: tuple[Profile, ...]) -> list[Match]:
    """Every way in which the user's profiles fit."""
    named = [profile for profile in profiles if clues.model in profile.detect.models]
    matches = [Match(profile, True, f"model: {clues.model}", _Rank.MODEL) for profile in named[:1]]
    tree, code = _by_device_tree(clues.names, profiles), _by_revision(clues.chip.pi_revision, profiles)
    fitting = _fitting(clues.chip, profiles)
    decided = f"CPU: {cpu.describe(clues.chip.architecture, clues.chip.features)}"
    generic = fitting and Match(fitting, True, decided, _generic_rank(fitting))
    return matches + [match for match in (tree, code, generic) if match]


def rule(clues: Clues) -> Detect:
    """What tells this machine from others, by the most particular thing it says of itself."""
    if clues.names:
        return Detect(compatible=clues.names[:1])
    if clues.chip.pi_revision:
        return Detect(revision_types=(_board_type(clues.chip.pi_revision),))
    if clues.model != UNKNOWN:
        return Detect(models=(clues.model,))
    if clues.chip.architecture == UNKNOWN:
        return Detect()
    telling = tuple(feature for feature in cpu.INT32_SUMS if feature in clues.chip.features)
    return Detect(architecture=clues.chip.architecture, features=telling)


def tree_names(compatible: str) -> tuple[str, ...]:
    """The entries of the device tree's `compatible`, the most particular first, then those of modules."""
    entries = [entry for entry in map(printable, compatible.split("\0")) if entry]
    # A Jetson's first entry is carrier+module, "nvidia,p3768-0000+p3767-0005-super". The module has an entry
    # of its own on newer systems; on JetPack 4 its half of that one is all there is.
    halves = ["nvidia," + entry.rpartition("+")[2] for entry in entries if "+" in entry]
    return (*(entry for entry in entries if "+" not in entry), *halves)


def _by_device_tree(names: tuple[str, ...], profiles: tuple[Profile, ...]) -> Match | None:
    for name in names:
        boards = [(_length(name, profile.detect.compatible), profile) for profile in profiles]
        length, board = max(boards, key=lambda pair: pair[0], default=(0, None))
        if length:
            return Match(board, True, f"device tree: {name}", _Rank.BOARD, length)
    for name in names:
        for profile, sibling in _siblings(profiles):
            if length := _length(name, sibling.compatible):
                return _sibling_match(profile, sibling, f"device tree: {name}", length)
    return None


def _by_revision(code: int | None, profiles: tuple[Profile, ...]) -> Match | None:
    """Containers hide the device tree; the revision code in /proc/cpuinfo still names the board."""
    if code is None:
        return None
    board = _board_type(code)
    decided = f"Raspberry Pi revision code {code:x}, type 0x{board:02x}"
    for profile in profiles:
        if board in profile.detect.revision_types:
            return Match(profile, True, decided, _Rank.BOARD)
    for profile, sibling in _siblings(profiles):
        if board in sibling.revision_types:
            return _sibling_match(profile, sibling, decided)
    return None


def _board_type(code: int) -> int:
    return code >> 4 & 0xFF


def _by_tegra_release(l4t: str | None) -> Match | None:
    """Some Jetson, when all that is left is L4T's release file: its BOARD field is not to be relied on."""
    if l4t is None:
        return None
    profile = family_default(Family.JETSON)
    decided = f"a Jetson of unknown module (L4T {l4t}), taken for a {profile.title}"
    return Match(profile, False, decided, _Rank.RELEASE)


def _by_architecture(chip: Cpu) -> Match | None:
    profile = _fitting(chip, builtin_profiles(Family.ARM if chip.architecture in cpu.ARM else Family.X86))
    if profile is None:
        return None
    rank = _generic_rank(profile)
    if profile.family is Family.ARM:
        decided = "a 64-bit Arm machine that is no board with a profile of its own"
        return Match(profile, False, decided, rank)
    if not chip.features:
        return Match(profile, False, f"{profile.family.title} whose CPU features could not be read", rank)
    return Match(profile, True, f"CPU: {cpu.describe(chip.architecture, chip.features)}", rank)


def _fitting(chip: Cpu, profiles: tuple[Profile, ...]) -> Profile | None:
    """The profile for such a CPU that asks for most: it knows more about the machine than the others."""
    fitting = [
        profile
        for profile in profiles
        if profile.detect.architecture == chip.architecture
        and (not profile.detect.features or chip.features.intersection(profile.detect.features))
    ]
    return max(fitting, key=lambda candidate: len(candidate.detect.features), default=None)


def _generic_rank(profile: Profile) -> _Rank:
    return _Rank.FEATURES if profile.detect.features else _Rank.ARCHITECTURE


def _siblings(profiles: tuple[Profile, ...]) -> list[tuple[Profile, Sibling]]:
    return [(profile, sibling) for profile in profiles for sibling in profile.detect.siblings]


def _sibling_match(profile: Profile, sibling: Sibling, decided: str, length: int = 0) -> Match:
    reason = f"{decided}: {sibling.title}, taken for a {profile.title}"
    return Match(profile, False, reason, _Rank.SIBLING, length)


def _length(name: str, prefixes: tuple[str, ...]) -> int:
    """The length of the longest of `prefixes` that `name` is, perhaps with a suffix; 0 when it is none.

    Suffixes are "-super", "-b00", the d0 of bcm2712d0; a digit makes it another name.
    """
    fitting = (prefix for prefix in prefixes if re.match(re.escape(prefix) + "(?![0-9])", name))
    return max(map(len, fitting), default=0)
