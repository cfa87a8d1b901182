"""Names for the classes of a model of one's own, and whether labels are off by the background class."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from edgecv.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

IMAGENET = "imagenet"
_BACKGROUND = "background"
_JUMP = 0.3  # of top-1: what shifting the labels by one gains when they are shifted, and chance never gives


def imagenet() -> tuple[str, ...]:
    """The names of ImageNet's 1,000 classes in their usual order."""
    text = resources.files("edgecv.converters").joinpath("imagenet_labels.txt").read_text("utf-8")
    return tuple(text.splitlines())


def class_names(given: str | None, classes: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(a name for each class, notes). given: a file, `imagenet`, or None for `class 0`, `class 1`, ...

    Raises UsageError when a file cannot be read, or has another number of names than the model has classes.
    """
    if given is None:
        hint = "--labels imagenet" if classes in (1000, 1001) else "--labels FILE"
        plain = tuple(f"class {i}" for i in range(classes))
        return plain, (f"the classes are called class 0 to class {classes - 1}; {hint} names them",)
    built_in = given == IMAGENET and not Path(given).is_file()
    names = imagenet() if built_in else read_names(Path(given))
    if built_in and classes == len(names) + 1:
        note = f"the model has {classes} classes: index 0 was taken for ImageNet's background"
        return (_BACKGROUND, *names), (note,)
    if len(names) != classes:
        hint = ""
        if classes == len(names) + 1:
            hint = "; index 0 is probably background: put it in the first line if it is"
        raise UsageError(f"--labels {given}: {len(names)} names for the model's {classes} classes{hint}")
    return names, ()


def read_names(path: Path) -> tuple[str, ...]:
    """One name a line, a JSON list or {index: name}, or a csv of index,name; else UsageError."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UsageError(f"--labels {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"--labels {path}: not UTF-8 text ({error})") from error
    readers = {".json": _from_json, ".csv": _from_csv}
    names = readers.get(path.suffix.lower(), _from_lines)(text, path)
    for index, name in enumerate(names):
        if not name or len(name.splitlines()) != 1:
            raise UsageError(f"--labels {path}: the name of class {index} is empty or not one line")
    return tuple(names)


def shifted_labels(logits: NDArray[np.float32], labels: Sequence[int]) -> int:
    """What to add to `labels` so that they fit the model: 0, or +1 or -1 when top-1 then jumps.

    logits: [N, classes]; labels: N class indices. +1: the model has a background class in front that the
    labels do not count.
    """
    best, truth = np.asarray(logits).argmax(axis=1), np.asarray(labels)
    accuracy = {shift: float((best == truth + shift).mean()) for shift in (0, 1, -1)}
    shift = max(accuracy, key=accuracy.__getitem__)
    return shift if accuracy[shift] > accuracy[0] + _JUMP else 0


def _from_lines(text: str, path: Path) -> list[str]:
    del path
    lines = [line.strip() for line in text.split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def _from_json(text: str, path: Path) -> list[str]:
    """["cat", ...], {"0": "cat", ...} or {"cat": 0, ...}."""
    try:
        found = msgspec.json.decode(text, type=list[str] | dict[str, str | int])
    except (msgspec.DecodeError, RecursionError) as error:
        raise UsageError(
            f"--labels {path}: give a JSON list of names, or an object of index: name ({error})"
        ) from error
    if isinstance(found, list):
        return [name.strip() for name in found]
    if all(isinstance(value, int) for value in found.values()):
        found = {str(index): name for name, index in found.items()}
    return _by_index([(index, str(name)) for index, name in found.items()], path)


def _from_csv(text: str, path: Path) -> list[str]:
    try:
        rows = [row for row in csv.reader(text.splitlines()) if row]
    except csv.Error as error:
        raise UsageError(f"--labels {path}: {error}") from error
    if rows and not rows[0][0].strip().isdecimal():
        rows = rows[1:]  # the header
    if any(len(row) < 2 for row in rows):
        raise UsageError(f"--labels {path}: give two columns, index,name")
    return _by_index([(row[0].strip(), row[1]) for row in rows], path)


def _by_index(pairs: list[tuple[str, str]], path: Path) -> list[str]:
    names = {int(index): name.strip() for index, name in pairs if index.isdecimal()}
    if len(names) != len(pairs) or sorted(names) != list(range(len(names))):
        raise UsageError(f"--labels {path}: the indices must be 0 to {len(pairs) - 1}, each of them once")
    return [names[index] for index in range(len(names))]
