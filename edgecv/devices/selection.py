"""From what the user asked for and what the machine is to what will be used."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from edgecv.devices.cpu import ARM
from edgecv.devices.detect import SYSTEM, Detected, detect
from edgecv.devices.profile import (
    AUTO,
    RESERVED,
    Family,
    Own,
    Profile,
    builtin_profiles,
    family_default,
    get_profile,
    load_own,
    load_profile_file,
    load_profiles,
)


@dataclass(frozen=True)
class Selected:
    """A profile for this run.

    note: for the user: that the profile is not this very machine's, or is the user's own under the name of
    another, or that a file of theirs was left out; else None.
    threads: at least 1, and no more than this machine has cores.
    int8_saturates: the real CPU's where it is known and the profile is of this machine's family, else the
    profile's.
    """

    profile: Profile
    detected: Detected
    note: str | None
    threads: int
    int8_saturates: bool


def select(name: str = AUTO, root: Path = SYSTEM) -> Selected:
    """The profile for `name`, with threads and arithmetic resolved for the machine below `root`.

    name: "auto"; a family, which takes the exact board where it is one and the family's default elsewhere;
    the name of one profile, the user's own before this package's; or the path of a profile file (*.toml).
    "x86" is both a family and a profile, and means the family: `get_profile("x86")` is the profile. Raises
    DeviceError for anything else.
    """
    own = load_own()
    detected = detect(root, own)
    profile, note = _choose(name, detected, own)
    notes = [note, namesake(profile, own)]
    if name in RESERVED:
        notes += [f"left out: {error}" for error in own.broken.values()]
    threads = profile.inference.threads or detected.cores or 1
    saturates = profile.inference.int8_saturates
    if detected.int8_saturates is not None and _of_family(detected, profile.family):
        saturates = detected.int8_saturates
    return Selected(
        profile=profile,
        detected=detected,
        note="; ".join(text for text in notes if text) or None,
        threads=min(threads, detected.cores or threads),
        int8_saturates=saturates,
    )


def device_names() -> tuple[str, ...]:
    """What `select` takes, file paths apart: "auto", the families, the profiles."""
    names = (*RESERVED, *(profile.name for profile in load_profiles()))
    return tuple(dict.fromkeys(names))


def stand_in(detected: Detected) -> Profile:
    """The machine's own profile, or the generic one whose int8 recipe is safe on it."""
    # An unknown architecture gets the x86 profile: it is the one that takes int8 to saturate, which
    # costs some speed where it is wrong, and the other way round costs accuracy.
    return detected.profile or family_default(Family.ARM if detected.architecture in ARM else Family.X86)


def _choose(name: str, detected: Detected, own: Own) -> tuple[Profile, str | None]:
    here = detected.profile
    if name == AUTO or (here and name == here.family.value):
        return _own(detected, asked_for_generic=name != AUTO)
    if name in RESERVED:
        family = Family(name)
        profile = family_default(family)
        if _of_family(detected, family):
            return profile, None
        known = "not" if detected.exact else "not known to be"
        return profile, (
            f"{known} {family.title}: using the profile of {profile.title}; the order of engines follows it"
        )
    is_file = name.endswith(".toml") or os.sep in name
    profile = load_profile_file(name) if is_file else get_profile(name, own, RESERVED)
    if profile == here:
        return _own(detected, asked_for_generic=True)
    is_generic = profile.family is Family.ARM or profile not in builtin_profiles()  # or the user's
    if is_generic and _of_family(detected, profile.family):
        return profile, None
    return profile, (
        f"this machine was not recognised as {profile.title}: engines and threads follow that profile"
    )


def _own(detected: Detected, asked_for_generic: bool) -> tuple[Profile, str | None]:
    profile = stand_in(detected)
    if detected.exact or (asked_for_generic and profile.family is Family.ARM):
        return profile, None
    return profile, f"{detected.reason}; using the profile of {profile.title}"


def namesake(profile: Profile, own: Own) -> str | None:
    """What is to be said of a profile of the user's that has the name of a built-in one."""
    path = own.path_of(profile)
    if path is None or profile.name not in {builtin.name for builtin in builtin_profiles()}:
        return None
    return f"profile {profile.name!r} is yours, {path}, and replaces the one of EdgeCV"


def _of_family(detected: Detected, family: Family) -> bool:
    if family is Family.ARM:  # the Raspberry Pis and Jetsons are 64-bit Arm boards too
        return detected.architecture == "aarch64"
    return detected.profile is not None and detected.profile.family is family
