"""The same bundle on the workstation and on 64-bit Arm; scripts/arm64.sh brings both."""

from __future__ import annotations

import os
import platform

import numpy as np
import pytest
from golden_logits import logits
from numpy.typing import NDArray

from edgecv.bundle import Artifact, Bundle
from edgecv.devices import select
from edgecv.spec import Kind

BUNDLE, HOST = os.environ.get("EDGECV_TEST_BUNDLE"), os.environ.get("EDGECV_HOST_LOGITS")

if platform.machine() != "aarch64" or not BUNDLE or not HOST:
    pytest.skip("compares arm64 with the workstation; run scripts/arm64.sh", allow_module_level=True)

# The largest difference of a logit; None where arithmetic differs by design and is only reported: ONNX
# Runtime's int8 kernels saturate or do not, by CPU.
ALLOWED = {"tflite:fp32": 1e-5, "tflite:int8": 0.0, "onnx:fp32": 1e-3, "onnx:int8": None}


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return Bundle.open(str(BUNDLE))


def answers(bundle: Bundle, kind: str) -> tuple[Artifact, NDArray[np.float32], NDArray[np.float32]]:
    """(the artifact, its logits on the workstation, its logits here)."""
    (artifact,) = bundle.select(*Kind.parse(kind))
    with np.load(str(HOST)) as recorded:
        return artifact, recorded[kind], logits(bundle, artifact)


@pytest.mark.parametrize("kind", ALLOWED)
def test_arm64_answers_as_the_workstation_did(
    bundle: Bundle, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    artifact, host, here = answers(bundle, kind)
    golden = bundle.golden().logits
    worst, from_float_host, from_float_here = (
        float(np.abs(a - b).max()) for a, b in ((host, here), (golden, host), (golden, here))
    )
    with capsys.disabled():
        print(
            f"\n{artifact.kind}: largest difference of x86-64 from arm64 {worst:.2g}; from the float model: "
            f"x86-64 {from_float_host:.2g}, arm64 {from_float_here:.2g} "
            f"({len(here)} pictures, logits up to {np.abs(golden).max():.1f})"
        )
    allowed = ALLOWED[kind]
    assert allowed is None or worst <= allowed


def test_the_board_is_recognised() -> None:
    expected = os.environ.get("EDGECV_EXPECTED_PROFILE")
    if not expected:
        pytest.skip("EDGECV_EXPECTED_PROFILE does not say which board this is")
    assert select("auto").profile.name == expected
