"""The same bundle on the workstation and on 64-bit Arm; scripts/arm64.sh brings both."""

from __future__ import annotations

import os
import platform

import numpy as np
import pytest
from arm64_replay import allowed, compared, logits

from edgecv.bundle import Bundle
from edgecv.devices import select
from edgecv.spec import Kind

BUNDLE, HOST = os.environ.get("EDGECV_TEST_BUNDLE"), os.environ.get("EDGECV_HOST_LOGITS")
KINDS = ("tflite:fp32", "tflite:int8", "onnx:fp32", "onnx:int8")

on_arm64 = pytest.mark.skipif(
    platform.machine() != "aarch64" or not BUNDLE or not HOST,
    reason="compares arm64 with the workstation; run scripts/arm64.sh",
)


@on_arm64
@pytest.mark.parametrize("kind", KINDS)
def test_arm64_answers_as_the_workstation_did(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    bundle = Bundle.open(str(BUNDLE))
    golden = bundle.golden()
    (artifact,) = bundle.select(*Kind.parse(kind))
    with np.load(str(HOST)) as recorded:
        host = recorded[kind]
    here = logits(bundle, artifact, golden.images)
    result = compared(artifact.kind, len(here), host, here, np.zeros(0, np.int64))
    off = [float(np.abs(golden.logits - rows).max()) for rows in (host, here)]
    with capsys.disabled():
        print(f"\n{result.line(0)}; from the float model: x86-64 {off[0]:.2g}, arm64 {off[1]:.2g}")
    assert result.passed


@on_arm64
def test_the_board_is_recognised() -> None:
    expected = os.environ.get("EDGECV_EXPECTED_PROFILE")
    if not expected:
        pytest.skip("EDGECV_EXPECTED_PROFILE does not say which board this is")
    assert select("auto").profile.name == expected


# -- the comparison itself, anywhere ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "limit"),
    [
        ("tflite:int8", 0.0),  # integer arithmetic throughout
        ("tflite:fp32", 1e-4),
        ("tflite:dynamic", 1e-4),  # int8 is only how its weights are stored
        ("onnx:fp32", 1e-3),
        ("onnx:int8", None),  # saturates on some x86
        ("onnx:fp16", None),  # computed in halves by some CPUs
        ("openvino:int8", None),
    ],
)
def test_what_must_be_equal_is(kind: str, limit: float | None) -> None:
    assert allowed(Kind.parse(kind)) == limit


def test_a_difference_is_found_among_the_labelled_pictures() -> None:
    """Two golden samples that are equal, four labelled ones of which the last has changed its answer."""
    host = np.eye(6, 3, dtype=np.float32)
    arm = host.copy()
    arm[5] = [1, 0, 0.5]
    labels = np.int64([2, 0, 0, 0])
    result = compared(Kind.parse("tflite:int8"), 2, host, arm, labels)
    assert (result.golden, result.labelled, result.same) == (0.0, 1.0, 1.0)
    assert result.top1 == (1.0, 1.0)
    assert not result.passed
    assert result.line(4) == (
        "tflite:int8       largest difference of a logit 1 (bit for bit); same answer 100.0% of 4 pictures, "
        "top-1 100.0% here, 100.0% on arm64: FAILED"
    )


def test_what_differs_by_design_is_reported_only() -> None:
    host = np.eye(3, dtype=np.float32)
    result = compared(Kind.parse("onnx:int8"), 1, host, host[:, ::-1].copy(), np.int64([1, 2]))
    assert result.passed
    assert result.same == 0.5
    assert "for information" in result.line(2)
