"""From a float model to a verified bundle."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import importlib.metadata
import importlib.util
import math
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import msgspec
import numpy as np

import edgecv
from edgecv.bundle import (
    GOLDEN,
    LABELS,
    MANIFEST,
    SCHEMA_VERSION,
    Bundle,
    Calibration,
    File,
    Guarantee,
    Made,
    Manifest,
    Preparation,
    Sensitivity,
    bundle_cache,
    describe_file,
    is_bundle,
)
from edgecv.converters import importers, preparation, range_stability, sensitivity
from edgecv.converters.calibration import CALIBRATION_IMAGES
from edgecv.converters.calibration import load as load_calibration
from edgecv.converters.class_names import shifted_labels
from edgecv.converters.float_model import FloatModel
from edgecv.converters.importers import ImportOptions
from edgecv.converters.models import DEFAULT_MODEL, get_model, load
from edgecv.converters.picture_checks import MIN_PICTURES
from edgecv.converters.recipes import NEEDS, Advance, Source
from edgecv.converters.search import Host, Judged, search
from edgecv.converters.tflite_writer import TfliteWriter
from edgecv.converters.verify import float_logits
from edgecv.data import Draw, Labelled, Pictures, load_labelled, read_pictures, sample_photos, sample_pictures
from edgecv.errors import ConversionError, DataError, ModelError
from edgecv.files import check_writable, new_folder, refuse_stranger, scratch_folder
from edgecv.spec import Format, Kind, Precision, Preprocess
from edgecv.statistics import describe_drop, guessing
from edgecv.tasks import softmax

if TYPE_CHECKING:
    import onnx

FLOAT_IMAGES = 16  # enough to verify float artifacts when nothing is calibrated
HELD_BACK_IMAGES = 384  # of the calibration pictures, to judge a bound on where there are no labels
GOLDEN_IMAGES = 4
SENSITIVITY_IMAGES = 8
BEST_EFFORT = ".best-effort"  # behind the name of a bundle that missed its bound
_BLAMED = 3
_TOOLS = ("ai-edge-litert", "litert-quantizer", "nncf", "numpy", "onnx", "onnxruntime", "openvino")


class Reporter(Protocol):
    """Shows how far a stage is: `with reporter.stage("calibrating", 128) as advance: advance(1)`."""

    def stage(self, title: str, total: int | None) -> contextlib.AbstractContextManager[Advance]: ...


class Silent:
    @contextlib.contextmanager
    def stage(self, title: str, total: int | None) -> Iterator[Advance]:
        del title, total
        yield lambda _count: None


@dataclass(frozen=True)
class Request:
    """What to convert: a known model's name, or what importers.load reads, as `own` says.

    calibration: what calibration.load takes; None for the sample pictures. check_pictures: leave out those
    with a fault. data: a labelled set (data.load_labelled). precisions: beside fp32, which is always made.
    max_drop: the bound on what an artifact of reduced precision may lose, in points (spec.Drop).
    """

    model: str = DEFAULT_MODEL
    precisions: tuple[Precision, ...] = ()
    formats: tuple[Format, ...] = tuple(Format)
    own: ImportOptions = field(default_factory=ImportOptions)
    calibration: str | Draw | None = None
    check_pictures: bool = True
    data: Path | None = None
    weights: Path | None = None
    out: Path | None = None
    seed: int = 0
    max_drop: float | None = None

    @property
    def int8(self) -> bool:
        return Precision.INT8 in self.precisions


@dataclass
class Conversion:
    """The bundle that was written, the seconds each stage took, and what the user should be told.

    judged and logits ([N, classes] a kind) are what the artifacts were measured on and what they answered.
    """

    bundle: Bundle
    judged: Judged
    logits: dict[Kind, np.ndarray]
    seconds: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def missed(self) -> str | None:
        """What to say when an artifact lost more than the bound; the bundle is then a best effort."""
        guarantee = self.bundle.manifest.guarantee
        return None if guarantee is None or guarantee.met else _missed(self.bundle)


def convert(request: Request, host: Host, reporter: Reporter | None = None) -> Conversion:
    """Convert a model to a verified bundle; nothing is written unless every check has passed.

    Where an artifact misses `max_drop` with every recipe, the bundle is written with BEST_EFFORT behind its
    name, its guarantee marked as not met, and Conversion.missed says which layers are to blame.
    Raises ModelError (unknown model, wrong weights), DataError (pictures) or ConversionError (a package is
    missing, or a float artifact is further than tasks.float_tolerance from the source).
    """
    kinds = [Kind(f, p) for f in request.formats for p in (Precision.FP32, *request.precisions)]
    known = None if importers.is_path(request.model) else get_model(request.model)
    _require(kinds, known.needs if known else ())
    if request.out or known:
        # Now, and not after a minute's work.
        planned = request.out or bundle_cache(request.model)
        check_writable(planned)
        refuse_stranger(planned, is_bundle)
        if request.max_drop is not None:
            refuse_stranger(_best_effort(planned), is_bundle)
    clock = _Clock(reporter or Silent())
    notes: list[str] = []
    with clock.stage("float graph", None) as advance:
        source = (
            load(known, request.weights) if known else importers.load(request.model, request.own, advance)
        )
    out = request.out or bundle_cache(source.name)
    notes += source.notes
    with clock.stage("reading pictures", None) as advance:
        calibration, judged, labelled = _pictures(request, source, notes, advance)
    with clock.stage("float reference", len(judged.images)) as advance:
        reference = float_logits(source.graph, source.preprocess, judged.images, host.threads, advance)
    truth = Judged(judged, reference, None)
    if labelled:
        truth = truth._replace(labels=labelled.labels, names=tuple(str(path) for path in labelled.paths))
    truth = _checked(request, truth, calibration, notes)
    if request.int8 and request.calibration is not None and len(calibration.images) >= MIN_PICTURES:
        with clock.stage("range stability", len(calibration.images)) as advance:
            stable = range_stability.measure(
                source.graph, source.preprocess, calibration.images, host.threads, advance
            )
        notes.append(f"calibration: {stable}")
    prepared = preparation.Prepared(source.graph, source.graph, ())
    if request.int8:
        with clock.stage("preparing for int8", preparation.MEASUREMENTS) as advance:
            prepared = preparation.choose(
                source.graph, source.preprocess, calibration.images, host.threads, advance
            )
    ranked = functools.cache(lambda: _ranked(prepared.exact, source.preprocess, calibration, host, clock))
    start = Source(
        model=source.graph,
        prepared=prepared,
        rule=source.preprocess,
        threads=host.threads,
        calibration=calibration.images,
        in_float=functools.partial(_most_sensitive, prepared.exact, ranked),
        tflite=TfliteWriter(source.tflite, notes),
    )
    with scratch_folder(out) as folder:
        found = [search(kind, start, folder, host, clock.stage, truth, request.max_drop) for kind in kinds]
        met = all(each.holds is not False for each in found)
        manifest = Manifest(
            schema_version=SCHEMA_VERSION,
            name=source.name,
            task="classification",
            labels=_labels(folder, source),
            classes=len(source.labels),
            preprocess=source.preprocess,
            artifacts=tuple(each.artifact for each in found),
            golden=_golden(folder, truth),
            made=_made(request, source, calibration, host, prepared.steps),
            sensitivity=ranked() if request.max_drop is not None and request.int8 else (),
            guarantee=_guarantee(request, host, met),
        )
        _write_manifest(folder, manifest)
        final = out if met else _best_effort(out)
        if (final / MANIFEST).exists():
            notes.append(f"the bundle that was at {final} has been replaced")
        with new_folder(final, is_bundle) as destination:
            for file in folder.iterdir():
                file.rename(destination / file.name)
    logits = {each.artifact.kind: each.logits for each in found}
    return Conversion(Bundle.open(final), truth, logits, clock.seconds, notes)


def _best_effort(out: Path) -> Path:
    return out.with_name(out.name + BEST_EFFORT)


def _pictures(
    request: Request, model: FloatModel, notes: list[str], advance: Advance
) -> tuple[Pictures, Pictures, Labelled | None]:
    """(calibration pictures, pictures to judge on, those as a labelled list where they have labels)."""
    count = CALIBRATION_IMAGES if request.int8 else FLOAT_IMAGES
    labelled = load_labelled(request.data, model.labels) if request.data else None
    if request.max_drop is not None and labelled is None:
        count += HELD_BACK_IMAGES
    if request.calibration is None and not request.int8:
        calibration, _ = read_pictures(
            sample_photos(), model.preprocess, "photographs from installed packages"
        )
    elif request.calibration is None:
        calibration = sample_pictures(model.preprocess, count)
        notes.append(
            f"calibrated on {calibration.description}; for your own accuracy give pictures from your "
            "camera with --calibration DIR"
        )
    else:
        looked = load_calibration(
            request.calibration,
            model.preprocess,
            count,
            request.seed,
            doctor=request.check_pictures and request.int8,
            labels=model.labels,
            judged=labelled.paths if labelled else (),
            advance=advance,
        )
        calibration = looked.pictures
        if request.int8:
            notes += [f"calibration: {finding}" for finding in looked.report.findings]
    if labelled is None:
        return *_held_back(request, calibration), None
    judged, kept = read_pictures(labelled.paths, model.preprocess, str(request.data))
    if judged.skipped:
        first = next(path for i, path in enumerate(labelled.paths) if i not in kept)
        notes.append(
            f"left out {judged.skipped} of the {len(labelled.paths):,} pictures of {request.data}, which "
            f"cannot be read, such as {first}"
        )
    paths, labels = (tuple(column[i] for i in kept) for column in (labelled.paths, labelled.labels))
    return calibration, judged, Labelled(paths, labels)


def _held_back(request: Request, pictures: Pictures) -> tuple[Pictures, Pictures]:
    """(to calibrate on, to judge on): the same without a bound; under one a quarter apart, or what is left
    over where there are plenty."""
    count = len(pictures.images)
    apart = max(count // 4, count - CALIBRATION_IMAGES)
    if request.max_drop is None or not request.int8 or not apart:
        return pictures, pictures
    judged = dataclasses.replace(
        pictures,
        images=pictures.images[:apart],
        description=f"{apart} pictures held back from {pictures.description}",
    )
    return dataclasses.replace(pictures, images=pictures.images[apart:]), judged


def _checked(request: Request, truth: Judged, calibration: Pictures, notes: list[str]) -> Judged:
    """The pictures, their labels made to fit the model, and what its own answers say of both as notes."""
    if not np.isfinite(truth.reference).all():
        raise ModelError("the float model answers NaN or infinity; are its weights whole?")
    if truth.labels is not None and (shift := shifted_labels(truth.reference, truth.labels)):
        front = "a background class in front" if shift > 0 else "no background class"
        notes.append(
            f"labels were shifted by {shift:+d}: the model has {front}, the labels suppose otherwise"
        )
        truth = truth._replace(labels=tuple(label + shift for label in truth.labels))
    if truth.labels is not None:
        _check_labels(request, truth, notes)
    if not request.int8:
        return truth
    if truth.labels is None:
        score = float(np.median(softmax(truth.reference).max(axis=1)))
        apart = truth.pictures is not calibration
        notes.append(
            f"agreement is measured on {'pictures held back from the' if apart else 'the'} calibration "
            f"pictures, where the float model's own best class has a median score of {score:.2f}; --data "
            "LABELLED gives accuracy"
        )
        step = 100 / len(truth.reference)
        if request.max_drop is not None and step > request.max_drop:
            notes.append(
                f"one changed answer of {len(truth.reference)} is {step:.1f} points, so --max-drop "
                f"{request.max_drop:g} lets none change; --data LABELLED judges by accuracy, and of more "
                f"calibration pictures up to {HELD_BACK_IMAGES} are held back"
            )
    few = len(calibration.images)
    if few < MIN_PICTURES and request.max_drop is not None:
        raise DataError(f"{few} calibration pictures cannot carry a --max-drop: give {MIN_PICTURES} or more")
    if len(truth.reference) >= MIN_PICTURES and len(set(truth.reference.argmax(axis=1).tolist())) == 1:
        notes.append("the float model gives every picture the same class: agreement says little on these")
    return truth


def _check_labels(request: Request, truth: Judged, notes: list[str]) -> None:
    """DataError for labels that cannot carry a bound, a note where none is asked for."""
    count = len(truth.reference)
    right = truth.reference.argmax(axis=1) == np.array(truth.labels)
    if guessing(right, truth.reference.shape[1]):
        text = (
            f"{request.data}: the float model itself names {right.mean():.1%} of the {count:,} pictures "
            "right, no better than guessing; are these its classes, and its preprocessing?"
        )
        if request.max_drop is not None:
            raise DataError(text)
        notes.append(text)
    elif request.max_drop is not None and count < MIN_PICTURES:
        raise DataError(
            f"{request.data}: {count} labelled pictures cannot carry a --max-drop: give {MIN_PICTURES} or "
            "more"
        )


def _ranked(
    graph: onnx.ModelProto, rule: Preprocess, calibration: Pictures, host: Host, clock: _Clock
) -> tuple[Sensitivity, ...]:
    images = calibration.images[:SENSITIVITY_IMAGES]
    with clock.stage("ranking operations", len(sensitivity.operations(graph))) as advance:
        return sensitivity.rank(graph, rule, images, host.threads, advance)


def _most_sensitive(
    graph: onnx.ModelProto, ranked: Callable[[], tuple[Sensitivity, ...]], share: float
) -> tuple[str, ...]:
    """Names of the nodes of the most sensitive operations, `share` of all, and of what moves their values."""
    worst = {each.name for each in ranked()[: math.ceil(share * len(ranked()))]}
    chosen = [operation for operation in sensitivity.operations(graph) if operation.name in worst]
    nodes = [node for operation in chosen for node in operation.nodes]
    written = {value for node in nodes for value in node.output}
    for node in graph.graph.node:
        if node.op_type in sensitivity.MOVES and written.intersection(node.input):
            nodes.append(node)
            written.update(node.output)
    return tuple(node.name for node in nodes)


def _labels(folder: Path, model: FloatModel) -> File:
    (folder / LABELS).write_text("\n".join(model.labels) + "\n", encoding="utf-8")
    return describe_file(folder, LABELS)


def _golden(folder: Path, truth: Judged) -> File:
    images, logits = truth.pictures.images[:GOLDEN_IMAGES], truth.reference[:GOLDEN_IMAGES]
    np.savez(folder / GOLDEN, images=images, logits=logits)
    return describe_file(folder, GOLDEN)


def _guarantee(request: Request, host: Host, met: bool) -> Guarantee | None:
    if request.max_drop is None:
        return None
    return Guarantee(max_drop=request.max_drop, target=host.target.name, met=met)


def _missed(bundle: Bundle) -> str:
    """One line: which artifacts lost how much, and the operations that cost the most."""
    manifest = bundle.manifest
    assert manifest.guarantee is not None
    bound = manifest.guarantee.max_drop
    losers = [
        f"{artifact.kind} {describe_drop(artifact.verified.drop)}"
        for artifact in manifest.artifacts
        if artifact.verified and artifact.verified.drop and artifact.verified.drop.points > bound
    ]
    blamed = ", ".join(each.name for each in manifest.sensitivity[:_BLAMED])
    return (
        f"--max-drop {bound:g} could not be held: {'; '.join(losers)}; most to blame: {blamed}; the best "
        f"found is at {bundle.root}, as a best effort (`edgecv inspect` shows the search)"
    )


def _made(
    request: Request,
    model: FloatModel,
    calibration: Pictures,
    host: Host,
    steps: tuple[Preparation, ...],
) -> Made:
    tools = {"edgecv": edgecv.__version__, "python": platform.python_version()}
    for name in _TOOLS:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            tools[name] = importlib.metadata.version(name)
    used = None
    if request.int8:
        used = Calibration(
            pictures=calibration.description, images=len(calibration.images), digest=calibration.digest
        )
    return Made(
        origin=model.origin,
        tools=tools,
        seed=request.seed,
        arithmetic=host.arithmetic,
        calibration=used,
        target=host.target.name,
        preparation=steps,
    )


def _require(kinds: list[Kind], also: tuple[str, ...]) -> None:
    needs = {"onnx", "onnxruntime"}.union(*(NEEDS[kind] for kind in kinds), also)
    missing = sorted(name for name in needs if importlib.util.find_spec(name) is None)
    if missing:
        raise ConversionError(
            f'converting needs {", ".join(missing)}: pip install "edgecv[convert]" on the workstation'
        )


class _Clock:
    """Reports stages and adds up the seconds of each; those of a stage within one are not counted twice."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self._within = 0.0  # seconds of the stages that ended within the one that runs
        self.seconds: dict[str, float] = {}

    @contextlib.contextmanager
    def stage(self, title: str, total: int | None) -> Iterator[Advance]:
        start, outside, self._within = time.perf_counter(), self._within, 0.0
        with self._reporter.stage(title, total) as advance:
            yield advance
        spent = time.perf_counter() - start
        self.seconds[title] = self.seconds.get(title, 0.0) + spent - self._within
        self._within = outside + spent


def _write_manifest(folder: Path, manifest: Manifest) -> None:
    text = msgspec.json.format(msgspec.json.encode(manifest), indent=2)
    (folder / MANIFEST).write_bytes(text + b"\n")
