"""Boards: their profiles, what this machine is, and which profile a run follows."""

from edgecv.devices.detect import Detected, detect
from edgecv.devices.profile import (
    Fact,
    Family,
    Inference,
    Profile,
    builtin_profiles,
    get_profile,
    load_own,
    load_profile_file,
    load_profiles,
    own_folder,
)
from edgecv.devices.selection import Selected, device_names, select

__all__ = [
    "Detected",
    "Fact",
    "Family",
    "Inference",
    "Profile",
    "Selected",
    "builtin_profiles",
    "detect",
    "device_names",
    "get_profile",
    "load_own",
    "load_profile_file",
    "load_profiles",
    "own_folder",
    "select",
]
