from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgecv.bundle import Bundle
from edgecv.devices import select
from edgecv.errors import EngineError, EngineMissing
from edgecv.runtime import engines
from edgecv.runtime.choice import choose
from edgecv.runtime.engines import Options
from edgecv.runtime.engines.fake import FakeEngine
from edgecv.runtime.pipeline import Classifier, Run, engine_options
from edgecv.runtime.replay import replay
from edgecv.runtime.sources import open_source
from edgecv.spec import Format, Precision


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Ten flat pictures from black to white: for the fake engine, classes 0 to 9 in order."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for index in range(10):
        level = round(index * 255 / 9)
        assert cv2.imwrite(str(folder / f"{index}.png"), np.full((20, 30, 3), level, np.uint8))
    return folder


def test_every_frame_gives_one_result_with_the_right_answer(bundle: Bundle, photos: Path) -> None:
    with open_source(str(photos)) as source, Classifier(bundle, FakeEngine(), top_k=2) as classifier:
        run = Run(classifier, source)
        results = list(run)
    assert [result.frame for result in results] == list(range(10))
    assert [result.top[0].label for result in results] == [f"class {i}" for i in range(10)]
    assert all(len(result.top) == 2 and result.latency_ms > 0 for result in results)
    assert results[0].time_s == 0
    assert all(a.time_s < b.time_s for a, b in itertools.pairwise(results))
    summary = run.summary()
    assert (summary.frames, summary.dropped, summary.skipped) == (10, 0, 0)
    assert summary.latency is not None
    assert summary.latency.max_ms == pytest.approx(max(r.latency_ms for r in results), abs=1e-3)


def test_a_run_stops_after_the_frames_asked_for(bundle: Bundle, photos: Path) -> None:
    with open_source(str(photos)) as source:
        run = Run(Classifier(bundle, FakeEngine()), source, frames=3)
        assert len(list(run)) == 3
        assert run.summary().frames == 3
        assert next(source).index == 3  # nothing was taken beyond them


def test_a_run_of_nothing_has_a_summary_too(bundle: Bundle, photos: Path) -> None:
    with open_source(str(photos)) as source:
        summary = Run(Classifier(bundle, FakeEngine()), source).summary()
    assert (summary.frames, summary.fps, summary.latency) == (0, None, None)


def test_an_engine_that_fails_ends_the_run_with_its_error(bundle: Bundle, photos: Path) -> None:
    with open_source(str(photos)) as source, pytest.raises(EngineError, match="call 2"):
        list(Run(Classifier(bundle, FakeEngine(fails_at=2)), source))


def without(monkeypatch: pytest.MonkeyPatch, *formats: Format) -> None:
    """A board that has an engine for every format but these."""
    entries = [
        entry._replace(needs="no_such_module" if entry.format in formats else "numpy")
        for entry in engines.ENGINES
    ]
    monkeypatch.setattr(engines, "ENGINES", entries)


@pytest.mark.parametrize(
    ("device", "missing", "format", "precision", "expected"),
    [
        ("rpi5", (), None, None, "tflite:int8"),  # the profile's first choice
        ("rpi5", (Format.TFLITE,), None, None, "onnx:int8"),  # its second, when the first has no engine
        ("rpi5", (Format.TFLITE, Format.ONNX), None, None, "openvino:int8"),  # and so on
        ("rpi5", (), Format.ONNX, None, "onnx:int8"),  # the format was named
        ("rpi5", (), None, Precision.FP32, "onnx:fp32"),  # the precision was
        ("x86-vnni", (), None, None, "onnx:int8"),  # another board, another order
    ],
)
def test_the_profile_chooses(
    bundle: Bundle,
    monkeypatch: pytest.MonkeyPatch,
    device: str,
    missing: tuple[Format, ...],
    format: Format | None,
    precision: Precision | None,
    expected: str,
) -> None:
    without(monkeypatch, *missing)
    artifact, note = choose(bundle, select(device), format, precision)
    assert str(artifact.kind) == expected
    assert (note is None) == (not missing)
    if note:
        assert 'pip install "edgecv[tflite]"' in note


def test_no_engine_at_all_says_what_brings_one(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, *Format)
    with pytest.raises(EngineMissing) as caught:
        choose(bundle, select("rpi5"))
    for extra in ("tflite", "onnx", "openvino"):
        assert f'pip install "edgecv[{extra}]"' in str(caught.value)
    with pytest.raises(EngineMissing, match="edgecv\\[onnx\\]"):
        engines.open_engine(Path("x"), bundle.select(Format.ONNX)[0], Options())


def test_exact_sums_are_asked_for_where_this_cpu_saturates(bundle: Bundle) -> None:
    here = select("auto")
    for saturates, wanted in ((True, True), (False, False), (None, False)):
        machine = dataclasses.replace(here.detected, int8_saturates=saturates)
        assert engine_options(dataclasses.replace(here, detected=machine)).precise is wanted
    # Only an artifact that says so is run that way: the others have no such mode.
    seen: list[Options] = []

    class Engine(FakeEngine):
        def __init__(self, path: Path, options: Options) -> None:
            seen.append(options)
            super().__init__(path)

    import msgspec

    entry = engines.Entry("seen", Format.ONNX, "numpy", f"{__name__}:Engine", "")
    globals()["Engine"] = Engine
    artifact = bundle.select(Format.ONNX)[0]
    for flagged in (False, True):
        marked = msgspec.structs.replace(artifact, precise_if_saturating=flagged)
        engines.load(entry, Path("x"), marked, Options(3, precise=True))
    assert seen == [Options(3, precise=False), Options(3, precise=True)]


@pytest.mark.usefixtures("fake_engine")
def test_replay_tells_a_wrong_engine_from_a_missing_one(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The fake's answer for a black picture is not the zeros of this bundle's golden logits.
    rows = replay(bundle, bundle.manifest.artifacts, Options())
    assert [row.passed for row in rows] == [False] * 4
    assert "allowed 1e-04" in rows[0].message
    without(monkeypatch, *Format)
    rows = replay(bundle, bundle.manifest.artifacts, Options())
    assert [row.passed for row in rows] == [None] * 4
    assert "pip install" in rows[0].message


def test_the_fake_engine_is_predictable() -> None:
    engine = FakeEngine(classes=5)
    for level, expected in ((0, 0), (64, 1), (128, 2), (255, 4)):
        assert engine.infer(np.full((1, 4, 4, 3), level, np.uint8)).argmax() == expected
