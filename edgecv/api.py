"""What EdgeCV does, one function a job: the CLI calls these, and so can you.

Imports of converters, engines and OpenCV happen inside, when a job needs them.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edgecv.bundle import Artifact, Bundle, find_bundle
from edgecv.spec import Format, Precision

if TYPE_CHECKING:
    from edgecv.converters.build import Infer
    from edgecv.converters.convert import Conversion, Reporter
    from edgecv.devices import Selected
    from edgecv.runtime.pipeline import Result, Run

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
    """Everything `edgecv run` needs, opened in the order that fails fastest, and closed at the end."""
    from edgecv.runtime.choice import choose
    from edgecv.runtime.pipeline import Classifier, Run
    from edgecv.runtime.sources import masked_uri, open_source

    selected = select_device(device, threads)
    opened = open_bundle(bundle)
    artifact, note = choose(opened, selected, format, precision)
    uri = source if source is not None else selected.profile.camera.source
    with open_source(uri) as frames_in, Classifier.open(opened, artifact, selected, top_k) as classifier:
        notes = tuple(text for text in (selected.note, note) if text)
        yield Session(
            Run(classifier, frames_in, frames),
            selected,
            artifact,
            classifier.engine.name,
            masked_uri(uri),
            notes,
        )


def select_device(name: str = "auto", threads: int | None = None) -> Selected:
    """The profile a run follows, with `threads` in place of the profile's own when given."""
    from edgecv.devices import select

    selected = select(name)
    return selected if threads is None else dataclasses.replace(selected, threads=threads)
