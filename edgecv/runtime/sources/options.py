"""What may follow the `?` of a source: size=1280x720&fps=30."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, NamedTuple

from edgecv.errors import UsageError

MAX_SIDE = 8192


class _Option(NamedTuple):
    pattern: str
    read: Callable[[re.Match[str]], Any]
    example: str


_NUMBER = r"(\d{1,4}(?:\.\d{1,3})?)"
_SIZE = r"([1-9]\d{0,3})x([1-9]\d{0,3})"

OPTIONS = {
    "size": _Option(_SIZE, lambda match: (int(match[1]), int(match[2])), "size=1280x720"),
    "fps": _Option(_NUMBER, lambda match: float(match[1]), "fps=30"),
    "format": _Option(r"\w{3,8}", lambda match: match[0], "format=NAME"),
    "flip": _Option(r"[0-7]", lambda match: int(match[0]), "flip=0..7"),
    "raw": _Option(_SIZE, lambda match: (int(match[1]), int(match[2])), "raw=640x480"),
}


@dataclass(frozen=True)
class Options:
    """`size` and `raw` are (width, height); `fps` is above 0; `flip` is nvvidconv's flip-method."""

    size: tuple[int, int] | None = None
    fps: float | None = None
    format: str | None = None
    flip: int = 0
    raw: tuple[int, int] | None = None

    @classmethod
    def parse(cls, query: str | None, allowed: Collection[str], where: str) -> Options:
        """Read `a=1&b=2`, None or '' being no options; UsageError says what `where` takes."""
        found: dict[str, Any] = {}
        for word in filter(None, (query or "").split("&")):
            name, _, value = word.partition("=")
            match = re.fullmatch(OPTIONS[name].pattern, value, re.ASCII) if name in allowed else None
            read = OPTIONS[name].read(match) if match else None
            if read is None or (read == 0.0 and name == "fps") or name in found or _too_large(read):
                takes = ", ".join(OPTIONS[name].example for name in allowed)
                raise UsageError(f"{where}: {word!r} is not one of its options, which are {takes}")
            found[name] = read
        return cls(**found)


def _too_large(value: object) -> bool:
    return isinstance(value, tuple) and max(value) > MAX_SIDE


def covering(size: tuple[int, int], input_hw: tuple[int, int] | None) -> tuple[int, int]:
    """What hardware may shrink a picture to: the smallest of its aspect ratio that holds the model's input.

    `size` and the answer are (width, height); `input_hw` is (height, width), None for no shrinking. The
    answer is even, as the planes of 4:2:0 need it, and never larger than `size`.
    """
    if input_hw is None:
        return size
    scale = max(input_hw[0] / size[1], input_hw[1] / size[0])
    if scale >= 1:
        return size
    width, height = (min(side, 2 * math.ceil(round(side * scale, 6) / 2)) for side in size)
    return width, height
