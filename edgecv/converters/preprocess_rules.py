"""How a model of one's own wants its pictures: from flags or a preprocess.toml, never guessed in silence."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import numpy as np

from edgecv.errors import UsageError
from edgecv.spec import (
    Byte,
    Color,
    Interpolation,
    Pixels,
    Preprocess,
    Resize,
    Rgb,
    Struct,
)

RANGES: dict[str, tuple[float, float]] = {  # what the model's input spans -> (mean, std) on 0..255
    "0..1": (0.0, 255.0),
    "-1..1": (127.5, 127.5),
    "0..255": (0.0, 1.0),
}
WHAT_TO_GIVE = (
    "give --range 0..1, -1..1 or 0..255, or --mean and --std on the 0..255 scale (and --color, --resize, "
    "--crop-fraction, --interpolation where they differ), or --preprocess FILE.toml; --preprocess probe "
    "--data LABELLED tries the usual ones"
)


class Wanted(Struct):
    """What was said of a model's preprocessing; None is not said. The schema of preprocess.toml.

    `range` stands for one mean and std for all channels. mean and std are on the 0..255 scale, one value a
    channel in `color` order.
    """

    size_hw: tuple[Pixels, Pixels] | None = None
    range: Literal["0..1", "-1..1", "0..255"] | None = None
    # Three, or one for all channels. Not Rgb | float: msgspec reads a fixed length beside a float wrongly.
    mean: tuple[float, ...] | float | None = None
    std: tuple[float, ...] | float | None = None
    color: Color | None = None
    resize: Resize | None = None
    crop_fraction: Annotated[float, msgspec.Meta(gt=0.0, le=1.0)] | None = None
    interpolation: Interpolation | None = None
    pad_value: Byte | None = None

    def __post_init__(self) -> None:
        for name in ("mean", "std"):
            values = _channels(getattr(self, name) or 0.0)
            if len(values) != 3 or not np.isfinite(values).all():
                raise ValueError(f"`{name}` is one number, or three, one a channel")
        if self.std is not None and min(_channels(self.std)) <= 0:
            raise ValueError("`std` is above 0")

    def normalisation(self) -> tuple[Rgb, Rgb] | None:
        """(mean, std) of each channel on the 0..255 scale, None when neither was said.

        Raises UsageError when half of it was said, or it is on the 0..1 scale.
        """
        if self.range is not None:
            if self.mean is not None or self.std is not None:
                raise UsageError("--range already says mean and std: give --range, or --mean and --std")
            mean, std = RANGES[self.range]
            return (mean,) * 3, (std,) * 3
        if self.mean is None and self.std is None:
            return None
        if self.mean is None or self.std is None:
            raise UsageError(
                "--mean and --std go together: add --std 1 where the model only subtracts, --mean 0 where it "
                "only divides"
            )
        mean, std = _channels(self.mean), _channels(self.std)
        if (mean, std) != ((0.0,) * 3, (1.0,) * 3) and max(map(abs, mean)) <= 1 and max(std) <= 1:
            scaled = (_text(255 * np.float64(values)) for values in (mean, std))
            raise UsageError(
                f"--mean {_text(mean)} --std {_text(std)} look like the 0..1 scale, and here they are on the "
                "0..255 scale of a pixel: give --mean {} --std {}".format(*scaled)
            )
        return mean, std

    def updated(self, other: Wanted) -> Wanted:
        """This, with what `other` says in its place; one range or mean and std replace the other."""
        said = {name: value for name in self.__struct_fields__ if (value := getattr(other, name)) is not None}
        kept = self
        if {"range", "mean", "std"} & said.keys():
            kept = msgspec.structs.replace(self, range=None, mean=None, std=None)
        return msgspec.structs.replace(kept, **said)


def from_flags(
    *,
    range: str | None = None,
    mean: str | None = None,
    std: str | None = None,
    color: str | None = None,
    resize: str | None = None,
    crop_fraction: float | None = None,
    interpolation: str | None = None,
    pad_value: int | None = None,
    size: str | None = None,
) -> Wanted:
    """What the flags say, as typed: mean `123.7,116.3,103.5` or `127.5`, size `224x224` (HxW) or `224`.

    Raises UsageError naming the flag.
    """
    given = {
        "range": range,
        "mean": None if mean is None else _numbers("--mean", mean),
        "std": None if std is None else _numbers("--std", std),
        "color": color,
        "resize": resize,
        "crop_fraction": crop_fraction,
        "interpolation": interpolation,
        "pad_value": pad_value,
        "size_hw": None if size is None else parse_size(size),
    }
    try:
        return msgspec.convert({name: value for name, value in given.items() if value is not None}, Wanted)
    except msgspec.ValidationError as error:
        message, found, path = str(error).rpartition(" - at `$.")
        if not found:
            raise UsageError(path.replace("`mean`", "--mean").replace("`std`", "--std")) from error
        flag = path.partition("[")[0].strip("`").replace("_hw", "").replace("_", "-")
        value = given[flag.replace("-", "_")] if flag != "size" else size
        raise UsageError(f"--{flag} {value}: {message}{_allowed(flag)}") from error


def read_toml(path: Path) -> Wanted:
    """What a preprocess.toml says. Raises UsageError, which names the file and the key."""
    try:
        return msgspec.toml.decode(path.read_bytes(), type=Wanted)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    except msgspec.DecodeError as error:  # covers malformed TOML and, as its subclass, validation
        raise UsageError(f"{path}: {error}; the keys are {', '.join(Wanted.__struct_fields__)}") from error
    except (UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"{path}: not a TOML text file ({type(error).__name__})") from error


def parse_size(text: str) -> tuple[int, int]:
    """`224x192` (height x width) or `224` -> (height, width); UsageError otherwise."""
    parts = text.lower().split("x")
    if len(parts) > 2 or not all(part.isdecimal() and 1 <= int(part) <= 16384 for part in parts):
        raise UsageError(f"--size {text}: give HxW in pixels, as 224x224")
    return int(parts[0]), int(parts[-1])


def complete(wanted: Wanted, size_hw: tuple[int, int], mean: Rgb, std: Rgb) -> tuple[Preprocess, str | None]:
    """The whole rule, and a note on what nobody said and was assumed."""
    said = {
        name: value
        for name in ("color", "resize", "crop_fraction", "interpolation", "pad_value")
        if (value := getattr(wanted, name)) is not None
    }
    rule = Preprocess(size_hw=size_hw, mean=mean, std=std, **said)
    relevant = ["color", "resize"]
    relevant += ["crop_fraction"] if rule.resize is Resize.CENTER_CROP else []
    relevant += ["pad_value"] if rule.resize is Resize.LETTERBOX else []
    assumed = [
        f"--{name.replace('_', '-')} {getattr(getattr(rule, name), 'value', getattr(rule, name))}"
        for name in (*relevant, "interpolation")
        if name not in said
    ]
    note = f"assumed of the pictures, as nothing said otherwise: {' '.join(assumed)}" if assumed else None
    return rule, note


def flags_of(rule: Preprocess) -> str:
    """The flags to type for `rule`, its size left out."""
    for name, (mean, std) in RANGES.items():
        if rule.mean == (mean,) * 3 and rule.std == (std,) * 3:
            parts = [f"--range {name}"]
            break
    else:
        parts = [f"--mean {_text(rule.mean)} --std {_text(rule.std)}"]
    parts.append(f"--color {rule.color.value} --resize {rule.resize.value}")
    if rule.resize is Resize.CENTER_CROP:
        parts.append(f"--crop-fraction {rule.crop_fraction:g}")
    parts.append(f"--interpolation {rule.interpolation.value}")
    return " ".join(parts)


def _numbers(flag: str, text: str) -> float | tuple[float, ...]:
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        values = ()
    if not values:
        raise UsageError(f"{flag} {text}: give one number, or three with commas, one a channel")
    return values[0] if len(values) == 1 else values


def _channels(value: tuple[float, ...] | float) -> tuple[float, ...]:
    return value if isinstance(value, tuple) else (float(value),) * 3


def _text(values: Sequence[float]) -> str:
    texts = [f"{float(value):.7g}" for value in values]
    return texts[0] if len(set(texts)) == 1 else ",".join(texts)


def _allowed(flag: str) -> str:
    kinds = {"color": Color, "resize": Resize, "interpolation": Interpolation}
    names = [kind.value for kind in kinds[flag]] if flag in kinds else list(RANGES) * (flag == "range")
    return f"; allowed: {', '.join(names)}" if names else ""
