"""What a bundle's artifacts answer to labelled pictures, and to the same as bad cameras would take them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgecv.bundle import Artifact, Bundle
from edgecv.data import load_labelled
from edgecv.errors import DataError, UsageError
from edgecv.photos import read_image
from edgecv.reports.classes import confusions, ece, per_class
from edgecv.reports.corruptions import SEVERITIES, Listed, measure_robustness
from edgecv.reports.panel import Panel, read_again
from edgecv.reports.schema import Accuracy, Answers, Pictures, Robustness, WrongPicture
from edgecv.reports.wording import plain
from edgecv.reports.worst import thumbnail, worst
from edgecv.runtime.engines import installed
from edgecv.spec import Kind, Precision
from edgecv.statistics import accuracy_drop, share_interval
from edgecv.tasks import softmax, top_indices

if TYPE_CHECKING:
    from edgecv.devices import Selected

TOP = 5
CONFUSIONS = 20


@dataclass(frozen=True)
class Evaluation:
    """`accuracies` are in the order of the artifacts asked for.

    answers, robustness: of their float references, too, where those were not asked for. labels: the names of
    the classes.
    """

    accuracies: tuple[Accuracy, ...]
    answers: dict[Kind, Answers]
    robustness: dict[Kind, tuple[Robustness, ...]]
    pictures: Pictures
    worst: tuple[WrongPicture, ...]
    labels: tuple[str, ...]


@dataclass(frozen=True)
class _Said:
    """One engine's answers to n pictures.

    best: [n, 5] its best classes, best first. score: [n] the softmax score of the best, to 4 digits.
    true_score: [n] that of the right class.
    """

    best: NDArray[np.intp]
    score: NDArray[np.float64]
    true_score: NDArray[np.float32]


def evaluate(
    bundle: Bundle,
    artifacts: Sequence[Artifact],
    data: Path,
    selected: Selected,
    progress: Callable[[str, float], None] | None = None,
    robustness: int = 0,
) -> Evaluation:
    """Score `artifacts` on the labelled pictures at `data`, every picture through all of them.

    Float artifacts that were not asked for run along as the reference of `agreement`. robustness: so many of
    the pictures go through every corruption in every strength, too. progress: called with what is being done
    and how much of everything is done, 0 to 1.
    Raises DataError when no picture can be read, EngineMissing or EngineError for an artifact of `artifacts`.
    """
    labelled = load_labelled(data, bundle.labels)
    listed = tuple(zip(labelled.paths, labelled.labels, strict=True))
    steps = len(listed) + len(SEVERITIES) * min(robustness, len(listed))

    def tell(what: str, step: int) -> None:
        if progress:
            progress(what, step / steps)

    references = {a.kind: _reference(bundle, a) for a in artifacts}
    wanted = {a.kind: a for a in (*artifacts, *references.values()) if a is not None}
    robust: dict[Kind, tuple[Robustness, ...]] = {}
    with Panel(bundle, wanted.values(), selected) as panel:
        files, said = _run(panel, listed, lambda step: tell("accuracy", step))
        if not files:
            raise DataError(f"{data}: none of the {len(listed)} pictures could be read")
        if robustness > 0:
            robust = measure_robustness(
                panel, files, robustness, lambda step: tell("robustness", len(listed) + step)
            )
    tell("robustness" if robust else "accuracy", steps)
    root = data.parent if data.suffix == ".csv" else data
    truth = np.array([label for _, label in files], np.intp)
    unreadable = len(listed) - len(files)
    accuracies = tuple(_score(a.kind, said, truth, references[a.kind], unreadable) for a in artifacts)
    return Evaluation(
        accuracies=accuracies,
        answers={
            k: Answers(best=tuple(s.best[:, 0].tolist()), score=tuple(s.score.tolist()))
            for k, s in said.items()
        },
        robustness=robust,
        pictures=_pictures(root, files),
        worst=_worst(_loser(accuracies), references, said, files, root, bundle.labels),
        labels=bundle.labels,
    )


def eval_json(evaluation: Evaluation) -> str:
    """What `edgecv eval --json` prints.

    `artifacts`: the fields of schema.Accuracy, with the scores of each class and the commonest confusions;
    `robustness`: by artifact. Without scikit-learn `notes` say why there are no scores of classes.
    """
    truth, labels = evaluation.pictures.truth, evaluation.labels
    rows, notes = [], set()
    for accuracy in evaluation.accuracies:
        best = evaluation.answers[accuracy.kind].best
        row = msgspec.to_builtins(accuracy) | {"confusions": confusions(truth, best, labels, CONFUSIONS)}
        try:
            row["classes"] = per_class(truth, best, labels)
        except UsageError as error:
            notes.add(str(error))
        rows.append(row)
    found: dict[str, Any] = {
        "source": evaluation.pictures.source,
        "digest": evaluation.pictures.digest,
        "artifacts": rows,
        "robustness": {str(kind): tests for kind, tests in evaluation.robustness.items()},
        "notes": sorted(notes),
    }
    return json.dumps(msgspec.to_builtins(found), indent=2)


def _reference(bundle: Bundle, artifact: Artifact) -> Artifact | None:
    """The float artifact to agree with: of the same format, else the first of any format that runs here."""
    floats = [
        a
        for a in bundle.manifest.artifacts
        if a.precision is Precision.FP32 and (a.kind == artifact.kind or installed(a.format))
    ]
    return next((a for a in floats if a.format is artifact.format), floats[0] if floats else None)


def _run(panel: Panel, listed: Listed, tell: Callable[[int], None]) -> tuple[Listed, dict[Kind, _Said]]:
    """The pictures that can be read, and what each artifact says of them.

    Logits are not kept: 50,000 pictures stay at 3 MB an artifact.
    """
    n, top = len(listed), min(TOP, panel.manifest.classes)
    said = {k: _Said(np.empty((n, top), np.intp), np.empty(n), np.empty(n, np.float32)) for k in panel.kinds}
    files: list[tuple[Path, int]] = []
    for position, (path, label) in enumerate(listed):
        tell(position)
        bgr = read_image(path)
        if bgr is None:
            continue
        row = len(files)
        for kind, logits in panel.ask(bgr, path.name):
            scores, best = softmax(logits), top_indices(logits, TOP)
            said[kind].best[row] = best
            said[kind].score[row] = round(float(scores[best[0]]), 4)
            said[kind].true_score[row] = scores[label]
        files.append((path, label))
    n = len(files)
    return files, {kind: _Said(s.best[:n], s.score[:n], s.true_score[:n]) for kind, s in said.items()}


def _score(
    kind: Kind,
    said: Mapping[Kind, _Said],
    truth: NDArray[np.intp],
    reference: Artifact | None,
    unreadable: int,
) -> Accuracy:
    mine, n = said[kind], len(truth)
    best, hits = mine.best[:, 0], mine.best == truth[:, None]
    agreement = interval = drop = None
    if reference is not None:
        expected = said[reference.kind].best[:, 0]
        same = int((best == expected).sum())
        agreement = same / n
        if reference.kind != kind:
            interval, drop = share_interval(same, n), accuracy_drop(expected == truth, hits[:, 0])
    return Accuracy(
        format=kind.format,
        precision=kind.precision,
        n=n,
        top1=float(hits[:, 0].mean()),
        top5=float(hits.any(axis=1).mean()),
        agreement=agreement,
        agreement_interval=interval,
        drop=drop,
        ece=ece(truth, best, mine.score),
        unreadable=unreadable,
    )


def _pictures(root: Path, files: Listed) -> Pictures:
    digest = hashlib.sha256()
    for path, label in files:
        digest.update(f"{_name(root, path)}\0{label}\n".encode("utf-8", "surrogateescape"))
    truth = tuple(label for _, label in files)
    return Pictures(source=root.resolve().name, digest=digest.hexdigest(), truth=truth)


def _name(root: Path, path: Path) -> str:
    """A picture's name that is the same on another machine."""
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name


