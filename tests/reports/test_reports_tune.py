"""edgecv.reports.tune: who wins on a board that is made up, under which bound, and in what words."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import msgspec
import numpy as np
import pytest
from fakes import write_bundle
from hypothesis import given
from hypothesis import strategies as st

from edgecv.bundle import Agreement, Artifact, Bundle, File, describe_file
from edgecv.devices import Selected
from edgecv.errors import DataError, EngineError, EngineMissing, UsageError
from edgecv.reports import tune as tune_module
from edgecv.reports import tune_bench, tune_candidates
from edgecv.reports.monitor import Monitor
from edgecv.reports.tune import halve, tune
from edgecv.reports.tune_bound import Loss, bounded
from edgecv.reports.tune_candidates import Candidate, Objective, candidates_of, thread_counts
from edgecv.reports.tune_words import explain
from edgecv.runtime import tuned
from edgecv.runtime.choice import choose
from edgecv.runtime.engines import ENGINES, Options
from edgecv.runtime.engines.fake import FakeEngine
from edgecv.spec import Drop, Format, Kind, Precision, TensorSpec

Use = Callable[..., None]


def artifact(kind: str) -> Artifact:
    """One that is never opened."""
    format, precision = Kind.parse(kind)
    tensor = TensorSpec(name="t", shape=(1,), dtype="uint8")
    files = (File(path="m", bytes=1, sha256="0" * 64),)
    return Artifact(
        format=format, precision=precision, files=files, input=tensor, output=tensor, recipe="none"
    )


def candidate(kind: str, threads: int = 1, variant: str = "", points: float = 0.2) -> Candidate:
    loss = Loss(points, "on 1,000 labelled pictures, measured here")
    return Candidate(artifact(kind), Options(threads, False, variant), loss, engine="Engine 1.0")


class Board:
    """Turns cost what the table says, give or take `noise`."""

    def __init__(self, true_ms: dict[int, float], noise: float = 0.0) -> None:
        self._true_ms, self._noise = true_ms, noise
        self._random = np.random.default_rng(3)
        self.seconds = 0.0

    def measure(self, one: Candidate, seconds: float) -> float:
        self.seconds += seconds
        # The longer the turn, the less noise is left in its median.
        spread = self._noise / math.sqrt(seconds / 0.08)
        return self._true_ms[id(one)] * float(np.exp(spread * self._random.standard_normal()))


def made(costs: list[float]) -> tuple[list[Candidate], dict[int, float]]:
    found = [candidate("onnx:int8", threads=1 + i) for i in range(len(costs))]
    return found, {id(one): cost for one, cost in zip(found, costs, strict=True)}


@given(st.lists(st.floats(0.1, 1000), min_size=1, max_size=40))
def test_without_noise_the_best_wins(costs: list[float]) -> None:
    candidates, true_ms = made(costs)
    ranked = halve(candidates, Board(true_ms).measure, Objective.LATENCY)
    assert sorted(map(id, ranked)) == sorted(map(id, candidates))
    assert true_ms[id(ranked[0])] == min(costs)
    assert not ranked[0].out
    # Who was dropped says so, and the finalists were measured several times.
    assert all(one.out.startswith("slower, out in round ") for one in ranked[3:])
    assert all(len(one.costs) == 7 for one in ranked if not one.out)


def test_with_noise_the_winner_is_the_best_or_next_to_it_in_a_tenth_of_the_time() -> None:
    costs = [4.0 * 1.07**i for i in range(24)]
    for seed in range(30):
        candidates, true_ms = made(costs)
        board = Board(true_ms, noise=0.08)
        board._random = np.random.default_rng(seed)
        ranked = halve(candidates, board.measure, Objective.LATENCY)
        assert true_ms[id(ranked[0])] <= 4.0 * 1.07 + 1e-9
        assert board.seconds <= 0.1 * 24 * 10  # ten seconds each is what `bench` takes


def test_who_fails_is_out_and_the_others_go_on() -> None:
    candidates, true_ms = made([5.0, 1.0, 3.0, 4.0, 9.0])
    board, released = Board(true_ms), []

    def measure(one: Candidate, seconds: float) -> float:
        if one is candidates[1]:
            raise EngineError("died: SIGABRT")
        return board.measure(one, seconds)

    ranked = halve(candidates, measure, Objective.LATENCY, release=released.append)
    assert ranked[0] is candidates[2]
    assert ranked[-1] is candidates[1]
    assert candidates[1].out == "died: SIGABRT"
    assert released == [candidates[4]]  # four were left after the first round, and three may stay


def test_who_was_disturbed_when_it_was_dropped_comes_back() -> None:
    candidates, true_ms = made([4.0, 5.0, 6.0, 7.0])
    board, turns = Board(true_ms), {id(one): 0 for one in candidates}

    def measure(one: Candidate, seconds: float) -> float:
        turns[id(one)] += 1
        disturbed = turns[id(one)] <= 2 if one is candidates[0] else turns[id(one)] > 2
        return board.measure(one, seconds) + (46.0 if disturbed else 0.0)

    ranked = halve(candidates, measure, Objective.LATENCY)
    assert turns[id(candidates[0])] == 2 + 7  # dropped in the first round, and back for a final
    assert ranked[0] is candidates[0]
    assert not ranked[0].out


@pytest.mark.parametrize(
    ("cores", "logical", "expected"),
    [
        (1, 1, (1,)),
        (2, 2, (1, 2)),
        (4, 4, (1, 2, 4)),  # a Raspberry Pi
        (6, 6, (1, 2, 4, 6)),  # Orin Nano
        (4, 8, (1, 2, 4, 8)),  # a PC with two hardware threads a core
    ],
)
def test_thread_counts(cores: int, logical: int, expected: tuple[int, ...]) -> None:
    assert thread_counts(cores, logical) == expected


# The bound -------------------------------------------------------------------------------------------------


def checked(drop: Drop | None, agreement: float = 0.9) -> Agreement:
    return Agreement(
        images=1000, pictures="p", max_abs_error=1.0, top1_agreement=agreement, sqnr_db=20.0, drop=drop
    )


def drop(points: float, basis: str = "labels") -> Drop:
    return Drop(points=points, low=points - 1, high=points + 1, images=1000, basis=basis)


@pytest.mark.parametrize(
    ("verified", "reason"),
    [
        (checked(drop(0.4)), None),  # less than was allowed
        (checked(drop(-0.3)), None),  # better than float
        (checked(drop(0.6)), "loses 0.6 points of accuracy on 1,000 pictures, at conversion, more than 0.5"),
        # Changed answers bound what can be lost, and are more than that.
        (checked(drop(3.0, "float")), r"loses 3.0 points \(changed answers\)"),
        (checked(None, 0.9), r"loses 10.0 points \(changed answers\)"),
        (checked(None, 0.999), None),  # a tenth of a point at most
        (None, "the bundle does not say what it loses; --data LABELLED"),  # made elsewhere, not measured
    ],
)
def test_the_bound_by_what_the_conversion_measured(
    bundle: Bundle, selected: Selected, use_engine: Use, verified: Agreement | None, reason: str | None
) -> None:
    use_engine(Format.ONNX, "DoublingEngine")
    float_one, int8 = bundle.select(Format.ONNX)
    int8 = msgspec.structs.replace(int8, verified=verified)
    inside, excluded = bounded(bundle, (float_one, int8), selected, 0.5, None, lambda *_: None)
    assert inside[0] == (float_one, Loss(0.0, "by definition"))
    assert len(inside) == (2 if reason is None else 1)
    if reason:
        assert excluded[0][0] == int8.kind
        with pytest.raises(AssertionError, match=reason):
            raise AssertionError(excluded[0][1])


def test_what_is_made_for_exact_sums_is_not_taken_to_a_cpu_that_saturates(
    bundle: Bundle, selected: Selected, use_engine: Use
) -> None:
    use_engine(Format.ONNX, "DoublingEngine")
    use_engine(Format.TFLITE, None)
    made_for = msgspec.structs.replace(
        bundle.select(Format.ONNX, Precision.INT8)[0], verified=checked(drop(0.1)), needs_exact_sums=True
    )
    others = (made_for, *bundle.select(Format.ONNX, Precision.FP32), *bundle.select(Format.TFLITE))
    saturates = dataclasses.replace(selected, int8_saturates=True)
    inside, excluded = bounded(bundle, others, saturates, 0.5, None, lambda *_: None)
    assert [one.kind for one, _ in inside] == [Kind(Format.ONNX, Precision.FP32)]
    assert "sum int8 exactly" in excluded[0][1]
    assert excluded[1][1].startswith("no engine for tflite files is installed")
    exact = dataclasses.replace(selected, int8_saturates=False)
    assert len(bounded(bundle, others, exact, 0.5, None, lambda *_: None)[0]) == 2


def test_nothing_keeps_the_bound_or_nothing_is_installed(
    bundle: Bundle, selected: Selected, use_engine: Use
) -> None:
    use_engine(Format.ONNX, "DoublingEngine")
    int8 = bundle.select(Format.ONNX, Precision.INT8)
    with pytest.raises(UsageError, match="onnx:int8: the bundle does not say"):
        tune(bundle, int8, selected, max_drop=0.5)
    use_engine(Format.ONNX, None)
    with pytest.raises(EngineMissing, match="no engine for onnx files is installed"):
        tune(bundle, int8, selected, max_drop=0.5)
    with pytest.raises(UsageError, match="--power-command"):
        tune(bundle, int8, selected, max_drop=0.5, objective=Objective.ENERGY)


# The words -------------------------------------------------------------------------------------------------


def after(one: Candidate, cost: float, rounds: int = 3) -> Candidate:
    one.costs, one.rounds = [cost], rounds
    return one


@pytest.mark.parametrize(
    ("objective", "ranked", "says"),
    [
        (  # the usual case: against the next format, and against float
            "latency",
            [
                after(candidate("onnx:int8", 4), 4.0),
                after(candidate("onnx:int8", 2), 4.4),
                after(candidate("tflite:int8", 4), 6.0, 2),
                after(candidate("tflite:fp32", 4), 10.0, 1),
            ],
            "onnx:int8, 4 threads: 4.00 ms an inference on Engine 1.0. It is 1.5x faster than tflite:int8 "
            "(6.00 ms an inference at its best). It is 2.5x faster than tflite:fp32 (10.0 ms an inference at "
            "its best). It loses 0.2 points on 1,000 labelled pictures, measured here, within your 0.5.",
        ),
        (  # what float was chosen over is named, and by what it was judged
            "energy",
            [after(candidate("onnx:fp32", points=0.0), 4.0), after(candidate("onnx:fp16"), 4.04)],
            "onnx:fp32, 1 thread: 4.00 mJ a frame on Engine 1.0. It cannot be told from onnx:fp16 (4.04 mJ a "
            "frame at its best). fp16 is not more frugal than float here, so float it is.",
        ),
        (  # int8 is slower: said, and float chosen
            "latency",
            [after(candidate("onnx:fp32", 1, "no-spin", 0.0), 4.0), after(candidate("onnx:int8"), 5.0)],
            "onnx:fp32, 1 thread, no-spin: 4.00 ms an inference on Engine 1.0. It is 1.2x faster than "
            "onnx:int8 (5.00 ms an inference at its best). int8 is not faster than float here, so "
            "float it is.",
        ),
        (  # no int8 was there to compare with
            "latency",
            [after(candidate("onnx:fp32", points=0.0), 4.0)],
            "onnx:fp32, 1 thread: 4.00 ms an inference on Engine 1.0. No int8 artifact keeps the bound of "
            "0.5 points.",
        ),
        (  # no difference worth the name, and better than float
            "throughput",
            [after(candidate("onnx:int8", points=-0.1), 4.0), after(candidate("tflite:int8"), 4.05)],
            "onnx:int8, 1 thread: 250 inferences/s of 4 engines side by side on Engine 1.0. It cannot be "
            "told from tflite:int8 (247 inferences/s of 4 engines side by side at its best). It loses "
            "nothing on 1,000 labelled pictures, measured here, within your 0.5.",
        ),
    ],
)
def test_the_choice_is_explained(objective: str, ranked: list[Candidate], says: str) -> None:
    assert explain(objective, 0.5, ranked, 4) == says


# All of it, and what a run makes of it ---------------------------------------------------------------------


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Turns as short as engines allow that take no time."""
    for name, value in (("FIRST_S", 0.01), ("FINAL_S", 0.02), ("FINAL_TURNS", 3)):
        monkeypatch.setattr(tune_module, name, value)
    monkeypatch.setattr(tune_bench, "WARM_S", 0.0)


