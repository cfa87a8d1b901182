"""One artifact: recipes tried from the fastest to the safest, each run in its own engine, until one holds."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import numpy as np

from edgecv.bundle import Agreement, Artifact, Trial, describe_file
from edgecv.converters.graph import integer_rule
from edgecv.converters.recipes import FILE_SUFFIX, RECIPES, Advance, Recipe, Source
from edgecv.converters.verify import agreement
from edgecv.data import Pictures
from edgecv.errors import ConversionError
from edgecv.spec import Format, Kind, Precision, Quant, TensorSpec
from edgecv.tasks import FP16_SQNR_DB, float_tolerance

if TYPE_CHECKING:
    from numpy.typing import NDArray

Infer = Callable[["NDArray[np.uint8]"], "NDArray[np.float32]"]
OpenEngine = Callable[[Path, Artifact], contextlib.AbstractContextManager[Infer]]
Stage = Callable[[str, "int | None"], contextlib.AbstractContextManager[Advance]]


class Target(NamedTuple):
    """The device the artifacts are for.

    difference: how its int8 arithmetic is not what this machine measures, for the formats it touches.
    """

    name: str
    saturates: bool
    difference: str | None = None
    touches: tuple[Format, ...] = ()


class Host(NamedTuple):
    """The machine that converts: its CPU threads, whether its int8 saturates, and its arithmetic by name.

    `open_engine(path, artifact)` gives the artifact's inference in its own engine, as a context manager.
    """

    open_engine: OpenEngine
    threads: int
    saturates: bool
    arithmetic: str
    target: Target


class Judged(NamedTuple):
    """The pictures to judge on, the float source's logits [N, classes], classes and names where known."""

    pictures: Pictures
    reference: NDArray[np.float32]
    labels: tuple[int, ...] | None
    names: tuple[str, ...] | None = None


class Found(NamedTuple):
    """The artifact that was kept, its logits [N, classes], and whether it holds the bound, if any."""

    artifact: Artifact
    logits: NDArray[np.float32]
    holds: bool | None


class _Candidate(NamedTuple):
    path: Path
    artifact: Artifact
    verified: Agreement
    logits: NDArray[np.float32]
    latency_ms: float


def search(
    kind: Kind, source: Source, folder: Path, host: Host, stage: Stage, judged: Judged, bound: float | None
) -> Found:
    """Write the artifact `kind` into `folder`, made by the first recipe that loses at most `bound` points.

    bound: percentage points (spec.Drop), None to take the first recipe, or of alternatives the nearest to
    float. When no recipe holds the bound the best is kept, and said not to hold.
    """
    floating = kind.precision is Precision.FP32
    bound = None if floating else bound
    tried: list[_Candidate | Trial] = []  # a Trial where the recipe failed
    candidates: list[_Candidate] = []
    for number, recipe in enumerate(_applicable(kind, host, bound is not None)):
        if candidates and bound is None and not recipe.alternative:
            break
        path = folder / f"model.{kind.precision.value}.{number}{FILE_SUFFIX[kind.format]}"
        try:
            with stage(f"{kind} {_doing(kind)}", _images(kind, source)) as go:
                said = recipe.build(source, path, go)
            recipe = recipe._replace(text=f"{recipe.text}; {said}") if said else recipe
            with stage(f"{kind} verifying", len(judged.pictures.images)) as go:
                candidate = _verified(kind, recipe, source, path, host, judged, go)
        except ConversionError as error:
            if bound is None:
                raise
            tried.append(Trial(recipe=recipe.text, verdict="failed", reason=str(error)))
            continue
        tried.append(candidate)
        candidates.append(candidate)
        if _holds(candidate, bound):
            break
    if not candidates:
        raise ConversionError(f"{kind}: no recipe could be built; the last said: {tried[-1].reason}")
    held = _holds(candidates[-1], bound)
    kept = candidates[-1] if held else min(candidates, key=_distance if bound is None else _loss)
    for candidate in candidates:
        if candidate is not kept:
            for file in _files_of(candidate.path):
                file.unlink()
    artifact = _renamed(kind, kept, folder)
    if not floating:
        trials = (t if isinstance(t, Trial) else _trial(t, kept, len(candidates), bound) for t in tried)
        artifact = msgspec.structs.replace(artifact, search=tuple(trials))
    return Found(artifact, kept.logits, None if bound is None else held)


def _applicable(kind: Kind, host: Host, bounded: bool) -> Iterator[Recipe]:
    for recipe in RECIPES[kind]:
        if recipe.saturating not in (None, host.target.saturates) or (recipe.risky and not bounded):
            continue
        # Saturation cannot be imitated on a CPU that sums exactly: such a number would be a lie.
        if recipe.risky and not host.saturates:
            continue
        yield recipe


def _holds(candidate: _Candidate, bound: float | None) -> bool:
    drop = candidate.verified.drop
    return bound is not None and drop is not None and drop.points <= bound


