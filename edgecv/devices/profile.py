"""Profiles: what is known of a board before anything is measured on it, one TOML file a board."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Annotated

import msgspec

from edgecv.errors import DeviceError
from edgecv.spec import Format, Kind, NonNegativeInt, PositiveInt, Precision, Struct

Text = Annotated[str, msgspec.Meta(min_length=1)]
RevisionType = Annotated[int, msgspec.Meta(ge=0, le=0xFF)]
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


class Sibling(Struct):
    """Another board that this profile serves, because it has the same SoC."""

    title: Text
    compatible: tuple[Text, ...]
    revision_types: tuple[RevisionType, ...] = ()


class Detect(Struct):
    """How the board is recognised; a profile without any rule is only ever chosen by name.

    compatible: entries of the device tree's `compatible`, matched as a prefix that no digit may follow.
    revision_types: bits 4..11 of a Raspberry Pi's revision code.
    architecture, features: for machines without a device tree; one of `features` has to be there.
    """

    compatible: tuple[Text, ...] = ()
    revision_types: tuple[RevisionType, ...] = ()
    siblings: tuple[Sibling, ...] = ()
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
    name: Annotated[str, msgspec.Meta(pattern="^[a-z0-9][a-z0-9+-]*$")]
    title: Text
    family: Family
    inference: Inference
    memory: Memory
    camera: Camera
    facts: tuple[Fact, ...]
    detect: Detect = Detect()
    default_of_family: bool = False


@cache
def load_profiles(*families: Family) -> tuple[Profile, ...]:
    """The profiles of this package that are of these families, or all, by name.

    The others are not parsed: TOML is read by Python itself, and this is on the way to the first result.
    """
    folder = resources.files("edgecv.devices") / "profiles"
    texts = {file.name: file.read_bytes() for file in folder.iterdir() if file.name.endswith(".toml")}
    says = [f'family = "{family.value}"'.encode() for family in families]
    profiles = [
        _decode(text, name) for name, text in texts.items() if not says or any(line in text for line in says)
    ]
    return tuple(sorted(profiles, key=lambda profile: profile.name))


def load_profile_file(path: str | Path) -> Profile:
    """A profile of one's own. Raises DeviceError, which names the file and the key."""
    try:
        text = Path(path).read_bytes()
    except OSError as error:
        raise DeviceError(f"cannot read device profile {path}: {error.strerror}") from error
    return _decode(text, str(path))


def get_profile(name: str) -> Profile:
    """The profile of exactly that name; DeviceError, with the names there are, when there is none."""
    for profile in load_profiles():
        if profile.name == name:
            return profile
    raise unknown_device(name, (profile.name for profile in load_profiles()))


def family_default(family: Family) -> Profile:
    return next(profile for profile in load_profiles(family) if profile.default_of_family)


def unknown_device(name: str, allowed: Iterable[str]) -> DeviceError:
    import difflib  # for a message only

    names = list(dict.fromkeys(allowed))
    close = difflib.get_close_matches(name.lower(), names, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ";"
    return DeviceError(f"unknown device {name!r}{hint} allowed: {', '.join(names)}")


def _kind(text: str) -> Kind:
    try:
        return Kind.parse(text)
    except ValueError:
        allowed = ", ".join(str(kind) for kind in ALL_KINDS)
        raise ValueError(f"`order`: {text!r} is not one of {allowed}") from None


def _decode(text: bytes, where: str) -> Profile:
    try:
        return msgspec.toml.decode(text, type=Profile)
    except msgspec.DecodeError as error:  # covers malformed TOML and, as its subclass, validation
        raise DeviceError(f"device profile {where}: {error}") from error
    except UnicodeDecodeError as error:
        raise DeviceError(f"device profile {where}: not UTF-8 text ({error})") from error