@pytest.fixture
def sound(tmp_path: Path) -> Bundle:
    """The tiny bundle with golden samples that the fake engine answers rightly, and int8 that loses 0.1."""
    bundle = write_bundle(tmp_path / "sound")
    images = np.zeros((1, 16, 16, 3), np.uint8)
    np.savez(bundle.root / "golden.npz", images=images, logits=FakeEngine().infer(images))
    artifacts = tuple(
        msgspec.structs.replace(a, verified=checked(drop(0.1))) for a in bundle.manifest.artifacts
    )
    golden = describe_file(bundle.root, "golden.npz")
    manifest = msgspec.structs.replace(bundle.manifest, golden=golden, artifacts=artifacts)
    (bundle.root / "manifest.json").write_bytes(msgspec.json.encode(manifest))
    return Bundle.open(bundle.root)


@pytest.mark.slow
@pytest.mark.usefixtures("hurried")
def test_the_slow_one_loses_and_the_broken_one_is_out(
    sound: Bundle, selected: Selected, use_engine: Use
) -> None:
    use_engine(Format.ONNX, "SlowFloatEngine")  # a few milliseconds longer on a float file
    use_engine(Format.TFLITE, "DyingEngine")
    use_engine(Format.OPENVINO, None)
    told: list[str] = []
    done = tune(
        sound,
        sound.manifest.artifacts,
        selected,
        max_drop=0.5,
        progress=lambda what, _share: told.append(what),
    )
    assert done.winner.artifact.kind == Kind(Format.ONNX, Precision.INT8)
    assert (done.tuned.format, done.tuned.precision) == (Format.ONNX, Precision.INT8)
    assert done.tuned.why.startswith("onnx:int8, ")
    assert "faster than onnx:fp32" in done.tuned.why
    died = [c for c in done.candidates if c.artifact.format is Format.TFLITE]
    assert died
    assert all("died: SIGABRT" in c.out for c in died)
    assert done.candidates[-len(died) :] == tuple(died)
    assert [str(kind) for kind, _ in done.excluded] == ["openvino:int8"]
    assert set(told) >= {c.name for c in done.candidates}


