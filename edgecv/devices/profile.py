"""Profiles: what is known of a board before anything is measured on it, one TOML file a board."""

from __future__ import annotations

import enum
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Annotated

import msgspec

from edgecv.errors import DeviceError
from edgecv.spec import Format, Kind, NonNegativeInt, PositiveInt, Precision, Struct

Text = Annotated[str, msgspec.Meta(min_length=1)]
RevisionType = Annotated[int, msgspec.Meta(ge=0, le=0xFF)]
AUTO = "auto"
NAME_PATTERN = "^[a-z0-9][a-z0-9+-]*$"
ALL_KINDS = tuple(Kind(format, precision) for precision in Precision for format in Format)


class Family(str, enum.Enum):
    """Boards that stand in for one another; `arm` is any 64-bit Arm board without a profile of its own."""

    RPI = "rpi"
    JETSON = "jetson"
    ARM = "arm"
    X86 = "x86"

    @property
    def title(self) -> str:
        return _FAMILY_TITLES[self]


_FAMILY_TITLES = {
    Family.RPI: "a Raspberry Pi",
    Family.JETSON: "a Jetson",
    Family.ARM: "a 64-bit Arm board",
    Family.X86: "an x86-64 machine",
}


RESERVED = (AUTO, *(family.value for family in Family))


class Sibling(Struct):
    """Another board that this profile serves, because it has the same SoC."""

    title: Text
    compatible: tuple[Text, ...]
    revision_types: tuple[RevisionType, ...] = ()


class Detect(Struct):
    """How the board is recognised; a profile without any rule is only ever chosen by name.

    compatible: entries of the device tree's `compatible`, matched as a prefix that no digit may follow.
    revision_types: bits 4..11 of a Raspberry Pi's revision code.
    models: what the machine calls itself, whole: a PC's product name, or the device tree's `model`.
    architecture, features: for machines without a device tree; one of `features` has to be there.
    """

    compatible: tuple[Text, ...] = ()
    revision_types: tuple[RevisionType, ...] = ()
    siblings: tuple[Sibling, ...] = ()
    models: tuple[Text, ...] = ()
    architecture: Text | None = None
    features: tuple[Text, ...] = ()


class Inference(Struct):
    """What to run, best first, and on how many threads.

    order: every format in fp32 and int8 as `format:precision`, so that whatever engine is installed,
    something is chosen; `why` says what the order rests on. threads: the fast cores of the largest
    variant; 0 means this machine's own physical cores. int8_saturates: int8 products are summed in 16
    bits, which costs accuracy.
    """

    order: tuple[Text, ...]
    threads: NonNegativeInt
    int8_saturates: bool
    why: Text

    def __post_init__(self) -> None:
        kinds = [_kind(text) for text in self.order]
        needed = (kind for kind in ALL_KINDS if kind.precision in (Precision.FP32, Precision.INT8))
        missing = [str(kind) for kind in needed if kind not in kinds]
        if missing:
            raise ValueError(f"`order` has to list every kind; missing: {', '.join(missing)}")
        if len(kinds) != len(set(kinds)):
            raise ValueError("`order` names a kind twice")

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """`order`, and behind it what it need not name: fp16 and dynamic, which no CPU here runs faster."""
        named = tuple(Kind.parse(text) for text in self.order)
        rest = (Kind(f, p) for p in (Precision.FP16, Precision.DYNAMIC) for f in Format)
        return (*named, *(kind for kind in rest if kind not in named))


class Memory(Struct):
    """The sizes the board is sold with, MiB; empty where any size is possible."""

    ram_mb: tuple[PositiveInt, ...]
    source: Text


class Camera(Struct):
    """`source` as `--source` takes it."""

    source: Text


class Fact(Struct):
    """Something known from outside; its unit ends its name (`_w`, `_gb_s`), a list is a range or the modes.

    verified: the source was read; False for what is from memory, or what sources disagree on.
    """

    name: Annotated[str, msgspec.Meta(pattern="^[a-z][a-z0-9_]*$")]
    value: int | float | str | tuple[float, ...]
    source: Text
    verified: bool
    note: str = ""


class Profile(Struct):
    """default_of_family: of the profiles of this package, the one a family's name means elsewhere."""

    name: Annotated[str, msgspec.Meta(pattern=NAME_PATTERN)]
    title: Text
    family: Family
    inference: Inference
    memory: Memory
    camera: Camera
    facts: tuple[Fact, ...]
    detect: Detect = Detect()
    default_of_family: bool = False


