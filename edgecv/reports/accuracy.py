"""Top-1, top-5 and agreement of a bundle's artifacts on labelled pictures."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgecv.bundle import Artifact, Bundle
from edgecv.data import load_labelled
from edgecv.errors import DataError, EngineError
from edgecv.image import Preprocessor
from edgecv.photos import read_image
from edgecv.reports.schema import Accuracy
from edgecv.runtime.engines import Engine, Options, installed, open_engine
from edgecv.spec import Kind, Precision
from edgecv.statistics import accuracy_drop
from edgecv.tasks import top_indices

if TYPE_CHECKING:
    from edgecv.devices import Selected

TOP = 5

Best = dict[Kind, NDArray[np.intp]]


def evaluate(
    bundle: Bundle,
    artifacts: Sequence[Artifact],
    data: Path,
    selected: Selected,
    progress: Callable[[str, float], None] | None = None,
) -> tuple[Accuracy, ...]:
    """Score `artifacts` on the labelled pictures at `data`, every picture through all of them.

    Float artifacts that were not asked for run along as the reference of `agreement`, unreported.
    Raises DataError when no picture can be read, EngineMissing or EngineError for an artifact of `artifacts`.
    """
    if not artifacts:
        return ()
    labelled = load_labelled(data, bundle.labels)
    references = {a.kind: _reference(bundle, a) for a in artifacts}
    wanted = {a.kind: a for a in (*artifacts, *references.values()) if a is not None}
    with contextlib.ExitStack() as stack:
        engines = {kind: _open(bundle, a, selected, stack) for kind, a in wanted.items()}
        best, truth = _run(bundle, engines, labelled.paths, labelled.labels, progress)
    if not truth.size:
        raise DataError(f"{data}: none of the {len(labelled.paths)} pictures could be read")
    unreadable = len(labelled.paths) - truth.size
    return tuple(_score(a.kind, best, truth, references[a.kind], unreadable) for a in artifacts)


def eval_json(accuracies: Iterable[Accuracy]) -> str:
    """`{"artifacts": [{"format", "precision", "n", "top1", ...}, ...]}`, the fields of schema.Accuracy."""
    return json.dumps({"artifacts": [msgspec.to_builtins(accuracy) for accuracy in accuracies]}, indent=2)


def _reference(bundle: Bundle, artifact: Artifact) -> Artifact | None:
    """The float artifact to agree with: of the same format, else the first of any format that runs here."""
    floats = [
        a
        for a in bundle.manifest.artifacts
        if a.precision is Precision.FP32 and (a.kind == artifact.kind or installed(a.format))
    ]
    return next((a for a in floats if a.format is artifact.format), floats[0] if floats else None)


def _open(bundle: Bundle, artifact: Artifact, selected: Selected, stack: contextlib.ExitStack) -> Engine:
    options = Options(selected.threads, selected.int8_saturates)
    engine = open_engine(bundle.path(artifact), artifact, options)
    return stack.enter_context(contextlib.closing(engine))


def _run(
    bundle: Bundle,
    engines: dict[Kind, Engine],
    paths: Sequence[Path],
    labels: Sequence[int],
    progress: Callable[[str, float], None] | None,
) -> tuple[Best, NDArray[np.intp]]:
    """The best classes of each readable picture, [n, 5] an engine, best first, and its true class, [n].

    Only these are kept, not the logits: 50,000 pictures stay at 2 MB an engine.
    """
    preprocessor = Preprocessor(bundle.manifest.preprocess)
    classes = bundle.manifest.classes
    best = {kind: np.empty((len(paths), min(TOP, classes)), np.intp) for kind in engines}
    truth: list[int] = []
    for position, (path, label) in enumerate(zip(paths, labels, strict=True)):
        if progress:
            progress("accuracy", position / len(paths))
        bgr = read_image(path)
        if bgr is None:
            continue
        image = preprocessor(bgr)
        for kind, engine in engines.items():
            logits = engine.infer(image).reshape(-1)
            if logits.size != classes:
                raise EngineError(f"{bundle.root}: {kind} gives {logits.size} scores for {classes} classes")
            best[kind][len(truth)] = top_indices(logits, TOP)
        truth.append(label)
    if progress:
        progress("accuracy", 1.0)
    return {kind: rows[: len(truth)] for kind, rows in best.items()}, np.array(truth, np.intp)


def _score(
    kind: Kind, best: Best, truth: NDArray[np.intp], reference: Artifact | None, unreadable: int
) -> Accuracy:
    answers = best[kind]
    hits = answers == truth[:, None]
    agreement = drop = None
    if reference is not None:
        expected = best[reference.kind][:, 0]
        agreement = float((answers[:, 0] == expected).mean())
        if reference.kind != kind:
            drop = accuracy_drop(expected == truth, hits[:, 0])
    return Accuracy(
        format=kind.format,
        precision=kind.precision,
        n=len(truth),
        top1=float(hits[:, 0].mean()),
        top5=float(hits.any(axis=1).mean()),
        agreement=agreement,
        drop=drop,
        unreadable=unreadable,
    )