def _trial(candidate: _Candidate, kept: _Candidate, candidates: int, bound: float | None) -> Trial:
    verified = candidate.verified
    if bound is not None:
        best = "the best, but " if candidate is kept and not _holds(candidate, bound) else ""
        reason = f"{best}{'within' if _holds(candidate, bound) else 'more than'} {bound:g}"
    elif candidates == 1:
        reason = "the first recipe"
    else:
        reason = f"{'nearer to' if candidate is kept else 'further from'} float than another as fast"
    return Trial(
        recipe=candidate.artifact.recipe,
        verdict="kept" if candidate is kept else "rejected" if bound is None else "missed",
        reason=reason,
        drop=verified.drop,
        top1_agreement=verified.top1_agreement,
        sqnr_db=verified.sqnr_db,
        bytes=candidate.artifact.bytes,
        latency_ms=round(candidate.latency_ms, 3),
    )


def _verified(
    kind: Kind, recipe: Recipe, source: Source, path: Path, host: Host, judged: Judged, advance: Advance
) -> _Candidate:
    """Describe the file at `path` and run it in its own engine against the float reference."""
    whole = integer_rule(source.rule)
    # An OpenVINO file takes the plain pixels, with mean and scale as operations of its own.
    codes = kind.precision is Precision.INT8 and kind.format is not Format.OPENVINO
    artifact = Artifact(
        format=kind.format,
        precision=kind.precision,
        files=tuple(describe_file(path.parent, file.name) for file in _files_of(path)),
        input=TensorSpec(
            name="image",
            shape=(1, *source.rule.size_hw, 3),
            dtype="uint8",
            quant=Quant(scale=1 / whole.std[0], zero_point=int(whole.mean[0])) if codes else None,
        ),
        output=TensorSpec(name="logits", shape=(1, judged.reference.shape[1]), dtype="float32"),
        recipe=recipe.text,
        precise_if_saturating=recipe.precise,
        needs_exact_sums=recipe.saturating is False,
    )
    rows, times = [], []
    with host.open_engine(path, artifact) as infer:
        for image in judged.pictures.images:
            start = time.perf_counter()
            logits = infer(image[None])
            times.append(time.perf_counter() - start)
            rows.append(logits[0].copy())
            advance(1)
    stacked = np.stack(rows)
    if stacked.shape != judged.reference.shape or not np.isfinite(stacked).all():
        raise ConversionError(f"{kind}: the artifact gives {stacked.shape} logits, not all of them finite")
    result = agreement(judged.reference, stacked, judged.pictures.description, judged.labels)
    result = msgspec.structs.replace(result, arithmetic=_arithmetic(kind, recipe, host))
    _refuse_wrong(kind, result, float_tolerance(judged.reference))
    described = msgspec.structs.replace(artifact, verified=result)
    return _Candidate(path, described, result, stacked, 1000 * float(np.median(times)))


def _refuse_wrong(kind: Kind, result: Agreement, allowed: float) -> None:
    """Raise ConversionError for an artifact whose error is not that of its precision but a fault."""
    report = "nothing was written, please report this with the model"
    if kind.precision is Precision.FP32 and result.max_abs_error > allowed:
        raise ConversionError(
            f"{kind}: logits differ from the source's by {result.max_abs_error:.2g}, more than {allowed:.2g};"
            f" {report}"
        )
    noisy = result.sqnr_db is not None and result.sqnr_db < FP16_SQNR_DB
    if kind.precision is Precision.FP16 and noisy:
        raise ConversionError(
            f"{kind}: the logits' SQNR is {result.sqnr_db:.1f} dB, and float16 leaves {FP16_SQNR_DB:g} or "
            f"more: do values pass 65504? {report}"
        )


def _arithmetic(kind: Kind, recipe: Recipe, host: Host) -> str:
    text = host.arithmetic
    if kind.precision is not Precision.INT8:
        return text
    if recipe.precise and host.saturates:
        text += ", exact sums"
    touched = host.target.difference and kind.format in host.target.touches
    return f"{text}; {host.target.difference}" if touched else text


def _distance(candidate: _Candidate) -> float:
    sqnr_db = candidate.verified.sqnr_db
    return -np.inf if sqnr_db is None else -sqnr_db


def _loss(candidate: _Candidate) -> tuple[float, float]:
    assert candidate.verified.drop is not None
    return candidate.verified.drop.points, _distance(candidate)


def _renamed(kind: Kind, kept: _Candidate, folder: Path) -> Artifact:
    files = []
    for file in _files_of(kept.path):
        final = file.with_name(f"model.{kind.precision.value}{file.suffix}")
        file.rename(final)
        files.append(describe_file(folder, final.name))
    return msgspec.structs.replace(kept.artifact, files=tuple(files))


def _doing(kind: Kind) -> str:
    return "quantising" if kind.precision is Precision.INT8 else "writing"


def _images(kind: Kind, source: Source) -> int | None:
    return len(source.calibration) if kind.precision is Precision.INT8 else None


def _files_of(path: Path) -> list[Path]:
    """The artifact's files, the one an engine opens first: an .xml has its weights in a .bin beside it."""
    return [path, path.with_suffix(".bin")] if path.suffix == FILE_SUFFIX[Format.OPENVINO] else [path]
