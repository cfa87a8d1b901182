"""One artifact: built by every recipe that applies, run in its own engine, the nearest to float kept."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import numpy as np

from edgecv.bundle import Agreement, Artifact, describe_file
from edgecv.converters.graph import integer_rule
from edgecv.converters.recipes import FILE_SUFFIX, RECIPES, Advance, Recipe, Source
from edgecv.converters.verify import agreement
from edgecv.data import Pictures
from edgecv.errors import ConversionError
from edgecv.spec import Format, Kind, Precision, Quant, TensorSpec
from edgecv.tasks import FLOAT_TOLERANCE

if TYPE_CHECKING:
    from numpy.typing import NDArray

Infer = Callable[["NDArray[np.uint8]"], "NDArray[np.float32]"]
OpenEngine = Callable[[Path, Artifact], contextlib.AbstractContextManager[Infer]]
Stage = Callable[[str, "int | None"], contextlib.AbstractContextManager[Advance]]


class Host(NamedTuple):
    """The machine that converts: its CPU threads, whether its int8 saturates, and its arithmetic by name.

    `open_engine(path, artifact)` gives the artifact's inference in its own engine, as a context manager.
    """

    open_engine: OpenEngine
    threads: int
    saturates: bool
    arithmetic: str


class Judged(NamedTuple):
    """The pictures to judge on, the float source's logits [N, classes], and the classes where known."""

    pictures: Pictures
    reference: NDArray[np.float32]
    labels: tuple[int, ...] | None


def best(
    kind: Kind,
    source: Source,
    folder: Path,
    host: Host,
    stage: Stage,
    judged: Judged,
) -> Artifact:
    """Build `kind` with each recipe that applies here, and keep the one nearest to the float source."""
    candidates = []
    for number, recipe in enumerate(RECIPES[kind]):
        if recipe.only_if_saturating and not host.saturates:
            continue
        stem = f"model.{kind.precision.value}"
        path = folder / f"{stem}.{number}{FILE_SUFFIX[kind.format]}"
        images = len(source.calibration) if kind.precision is Precision.INT8 else None
        with stage(f"{kind} {'quantising' if images else 'writing'}", images) as advance:
            recipe.build(source, path, advance)
        with stage(f"{kind} verifying", len(judged.pictures.images)) as advance:
            candidates.append((path, verified(kind, recipe, source, path, host, judged, advance)))
    ranked = sorted(candidates, key=lambda c: _noise_rank(c[1].verified))
    for path, _ in ranked[1:]:
        for file in _files_of(path):
            file.unlink()
    path, artifact = ranked[0]
    renamed = []
    for file in _files_of(path):
        final = file.with_name(f"{stem}{file.suffix}")
        file.rename(final)
        renamed.append(describe_file(folder, final.name))
    return msgspec.structs.replace(artifact, files=tuple(renamed))


def verified(
    kind: Kind,
    recipe: Recipe,
    source: Source,
    path: Path,
    host: Host,
    judged: Judged,
    advance: Advance,
) -> Artifact:
    """Describe the file at `path` and run it in its own engine against the float reference."""
    int8 = kind.precision is Precision.INT8
    whole = integer_rule(source.rule)
    # An OpenVINO file takes the plain pixels, with mean and scale as operations of its own.
    codes = int8 and kind.format is not Format.OPENVINO
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
        precise_if_saturating=recipe.precise_if_saturating,
    )
    rows = []
    with host.open_engine(path, artifact) as infer:
        for image in judged.pictures.images:
            rows.append(infer(image[None])[0].copy())
            advance(1)
    logits = np.stack(rows)
    if logits.shape != judged.reference.shape or not np.isfinite(logits).all():
        raise ConversionError(f"{kind}: the artifact gives {logits.shape} logits, not all of them finite")
    result = agreement(judged.reference, logits, judged.pictures.description, judged.labels)
    if not int8 and result.max_abs_error > FLOAT_TOLERANCE:
        raise ConversionError(
            f"{kind}: logits differ from the source's by {result.max_abs_error:.2g}, more than "
            f"{FLOAT_TOLERANCE:g}; nothing was written, please report this with the model"
        )
    return msgspec.structs.replace(artifact, verified=result)


def _noise_rank(verified: Agreement) -> float:
    return -np.inf if verified.sqnr_db is None else -verified.sqnr_db


def _files_of(path: Path) -> list[Path]:
    """The artifact's files, the one an engine opens first: an .xml has its weights in a .bin beside it."""
    return [path, path.with_suffix(".bin")] if path.suffix == FILE_SUFFIX[Format.OPENVINO] else [path]