@pytest.mark.slow
@pytest.mark.usefixtures("hurried")
def test_an_artifact_that_answers_wrongly_here_is_not_chosen(
    sound: Bundle, selected: Selected, use_engine: Use
) -> None:
    use_engine(Format.ONNX, "WrongInt8Engine")  # its int8 file answers at once, and nonsense
    # With three counts of threads int8 alone gets to the final.
    four_cores = dataclasses.replace(selected.detected, physical_cores=4, logical_cores=4)
    selected = dataclasses.replace(selected, detected=four_cores)
    done = tune(sound, sound.select(Format.ONNX), selected, max_drop=0.5)
    assert done.winner.artifact.kind == Kind(Format.ONNX, Precision.FP32)
    assert done.winner.out == ""
    wrong = [c for c in done.candidates if c.artifact.precision is Precision.INT8]
    assert len(wrong) == 3
    assert all(c.out.startswith("onnx:int8 fails the golden samples") for c in wrong)
    assert "int8 (" not in done.tuned.why  # its times say nothing


@pytest.mark.usefixtures("hurried")
def test_the_best_throughput_is_kept_with_the_engine_as_a_run_names_it(
    sound: Bundle, selected: Selected, use_engine: Use
) -> None:
    use_engine(Format.ONNX, "DoublingEngine")
    artifacts = sound.select(Format.ONNX, Precision.FP32)
    done = tune(sound, artifacts, selected, max_drop=0.5, objective=Objective.THROUGHPUT)
    assert done.tuned.engine == "doubling 1.0"  # with its version: another is a reason to tune again


