"""What EdgeCV does, one function a job: the CLI calls these, and so can you.

Imports of converters, engines and OpenCV happen inside, when a job needs them.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import itertools
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgecv.bundle import PAGE, Artifact, Bundle, find_bundle
from edgecv.errors import ConversionError, ModelError, UsageError
from edgecv.spec import Format, Precision

if TYPE_CHECKING:
    from edgecv.converters.collect import Collected
    from edgecv.converters.convert import Conversion, Reporter
    from edgecv.converters.inspect import Contents
    from edgecv.converters.picture_checks import Doctored
    from edgecv.converters.range_stability import Stability
    from edgecv.converters.search import Host, Infer, Target
    from edgecv.data import Candidate, Draw, Pictures
    from edgecv.devices import Selected
    from edgecv.reports.render import Written
    from edgecv.reports.schema import Accuracy, Report
    from edgecv.runtime.events import Rules
    from edgecv.runtime.replay import Replayed
    from edgecv.runtime.results import Result
    from edgecv.runtime.session import Session
    from edgecv.runtime.sources import Source

PathLike = str | Path


def open_bundle(name: PathLike | None = None) -> Bundle:
    """A bundle by folder, by its name in the cache, or (None) the default one; raises BundleError."""
    return Bundle.open(find_bundle(None if name is None else str(name)))


def convert(
    model: str = "efficientnet-lite0",
    *,
    int8: bool = False,
    fp16: bool = False,
    dynamic: bool = False,
    max_drop: float | None = None,
    target: str = "auto",
    formats: Sequence[Format] = tuple(Format),
    calibration: PathLike | None = None,
    data: PathLike | None = None,
    weights: PathLike | None = None,
    out: PathLike | None = None,
    seed: int = 0,
    check_pictures: bool = True,
    own: Mapping[str, Any] | None = None,
    reporter: Reporter | None = None,
) -> Conversion:
    """Convert a model to a verified bundle; see converters.convert.convert for what it raises.

    max_drop: percentage points that an artifact of reduced precision may lose. target: the device the
    artifacts are for, whose arithmetic decides which recipes are tried. own: what the file of a model of
    one's own does not say (labels, preprocess, mean, std, range, color, resize, crop_fraction,
    interpolation, pad_value, size, output), as the command line takes it.
    """
    if any(path == "" for path in (calibration, data, weights, out)):
        raise UsageError("an empty path; leave the option out, or name a file or folder")
    if max_drop is not None and not 0 <= max_drop <= 100:
        raise UsageError(f"--max-drop {max_drop:g}: give percentage points from 0 to 100")
    precisions = [Precision.FP16] * fp16 + [Precision.INT8] * int8 + [Precision.DYNAMIC] * dynamic
    if max_drop is not None and not precisions:
        raise UsageError("--max-drop bounds what int8 loses; add --int8")
    from edgecv.converters import importers
    from edgecv.converters.calibration import CALIBRATION_IMAGES
    from edgecv.converters.convert import Request
    from edgecv.converters.convert import convert as run

    host = converting_host(target)
    described = dict(own or {})
    if described and not importers.is_path(model):
        names = ", ".join(f"--{name.replace('_', '-')}" for name in described)
        raise UsageError(f"{names}: for a model of your own; {model} is known, with all it needs")
    request = Request(
        model=model,
        own=importers.options(described, data, weights, host.threads),
        check_pictures=check_pictures,
        precisions=tuple(precisions),
        max_drop=max_drop,
        formats=tuple(dict.fromkeys(formats)),
        data=Path(data) if data else None,
        weights=Path(weights) if weights else None,
        out=Path(out) if out else None,
        seed=seed,
    )
    if calibration is None:
        done = run(request, host, reporter)
    else:
        with calibration_pictures(calibration, CALIBRATION_IMAGES) as pictures:
            done = run(dataclasses.replace(request, calibration=pictures), host, reporter)
    if precisions:
        with _stage(reporter, "writing the page", None):
            _write_page(done)
    return done


def converting_host(target: str = "auto") -> Host:
    """This machine and its engines as converters.search wants them, to measure for a device or `auto`."""
    from edgecv.converters.search import Host
    from edgecv.devices import select
    from edgecv.runtime.engines import Options, open_engine

    here = select("auto")
    aim, arithmetic = _target(target, here)
    options = Options(here.threads, bool(here.detected.int8_saturates))

    @contextlib.contextmanager
    def opened(path: Path, artifact: Artifact) -> Iterator[Infer]:
        engine = open_engine(path, artifact, options)
        try:
            yield engine.infer
        finally:
            engine.close()

    return Host(opened, options.threads, options.precise, arithmetic, aim)


def _write_page(done: Conversion) -> None:
    """The page of what was lost, with the worst pictures of the artifact that loses most."""
    from edgecv.converters.inspect import contents
    from edgecv.reports.conversion import write
    from edgecv.reports.worst import worst_pictures

    bundle, judged = done.bundle, done.judged
    reduced = [a for a in bundle.manifest.artifacts if a.precision is not Precision.FP32]
    loser = max(reduced, key=lambda a: a.verified.drop.points if a.verified and a.verified.drop else 0.0)
    worst = worst_pictures(
        loser.kind,
        judged.pictures.images,
        bundle.manifest.preprocess,
        judged.reference,
        done.logits[loser.kind],
        bundle.labels,
        judged.labels,
        judged.names,
    )
    held = [contents(bundle, artifact) for artifact in bundle.manifest.artifacts]
    write(bundle.root / PAGE, bundle.manifest, worst, held)


def _target(name: str, here: Selected) -> tuple[Target, str]:
    """(the device the artifacts are for, the arithmetic they are measured on here)."""
    from edgecv.converters.search import Target
    from edgecv.devices import select
    from edgecv.devices.profile import load_profiles

    arithmetic, saturates = here.detected.arithmetic, here.int8_saturates
    if name == "auto":
        return Target(here.profile.name, saturates), arithmetic
    profile = next((p for p in load_profiles() if p.name == name), None) or select(name).profile
    wanted = profile.inference.int8_saturates
    same_family = profile.family is here.profile.family
    touches = (Format.ONNX, Format.OPENVINO)  # LiteRT sums alike everywhere
    if wanted and not saturates and same_family and "openvino" not in sys.modules:
        # OpenVINO's kernels can be held to the instructions of an older CPU, if told before they load.
        os.environ.setdefault("ONEDNN_MAX_CPU_ISA", "AVX2")
        arithmetic += ", OpenVINO held to AVX2"
        touches = (Format.ONNX,)
    difference = None
    if wanted != saturates:
        difference = f"int8 sums {'saturate' if wanted else 'are exact'} on {profile.title}"
    elif not same_family:
        difference = (
            f"not run on {profile.title}, whose int8 sums {'saturate' if wanted else 'are exact'} too"
        )
        touches = tuple(Format)
    return Target(profile.name, wanted, difference, touches), arithmetic


def stream(
    bundle: PathLike | None = None, source: PathLike | int | None = None, **options: Any
) -> Iterator[Result]:
    """Classify every frame of a source (None: the device's camera) until it ends; yields Results.

    options: those of `open_run`.
    """
    with open_run(bundle, source, **options) as session:
        yield from session


def open_run(
    bundle: PathLike | None = None,
    source: PathLike | int | None = None,
    *,
    device: str = "auto",
    format: Format | None = None,
    precision: Precision | None = None,
    threads: int | None = None,
    top_k: int = 5,
    frames: int | None = None,
    loop: bool = False,
    realtime: bool = False,
    reconnect: bool = True,
    frozen_s: float = 10.0,
    regions: Sequence[str] = (),
    allow: Sequence[str] = (),
    deny: Sequence[str] = (),
    rules: Rules | None = None,
    motion_gate: bool = False,
    out: Sequence[str] = (),
    serve: str | None = None,
    token: str | None = None,
    heartbeat: Callable[[], None] | None = None,
) -> contextlib.AbstractContextManager[Session]:
    """Everything `edgecv run` needs, opened and at the end closed; iterate the session for results.

    source, regions, allow, deny, out, serve and token are as on the command line (serve: "" for the default
    address); rules: when a label counts as seen. heartbeat: called while the run is alive, about once a
    second and at every frame. Raises UsageError for what cannot be asked for, and any EdgecvError on the way.
    """
    for name, number in (("top_k", top_k), ("frames", frames), ("threads", threads)):
        if number is not None and number < 1:
            raise UsageError(f"{name}={number}: give at least 1")
    if token == "":
        raise UsageError("an empty token; leave it out, or give one")
    if token is not None and serve is None:
        raise UsageError("a token is for the live page, and there is none: give serve, too")
    regions, allow, deny, out = (
        (str(given),) if isinstance(given, (str, Path)) else tuple(map(str, given))
        for given in (regions, allow, deny, out)
    )
    from edgecv.runtime.choice import choose
    from edgecv.runtime.controls import Controls
    from edgecv.runtime.events import Rules
    from edgecv.runtime.labels import mask
    from edgecv.runtime.pipeline import Settings
    from edgecv.runtime.regions import parse_regions
    from edgecv.runtime.session import Wanted, open_session

    selected = select_device(device, threads)
    opened = Bundle.open(find_bundle(None if bundle is None else str(bundle)), whole=False)
    artifact, note = choose(opened, selected, format, precision)
    opened.check(artifact)
    rules = rules or Rules()
    settings = Settings(
        top_k=top_k,
        frames=frames,
        regions=parse_regions(regions),
        rules=rules,
        controls=Controls(rules.on, rules.off, motion_gate),
        shown=mask(opened.labels, allow, deny),
        threads=selected.threads,
        heartbeat=heartbeat or (lambda: None),
    )
    wanted = Wanted(
        source=str(source) if source is not None else selected.profile.camera.source,
        loop=loop,
        realtime=realtime,
        reconnect=reconnect,
        frozen_s=frozen_s,
        out=out,
        serve=serve,
        token=token,
        settings=settings,
    )
    notes = tuple(text for text in (selected.note, note) if text)
    return open_session(opened, artifact, selected, wanted, notes)


def bench(
    bundle: PathLike | None = None,
    device: str = "auto",
    format: Format | None = None,
    precision: Precision | None = None,
    threads: int | None = None,
    data: PathLike | None = None,
    out: PathLike | None = None,
    progress: Callable[[str, float], None] | None = None,
) -> tuple[Report, Written]:
    """Measure a bundle's artifacts on this machine and write the reports (default: ./edgecv-NAME-report)."""
    from edgecv.reports.bench import bench as measure
    from edgecv.reports.render import write_reports

    selected, opened = select_device(device, threads), open_bundle(bundle)
    artifacts = opened.select(format, precision)
    report = measure(opened, artifacts, selected, data=Path(data) if data else None, progress=progress)
    return report, write_reports(report, Path(out or f"edgecv-{opened.manifest.name}-report"))


def render(report: PathLike, out: PathLike | None = None) -> tuple[Report, Written]:
    """Write the reports of a report.json, perhaps from another board (default: beside it)."""
    from edgecv.reports.render import load_report, write_reports

    path = Path(report)
    loaded = load_report(path)
    return loaded, write_reports(loaded, Path(out) if out else path.parent)


def evaluate(
    bundle: PathLike | None,
    data: PathLike,
    device: str = "auto",
    format: Format | None = None,
    precision: Precision | None = None,
    threads: int | None = None,
    progress: Callable[[str, float], None] | None = None,
) -> tuple[Accuracy, ...]:
    """Top-1, top-5 and agreement with float of a bundle's artifacts on labelled pictures."""
    from edgecv.reports.accuracy import evaluate as score

    selected, opened = select_device(device, threads), open_bundle(bundle)
    return score(opened, opened.select(format, precision), Path(data), selected, progress)


def verify(
    bundle: PathLike | None = None,
    device: str = "auto",
    format: Format | None = None,
    precision: Precision | None = None,
    threads: int | None = None,
) -> tuple[Replayed, ...]:
    """Check a bundle's hashes, and replay its golden samples in every engine that is here."""
    from edgecv.runtime.pipeline import engine_options
    from edgecv.runtime.replay import replay

    opened = open_bundle(bundle)
    options = engine_options(select_device(device, threads))
    return replay(opened, opened.select(format, precision), options)


@dataclasses.dataclass(frozen=True)
class Inspected:
    """A bundle, and what the files of the chosen artifacts hold."""

    bundle: Bundle
    artifacts: tuple[Artifact, ...]
    contents: tuple[Contents, ...]


def inspect(
    bundle: PathLike | None = None, format: Format | None = None, precision: Precision | None = None
) -> Inspected:
    """Read the operations of a bundle's files, without running anything; the rest is in its manifest."""
    from edgecv.converters.inspect import contents

    opened = open_bundle(bundle)
    chosen = opened.select(format, precision)
    return Inspected(opened, chosen, tuple(contents(opened, artifact) for artifact in chosen))


def select_device(name: str = "auto", threads: int | None = None) -> Selected:
    """The profile a run follows, with `threads` in place of the profile's own when given."""
    from edgecv.devices import select

    selected = select(name)
    if threads is None:
        return selected
    # More threads than cores wait for each other; some engines all but stop.
    most = selected.detected.logical_cores or threads
    note = f"{threads} threads asked for, {most} used: this machine has no more cores"
    notes = [text for text in (selected.note, note if threads > most else None) if text]
    return dataclasses.replace(selected, threads=min(threads, most), note="; ".join(notes) or None)


# Calibration pictures -------------------------------------------------------------------------------------

LIVE_INTERVAL_S = 0.25  # between the frames taken of a camera: neighbours show the same
COLLECT_MINUTES = 10.0


@dataclasses.dataclass(frozen=True)
class Checked:
    """What the doctor found in a calibration set, and how stable a model's ranges are (None: unknown)."""

    where: str
    report: Doctored
    ranges: Stability | None
    notes: tuple[str, ...]


@contextlib.contextmanager
def calibration_pictures(where: PathLike, count: int, device: str = "auto") -> Iterator[str | Draw]:
    """What `calibration.load` takes: a file, folder or pattern by its name, a live source opened and closed.

    `camera` is the device's own. Of a live source twice `count` frames come at most, LIVE_INTERVAL_S apart:
    128 take half a minute, and up to a minute where half of them are left out.
    """
    from edgecv.converters.calibration import SPARE_FRAMES
    from edgecv.data import Draw

    text = str(where)
    if not _names_source(text):
        yield text
        return
    from edgecv.runtime.sources import masked_uri, open_source

    uri = _source_uri(text, device)
    with open_source(uri) as source:
        most = count * SPARE_FRAMES
        frames = itertools.islice(_candidates(source), most)
        apart = f", {LIVE_INTERVAL_S:g} s apart" if source.live else ""
        yield Draw(frames, masked_uri(uri) + apart, most, frames=True, even=not source.live)


def check_calibration(
    where: PathLike,
    *,
    data: PathLike | None = None,
    model: str | None = None,
    weights: PathLike | None = None,
    seed: int = 0,
    reporter: Reporter | None = None,
) -> Checked:
    """Look at a calibration set as `convert` would, and measure how stable a model's ranges are on it.

    model: whose input, classes and ranges; None: the default one, its ranges only where its weights and the
    converting packages are installed. data: pictures that accuracy is measured on, which ought to be others.
    """
    from edgecv.converters import calibration
    from edgecv.converters.models import DEFAULT_MODEL, get_model
    from edgecv.data import labelled_files

    if not str(where):
        raise UsageError("an empty path; name a folder, a pattern, a list or a video")
    chosen = get_model(model or DEFAULT_MODEL)
    judged = labelled_files(Path(data)) if data else []
    with (
        calibration_pictures(where, calibration.CALIBRATION_IMAGES) as found,
        _stage(reporter, f"looking at {where}", None) as advance,
    ):
        looked = calibration.load(
            found,
            chosen.preprocess,
            seed=seed,
            labels=chosen.labels(),
            judged=judged,
            every=True,
            advance=advance,
        )
    ranges, note = None, None
    if looked.report.enough:
        ranges, note = _ranges(model, weights, looked.pictures, reporter)
    return Checked(str(where), looked.report, ranges, (note,) if note else ())


def _ranges(
    name: str | None, weights: PathLike | None, pictures: Pictures, reporter: Reporter | None
) -> tuple[Stability | None, str | None]:
    """(the stability of a model's ranges, why it is not known)."""
    from edgecv.converters import range_stability
    from edgecv.converters.models import DEFAULT_MODEL, get_model, load
    from edgecv.devices import select

    missing = [package for package in ("onnx", "onnxruntime") if importlib.util.find_spec(package) is None]
    if missing:
        reason = f'{" and ".join(missing)} missing: pip install "edgecv[convert]" on the workstation'
        if name:
            raise ConversionError(reason)
        return None, f"ranges were not measured; {reason}"
    try:
        model = load(get_model(name or DEFAULT_MODEL), Path(weights) if weights else None)
    except ModelError as error:
        if name:
            raise
        return None, f"ranges were not measured; {error}"
    images = pictures.images
    with _stage(reporter, f"ranges of {model.name}", len(images)) as advance:
        threads = select("auto").threads
        found = range_stability.measure(model.graph, model.preprocess, images, threads, advance)
    return found, None if name else f"ranges are those of {model.name}; --model names yours"


def collect_calibration(
    source: str,
    out: PathLike,
    count: int = 200,
    *,
    device: str = "auto",
    append: bool = False,
    minutes: float = COLLECT_MINUTES,
    reporter: Reporter | None = None,
) -> Collected:
    """Gather `count` different, sharp and well exposed frames of a source as JPEG files in a folder."""
    from edgecv.converters.collect import collect
    from edgecv.runtime.sources import open_source

    if str(out) == "":
        raise UsageError("an empty path; name a folder with -o")
    with (
        open_source(_source_uri(source, device)) as opened,
        _stage(reporter, "gathering frames", count) as advance,
    ):
        return collect(
            _candidates(opened),
            Path(out),
            count,
            append=append,
            live=opened.live,
            minutes=minutes,
            advance=advance,
        )


def _stage(
    reporter: Reporter | None, title: str, total: int | None
) -> contextlib.AbstractContextManager[Callable[[int], None]]:
    return reporter.stage(title, total) if reporter else contextlib.nullcontext(lambda _count: None)


def _names_source(text: str) -> bool:
    """Whether this names what only the runtime can open, and no file, folder or pattern."""
    if os.path.isfile(text) or os.path.isdir(text):
        return False
    from edgecv.runtime.sources import is_path

    return text == "camera" or not is_path(text)


def _source_uri(text: str, device: str) -> str:
    return select_device(device).profile.camera.source if text == "camera" else text


def _candidates(source: Source) -> Iterator[Candidate]:
    """The frames of a source for the doctor; of a live one, LIVE_INTERVAL_S apart."""
    from edgecv.data import Candidate

    due_s = 0.0
    for frame in source:
        if source.live and frame.captured_s < due_s:
            continue
        due_s = frame.captured_s + LIVE_INTERVAL_S
        yield Candidate(frame.name or f"frame {frame.index}", frame.bgr)
