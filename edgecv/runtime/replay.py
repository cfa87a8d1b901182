"""Replay a bundle's golden samples on this machine: is this the model that left the workstation?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgecv.bundle import Artifact, Bundle, Golden
from edgecv.errors import EngineError
from edgecv.runtime.engines import Options, installed, missing_message, open_engine
from edgecv.spec import Precision, Struct
from edgecv.tasks import float_tolerance, sqnr_db

INT8_MARGIN_DB = 6.0  # below the signal-to-noise ratio measured at conversion: twice the error


class Replayed(Struct):
    """One artifact on the golden samples; `passed` is None when its engine is not installed here."""

    artifact: str
    engine: str
    passed: bool | None
    message: str


def replay(bundle: Bundle, artifacts: Sequence[Artifact], options: Options) -> tuple[Replayed, ...]:
    """Run each artifact on the golden inputs and hold its logits against the float model's.

    fp32 artifacts must agree within tasks.float_tolerance; the others must not be noisier than when they were
    converted by more than INT8_MARGIN_DB, which is what a saturating CPU or a broken kernel does.
    """
    golden = bundle.golden()
    return tuple(_replay(bundle, artifact, golden, options) for artifact in artifacts)


def _replay(bundle: Bundle, artifact: Artifact, golden: Golden, options: Options) -> Replayed:
    kind = str(artifact.kind)
    entry = installed(artifact.format)
    if entry is None:
        return Replayed(
            artifact=kind, engine="not installed", passed=None, message=missing_message(artifact.format)
        )
    try:
        engine = open_engine(bundle.path(artifact), artifact, options)
    except EngineError as error:
        return Replayed(artifact=kind, engine=entry.name, passed=False, message=str(error))
    logits = np.concatenate([engine.infer(image[None]).copy() for image in golden.images])
    engine.close()
    worst = float(np.abs(golden.logits - logits).max())
    if artifact.precision is Precision.FP32:
        allowed = float_tolerance(golden.logits)
        passed = worst <= allowed
        message = f"largest difference {worst:.1e}, allowed {allowed:.0e}"
    else:
        sqnr = sqnr_db(golden.logits, logits)
        recorded = artifact.verified.sqnr_db if artifact.verified else None
        floor = (recorded if recorded is not None else INT8_MARGIN_DB) - INT8_MARGIN_DB
        passed = sqnr is None or sqnr >= floor
        message = "exact" if sqnr is None else f"SQNR {sqnr:.1f} dB, at least {floor:.1f} expected"
    return Replayed(artifact=kind, engine=engine.name, passed=passed, message=message)
