"""The pictures int8 ranges are taken from: drawn, looked at, preprocessed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgecv.converters.picture_checks import Check, Doctor, Doctored
from edgecv.data import Draw, Pictures, draw, load_labelled
from edgecv.errors import DataError
from edgecv.image import Preprocessor
from edgecv.spec import Preprocess

if TYPE_CHECKING:
    from numpy.typing import NDArray

CALIBRATION_IMAGES = 128
SPARE_FRAMES = 2  # times as many frames as needed are looked at, so that there are some to leave out


@dataclass(frozen=True)
class Calibrated:
    """The pictures to calibrate on, and what was found while looking at them."""

    pictures: Pictures
    report: Doctored


def load(
    where: Path | str | Draw,
    rule: Preprocess,
    count: int = CALIBRATION_IMAGES,
    seed: int = 0,
    *,
    doctor: bool = True,
    labels: Sequence[str] = (),
    judged: Iterable[Path] = (),
    every: bool = False,
    advance: Callable[[int], None] | None = None,
) -> Calibrated:
    """Up to `count` pictures that are fit to calibrate on.

    where: a folder, a shell pattern, a list (.csv) or a video; or a Draw, as of a camera that somebody else
    has opened. labels: the model's, to see whether classes are missing where the set is labelled. judged:
    the pictures accuracy will be measured on. doctor=False leaves out only what cannot be read. every: look
    at all pictures, not only until there are `count`, and let a set of which none is fit be the answer.
    Raises DataError when `where` is none of these, or no picture of it is fit.
    """
    drawn = where if isinstance(where, Draw) else draw(where, count * SPARE_FRAMES if doctor else count, seed)
    classes = None if isinstance(where, Draw) else classes_of(Path(where), labels)
    preprocessor = Preprocessor(rule)
    found = Doctor(rule.size_hw, trusting=not doctor)
    images: list[NDArray[np.uint8]] = []
    for candidate in drawn.candidates:
        fit = found.examine(candidate) is None
        if fit and candidate.bgr is not None and (drawn.even or len(images) < count):
            images.append(preprocessor(candidate.bgr)[0].copy())
        if advance:
            advance(1)
        if len(images) == count and not drawn.even and not every:
            break
    report = found.report(judged, classes, labels)
    if not images and not every:
        raise DataError(nothing_fit(drawn.description, report))
    taken = np.linspace(0, len(images) - 1, min(count, len(images))).round().astype(int)
    description = f"{len(taken)} frames of {drawn.description}" if drawn.frames else drawn.description
    unreadable = len(found.dropped[Check.UNREADABLE])
    chosen = np.stack([images[i] for i in taken]) if images else np.empty((0, *rule.size_hw, 3), np.uint8)
    return Calibrated(Pictures(chosen, description, unreadable), report)


def classes_of(where: Path | str, labels: Sequence[str]) -> dict[Path, int] | None:
    """The class index of each picture where the set has a folder a class, or labels.csv; None where not."""
    try:
        labelled = load_labelled(Path(where), labels)
    except DataError:
        return None  # calibration asks for no labels
    return dict(zip(labelled.paths, labelled.labels, strict=True))


def nothing_fit(where: str, report: Doctored) -> str:
    """The message for a set of which nothing is left."""
    reasons = "; ".join(f"{finding}" for finding in report.findings if finding.dropped)
    return f"{where}: no picture to calibrate on: {reasons}" if reasons else f"{where}: no picture came"
