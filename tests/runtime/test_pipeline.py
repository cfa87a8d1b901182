from __future__ import annotations

import dataclasses
import itertools
import queue
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from waits import WAIT_S

from edgecv.bundle import Bundle
from edgecv.devices import select
from edgecv.errors import EngineError, EngineMissing, SourceError
from edgecv.runtime import engines, pipeline
from edgecv.runtime.choice import choose, engine_options
from edgecv.runtime.controls import Controls
from edgecv.runtime.engines import Engine, Options
from edgecv.runtime.engines.fake import FakeEngine
from edgecv.runtime.events import Rules
from edgecv.runtime.feeder import Feeder, Job
from edgecv.runtime.pipeline import Run, Settings
from edgecv.runtime.regions import parse_regions
from edgecv.runtime.replay import replay
from edgecv.runtime.sinks.base import Item
from edgecv.runtime.sources import Counts, Frame, Source, open_source
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


def run_of(bundle: Bundle, source: Source, engine: Engine | None = None, **settings: Any) -> Run:
    return Run(bundle, engine or FakeEngine(), source, Settings(**settings), FakeEngine)


def flat(level: int) -> np.ndarray:
    return np.full((20, 30, 3), level, np.uint8)


class Camera(Source):
    """A live source the test works by hand: `show` puts the newest frame there, `gone` ends it."""

    live, fps = True, None
    counts = Counts(dropped=7, skipped=1, reconnects=2)

    def __init__(self) -> None:
        self._frames: queue.SimpleQueue[Frame | Exception | None] = queue.SimpleQueue()
        self.index = 0
        self.taken: queue.SimpleQueue[int] = queue.SimpleQueue()

    def show(self, level: int) -> None:
        self._frames.put(Frame(flat(level), self.index, time.perf_counter(), ""))
        self.index += 1

    def gone(self, error: Exception | None = None) -> None:
        self._frames.put(error)

    def __next__(self) -> Frame:
        frame = self._frames.get()
        if frame is None:
            raise StopIteration
        if isinstance(frame, Exception):
            raise frame
        self.taken.put(frame.index)
        return frame

    def close(self) -> None:
        self.gone()


class Gate(FakeEngine):
    """An engine that answers when the test lets it."""

    def __init__(self) -> None:
        super().__init__()
        self.began, self.go = threading.Semaphore(0), threading.Semaphore(0)

    def infer(self, image: np.ndarray) -> np.ndarray:
        self.began.release()
        assert self.go.acquire(timeout=WAIT_S)
        return super().infer(image)


def test_every_frame_gives_one_result_with_the_right_answer(bundle: Bundle, photos: Path) -> None:
    with open_source(str(photos)) as source:
        run = run_of(bundle, source, top_k=2)
        results = [item.result for item in run]
    assert [result.frame for result in results] == list(range(10))
    assert [result.top[0].label for result in results] == [f"class {i}" for i in range(10)]
    assert [result.name for result in results] == [f"{i}.png" for i in range(10)]
    for result in results:
        assert len(result.top) == 2
        assert result.latency_ms >= result.queue_ms + result.infer_ms > 0
        assert abs(result.unix_s - time.time()) < 60
    assert results[0].time_s == 0
    assert all(a.time_s < b.time_s for a, b in itertools.pairwise(results))
    summary = run.summary()
    assert (summary.frames, summary.dropped.total, summary.skipped, summary.avoided) == (10, 0, 0, None)
    assert summary.latency is not None
    assert summary.latency.max_ms == pytest.approx(max(r.latency_ms for r in results), abs=1e-3)
    assert summary.inference is not None
    assert summary.inference.samples == 10


def test_pictures_come_with_their_results(bundle: Bundle, photos: Path) -> None:
    with open_source(str(photos)) as source:
        levels = [float(item.bgr.mean()) for item in run_of(bundle, source) if item.bgr is not None]
    assert levels == [round(i * 255 / 9) for i in range(10)]


def test_a_run_stops_after_the_frames_asked_for(bundle: Bundle, photos: Path) -> None:
    with open_source(str(photos)) as source:
        run = run_of(bundle, source, frames=3)
        assert len(list(run)) == 3
        assert run.summary().frames == 3
    camera = Camera()
    run = run_of(bundle, camera, frames=2)
    for count, _ in enumerate(feeding(run, camera)):
        assert count < 2
    assert run.summary().frames == 2


def feeding(run: Run, camera: Camera) -> Iterator[Item]:
    """The items of a run, a new frame being shown whenever one is wanted."""
    camera.show(0)
    for item in run:
        yield item
        camera.show(0)


def test_a_run_of_nothing_has_a_summary_too(bundle: Bundle, photos: Path) -> None:
    with open_source(str(photos)) as source:
        summary = run_of(bundle, source).summary()
    assert (summary.frames, summary.fps, summary.latency) == (0, None, None)


def test_a_run_that_is_left_leaves_no_thread(bundle: Bundle, photos: Path) -> None:
    before = set(threading.enumerate())
    with open_source(str(photos)) as source:
        for _ in run_of(bundle, source):
            break
    assert set(threading.enumerate()) <= before


