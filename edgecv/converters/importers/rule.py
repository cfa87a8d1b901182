"""The preprocessing of a model of one's own: what the user says, the file does, or a probe finds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from edgecv.converters import probe
from edgecv.converters.canonical import Canonical
from edgecv.converters.canonical_ends import Front
from edgecv.converters.preprocess_rules import RANGES, WHAT_TO_GIVE, Wanted, complete, flags_of
from edgecv.data import load_labelled
from edgecv.errors import UsageError
from edgecv.spec import Color, Preprocess, Rgb
from edgecv.statistics import guessing

if TYPE_CHECKING:
    from edgecv.converters.importers import ImportOptions

_NOT_VARIED = ("color", "resize", "crop_fraction", "interpolation", "pad_value")
_SHOWN = 5  # rows of a probe that are told


def decide(
    where: str,
    canonical: Canonical,
    says: Wanted,
    labels: Sequence[str],
    options: ImportOptions,
    advance: probe.Advance | None = None,
) -> tuple[Preprocess, tuple[str, ...]]:
    """(the whole rule of the canonical graph's input, notes).

    says: what the source itself tells. Raises UsageError, which lists what to give, when nobody says how
    pictures are normalised; with labelled data it tells which flags score best.
    """
    if options.probe:
        if options.data is None:
            raise UsageError("--preprocess probe needs labelled pictures: give --data LABELLED")
        rows, notes = _probe(where, canonical, options, labels, advance)
        if guessing(rows[0].right, canonical.classes):
            raise UsageError(
                f"{where} does not say how its pictures are prepared; {_advice(rows, options, canonical)}"
            )
        return composed(rows[0].rule, canonical.front), notes
    said = says.updated(options.preprocess)
    normalisation, notes = said.normalisation(), []
    if normalisation is None and (scale := input_scale(canonical.front)):
        normalisation = tuple((value,) * 3 for value in RANGES[scale])
        notes.append(_told(canonical.front, scale))
    if normalisation is None:
        if options.data is not None:
            rows, _ = _probe(where, canonical, options, labels, advance)
            raise UsageError(
                f"{where} does not say how its pictures are prepared; {_advice(rows, options, canonical)}"
            )
        raise UsageError(f"{where} does not say how its pictures are prepared; {WHAT_TO_GIVE}")
    own, assumed = complete(said, canonical.size_hw, *normalisation)
    return composed(own, canonical.front), (*notes, *([assumed] if assumed else ()))


def composed(own: Preprocess, front: Front) -> Preprocess:
    """The rule of the graph behind `front`, from the rule of the file's own input.

    front(x) = a x + b with x = (pixel - m) / s is (pixel - (m - b s / a)) / (s / a).
    """
    turn = slice(None, None, -1 if front.reversed else 1)
    mean, std = np.float64(own.mean)[turn], np.float64(own.std)[turn]
    swapped = {Color.RGB: Color.BGR, Color.BGR: Color.RGB}
    return msgspec.structs.replace(
        own,
        color=swapped[own.color] if front.reversed else own.color,
        mean=_rounded(mean - front.shift * std / front.scale),
        std=_rounded(std / front.scale),
    )


def input_scale(front: Front) -> str | None:
    """`0..255` or `0..1` when what the file does first fits pixels of that scale only, else None.

    Trainers leave pictures with a spread of about one: a division by 20 to 260, or a mean subtracted that
    only a pixel has, speaks of 0..255; one by 0.1 to 0.6 around a mean of 0.2 to 0.8, of 0..1.
    """
    mean, std = -front.shift / front.scale, 1 / front.scale
    in_pixels = (mean >= 0).all() and (mean <= 255).all()
    if in_pixels and ((std >= 20) & (std <= 260)).all():
        return "0..255"
    if in_pixels and (mean >= 20).all() and (std >= 1).all() and (std <= 260).all():
        return "0..255"
    if ((mean >= 0.2) & (mean <= 0.8)).all() and ((std >= 0.1) & (std <= 0.6)).all():
        return "0..1"
    return None


def _told(front: Front, scale: str) -> str:
    mean, std = -front.shift / front.scale, 1 / front.scale
    low, high = (",".join(f"{v:.5g}" for v in dict.fromkeys(each.round(6) + 0.0)) for each in (mean, std))
    return (
        f"the file itself computes (x - {low}) / {high}, which was taken for pictures of {scale} and into "
        "the preprocessing; --range says otherwise"
    )


def _probe(
    where: str,
    canonical: Canonical,
    options: ImportOptions,
    labels: Sequence[str],
    advance: probe.Advance | None,
) -> tuple[list[probe.Row], tuple[str, ...]]:
    """Rows, best first, whose rules are of the file's own input: every range, then every crop with the best.

    What the user has said is not varied.
    """
    assert options.data is not None
    kept = {name: v for name in _NOT_VARIED if (v := getattr(options.preprocess, name)) is not None}
    labelled = load_labelled(options.data, labels)
    paths, truth = probe.spread(labelled.paths, labelled.labels)

    def tried(candidates: Sequence[Preprocess]) -> list[probe.Row]:
        own = (msgspec.structs.replace(rule, **kept) for rule in candidates)
        by_rule = {composed(rule, canonical.front): rule for rule in own}
        rows = probe.compare(canonical.graph, paths, truth, list(by_rule), options.threads, advance)
        return [row._replace(rule=by_rule[row.rule]) for row in rows]

    ranges = tried(probe.normalisations(canonical.size_hw))
    crops = tried(probe.geometries(ranges[0].rule))
    rows = sorted([ranges[0], *crops, *ranges[1:]], key=lambda row: (-len(row.right), -row.top1))
    notes = [f"probe of {where} on pictures of {options.data}, top-1 (of n, fewer where it was clear):"]
    notes += [f"  {row.top1:6.1%} ({len(row.right)})  {flags_of(row.rule)}" for row in rows[:_SHOWN]]
    if probe.within_noise(rows):
        notes.append("  the best two are within noise of each other; more pictures can tell them apart")
    if rows[0].shift:
        notes.append(f"  counted with {rows[0].shift:+d} on every label, as the model has a background class")
    return rows, ("\n".join(notes),)


def _advice(rows: Sequence[probe.Row], options: ImportOptions, canonical: Canonical) -> str:
    if guessing(rows[0].right, canonical.classes):
        return (
            f"none of the {len(rows)} usual ways does better than guessing on {len(rows[0].right)} pictures "
            f"of {options.data} (top-1 {rows[0].top1:.1%}): are these its classes?"
        )
    noise = ", within noise of the next" if probe.within_noise(rows) else ""
    return (
        f"on {len(rows[0].right)} pictures of {options.data} the best of {len(rows)} tried gives top-1 "
        f"{rows[0].top1:.1%}{noise}: {flags_of(rows[0].rule)} (--preprocess probe takes it)"
    )


def _rounded(values: np.ndarray) -> Rgb:
    """To 6 digits, so that the float32 constants of a file give 127.5 again."""
    return tuple(float(f"{value + 0.0:.6g}") for value in values)
