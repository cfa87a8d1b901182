"""edgecv.reports.bench with engines that need no model, in real processes."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import msgspec
import psutil
import pytest
from fakes import CLASSES

from edgecv.bundle import Bundle
from edgecv.devices import Selected
from edgecv.errors import EngineError, EngineMissing, UsageError
from edgecv.reports import monitor as monitor_module
from edgecv.reports.bench import bench
from edgecv.reports.lanes import Lane, Pool
from edgecv.reports.messages import Job
from edgecv.reports.monitor import Monitor
from edgecv.reports.schema import MAX_SAMPLES, Fault, Mode, Plan, Report, Scenario, thin
from edgecv.reports.turns import sustain
from edgecv.runtime.deaths import HINTS
from edgecv.runtime.engines import Options, installed
from edgecv.spec import Format, Precision

Use = Callable[..., None]
SHORT = Plan(seconds=0.4, turns=4, samples=4)


def children() -> int:
    return len(psutil.Process().children())


def test_one_runs_one_dies_one_is_missing(bundle: Bundle, selected: Selected, use_engine: Use) -> None:
    use_engine(Format.ONNX, "ChattyEngine")
    use_engine(Format.TFLITE, "DyingEngine")
    use_engine(Format.OPENVINO, None)
    said: list[tuple[str, float]] = []
    artifacts = bundle.select(precision=Precision.INT8)
    report = bench(
        bundle,
        artifacts,
        selected,
        SHORT,
        command="edgecv bench tiny",
        progress=lambda what, fraction: said.append((what, fraction)),
    )
    onnx, tflite, openvino = report.artifacts
    assert onnx.skipped is None
    run = onnx.measured
    assert run is not None
    assert (run.engine, run.threads, run.notes) == ("fake", selected.threads, ())
    assert len(run.warmup_ms) >= 11
    assert run.warmup_ms[0] == run.first_inference_ms
    # Four turns of a tenth of a second, and every percentile is one of their samples (nearest rank).
    assert len(run.turns) == 4
    assert all(turn.seconds >= 0.1 for turn in run.turns)
    assert sum(turn.samples for turn in run.turns) == run.inference.samples >= 4
    assert run.inference.samples > MAX_SAMPLES or run.inference.p50_ms in run.inference_ms
    assert run.total.p50_ms >= run.preprocess.p50_ms
    assert run.p50_interval_ms is None  # four turns are too few to say
    assert run.peak_memory_mb is None or 20 < run.peak_memory_mb < 1000
    assert onnx.file_bytes == 1024

    assert tflite.measured is None
    assert (tflite.skipped or "").startswith("model.int8.tflite: test-engine died: SIGABRT")
    assert openvino.skipped == 'no engine for openvino files is installed: pip install "edgecv[openvino]"'

    assert [f for _, f in said] == sorted(f for _, f in said)
    assert {what for what, _ in said} == {"onnx:int8", "tflite:int8"}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", report.created)
    assert "10 inferences and 0.5 s at least" in report.rule
    assert "turns of 0.1 s" in report.rule
    assert "after 0.4 s and 4 samples, or 4 times the seconds" in report.rule
    assert report.plan == SHORT
    assert report.conditions.command == "edgecv bench tiny"
    assert report.conditions.tools.keys() >= {"numpy"}
    assert report.conditions.before.at_s <= run.turns[0].start_s <= report.conditions.after.at_s
    assert Fault.SPREAD in {reason.fault for reason in report.verdict.reasons}  # of four turns there is none
    written = msgspec.json.encode(report)
    assert msgspec.json.decode(written, type=Report) == report
    assert str(bundle.root).encode() not in written  # reports are shared
    assert children() == 0


@pytest.mark.slow
def test_artifacts_take_turns_in_an_order_that_reverses(
    bundle: Bundle, selected: Selected, use_engine: Use
) -> None:
    use_engine(Format.ONNX, "DoublingEngine")
    most: list[int] = []
    report = bench(
        bundle,
        bundle.select(Format.ONNX),
        selected,
        SHORT,
        progress=lambda *_: most.append(children()),
    )
    starts = [
        (turn.start_s, number)
        for number, row in enumerate(report.artifacts)
        for turn in (row.measured.turns if row.measured else ())
    ]
    assert [number for _, number in sorted(starts)] == [0, 1, 1, 0, 0, 1, 1, 0]
    assert max(most) == 2
    assert "fresh process of its own" in report.rule
    assert "Memory does not hold" not in report.rule


@pytest.mark.slow
def test_without_the_memory_each_process_has_only_its_turn(
    bundle: Bundle, selected: Selected, use_engine: Use, tmp_path: Path
) -> None:
    use_engine(Format.ONNX, "DoublingEngine")
    root = tmp_path / "small"
    (root / "proc").mkdir(parents=True)
    (root / "proc/meminfo").write_text("MemTotal: 430000 kB\nMemAvailable:   90000 kB\n")
    most: list[int] = []
    report = bench(
        bundle,
        bundle.select(Format.ONNX),
        selected,
        Plan(seconds=0.2, turns=2, samples=2),
        progress=lambda *_: most.append(children()),
        root=root,
    )
    assert [len(row.measured.turns) for row in report.artifacts if row.measured] == [2, 2]
    assert max(most) <= 1
    assert "each was started for its turn" in report.rule
    assert report.conditions.before.memory_available_mb == 87
    assert report.conditions.before.temperature_c is None


@pytest.mark.slow
@pytest.mark.parametrize(
    ("plan", "turns", "samples"),
    [
        # 4 ms an inference: the samples want more rounds than the seconds do
        (Plan(seconds=0.1, turns=2, samples=30), range(3, 9), range(30, 1000)),
        # so many are not to be had in four times the seconds, and the verdict says so
        (Plan(seconds=0.1, turns=2, samples=10_000), range(2, 9), range(2, 200)),
        # no seconds at all: turns of one inference
        (Plan(seconds=0.0, turns=2, samples=30), range(30, 31), range(30, 31)),
    ],
)
def test_until_there_are_both_the_seconds_and_the_samples(
    bundle: Bundle, selected: Selected, use_engine: Use, plan: Plan, turns: range, samples: range
) -> None:
    use_engine(Format.ONNX, "SpinningEngine")
    report = bench(bundle, bundle.select(Format.ONNX, Precision.FP32), selected, plan)
    run = report.artifacts[0].measured
    assert run is not None
    assert len(run.turns) in turns
    assert run.inference.samples in samples
    too_few = any(reason.fault is Fault.SAMPLES for reason in report.verdict.reasons)
    assert too_few is (run.inference.samples < plan.samples)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("marker", "message"),
    [
        ("failing", "test-engine failed: RuntimeError: arena exhausted"),
        ("dying", f"test-engine died: SIGKILL; {HINTS['SIGKILL']}"),
    ],
)
def test_one_that_fails_midway_is_skipped_and_the_others_go_on(
    bundle: Bundle, selected: Selected, use_engine: Use, marker: str, message: str
) -> None:
    use_engine(Format.ONNX, "BreakableEngine")
    use_engine(Format.TFLITE, "DoublingEngine")
    said: list[str] = []

    def progress(what: str, _fraction: float) -> None:
        said.append(what)
        if len(said) == 6:
            (bundle.root / marker).touch()

    artifacts = (*bundle.select(Format.ONNX, Precision.FP32), *bundle.select(Format.TFLITE))
    report = bench(bundle, artifacts, selected, SHORT, progress=progress)
    broken, whole = report.artifacts
    assert broken.measured is None
    assert (broken.skipped or "").endswith(message)
    assert whole.measured is not None
    assert len(whole.measured.turns) == 4
    assert children() == 0


@pytest.mark.slow
def test_an_interruption_leaves_no_process(bundle: Bundle, selected: Selected, use_engine: Use) -> None:
    use_engine(Format.ONNX, "DoublingEngine")
    said: list[int] = []

    def progress(*_: object) -> None:
        said.append(children())
        if len(said) == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bench(bundle, bundle.select(Format.ONNX), selected, SHORT, progress=progress)
    assert said == [0, 1, 2, 2]
    assert children() == 0


@pytest.mark.parametrize(
    ("engine", "message"),
    [
        ("UnloadableEngine", "^nothing could be measured: model.fp32.onnx: not a model$"),
        pytest.param("FewClassesEngine", f"gives 3 scores for {CLASSES} labels$", marks=pytest.mark.slow),
    ],
)
def test_nothing_measured_is_an_error(
    bundle: Bundle, selected: Selected, use_engine: Use, engine: str, message: str
) -> None:
    use_engine(Format.ONNX, engine)
    with pytest.raises(EngineError, match=message) as caught:
        bench(bundle, bundle.select(Format.ONNX, Precision.FP32), selected, SHORT)
    assert not isinstance(caught.value, EngineMissing)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_a_hanging_engine_is_stopped(bundle: Bundle, selected: Selected, use_engine: Use) -> None:
    use_engine(Format.ONNX, "HangingEngine")
    with pytest.raises(EngineError, match="gave no sign of life for 1 s and was stopped"):
        bench(bundle, bundle.select(Format.ONNX, Precision.FP32), selected, SHORT, silence_s=1)


def test_all_engines_missing(bundle: Bundle, selected: Selected, use_engine: Use) -> None:
    use_engine(Format.ONNX, None)
    use_engine(Format.TFLITE, None)
    use_engine(Format.OPENVINO, None)
    with pytest.raises(EngineMissing, match=r'edgecv\[onnx\]"; .*edgecv\[tflite\]"; .*edgecv\[openvino\]"'):
        bench(bundle, bundle.manifest.artifacts, selected)


@pytest.mark.slow
def test_all_scenarios_with_power(
    bundle: Bundle, selected: Selected, use_engine: Use, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(monitor_module, "EVERY_S", 0.04)  # a moment in every turn, however short
    use_engine(Format.ONNX, "SpinningEngine")
    plan = Plan(seconds=0.9, turns=6, scenarios=tuple(Scenario), camera_fps=20)
    said: list[str] = []
    report = bench(
        bundle,
        bundle.select(Format.ONNX, Precision.FP32),
        selected,
        plan,
        power=lambda: 5.0,
        work={},
        progress=lambda what, _: said.append(what),
    )
    run = report.artifacts[0].measured
    assert run is not None
    assert run.notes == ()
    assert run.offline is not None
    assert run.offline.streams == (selected.detected.cores or selected.threads)
    assert run.offline.inferences_per_s == pytest.approx(run.offline.inferences / run.offline.seconds)
    assert run.camera is not None
    assert run.camera.fps == 20
    assert run.camera.frames >= 1
    assert run.camera.age is not None
    assert run.camera.age.p50_ms >= 4
    assert run.power_w == 5.0
    frames, seconds = run.inference.samples, sum(turn.seconds for turn in run.turns)
    assert run.energy_mj == pytest.approx(1000 * 5 * seconds / frames)
    assert run.p50_interval_ms is not None
    assert run.p50_interval_ms.low <= run.p50_interval_ms.high
    assert report.conditions.power_source == "--power-command"
    assert report.conditions.during
    assert report.conditions.peaks is not None
    assert run.operations is not None
    assert run.operations.unknown == "test-engine tells no times of its operations"
    assert list(dict.fromkeys(said)) == [
        "onnx:fp32",
        "onnx:fp32 offline",
        "onnx:fp32 camera",
        "onnx:fp32 operations",
    ]
    assert "at 20 frames/s" in report.rule


@pytest.mark.slow
def test_a_profile_that_dies_does_not_spoil_the_rest(
    bundle: Bundle, selected: Selected, use_engine: Use
) -> None:
    use_engine(Format.ONNX, "SpinningEngine", "dying_profile")
    report = bench(bundle, bundle.select(Format.ONNX, Precision.FP32), selected, SHORT, work={})
    run = report.artifacts[0].measured
    assert run is not None
    assert (len(run.turns), run.notes) == (4, ())
    assert run.operations is not None
    assert run.operations.costliest == ()
    assert run.operations.unknown == f"model.fp32.onnx: test-engine died: SIGILL; {HINTS['SIGILL']}"
    assert children() == 0


@pytest.mark.slow
def test_a_scenario_that_fails_leaves_a_note(bundle: Bundle, selected: Selected, use_engine: Use) -> None:
    use_engine(Format.ONNX, "OneStreamEngine")
    if (selected.detected.cores or selected.threads) < 2:
        pytest.skip("offline takes one engine a core, and here is one core")
    plan = msgspec.structs.replace(SHORT, scenarios=(Scenario.SINGLE_STREAM, Scenario.OFFLINE))
    report = bench(bundle, bundle.select(Format.ONNX, Precision.FP32), selected, plan)
    run = report.artifacts[0].measured
    assert run is not None
    assert run.offline is None
    assert [note.split(": ", 1)[0] for note in run.notes] == ["offline"]
    assert run.notes[0].endswith("no memory for a second arena")


def test_minute_by_minute(bundle: Bundle, use_engine: Use) -> None:
    """Minutes of 0.2 s in turns of 0.05 s; the last one is half of one."""
    use_engine(Format.ONNX, "SpinningEngine")
    artifact = bundle.select(Format.ONNX, Precision.FP32)[0]
    entry = installed(Format.ONNX)
    assert entry is not None
    lane = Lane(
        Job(
            entry=entry,
            path=str(bundle.path(artifact)),
            artifact=artifact,
            options=Options(2),
            rule=bundle.manifest.preprocess,
            labels=bundle.labels,
        )
    )
    monitor = Monitor()
    with Pool(monitor, 60) as pool:
        sustain(lane, 2.5, pool, monitor, lambda *_: None, minute_s=0.2, turn_s=0.05)
    run = lane.measured()
    assert lane.failure is None
    assert [minute.minute for minute in run.minutes] == [1, 2, 3]
    assert sum(minute.samples for minute in run.minutes) == run.inference.samples
    assert all(4 <= minute.p50_ms <= minute.p90_ms for minute in run.minutes)
    assert all(0 < minute.fps < 250 for minute in run.minutes)
    assert 0.4 <= sum(turn.seconds for turn in run.turns) < 20
    assert children() == 0


@pytest.mark.slow
def test_a_sustained_run_is_of_its_plan(bundle: Bundle, selected: Selected, use_engine: Use) -> None:
    use_engine(Format.ONNX, "DoublingEngine")
    plan = Plan.of(Mode.SUSTAINED, minutes=0.005)
    report = bench(bundle, bundle.select(Format.ONNX, Precision.FP32), selected, plan)
    run = report.artifacts[0].measured
    assert run is not None
    assert [minute.minute for minute in run.minutes] == [1]
    assert "without a pause for 0.005 min" in report.rule


@pytest.mark.parametrize("fps", [0.0, -1.0, 1000.5])
def test_a_camera_that_cannot_be(bundle: Bundle, selected: Selected, fps: float) -> None:
    with pytest.raises(UsageError, match="frames/s: it takes more than 0, up to 1000"):
        bench(bundle, bundle.manifest.artifacts, selected, Plan(camera_fps=fps))


def test_thinning_keeps_order_and_spacing() -> None:
    assert thin([3.0, 1.0, 2.0]) == (3.0, 1.0, 2.0)
    samples = [float(i) for i in range(2 * MAX_SAMPLES + 1)]
    assert thin(samples) == tuple(samples[::3])  # every second one would be one too many