def test_a_live_run_answers_the_newest_frame_and_counts_the_others(bundle: Bundle) -> None:
    camera, engine = Camera(), Gate()
    run = run_of(bundle, camera, engine)
    items = iter(run)
    answered: list[Item] = []
    taker = threading.Thread(target=lambda: answered.extend(items))
    taker.start()
    camera.show(0)
    assert engine.began.acquire(timeout=WAIT_S)  # frame 0 is in the engine; what comes now has to wait
    for level in (50, 100, 255):
        camera.show(level)
    for index in range(4):
        assert camera.taken.get(timeout=WAIT_S) == index
    camera.gone()  # behind the last frame: when the feeder has seen it, that frame is prepared
    run._feeder.join(WAIT_S)
    for _ in range(2):
        engine.go.release()
    taker.join(WAIT_S)
    assert [item.result.top[0].label for item in answered] == ["class 0", "class 9"]
    assert answered[1].result.queue_ms > 0
    summary = run.summary()
    assert (summary.dropped.capture, summary.dropped.queue) == (7, 2)
    assert (summary.skipped, summary.reconnects) == (1, 2)


def test_stop_answers_what_is_on_its_way(bundle: Bundle) -> None:
    camera, engine = Camera(), Gate()
    run = run_of(bundle, camera, engine)
    answered: list[Item] = []
    taker = threading.Thread(target=lambda: answered.extend(run))
    taker.start()
    camera.show(255)
    assert engine.began.acquire(timeout=WAIT_S)
    run.stop()
    engine.go.release()
    taker.join(WAIT_S)
    assert not taker.is_alive()
    assert [item.result.top[0].label for item in answered] == ["class 9"]


def test_an_error_of_the_source_comes_after_its_last_frame(bundle: Bundle) -> None:
    camera = Camera()
    camera.show(255)
    camera.gone(SourceError("300 frames in a row"))
    seen = []
    with pytest.raises(SourceError, match="300 frames"):
        for item in run_of(bundle, camera):
            seen.append(item.result.frame)
    assert seen == [0]


# --- an engine that fails


def failing(*calls: int) -> FakeEngine:
    """An engine that a foreign error comes out of at these calls."""

    class Failing(FakeEngine):
        def infer(self, image: np.ndarray) -> np.ndarray:
            self.calls += 1
            if self.calls - 1 in calls:
                raise RuntimeError("Exception from src/plugin.cpp:12:\nout of memory")
            self.calls -= 1
            return super().infer(image)

    return Failing()


