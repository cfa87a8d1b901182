"""The measured process: several engines in one, and an end to it whatever happens."""

from __future__ import annotations

import itertools
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import psutil
import pytest
from fakes import CLASSES
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgecv.bundle import Bundle
from edgecv.errors import EngineError
from edgecv.reports import runner, scenarios
from edgecv.reports.messages import WARMUP_KEPT, Job, Load, Turned, Unload
from edgecv.reports.process import Worker
from edgecv.reports.worker import _Hand
from edgecv.runtime.engines import Entry, Options
from edgecv.runtime.engines.fake import FakeEngine
from edgecv.spec import Format, Precision


def job(bundle: Bundle, engine: str, precision: Precision = Precision.FP32) -> Job:
    artifact = bundle.select(Format.ONNX, precision)[0]
    return Job(
        entry=Entry("test-engine", Format.ONNX, "numpy", f"reports_engines:{engine}", "test"),
        path=str(bundle.path(artifact)),
        artifact=artifact,
        options=Options(threads=2),
        rule=bundle.manifest.preprocess,
        labels=bundle.labels,
    )


def test_several_engines_in_one_process(bundle: Bundle) -> None:
    idle: list[int] = []
    with Worker(idle=lambda: idle.append(1)) as worker:
        chatty = worker.load(job(bundle, "ChattyEngine"), 0.0, 3)
        spinning = worker.load(job(bundle, "SpinningEngine"), 0.0, 3)
        assert (chatty.index, spinning.index) == (0, 1)
        assert len(spinning.warmup_ms) == 4
        assert spinning.warmup_ms[0] == spinning.first_inference_ms >= 4

        turn = worker.turn(spinning.index, seconds=0.3)
        assert 0.3 <= turn.seconds < 10
        assert 2 <= turn.samples <= 75
        assert turn.inference.min() >= 4
        assert turn.stages_us.shape == (3, turn.samples)
        assert idle  # in the middle of a turn that is shorter than the time between two calls

        # A sample that takes longer than the seconds is waited for.
        assert worker.turn(chatty.index, seconds=0.0, warm=False).samples == 1

        # An engine that cannot be opened does the others no harm.
        with pytest.raises(EngineError, match="model.fp32.onnx: not a model$"):
            worker.load(job(bundle, "UnloadableEngine"))
        assert worker.alive
        worker.unload(chatty.index)
        assert worker.turn(spinning.index, seconds=0.0).samples == 1
    assert not worker.alive
    with pytest.raises(EngineError, match="test-engine: its process has ended$"):
        worker.load(job(bundle, "ChattyEngine"))


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    with Worker() as worker:
        yield worker


@pytest.mark.parametrize(
    ("engine", "message"),
    [
        ("UnloadableEngine", "not a model$"),
        # an exception that is not ours, after 15 good answers
        ("RaisingEngine", "test-engine failed: RuntimeError: arena exhausted$"),
        ("FewClassesEngine", f"gives 3 scores for {CLASSES} labels$"),
        ("NoSuchEngine", "test-engine failed: AttributeError: .*NoSuchEngine"),
    ],
)
def test_a_failing_engine_is_one_line(bundle: Bundle, worker: Worker, engine: str, message: str) -> None:
    with pytest.raises(EngineError, match=f"^model.fp32.onnx: {message}") as caught:
        worker.load(job(bundle, engine))
    assert "\n" not in str(caught.value)
    assert worker.alive


def test_a_turn_that_fails_leaves_the_process(bundle: Bundle, worker: Worker) -> None:
    loaded = worker.load(job(bundle, "BreakableEngine"), 0.0)
    bundle.path(bundle.manifest.artifacts[0]).with_name("failing").touch()
    with pytest.raises(EngineError, match="test-engine failed: RuntimeError: arena exhausted$"):
        worker.turn(loaded.index, 0.1)
    assert worker.alive


def test_a_process_that_dies_says_its_last_words(bundle: Bundle) -> None:
    with Worker() as worker:
        loaded = worker.load(job(bundle, "ChattyEngine"), 0.0)
        with pytest.raises(
            EngineError, match=r"test-engine died: SIGABRT \(terminate called after.*std::bad_alloc'\)$"
        ):
            worker.load(job(bundle, "DyingEngine"))
        assert not worker.alive
        with pytest.raises(EngineError, match="its process has ended"):
            worker.turn(loaded.index, 0.1)


def test_a_process_that_hangs_is_stopped(bundle: Bundle) -> None:
    with Worker(silence_s=1.0) as worker:
        process = psutil.Process(worker.pid)
        with pytest.raises(EngineError, match=r"gave no sign of life for 1 s and was stopped$"):
            worker.load(job(bundle, "HangingEngine"))
        assert not process.is_running()


