"""From a model to a verified bundle."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgecv.api.bundles import PathLike
from edgecv.bundle import PAGE, Artifact
from edgecv.errors import UsageError
from edgecv.spec import Format, Precision

if TYPE_CHECKING:
    from edgecv.converters.convert import Conversion, Reporter
    from edgecv.converters.search import Host, Infer, Target
    from edgecv.devices import Selected


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
        from edgecv.api.calibration import calibration_pictures

        with calibration_pictures(calibration, CALIBRATION_IMAGES) as pictures:
            done = run(dataclasses.replace(request, calibration=pictures), host, reporter)
    if precisions:
        with reporter.stage("writing the page", None) if reporter else contextlib.nullcontext():
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