def test_engines_side_by_side_are_not_pinned(
    bundle: Bundle, selected: Selected, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = next(one for one in ENGINES if one.format is Format.OPENVINO)
    monkeypatch.setattr(tune_candidates, "installed", lambda _format: entry)
    inside = [(one, Loss(0.0, "by definition")) for one in bundle.select(Format.OPENVINO)]
    found = candidates_of(inside, selected, Objective.THROUGHPUT)
    assert [c.options.variant for c in found] == ["no-pinning"]  # pinned ones would share a core


def test_an_engine_that_dies_when_it_is_closed_does_not_end_the_others(
    bundle: Bundle, selected: Selected
) -> None:
    class Dying:
        alive = True

        def unload(self, _index: int) -> None:
            raise EngineError("died: SIGSEGV")

    bench = tune_bench.Bench(bundle, ExitStack(), 1.0, Objective.LATENCY, selected, Monitor())
    dropped = candidate("onnx:int8")
    bench._loaded[dropped] = (Dying(), 0)
    bench.release(dropped)
    assert dropped not in bench._loaded


def test_the_choice_is_kept_followed_and_forgotten(
    bundle: Bundle, selected: Selected, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGECV_CACHE", str(tmp_path / "cache"))
    detected = selected.detected
    assert tuned.load(bundle, detected) is None
    found = tuned.Tuned(
        schema_version=tuned.SCHEMA_VERSION,
        manifest_sha256="0" * 64,
        board="b",
        created="2026-01-02T03:04:05+00:00",
        format=Format.OPENVINO,
        precision=Precision.INT8,
        threads=3,
        variant="throughput",
        engine="OpenVINO 2026.4",
        objective="latency",
        max_drop=0.5,
        why="because",
    )
    path = tuned.save(found, bundle, detected)
    assert tuned.load(bundle, detected) == found
    choice = choose(bundle, selected, tuned=found)
    assert str(choice.artifact.kind) == "openvino:int8"
    assert (choice.options.threads, choice.options.variant) == (3, "throughput")
    assert choice.note == "chosen by `edgecv tune` on 2026-01-02"
    # Who asks for something else gets it, with the profile's threads.
    other = choose(bundle, selected, format=Format.ONNX, tuned=found)
    assert (other.artifact.format, other.options.variant) == (Format.ONNX, "")
    # Another board with the same home has no choice of its own.
    assert tuned.load(bundle, dataclasses.replace(detected, model="another board")) is None
    path.write_text(path.read_text().replace('"threads": 3', '"threads": "three"'))
    with pytest.raises(DataError, match=r"threads.*`edgecv tune` writes it anew"):
        tuned.load(bundle, detected)
    assert tuned.forget(bundle, detected)
    assert not tuned.forget(bundle, detected)
    assert tuned.load(bundle, detected) is None
