"""The doctor: looks at every picture before int8 ranges are taken from it, and says what is wrong.

What can only harm is left out (`DROPS`); what may be meant is said, and stays.
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgecv.converters.picture_looks import Look, Seen, look
from edgecv.data import Candidate
from edgecv.photos import read_image

MIN_PICTURES = 16  # fewer give ranges that are guesses
SHOWN = 3  # files named in a sentence; the report has all

# The thresholds leave every one of 1,128 photographs in (128 of COCO, 1,000 of ImageNet classes); the nearest
# of them, and what is caught, is beside each. `docs/calibration.md` has the whole measurement.
SOFTEST = 50.0  # photographs 216 and more; all of those blurred by 3 pixels of 224, 60 % of those by 2
DARKEST = 40.0  # level of the brightest 1 %: photographs 96 and more; 38 and less at 15 % of the light
LIGHTEST = 215.0  # level of the darkest 1 %: photographs 183 and less
CLIPPED = 0.95  # share of pixels at an end: photographs 0.87 and less
ENLARGED = 2.0  # times: beyond, most of what the model sees is the interpolation
GREY_LEVELS = 2.0  # mean distance of the channels; black and white photographs 0, the faintest colours 7
GREY_SHARE = 0.5  # some are no harm: the others give the ranges of colour
# As many different pictures (Seen.variety): a clip of one scene 1.2 to 1.6, 16 photographs 10 and more.
ONE_SCENE = 2.0
LITTLE_VARIETY = 5.0


class Check(str, enum.Enum):
    UNREADABLE = "unreadable"
    TOO_SMALL = "too small"
    UNDER_EXPOSED = "under-exposed"
    OVER_EXPOSED = "over-exposed"
    BLURRED = "blurred"
    NEAR_DUPLICATE = "near-duplicate"
    FEW = "too few"
    ONE_CLASS = "one class"
    MISSING_CLASSES = "missing classes"
    ONE_SCENE = "one scene"
    LITTLE_VARIETY = "little variety"
    GREYSCALE = "greyscale"
    OVERLAP = "overlap"


DROPS: Mapping[Check, str] = {  # what leaves the set, and what to do about it
    Check.UNREADABLE: "copy them again, or delete them",
    Check.TOO_SMALL: "take pictures at the camera's own size",
    Check.UNDER_EXPOSED: "check the lens cap and the light; leave out frames from before the camera adjusts",
    Check.OVER_EXPOSED: "lower the exposure, or wait until the camera has adjusted",
    Check.BLURRED: "focus the camera and clean the lens",
    Check.NEAR_DUPLICATE: "nothing to do; other moments and other scenes would add more than copies",
}


@dataclass(frozen=True)
class Place:
    """A picture, and what was found there in a few words."""

    name: str
    detail: str

    def __str__(self) -> str:
        return f"{self.name} ({self.detail})" if self.detail else self.name


@dataclass(frozen=True)
class Finding:
    """One fault: where, what, and what to do. dropped: the pictures are left out."""

    check: Check
    dropped: bool
    what: str
    advice: str
    places: tuple[Place, ...] = ()

    @property
    def where(self) -> str:
        """`a.jpg (empty file), b.jpg and 7 more`; empty when it is about the whole set."""
        more = f" and {len(self.places) - SHOWN} more" if len(self.places) > SHOWN else ""
        return ", ".join(map(str, self.places[:SHOWN])) + more

    def __str__(self) -> str:
        return f"{self.what}{': ' if self.places else ''}{self.where}; {self.advice}"


@dataclass(frozen=True)
class Doctored:
    """What the doctor found: pictures looked at, those left, and as how many different ones these count."""

    seen: int
    usable: int
    variety: float | None
    findings: tuple[Finding, ...]

    @property
    def enough(self) -> bool:
        return self.usable >= MIN_PICTURES

    def found(self, check: Check) -> Finding | None:
        return next((finding for finding in self.findings if finding.check is check), None)


class Doctor:
    """Looks at pictures one by one, and remembers them.

    size_hw: the model's input; None where no model is known, and no picture then too small. trusting: only
    what cannot be read is left out, and nothing is looked at.
    """

    def __init__(self, size_hw: tuple[int, int] | None = None, trusting: bool = False) -> None:
        self._size_hw = size_hw
        self._trusting = trusting
        self.seen = self.usable = 0
        self.dropped: dict[Check, list[Place]] = {check: [] for check in DROPS}
        self._kept = Seen()
        self._kept_paths: list[Path | None] = []
        self._grey: list[Place] = []
        self._looks: list[tuple[str, Look]] = []

    def examine(self, candidate: Candidate) -> Check | None:
        """Look at one more picture: None when it is fit, else why it is to be left out."""
        self.seen += 1
        if candidate.bgr is None:
            return self._drop(Check.UNREADABLE, candidate, candidate.why)
        if not self._trusting:
            measured = look(candidate.bgr)
            if fault := fault_of(measured, self._size_hw):
                return self._drop(fault[0], candidate, fault[1])
            if (before := self._kept.find(measured)) is not None:
                return self._drop(Check.NEAR_DUPLICATE, candidate, f"as {before}")
            self._remember(candidate, measured)
        self.usable += 1
        return None

    def _remember(self, candidate: Candidate, measured: Look) -> None:
        self._kept.add(candidate.name, measured)
        self._kept_paths.append(candidate.path)
        self._looks.append((candidate.name, measured))
        if measured.colour <= GREY_LEVELS:
            self._grey.append(Place(candidate.name, ""))

    def know(self, candidate: Candidate) -> None:
        """Count a picture as there already: what shows the same is a near-duplicate of it."""
        if candidate.bgr is not None:
            self._kept.add(candidate.name, look(candidate.bgr))
            self._kept_paths.append(candidate.path)

    def report(
        self,
        judged: Iterable[Path] = (),
        classes: Mapping[Path, int] | None = None,
        labels: Sequence[str] = (),
    ) -> Doctored:
        """What was found so far.

        judged: pictures that accuracy is measured on. classes: of the pictures looked at, as far as known,
        as indices into the model's `labels`.
        """
        variety = self._kept.variety()
        findings = [
            *self._left_out(),
            *self._few(),
            *(self._classes(classes, labels) if classes else ()),
            *self._one_scene(variety),
            *self._greyscale(),
            *self._overlap(judged),
        ]
        return Doctored(self.seen, self.usable, variety, tuple(findings))

    def _drop(self, check: Check, candidate: Candidate, detail: str) -> Check:
        self.dropped[check].append(Place(candidate.name, detail))
        return check

    def _left_out(self) -> Iterable[Finding]:
        for check, places in self.dropped.items():
            if places:
                what = f"{len(places)} of {self.seen} left out: {check.value}"
                yield Finding(check, True, what, DROPS[check], tuple(places))

    def _few(self) -> Iterable[Finding]:
        if self.usable < MIN_PICTURES:
            what = f"only {_pictures(self.usable)} fit to calibrate on: int8 ranges would be guesses"
            yield Finding(Check.FEW, False, what, f"give {MIN_PICTURES} or more, better 128")

    def _classes(self, classes: Mapping[Path, int], labels: Sequence[str]) -> Iterable[Finding]:
        """Said where the pictures would be enough for one of each class, and always where all are of one."""
        count = Counter(classes[path] for path in self._kept_paths if path in classes)
        advice = "add pictures of the others: their activations reach further"
        if len(count) == 1 and len(labels) > 1:
            name = labels[next(iter(count))]
            yield Finding(Check.ONE_CLASS, False, f"all pictures are of one class, {name}", advice)
        elif count and self.usable >= len(labels):
            missing = [name for index, name in enumerate(labels) if index not in count]
            if missing:
                what = f"{len(missing)} of {len(labels)} classes have no picture"
                places = tuple(Place(name, "") for name in missing)
                yield Finding(Check.MISSING_CLASSES, False, what, advice, places)

    def _one_scene(self, variety: float | None) -> Iterable[Finding]:
        if variety is None or self.usable < MIN_PICTURES or variety >= LITTLE_VARIETY:
            return  # a handful is said to be too few, and is never varied
        check = Check.ONE_SCENE if variety < ONE_SCENE else Check.LITTLE_VARIETY
        what = "one scene only" if check is Check.ONE_SCENE else "little variety"
        yield Finding(
            check,
            False,
            f"{what}: {_pictures(self.usable)} as varied as {variety:.1f} different ones",
            "add other places, objects, distances and times of day, as many as the camera will meet",
        )

    def _greyscale(self) -> Iterable[Finding]:
        if self._grey and len(self._grey) >= GREY_SHARE * self.usable:
            what = f"{len(self._grey)} of {_pictures(self.usable)} without colour"
            advice = "right for an infrared or black and white camera; otherwise give colour pictures"
            yield Finding(Check.GREYSCALE, False, what, advice, tuple(self._grey))

    def _overlap(self, judged: Iterable[Path]) -> Iterable[Finding]:
        theirs = Seen()
        for path in judged:
            if (bgr := read_image(path)) is not None:
                theirs.add(str(path), look(bgr))
        twins = ((name, theirs.find(measured)) for name, measured in self._looks)
        places = tuple(Place(name, f"as {twin}") for name, twin in twins if twin is not None)
        if places:
            what = f"{len(places)} of {_pictures(self.usable)} also in the data to judge on"
            advice = "take them out of one: accuracy on calibration pictures flatters"
            yield Finding(Check.OVERLAP, False, what, advice, places)


def fault_of(measured: Look, size_hw: tuple[int, int] | None) -> tuple[Check, str] | None:
    """Why a picture is to be left out, with the measure in words; None when it is fit."""
    height, width = measured.size_hw
    if size_hw is not None and (height * ENLARGED < size_hw[0] or width * ENLARGED < size_hw[1]):
        return Check.TOO_SMALL, f"{width}x{height}, the model takes {size_hw[1]}x{size_hw[0]}"
    if measured.black >= CLIPPED:
        return Check.UNDER_EXPOSED, f"{measured.black:.0%} black"
    if measured.white >= CLIPPED:
        return Check.OVER_EXPOSED, f"{measured.white:.0%} white"
    if measured.dark < DARKEST:
        return Check.UNDER_EXPOSED, f"99 % of it below level {measured.dark:.0f} of 255"
    if measured.light > LIGHTEST:
        return Check.OVER_EXPOSED, f"99 % of it above level {measured.light:.0f} of 255"
    if measured.sharpness < SOFTEST:
        return Check.BLURRED, f"sharpness {measured.sharpness:.0f}, {SOFTEST:.0f} is the least"
    return None


def _pictures(count: int) -> str:
    return f"{count} picture{'' if count == 1 else 's'}"
