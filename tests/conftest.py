"""What every test may use: the data folder beside the checkout, and one Hypothesis profile."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
from fakes import write_bundle

from edgecv.bundle import Bundle
from edgecv.runtime import engines
from edgecv.spec import Format

# A developer's own profiles and saved choices are no part of a test.
os.environ.pop("EDGECV_DEVICES", None)
_config = tempfile.TemporaryDirectory(prefix="edgecv-tests-")
os.environ["XDG_CONFIG_HOME"] = _config.name

# The same examples everywhere, and no clock: a run on a slow board fails for a reason or not at all.
hypothesis.settings.register_profile("edgecv", derandomize=True, deadline=None, database=None)
hypothesis.settings.load_profile("edgecv")


@pytest.fixture(scope="session")
def shared() -> Path:
    """Photographs, models and references that lie beside the checkout and are not part of it."""
    folder = Path(__file__).resolve().parents[2] / "shared"
    if not folder.is_dir():
        pytest.skip(f"needs the shared data folder beside the checkout ({folder.name}/): it is not there")
    return folder


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    """onnx fp32 and int8, tflite int8, openvino int8; ten classes; see `fake_engine`."""
    return write_bundle(tmp_path / "tiny")


@pytest.fixture
def fake_engine() -> Iterator[None]:
    """Every format runs on the fake that ships: a black picture is class 0, a white one class 9."""
    kept = list(engines.ENGINES)
    for format in Format:
        engines.register(engines.Entry("fake", format, "numpy", "edgecv.runtime.engines.fake:FakeEngine", ""))
    yield
    engines.ENGINES[:] = kept