def test_a_stream_that_hangs_is_no_sign_of_life(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody else could tell the parent: the thread that waits for it goes on."""
    free, joins, beats = threading.Event(), itertools.count(), itertools.count()

    class Stuck(FakeEngine):
        def infer(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
            if self.calls == 2:
                free.wait()
            return super().infer(image)

    def join(stream: threading.Thread, timeout_s: float) -> None:
        if next(joins) == 8:
            free.set()
        threading.Thread.join(stream, timeout_s)

    monkeypatch.setattr(scenarios, "load", lambda *_: Stuck())
    monkeypatch.setattr(scenarios, "JOIN_S", 0.01)
    monkeypatch.setattr(scenarios._Stream, "join", join)
    found = scenarios.serve(job(bundle, "no matter which"), 1, 1e-6, lambda: next(beats))
    assert found.inferences == 1
    assert next(beats) <= 2  # loaded, and at work again


def test_an_engine_that_fails_to_close_is_named(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    class Unclosable(FakeEngine):
        def close(self) -> None:
            raise RuntimeError("arena in use")

    monkeypatch.setattr(runner, "load", lambda *_: Unclosable())
    hand, asked = _Hand(lambda: None), job(bundle, "DoublingEngine")
    hand.obey(Load(job=asked, warmup=0, warmup_s=0.0))
    with pytest.raises(RuntimeError, match="arena in use"):
        hand.obey(Unload(index=0))
    assert hand.job_of(Unload(index=0)) == asked


@pytest.mark.parametrize(
    ("message", "shared"),
    [
        # the bundle's own files go by their names
        ("/home/ann/.cache/b/model.onnx: not a model", "model.onnx: not a model"),
        # others of the user's, too, and twice in a line
        ("no /home/ann/lib/a.so, /home/ann/lib/b.so", "no ~/lib/a.so, ~/lib/b.so"),
        # what is the system's, and what only looks alike
        ("no /usr/lib/a.so in /home/anna/lib", "no /usr/lib/a.so in /home/anna/lib"),
    ],
)
def test_messages_name_no_folder_of_the_user(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, message: str, shared: str
) -> None:
    monkeypatch.setenv("HOME", "/home/ann")
    asked = msgspec.structs.replace(job(bundle, "DoublingEngine"), path="/home/ann/.cache/b/model.onnx")
    assert asked.shareable(message) == shared
    assert asked.name == "model.onnx: test-engine"
    near = msgspec.structs.replace(asked, path="model.onnx")
    assert near.shareable("../model.onnx: not a model") == "../model.onnx: not a model"


PARENT = """
import sys
import msgspec
from edgecv.reports.messages import Job
from edgecv.reports.process import Worker

job = msgspec.json.decode(sys.stdin.buffer.readline(), type=Job)
with Worker() as worker:
    print(worker.pid, flush=True)
    worker.load(job)
"""


@pytest.mark.slow
def test_the_process_ends_with_its_parent(bundle: Bundle) -> None:
    """Also where the parent is killed, and the engine is in the middle of something."""
    with subprocess.Popen(
        [sys.executable, "-c", f"import sys; sys.path[:] = {sys.path!r}\n{PARENT}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None
        parent.stdin.write(msgspec.json.encode(job(bundle, "HangingEngine")) + b"\n")
        parent.stdin.flush()
        child = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
    gone, _ = psutil.wait_procs([child], timeout=60)
    assert gone == [child]


@given(st.lists(st.tuples(*[st.integers(0, 4_000_000_000_000)] * 3), min_size=1, max_size=50))
def test_times_travel_to_the_microsecond(frames: list[tuple[int, int, int]]) -> None:
    stages_ns = np.array(frames, np.int64).T
    turned = Turned.of(stages_ns, 1.0, None)
    assert turned.samples == len(frames)
    assert np.abs(turned.stages_us - stages_ns / 1e3).max() <= 0.501
    assert turned.inference.tolist() == [round(value, 3) for value in turned.inference.tolist()]


def test_the_curve_of_a_long_warm_up_is_cut(bundle: Bundle, worker: Worker) -> None:
    loaded = worker.load(job(bundle, "DoublingEngine"), 0.0, 3 * WARMUP_KEPT)
    assert len(loaded.warmup_ms) == WARMUP_KEPT
    worker.unload(loaded.index)


def test_frames_differ_and_repeat_from_run_to_run() -> None:
    first, again = runner.synthetic_frames.__wrapped__(), runner.synthetic_frames.__wrapped__()
    assert first[0].shape == (720, 1280, 3)
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    assert len({frame.tobytes() for frame in first}) == len(first) == 4


def test_peak_memory_is_vmhwm(tmp_path: Path) -> None:
    status = tmp_path / "status"
    status.write_text("Name:\tpython\nVmPeak:\t  999999 kB\nVmHWM:\t   51200 kB\nVmRSS:\t  40000 kB\n")
    assert runner.peak_memory_mb(status) == 50.0
    assert runner.peak_memory_mb(tmp_path / "no such file") is None
