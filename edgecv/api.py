"""What EdgeCV does, one function a job: the CLI calls these, and so can you.

Imports of converters, engines and OpenCV happen inside, when a job needs them.
"""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edgecv.bundle import Artifact, Bundle, find_bundle
from edgecv.errors import UsageError
from edgecv.spec import Format, Precision

if TYPE_CHECKING:
    from edgecv.converters.build import Infer
    from edgecv.converters.convert import Conversion, Reporter
    from edgecv.devices import Selected
    from edgecv.reports.render import Written
    from edgecv.reports.schema import Accuracy, Report
    from edgecv.runtime.pipeline import Result, Run
    from edgecv.runtime.replay import Replayed

PathLike = str | Path


def open_bundle(name: PathLike | None = None) -> Bundle:
    """A bundle by folder, by its name in the cache, or (None) the default one; raises BundleError."""
    return Bundle.open(find_bundle(None if name is None else str(name)))


def convert(
    model: str = "efficientnet-lite0",
    *,
    int8: bool = False,
    formats: Sequence[Format] = tuple(Format),
    calibration: PathLike | None = None,
    data: PathLike | None = None,
    weights: PathLike | None = None,
    out: PathLike | None = None,
    seed: int = 0,
    reporter: Reporter | None = None,
) -> Conversion:
    """Convert a model to a verified bundle; see converters.convert.convert for what it raises."""
    if any(path == "" for path in (calibration, data, weights, out)):
        raise UsageError("an empty path; leave the option out, or name a file or folder")
    from edgecv.converters.build import Host
    from edgecv.converters.convert import Request
    from edgecv.converters.convert import convert as run
    from edgecv.devices import select
    from edgecv.runtime.engines import Options, open_engine

    here = select("auto")
    options = Options(here.threads, bool(here.detected.int8_saturates))

    @contextlib.contextmanager
    def opened(path: Path, artifact: Artifact) -> Iterator[Infer]:
        engine = open_engine(path, artifact, options)
        try:
            yield engine.infer
        finally:
            engine.close()

    request = Request(
        model=model,
        int8=int8,
        formats=tuple(dict.fromkeys(formats)),
        calibration=Path(calibration) if calibration else None,
        data=Path(data) if data else None,
        weights=Path(weights) if weights else None,
        out=Path(out) if out else None,
        seed=seed,
    )
    host = Host(opened, options.threads, options.precise, here.detected.arithmetic)
    return run(request, host, reporter)


def stream(
    bundle: PathLike | None = None,
    source: str | None = None,
    *,
    device: str = "auto",
    format: Format | None = None,
    precision: Precision | None = None,
    threads: int | None = None,
    top_k: int = 5,
    frames: int | None = None,
) -> Iterator[Result]:
    """Classify every frame of a source (None: the device's camera) until it ends; yields Results."""
    with open_run(bundle, source, device, format, precision, threads, top_k, frames) as session:
        yield from session.run


@dataclasses.dataclass(frozen=True)
class Session:
    """A run about to start: what it runs on, with which artifact and engine, and what is worth saying."""

    run: Run
    selected: Selected
    artifact: Artifact
    engine: str
    source: str
    notes: tuple[str, ...]
    stop: Callable[[], None]  # ends the run after the frame in hand; safe from a signal handler


@contextlib.contextmanager
def open_run(
    bundle: PathLike | None = None,
    source: str | None = None,
    device: str = "auto",
    format: Format | None = None,
    precision: Precision | None = None,
    threads: int | None = None,
    top_k: int = 5,
    frames: int | None = None,
) -> Iterator[Session]:
    """Everything `edgecv run` needs, opened and at the end closed."""
    from edgecv.runtime.choice import choose
    from edgecv.runtime.pipeline import Classifier, Run
    from edgecv.runtime.sources import masked_uri, open_source

    selected = select_device(device, threads)
    opened = open_bundle(bundle)
    artifact, note = choose(opened, selected, format, precision)
    uri = source if source is not None else selected.profile.camera.source
    # The engine first: a live source would drop frames, and count them, while a model loads.
    with Classifier.open(opened, artifact, selected, top_k) as classifier, open_source(uri) as frames_in:

        def stop() -> None:
            # On a thread of its own: a signal handler may hold the lock that close() waits for.
            threading.Thread(target=frames_in.close, daemon=True).start()

        notes = tuple(text for text in (selected.note, note) if text)
        run = Run(classifier, frames_in, frames)
        yield Session(run, selected, artifact, classifier.engine.name, masked_uri(uri), notes, stop)


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
