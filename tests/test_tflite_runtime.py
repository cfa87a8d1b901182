"""The engine of 32-bit boards on a real bundle; scripts/tflite_runtime.sh brings both."""

from __future__ import annotations

import importlib.util
import os

import pytest

from edgecv.bundle import Artifact, Bundle
from edgecv.runtime.engines import Options, installed
from edgecv.runtime.replay import replay
from edgecv.spec import Format, Precision

if importlib.util.find_spec("tflite_runtime") is None:
    pytest.skip("tflite-runtime is not installed; run scripts/tflite_runtime.sh", allow_module_level=True)


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    folder = os.environ.get("EDGECV_TEST_BUNDLE")
    if not folder:
        pytest.skip("EDGECV_TEST_BUNDLE names no bundle; run scripts/tflite_runtime.sh")
    return Bundle.open(folder)


def artifact(bundle: Bundle, precision: Precision) -> Artifact:
    (found,) = bundle.select(Format.TFLITE, precision)
    return found


def test_it_is_the_engine_that_is_chosen() -> None:
    entry = installed(Format.TFLITE)
    assert entry is not None
    assert entry.name == "tflite-runtime"


@pytest.mark.parametrize("precision", list(Precision))
def test_the_golden_samples_come_out_as_they_were_recorded(bundle: Bundle, precision: Precision) -> None:
    (row,) = replay(bundle, [artifact(bundle, precision)], Options(threads=2))
    assert row.engine == "tflite-runtime 2.14.0"
    assert row.passed, row.message