def _loser(accuracies: Sequence[Accuracy]) -> Kind | None:
    """The artifact that loses most against its float artifact."""
    drops = {accuracy.kind: accuracy.drop.points for accuracy in accuracies if accuracy.drop}
    return max(drops, key=drops.__getitem__, default=None)


def _worst(
    loser: Kind | None,
    references: Mapping[Kind, Artifact | None],
    said: Mapping[Kind, _Said],
    files: Listed,
    root: Path,
    labels: Sequence[str],
) -> tuple[WrongPicture, ...]:
    reference = None if loser is None else references[loser]
    if loser is None or reference is None:
        return ()
    theirs, mine = said[reference.kind], said[loser]
    truth = np.array([label for _, label in files], np.intp)
    candidates = (theirs.best[:, 0] == truth) & (mine.best[:, 0] != truth)
    return tuple(
        WrongPicture(
            name=plain(_name(root, files[i][0])),
            jpeg=thumbnail(read_again(files[i][0])),
            artifact=str(loser),
            truth=labels[truth[i]],
            float_label=labels[theirs.best[i, 0]],
            float_score=float(theirs.score[i]),
            label=labels[mine.best[i, 0]],
            score=float(mine.score[i]),
        )
        for i in worst(theirs.true_score - mine.true_score, candidates).tolist()
    )