@cache
def builtin_profiles(*families: Family) -> tuple[Profile, ...]:
    """The profiles of this package that are of these families, or all, by name.

    The others are not parsed: TOML is read by Python itself, and this is on the way to the first result.
    """
    folder = resources.files("edgecv.devices") / "profiles"
    texts = {file.name: file.read_bytes() for file in folder.iterdir() if file.name.endswith(".toml")}
    says = [f'family = "{family.value}"'.encode() for family in families]
    wanted = {n: text for n, text in texts.items() if not says or any(line in text for line in says)}
    profiles = (decode_profile(text, name) for name, text in wanted.items())
    return tuple(sorted(profiles, key=lambda profile: profile.name))


@dataclass(frozen=True)
class Own:
    """The profiles in the user's folder, by their files, and what is wrong with the other files there."""

    profiles: dict[Path, Profile] = field(default_factory=dict)
    broken: dict[Path, DeviceError] = field(default_factory=dict)

    def path_of(self, profile: Profile | None) -> Path | None:
        return next((path for path, mine in self.profiles.items() if mine is profile), None)


def own_folder() -> Path:
    """$EDGECV_DEVICES, else edgecv/devices below $XDG_CONFIG_HOME or ~/.config; it need not exist."""
    if folder := os.environ.get("EDGECV_DEVICES"):
        return Path(folder)
    return Path(os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")) / "edgecv" / "devices"


def load_own() -> Own:
    """The user's own profiles, read anew. What is wrong with a file costs that file only."""
    folder, own = own_folder(), Own()
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix == ".toml" and path.name[0] != ".")
    except OSError as error:
        if not isinstance(error, FileNotFoundError) or os.environ.get("EDGECV_DEVICES"):
            own.broken[folder] = DeviceError(f"cannot read the device profiles in {folder}: {error.strerror}")
        return own
    taken: dict[str, Path | str] = dict.fromkeys(RESERVED, "a name that --device has a meaning for")
    for path in paths:
        try:
            profile = load_profile_file(path)
            if profile.name in taken:
                why = taken[profile.name]
                raise DeviceError(f"device profile {path}: name {profile.name!r} is {why}: choose another")
        except DeviceError as error:
            own.broken[path] = error
        else:
            own.profiles[path], taken[profile.name] = profile, f"that of {path.name} too"
    return own


def load_profiles() -> tuple[Profile, ...]:
    """Every profile that can be named: the user's own, and this package's where theirs do not replace it."""
    every = {profile.name: profile for profile in (*builtin_profiles(), *load_own().profiles.values())}
    return tuple(every[name] for name in sorted(every))


def load_profile_file(path: str | Path) -> Profile:
    """A profile of one's own. Raises DeviceError, which names the file and the key."""
    try:
        text = Path(path).read_bytes()
    except OSError as error:
        raise DeviceError(f"cannot read device profile {path}: {error.strerror}") from error
    return decode_profile(text, str(path))


def get_profile(name: str, own: Own | None = None, others: tuple[str, ...] = ()) -> Profile:
    """The profile of exactly that name, the user's own (read anew without `own`) before this package's.

    Raises DeviceError: with the names there are (and `others` that the caller takes) when there is none, and
    with what is wrong in a file of the user's that is called like it.
    """
    own = load_own() if own is None else own
    mine = {profile.name: profile for profile in own.profiles.values()}
    every = {profile.name: profile for profile in builtin_profiles()} | mine
    if name not in mine:
        for path, error in own.broken.items():
            if name in (path.stem, path.stem.replace("plus", "+")):
                raise error
    if name not in every:
        raise _unknown_device(name, (*others, *sorted(every)), own)
    return every[name]


def family_default(family: Family) -> Profile:
    return next(profile for profile in builtin_profiles(family) if profile.default_of_family)


def _unknown_device(name: str, allowed: Iterable[str], own: Own) -> DeviceError:
    import difflib  # for a message only

    names = list(dict.fromkeys(allowed))
    close = difflib.get_close_matches(name.lower(), names, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ";"
    broken = "".join(f"; left out: {error}" for error in own.broken.values())
    return DeviceError(f"unknown device {name!r}{hint} allowed: {', '.join(names)}{broken}")


def _kind(text: str) -> Kind:
    try:
        return Kind.parse(text)
    except ValueError:
        allowed = ", ".join(str(kind) for kind in ALL_KINDS)
        raise ValueError(f"`order`: {text!r} is not one of {allowed}") from None


def decode_profile(text: bytes, where: str) -> Profile:
    """A profile from TOML; DeviceError, which names `where` and the key, when it is none."""
    try:
        return msgspec.toml.decode(text, type=Profile)
    except msgspec.DecodeError as error:  # covers malformed TOML and, as its subclass, validation
        raise DeviceError(f"device profile {where}: {error}") from error
    except UnicodeDecodeError as error:
        raise DeviceError(f"device profile {where}: not UTF-8 text ({error})") from error
