"""edgecv.reports.bench with engines that need no model, in real processes."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from fakes import CLASSES

from edgecv.bundle import Bundle
from edgecv.devices import Selected
from edgecv.errors import EngineError, EngineMissing
from edgecv.reports import worker
from edgecv.reports.bench import bench
from edgecv.reports.schema import MAX_SAMPLES, Report, thin
from edgecv.spec import Format, Precision

Use = Callable[..., None]


def test_one_runs_one_dies_one_is_missing(bundle: Bundle, selected: Selected, use_engine: Use) -> None:
    use_engine(Format.ONNX, "ChattyEngine")
    use_engine(Format.TFLITE, "DyingEngine")
    use_engine(Format.OPENVINO, None)
    said: list[tuple[str, float]] = []
    artifacts = bundle.select(precision=Precision.INT8)
    report = bench(
        bundle, artifacts, selected, samples=40, seconds=5, progress=lambda what, f: said.append((what, f))
    )

    onnx, tflite, openvino = report.artifacts
    assert onnx.skipped is None
    run = onnx.measured
    assert run is not None
    assert run.engine == "fake"
    assert run.warmup >= 11
    assert run.inference.samples == len(run.inference_ms) == 40
    # Nearest rank: every percentile is one of the samples, and the maximum is the last of them.
    ordered = sorted(run.inference_ms)
    assert run.inference.p50_ms == ordered[19]
    assert run.inference.p90_ms == ordered[35]
    assert run.inference.p99_ms == run.inference.max_ms == ordered[39]
    assert run.total.p50_ms >= run.preprocess.p50_ms
    assert run.peak_memory_mb is None or 20 < run.peak_memory_mb < 1000
    assert onnx.file_bytes == 1024

    assert tflite.measured is None
    assert "model.int8.tflite: test-engine died: SIGABRT" in (tflite.skipped or "")
    assert openvino.measured is None
    assert openvino.skipped == 'no engine for openvino files is installed: pip install "edgecv[openvino]"'

    assert [f for _, f in said] == sorted(f for _, f in said)
    assert {what for what, _ in said} == {"onnx:int8", "tflite:int8", "openvino:int8"}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", report.created)
    assert "at least 10 inferences and 0.5 s" in report.rule
    assert "40 were timed or 5 s" in report.rule
    assert report.conditions.threads == selected.threads
    assert msgspec.json.decode(msgspec.json.encode(report), type=Report) == report


def test_never_fewer_than_thirty_samples(bundle: Bundle, selected: Selected, use_engine: Use) -> None:
    use_engine(Format.ONNX, "DoublingEngine")
    artifacts = bundle.select(Format.ONNX, Precision.FP32)
    report = bench(bundle, artifacts, selected, samples=200, seconds=0)
    assert report.artifacts[0].measured is not None
    assert report.artifacts[0].measured.inference.samples == 30


@pytest.mark.parametrize(
    ("engine", "message"),
    [
        ("UnloadableEngine", "model.fp32.onnx: not a model$"),
        # an exception that is not ours, after 15 good answers
        ("RaisingEngine", "test-engine failed: RuntimeError: arena exhausted$"),
        # the process ends; what it printed last is the reason
        ("DyingEngine", r"test-engine died: SIGABRT \(terminate called after.*std::bad_alloc'\)$"),
        ("FewClassesEngine", f"gives 3 scores for {CLASSES} labels$"),
        ("NoSuchEngine", "AttributeError: .*NoSuchEngine"),
    ],
)
def test_a_failing_engine_is_one_line(
    bundle: Bundle, selected: Selected, use_engine: Use, engine: str, message: str
) -> None:
    use_engine(Format.ONNX, engine)
    with pytest.raises(EngineError, match=message) as caught:
        bench(bundle, bundle.select(Format.ONNX, Precision.FP32), selected, seconds=0)
    assert not isinstance(caught.value, EngineMissing)
    assert "\n" not in str(caught.value)


def test_a_hanging_engine_is_stopped(bundle: Bundle, selected: Selected, use_engine: Use) -> None:
    use_engine(Format.ONNX, "HangingEngine")
    start = time.monotonic()
    with pytest.raises(EngineError, match="gave no sign of life for 1 s and was stopped"):
        bench(bundle, bundle.select(Format.ONNX, Precision.FP32), selected, silence_s=1)
    assert time.monotonic() - start < 30


def test_all_engines_missing(bundle: Bundle, selected: Selected, use_engine: Use) -> None:
    use_engine(Format.ONNX, None)
    use_engine(Format.TFLITE, None)
    use_engine(Format.OPENVINO, None)
    with pytest.raises(EngineMissing, match=r'edgecv\[onnx\]"; .*edgecv\[tflite\]"; .*edgecv\[openvino\]"'):
        bench(bundle, bundle.manifest.artifacts, selected)


def test_frames_differ_and_repeat_from_run_to_run() -> None:
    first, again = worker.synthetic_frames(), worker.synthetic_frames()
    assert first[0].shape == (720, 1280, 3)
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    assert len({frame.tobytes() for frame in first}) == len(first) == 4


def test_thinning_keeps_order_and_spacing() -> None:
    assert thin([3.0, 1.0, 2.0]) == (3.0, 1.0, 2.0)
    samples = [float(i) for i in range(2 * MAX_SAMPLES + 1)]
    assert thin(samples) == tuple(samples[::3])  # every second one would be one too many


def test_peak_memory_is_vmhwm(tmp_path: Path) -> None:
    status = tmp_path / "status"
    status.write_text("Name:\tpython\nVmPeak:\t  999999 kB\nVmHWM:\t   51200 kB\nVmRSS:\t  40000 kB\n")
    assert worker.peak_memory_mb(status) == 50.0
    assert worker.peak_memory_mb(tmp_path / "no such file") is None
