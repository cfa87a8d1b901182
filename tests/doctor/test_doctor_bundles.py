"""The bundle's lines: whole or damaged, chosen or not, its golden samples right or wrong."""

from __future__ import annotations

from typing import Any

import pytest
from doctor_checks import OK, PROBLEM, WARNING, MakeCase, check

from edgecv.bundle import Bundle
from edgecv.doctor import bundles
from edgecv.doctor.child import Answer

pytestmark = pytest.mark.usefixtures("fake_engine")  # every format has an engine, before what is installed


def replayed(passed: bool, message: str) -> Answer:
    value: dict[str, Any] = {"artifact": "onnx:int8", "engine": "fake", "passed": passed, "message": message}
    return Answer(value=value)


def test_a_bundle_that_is_whole(make_case: MakeCase, bundle: Bundle) -> None:
    case = make_case(bundle=bundle, modules=("numpy",), answers={"engine": Answer(value="fake 1")})
    check(bundles.bundle(case), (OK, "bundle", ("tiny: 4 artifacts", "every hash is right")))
    check(bundles.choice(case), (OK, "choice", ("tflite:int8 in fake 1, 4 threads:", "Raspberry Pi 5")))


def test_no_bundle(make_case: MakeCase) -> None:
    words = ("no bundle here", "`edgecv convert --int8` makes one")
    check(bundles.bundle(make_case(named=True)), (PROBLEM, "bundle", words))
    check(bundles.bundle(make_case(named=False)), (WARNING, "bundle", words))
    check([*bundles.choice(make_case()), *bundles.replays(make_case())])


@pytest.mark.parametrize(
    ("file", "state"),
    [
        ("model.int8.tflite", PROBLEM),  # what would be run
        ("model.int8.openvino", WARNING),  # what would not
    ],
)
def test_a_damaged_file(make_case: MakeCase, bundle: Bundle, file: str, state: object) -> None:
    (bundle.root / file).write_bytes(b"\1" * 1024)
    good = {"engine": Answer(value="fake 1"), "replay": replayed(True, "exact")}
    case = make_case(bundle=bundle, modules=("numpy",), answers=good)
    check(bundles.bundle(case), (state, "bundle", (file, "damaged", "copy the whole bundle")))
    # It is not run: the others of all three engines are.
    found = [line.what for line in bundles.replays(case)]
    assert len(found) == 3
    assert not any(line.startswith(file.split(".")[2]) for line in found if "int8" in line)


def test_golden_samples(make_case: MakeCase, bundle: Bundle) -> None:
    told = {
        "engine": Answer(value="fake 1"),
        "replay": replayed(False, "SQNR 3.0 dB, at least 16.0 expected"),
    }
    case = make_case(bundle=bundle, modules=("numpy",), answers=told)
    wrong = ("SQNR 3.0 dB", "edgecv convert --target rpi5")
    # What would be run is a problem, the others are not.
    expected = {
        "onnx:fp32": WARNING,
        "onnx:int8": WARNING,
        "tflite:int8": PROBLEM,
        "openvino:int8": WARNING,
    }
    found = sorted(bundles.replays(case), key=lambda line: line.what)
    for kind, line in zip(sorted(expected), found, strict=True):
        check([line], (expected[kind], "golden samples", (kind, *wrong)))


def test_an_engine_that_crashes_is_a_line(make_case: MakeCase, bundle: Bundle) -> None:
    told = {"engine": Answer(value="fake 1"), "replay": Answer(error="it crashes (SIGSEGV)", died="SIGSEGV")}
    case = make_case(bundle=bundle, modules=("numpy",), answers=told)
    states = {line.state for line in bundles.replays(case)}
    assert states == {PROBLEM, WARNING}


def test_an_engine_that_does_not_load_is_not_run(make_case: MakeCase, bundle: Bundle) -> None:
    case = make_case(bundle=bundle, modules=("numpy",), answers={"engine": Answer(error="ImportError: x")})
    check(bundles.replays(case))
