"""Which preprocessing a model was trained with: top-1 of the usual ones on labelled pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import numpy as np

from edgecv.converters.class_names import shifted_labels
from edgecv.converters.graph import normalise
from edgecv.errors import DataError
from edgecv.image import Preprocessor
from edgecv.photos import read_image
from edgecv.spec import Color, Drop, Preprocess, Resize
from edgecv.statistics import accuracy_drop, resolved

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray

Advance = Callable[[int], None]
PICTURES = 200
ROUND = 40  # pictures, after which candidates that are clearly behind stop
NORMALISATIONS = (  # (mean, std) on the 0..255 scale, as the usual trainers have them
    ((0.0,) * 3, (255.0,) * 3),
    ((127.5,) * 3, (127.5,) * 3),
    ((0.0,) * 3, (1.0,) * 3),
    ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),  # ImageNet's
    ((127.0,) * 3, (128.0,) * 3),
    ((123.68, 116.779, 103.939), (1.0,) * 3),  # Caffe's, which goes with BGR
)
GEOMETRIES = ((Resize.CENTER_CROP, 0.875), (Resize.CENTER_CROP, 1.0), (Resize.STRETCH, 1.0))


class Row(NamedTuple):
    """One candidate: top-1 on the pictures that could be read, and which of them were right, [n] bool.

    shift: what class_names.shifted_labels adds to the labels.
    """

    rule: Preprocess
    top1: float
    right: NDArray[np.bool_]
    shift: int


def normalisations(size_hw: tuple[int, int]) -> tuple[Preprocess, ...]:
    """Every range and channel order, at the most usual geometry; a mean a channel is in the order's own."""
    rules = []
    for mean, std in NORMALISATIONS:
        for color in Color:
            turn = slice(None, None, -1 if color is Color.BGR else 1)
            rules.append(
                Preprocess(size_hw=size_hw, crop_fraction=0.875, color=color, mean=mean[turn], std=std[turn])
            )
    return tuple(rules)


def geometries(rule: Preprocess) -> tuple[Preprocess, ...]:
    """The same normalisation with the other crops. Filters differ by less than these pictures can show."""
    return tuple(
        msgspec.structs.replace(rule, resize=resize, crop_fraction=fraction)
        for resize, fraction in GEOMETRIES
        if (resize, fraction) != (rule.resize, rule.crop_fraction)
    )


def spread(paths: Sequence[Path], labels: Sequence[int], count: int = PICTURES, seed: int = 0):
    """(paths, labels) of at most `count` pictures, drawn: lists are often sorted by class."""
    chosen = np.sort(np.random.default_rng(seed).permutation(len(paths))[:count])
    return [paths[i] for i in chosen], [labels[i] for i in chosen]


def compare(
    graph: onnx.ModelProto,
    paths: Sequence[Path],
    labels: Sequence[int],
    candidates: Sequence[Preprocess],
    threads: int = 1,
    advance: Advance | None = None,
) -> list[Row]:
    """Each candidate's top-1, best first (equal ones as given).

    After every ROUND pictures those that are clearly behind the best stop: their rows are of fewer pictures,
    and come last. graph: canonical. labels: a class index for each path. advance: told of each picture.
    Raises DataError when no picture can be read.
    """
    from edgecv.converters.canonical import run_session

    run = run_session(graph, threads)
    runners = [_Runner(rule) for rule in candidates]
    alive, truth = list(runners), []
    for path, label in zip(paths, labels, strict=True):
        bgr = read_image(path)
        if advance:
            advance(1)
        if bgr is None:
            continue
        images = {}
        for runner in alive:
            if runner.geometry not in images:
                images[runner.geometry] = Preprocessor(runner.geometry)(bgr)
            runner.logits.append(run(normalise(images[runner.geometry], runner.rule)))
        truth.append(label)
        if len(truth) % ROUND == 0:
            alive = _leaders(alive, truth)
    if not truth:
        raise DataError(f"none of the {len(paths)} pictures for the probe could be read")
    return sorted((runner.row(truth) for runner in runners), key=lambda row: (-len(row.right), -row.top1))


class _Runner:
    """A candidate while it is compared. `geometry` is its rule without what happens after the pixels."""

    def __init__(self, rule: Preprocess) -> None:
        self.rule = rule
        self.geometry = msgspec.structs.replace(rule, mean=(0.0,) * 3, std=(1.0,) * 3)
        self.logits: list[NDArray[np.float32]] = []

    def row(self, truth: Sequence[int]) -> Row:
        logits, known = np.stack(self.logits), np.array(truth[: len(self.logits)])
        shift = shifted_labels(logits, known)
        right = logits.argmax(axis=1) == known + shift
        return Row(self.rule, float(right.mean()), right, shift)


def _leaders(alive: list[_Runner], truth: Sequence[int]) -> list[_Runner]:
    rows = [runner.row(truth) for runner in alive]
    best = max(rows, key=lambda row: row.top1)
    behind = [accuracy_drop(best.right, row.right) for row in rows]
    return [runner for runner, drop in zip(alive, behind, strict=True) if drop.low <= 0]


def lead(rows: Sequence[Row]) -> Drop | None:
    """What the second best loses against the best on as many pictures, None where there is no second."""
    if len(rows) < 2 or len(rows[0].right) != len(rows[1].right):
        return None
    return accuracy_drop(rows[0].right, rows[1].right)


def within_noise(rows: Sequence[Row]) -> bool:
    """Whether these pictures cannot tell the two best apart."""
    drop = lead(rows)
    return drop is not None and not (resolved(drop) and drop.points > 0)
