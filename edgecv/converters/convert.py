"""From a model's name to a verified bundle."""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import platform
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

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
    Made,
    Manifest,
    bundle_cache,
    describe_file,
    is_bundle,
)
from edgecv.converters.build import Host, Judged, best
from edgecv.converters.float_model import FloatModel
from edgecv.converters.models import DEFAULT_MODEL, get_model, load
from edgecv.converters.recipes import NEEDS, Advance, Source
from edgecv.converters.verify import float_logits
from edgecv.data import Pictures, load_labelled, load_pictures, read_pictures, sample_pictures
from edgecv.errors import ConversionError
from edgecv.files import new_folder, refuse_stranger
from edgecv.spec import Format, Kind, Precision
from edgecv.tasks import softmax

CALIBRATION_IMAGES = 128
FLOAT_IMAGES = 16  # enough to verify float artifacts when nothing is calibrated
GOLDEN_IMAGES = 4
FEW_IMAGES = 16  # fewer to calibrate on are worth a warning
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
    """What to convert. `calibration` is a folder or a video, `data` a labelled set (data.load_labelled)."""

    model: str = DEFAULT_MODEL
    int8: bool = False
    formats: tuple[Format, ...] = tuple(Format)
    calibration: Path | None = None
    data: Path | None = None
    weights: Path | None = None
    out: Path | None = None
    seed: int = 0


@dataclass
class Conversion:
    """The bundle that was written, the seconds each stage took, and what the user should be told."""

    bundle: Bundle
    seconds: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def convert(request: Request, host: Host, reporter: Reporter | None = None) -> Conversion:
    """Convert a model to a verified bundle; nothing is written unless every check has passed.

    Raises ModelError (unknown model, wrong weights), DataError (pictures) or ConversionError (a package is
    missing, or a float artifact is further than FLOAT_TOLERANCE from the source).
    """
    model = get_model(request.model)
    precisions = [Precision.FP32, *([Precision.INT8] if request.int8 else [])]
    kinds = [Kind(f, p) for f in request.formats for p in precisions]
    _require(kinds, model.needs)
    out = request.out or bundle_cache(model.name)
    refuse_stranger(out, is_bundle)  # now, and not after a minute's work
    replaced = (out / MANIFEST).exists()
    clock = _Clock(reporter or Silent())
    notes: list[str] = []
    with clock.stage("float graph", None):
        source = load(model, request.weights)
    notes += source.notes
    with clock.stage("reading pictures", None):
        calibration, judged, labels = _pictures(request, source, notes)
    with clock.stage("float reference", len(judged.images)) as advance:
        reference = float_logits(source.graph, source.preprocess, judged.images, host.threads, advance)
    if request.int8 and labels is None:
        score = float(np.median(softmax(reference).max(axis=1)))
        notes.append(
            "agreement is measured on the calibration pictures, where the float model's own best class has a "
            f"median score of {score:.2f}; --data LABELLED gives accuracy"
        )
    if request.int8 and len(calibration.images) < FEW_IMAGES:
        notes.append(
            f"int8 ranges from {len(calibration.images)} pictures are guesses: give {FEW_IMAGES} or more"
        )
    if replaced:
        notes.append(f"the bundle that was at {out} has been replaced")
    truth = Judged(judged, reference, labels)
    with new_folder(out, is_bundle) as folder:
        start = Source(source.graph, source.preprocess, host.threads, calibration.images)
        artifacts = tuple(best(kind, start, folder, host, clock.stage, truth) for kind in kinds)
        (folder / LABELS).write_text("\n".join(source.labels) + "\n", encoding="utf-8")
        np.savez(folder / GOLDEN, images=judged.images[:GOLDEN_IMAGES], logits=reference[:GOLDEN_IMAGES])
        manifest = Manifest(
            schema_version=SCHEMA_VERSION,
            name=source.name,
            task="classification",
            labels=describe_file(folder, LABELS),
            classes=len(source.labels),
            preprocess=source.preprocess,
            artifacts=artifacts,
            golden=describe_file(folder, GOLDEN),
            made=_made(request, source, calibration, host),
        )
        _write_manifest(folder, manifest)
    return Conversion(Bundle.open(out), clock.seconds, notes)


def _pictures(
    request: Request, model: FloatModel, notes: list[str]
) -> tuple[Pictures, Pictures, tuple[int, ...] | None]:
    """(calibration pictures, pictures to judge on, their labels or None)."""
    count = CALIBRATION_IMAGES if request.int8 else FLOAT_IMAGES
    if request.calibration:
        calibration = load_pictures(request.calibration, model.preprocess, count, request.seed)
    else:
        calibration = sample_pictures(model.preprocess, count)
        if request.int8:
            notes.append(
                f"calibrated on {calibration.description}; for your own accuracy give pictures from your "
                "camera with --calibration DIR"
            )
    if calibration.skipped:
        notes.append(f"{calibration.skipped} unreadable files in {request.calibration} were skipped")
    if request.data is None:
        return calibration, calibration, None
    labelled = load_labelled(request.data, model.labels)
    judged, kept = read_pictures(labelled.paths, model.preprocess, str(request.data))
    if judged.skipped:
        notes.append(f"{judged.skipped} unreadable files in {request.data} were skipped")
    return calibration, judged, tuple(labelled.labels[i] for i in kept)


def _made(request: Request, model: FloatModel, calibration: Pictures, host: Host) -> Made:
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
    )


def _require(kinds: list[Kind], also: tuple[str, ...]) -> None:
    needs = {"onnx", "onnxruntime"}.union(*(NEEDS[kind] for kind in kinds), also)
    missing = sorted(name for name in needs if importlib.util.find_spec(name) is None)
    if missing:
        raise ConversionError(
            f'converting needs {", ".join(missing)}: pip install "edgecv[convert]" on the workstation'
        )


class _Clock:
    """Reports stages and adds up the seconds of each."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self.seconds: dict[str, float] = {}

    @contextlib.contextmanager
    def stage(self, title: str, total: int | None) -> Iterator[Advance]:
        start = time.perf_counter()
        with self._reporter.stage(title, total) as advance:
            yield advance
        self.seconds[title] = self.seconds.get(title, 0.0) + time.perf_counter() - start


def _write_manifest(folder: Path, manifest: Manifest) -> None:
    text = msgspec.json.format(msgspec.json.encode(manifest), indent=2)
    (folder / MANIFEST).write_bytes(text + b"\n")
