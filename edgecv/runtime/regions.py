"""Parts of the picture that are looked at on their own."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from edgecv.errors import SourceError, UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FORM = (
    "[NAME=]X,Y,W,H in fractions of the frame, all with a decimal point (door=0.0,0.2,0.5,0.5), "
    "or in whole pixels (door=0,96,320,240)"
)
_NAME = re.compile(r"[\w.-][\w .-]{0,39}")
_PIXELS = re.compile(r"\d{1,5}", re.ASCII)
_FRACTION = re.compile(r"[01]?\.\d{1,9}|[01]\.", re.ASCII)


class Region(NamedTuple):
    """A rectangle with its top left corner at x, y. Floats are fractions of the frame, ints are pixels."""

    name: str
    x: float
    y: float
    w: float
    h: float

    def crop(self, bgr: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The region of a frame, [H, W, 3] uint8: a view, no copy, of at least 1 pixel.

        Fractions are clipped to the frame; pixels beyond it raise SourceError.
        """
        height, width = bgr.shape[:2]
        fractions = isinstance(self.w, float)
        x_scale, y_scale = (width, height) if fractions else (1, 1)
        left, right = round(self.x * x_scale), round((self.x + self.w) * x_scale)
        top, bottom = round(self.y * y_scale), round((self.y + self.h) * y_scale)
        if not fractions and (right > width or bottom > height):
            raise SourceError(
                f"region {self.name!r} reaches to {right},{bottom}, beyond the frame of {width}x{height} "
                "pixels: give pixels inside it, or fractions"
            )
        left, top = min(left, width - 1), min(top, height - 1)
        return bgr[top : max(bottom, top + 1), left : max(right, left + 1)]


def parse_region(text: str) -> Region:
    """Read `door=0.1,0.2,0.5,0.5` or `64,48,320,240`, whose name is ''; UsageError says what is allowed."""
    name, named, box = text.rpartition("=")
    name, numbers = name.strip(), [number.strip() for number in box.split(",")]
    if len(numbers) == 4 and (_NAME.fullmatch(name) or not named):
        if all(map(_PIXELS.fullmatch, numbers)):
            region = Region(name, *map(int, numbers))
            if region.w and region.h:
                return region
        elif all(map(_FRACTION.fullmatch, numbers)):
            region = Region(name, *map(float, numbers))
            if max(region.x, region.y) < 1 and 0 < region.w <= 1 and 0 < region.h <= 1:
                return region
    raise UsageError(f"{text!r} is not a region: give {FORM}")


def parse_regions(texts: Sequence[str]) -> tuple[Region, ...]:
    """Read each; those without a name become `region 1`, `region 2` by their place. Names are unique."""
    regions = []
    for place, text in enumerate(texts, 1):
        region = parse_region(text)
        regions.append(region if region.name else region._replace(name=f"region {place}"))
    names = [region.name for region in regions]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"two regions are named {name!r}: give each a name of its own")
    return tuple(regions)
