"""Results written onto a picture."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING

from edgecv.runtime.results import Result

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SHOWN = 3  # classes of the whole picture; of several regions, the best one each
WHITE, GREEN, BLACK = (255, 255, 255), (0, 255, 0), (0, 0, 0)


def annotated(bgr: NDArray[np.uint8], results: Sequence[Result]) -> NDArray[np.uint8]:
    """A copy of [H, W, 3] uint8 BGR with the top labels and scores; what is on is green, and listed."""
    import cv2

    picture = bgr.copy()
    scale = max(0.4, min(picture.shape[:2]) / 600)
    thickness = max(1, round(1.5 * scale))
    step = round(32 * scale)
    for number, (text, green) in enumerate(_lines(results), start=1):
        at = (round(8 * scale), number * step)
        for color, width in ((BLACK, 3 * thickness), (GREEN if green else WHITE, thickness)):
            cv2.putText(picture, text, at, cv2.FONT_HERSHEY_SIMPLEX, scale, color, width, cv2.LINE_AA)
    return picture


def _lines(results: Sequence[Result]) -> list[tuple[str, bool]]:
    """(text, whether it is about what is on)"""
    lines = []
    for result in results:
        where = f"{result.region}: " if result.region else ""
        for best in result.top[: SHOWN if len(results) == 1 else 1]:
            lines.append((f"{where}{best.label} {best.score:.2f}", best.label in result.on))
        if result.on:
            lines.append((f"{where}on: {', '.join(result.on)}", True))
    return [(_ascii(text), green) for text, green in lines]


def _ascii(text: str) -> str:
    """What OpenCV's fonts can show: accents are left off, other scripts are question marks."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return plain.encode("ascii", "replace").decode()