def test_a_frame_that_the_engine_fails_on_is_kept_and_the_run_goes_on(
    bundle: Bundle,
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("EDGECV_CACHE", str(tmp_path / "cache"))
    with open_source(str(photos)) as source:
        run = run_of(bundle, source, failing(2))
        frames = [item.result.frame for item in run]
    assert frames == [0, 1, 3, 4, 5, 6, 7, 8, 9]
    assert run.summary().engine_failures == 1
    (kept,) = (tmp_path / "cache" / "failed-frames").iterdir()
    np.testing.assert_array_equal(cv2.imread(str(kept)), flat(round(2 * 255 / 9)))
    (message,) = caplog.messages
    assert message.startswith("fake failed: out of memory, on frame 2, which is kept as")


def test_three_failures_in_a_row_end_the_run(
    bundle: Bundle, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGECV_CACHE", str(tmp_path / "cache"))
    opened: list[FakeEngine] = []

    def reopen() -> FakeEngine:
        opened.append(failing(0))
        return opened[-1]

    seen = []
    with open_source(str(photos)) as source, pytest.raises(EngineError, match="3 frames in a row failed"):
        for item in Run(bundle, failing(1), source, Settings(), reopen):
            seen.append(item.result.frame)
    assert seen == [0]
    assert len(opened) == 2
    assert len(list((tmp_path / "cache" / "failed-frames").iterdir())) == 3


@pytest.mark.parametrize("kind", [EngineError, OSError])  # ours, and one that nobody foresaw
def test_an_engine_that_cannot_be_loaded_again_ends_the_run(
    bundle: Bundle, photos: Path, kind: type[Exception]
) -> None:
    def reopen() -> FakeEngine:
        raise kind("the file is gone")

    with open_source(str(photos)) as source, pytest.raises(kind, match="the file is gone"):
        list(Run(bundle, failing(1), source, Settings(), reopen))


# --- regions, events and the motion gate


def test_each_region_has_its_own_answers_and_events(bundle: Bundle) -> None:
    halves = np.zeros((20, 40, 3), np.uint8)
    halves[:, 20:] = 255
    camera = Camera()
    run = run_of(
        bundle,
        camera,
        regions=parse_regions(["left=0,0,20,20", "right=20,0,20,20"]),
        rules=Rules(on=0.3, off=0.2, hits=1, window=1),
    )
    camera._frames.put(Frame(halves, 0, time.perf_counter(), ""))
    camera.gone()
    left, right = [item.result for item in run]
    assert (left.region, left.top[0].label, left.on) == ("left", "class 0", ("class 0",))
    assert (right.region, right.top[0].label, right.on) == ("right", "class 9", ("class 9",))
    assert [(event.region, event.label, event.state) for event in right.events] == [
        ("right", "class 9", "on")
    ]
    assert run.summary().frames == 1
    assert run.summary().events == 2


def test_a_still_picture_keeps_its_answer_without_the_engine(bundle: Bundle) -> None:
    engine = FakeEngine()
    frames = [Frame(flat(255), index, index / 10, "") for index in range(60)]
    source = Frames(frames)
    run = run_of(bundle, source, engine, controls=Controls(0.5, 0.3, motion_gate=True))
    results = [item.result for item in run]
    assert [result.top[0].label for result in results] == ["class 9"] * 60
    still = sum(result.still for result in results)
    assert 20 < still < 60
    assert engine.calls == 60 - still
    assert all((result.infer_ms == 0) == result.still for result in results)
    summary = run.summary()
    assert summary.avoided is not None
    assert summary.avoided.inferences == still
    assert summary.avoided.cpu_s >= 0


class Frames(Source):
    """Frames from a list, at the times they say."""

    live, counts = False, Counts()

    def __init__(self, frames: list[Frame], fps: float | None = None) -> None:
        self._rest, self.fps = iter(frames), fps

    def __next__(self) -> Frame:
        return next(self._rest)

    def close(self) -> None:
        self._rest = iter(())


def test_a_still_picture_that_was_never_answered_is_answered(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGECV_CACHE", str(tmp_path / "cache"))
    frames = [Frame(flat(255), index, 2.0 * index, "") for index in range(3)]  # it opens for the first
    gate = Controls(0.5, 0.3, motion_gate=True)
    results = [item.result for item in run_of(bundle, Frames(frames), failing(0), controls=gate)]
    assert [(r.frame, r.still, r.top[0].label) for r in results] == [
        (1, False, "class 9"),
        (2, True, "class 9"),
    ]


def test_a_video_has_the_time_of_its_rate_however_fast_it_is_read(bundle: Bundle) -> None:
    frames = [Frame(flat(255), index, time.perf_counter(), "") for index in range(26)]
    rules = Rules(hits=1, window=1, on=0.3, off=0.2, min_duration_s=0.5)
    run = run_of(bundle, Frames(frames, fps=25.0), rules=rules)
    results = [item.result for item in run]
    assert [result.time_s for result in results] == [index / 25 for index in range(26)]
    assert results[-1].unix_s - results[0].unix_s == pytest.approx(1, abs=1e-5)
    assert [(event.frame, event.state) for result in results for event in result.events] == [(13, "on")]


def test_a_frame_to_look_at_is_not_lost_to_a_still_one(bundle: Bundle) -> None:
    camera = Camera()
    feeder = Feeder(camera, bundle.manifest.preprocess, 10, (), Controls(0.5, 0.3, motion_gate=True), None)
    for index in range(3):  # they stand for three frames of a camera, the gate being open for the first only
        camera._frames.put(Frame(flat(9), index, 100.0 + 2 * index, ""))
    camera.gone()
    feeder.start()
    feeder.join(WAIT_S)
    job = feeder.ready.get_nowait()
    assert isinstance(job, Job)
    assert job.frame is not None
    assert (job.frame.index, job.still, feeder.replaced) == (2, [False], 2)


def test_numbers_that_are_not_finite_are_a_failure(
    bundle: Bundle, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Nan(FakeEngine):
        def infer(self, image: np.ndarray) -> np.ndarray:
            return super().infer(image) * np.float32(np.nan)

    monkeypatch.setenv("EDGECV_CACHE", str(tmp_path / "cache"))
    with open_source(str(photos)) as source:
        run = run_of(bundle, source, Nan())
        assert [item.result.frame for item in run] == list(range(1, 10))
    assert run.summary().engine_failures == 1


def test_only_labels_that_are_shown_are_answered(bundle: Bundle, photos: Path) -> None:
    shown = np.zeros(10, bool)
    shown[[3, 4]] = True
    with open_source(str(photos)) as source:
        answers = [item.result.top for item in run_of(bundle, source, shown=shown)]
    assert [top[0].label for top in answers] == ["class 3"] * 4 + ["class 4"] * 6
    assert {len(top) for top in answers} == {2}


def test_the_heart_beats_unless_the_engine_hangs(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "BEAT_S", 0.01)
    beats: queue.SimpleQueue[int] = queue.SimpleQueue()
    camera, engine = Camera(), Gate()
    run = run_of(bundle, camera, engine, heartbeat=lambda: beats.put(1))
    taker = threading.Thread(target=lambda: list(run))
    taker.start()
    for _ in range(3):
        assert beats.get(timeout=WAIT_S)  # while there is no frame
    monkeypatch.setattr(pipeline, "STUCK_S", 0.0)
    camera.show(0)
    assert engine.began.acquire(timeout=WAIT_S)
    while not beats.empty():
        beats.get()
    with pytest.raises(queue.Empty):
        for _ in range(3):  # one may just have been on its way
            beats.get(timeout=0.1)
    engine.go.release()
    run.stop()
    taker.join(WAIT_S)


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
    artifact, _, note, _ = choose(bundle, select(device), format, precision)
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
