"""Calibration pictures: looking at them, and gathering them."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from edgecv.api.bundles import PathLike, select_device
from edgecv.errors import ConversionError, ModelError, UsageError

if TYPE_CHECKING:
    from edgecv.converters.collect import Collected
    from edgecv.converters.convert import Reporter
    from edgecv.converters.picture_checks import Doctored
    from edgecv.converters.range_stability import Stability
    from edgecv.data import Candidate, Draw, Pictures
    from edgecv.runtime.sources import Source

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
    if not minutes > 0:  # nor a number that is none
        raise UsageError(f"--minutes {minutes:g}: give more than 0")
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
