"""The verdict: a planted fault of each kind is found and named, a clean run is VALID."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reports_samples import make_conditions, measured
from reports_strategies import anything

from edgecv.reports.schema import (
    ArtifactReport,
    Conditions,
    Fault,
    Measured,
    Minute,
    Mode,
    Moment,
    Plan,
    Reason,
    Report,
    Turn,
    Verdict,
)
from edgecv.reports.validity import judge, sentence
from edgecv.spec import Format, Precision
from edgecv.statistics import rank_interval

replace = msgspec.structs.replace
NOTHING = Moment(throttled=(), throttled_since_boot=(), other_cores=0.03, stolen_cores=0.0)


def a_run(
    medians: Sequence[float] = (10.0,) * 10,
    clocks: Sequence[float | None] = (2400.0,) * 10,
    per_turn: int = 6,
) -> Measured:
    """Turns of one second with these medians and clocks, none of whose samples differ."""
    samples = tuple(value for value in medians for _ in range(per_turn))
    turns = tuple(
        Turn(start_s=3.0 * i, seconds=1.0, samples=per_turn, p50_ms=p50, clock_mhz=clock)
        for i, (p50, clock) in enumerate(zip(medians, clocks, strict=True))
    )
    return replace(measured(samples), turns=turns, p50_interval_ms=rank_interval(medians, 50))


def an_artifact(run: Measured, precision: Precision = Precision.INT8) -> ArtifactReport:
    return ArtifactReport(format=Format.ONNX, precision=precision, file_bytes=1, measured=run)


def board(*moments: Moment, **more: object) -> Conditions:
    """A Raspberry Pi 5 with nothing wrong but `moments` and `more`."""
    values = {"before": NOTHING, "after": NOTHING, "swapped_pages": 0, **more}
    return make_conditions(moments, **values)


def verdict(
    run: Measured | None = None,
    conditions: Conditions | None = None,
    plan: Plan | None = None,
) -> Verdict:
    return judge(plan or Plan(), conditions or board(), [an_artifact(run or a_run())])


def test_a_clean_run_is_valid() -> None:
    assert verdict() == Verdict()
    assert judge(Plan(), board(), [an_artifact(a_run()), an_artifact(a_run(), Precision.FP32)]) == Verdict()


UNDER = replace(NOTHING, throttled=("under-voltage",))
CAPPED = replace(NOTHING, throttled=("frequency capped", "throttled"))
SINCE = replace(NOTHING, throttled_since_boot=("soft temperature limit",))


@pytest.mark.parametrize(
    ("conditions", "said"),
    [
        # 12 of the 58 readings between, and those before and after
        (board(*[UNDER] * 12, *[NOTHING] * 46), ["Under-voltage in 12 of 60 readings: "]),
        # as it began, and never again
        (board(before=UNDER), ["Under-voltage in 1 of 2 readings: "]),
        # two kinds, each with its own count
        (
            board(CAPPED, CAPPED, after=CAPPED),
            ["Frequency capped in 3 of 4 readings: ", "Throttled in 3 of 4 readings: "],
        ),
        # a reading that knows nothing is not counted
        (board(UNDER, Moment()), ["Under-voltage in 1 of 3 readings: "]),
        # the firmware remembers what no reading saw
        (board(NOTHING, after=SINCE), ["Soft temperature limit between two readings: "]),
        # a kernel that forgets what was before: None, and then something
        (
            board(before=replace(NOTHING, throttled_since_boot=None), after=SINCE),
            ["Soft temperature limit between two readings: "],
        ),
        # before the run, and not since
        (board(before=SINCE, after=SINCE), []),
        # a Jetson's alert
        (
            board(replace(NOTHING, throttled=("throttled (cpu)",))),
            ["Throttled (cpu) in 1 of 3 readings: cool the board"],
        ),
    ],
)
def test_throttling(conditions: Conditions, said: list[str]) -> None:
    found = verdict(conditions=conditions).reasons
    assert {reason.fault for reason in found} <= {Fault.THROTTLED}
    assert len(found) == len(said)
    for reason, start in zip(found, said, strict=True):
        assert reason.message.startswith(start)
        assert reason.artifact is None


@pytest.mark.parametrize(
    ("clocks", "said"),
    [
        # from the sixth turn on it is slower
        ([2400.0] * 5 + [2000.0] * 5, "between 2000 and 2400 MHz"),
        # to and fro
        ([2400.0, 2200.0] * 5, "between 2200 and 2400 MHz"),
        # one turn in ten while a governor ramps up, or without turbo
        ([1500.0] + [2400.0] * 9, None),
        ([2400.0] * 9 + [3000.0], None),
        # 4 %
        ([2400.0] * 5 + [2304.0] * 5, None),
        # unknown in some turns, in all
        ([None, 2400.0] * 5, None),
        ([None] * 10, None),
    ],
)
def test_clock(clocks: list[float | None], said: str | None) -> None:
    found = verdict(a_run(clocks=clocks)).reasons
    if said is None:
        assert not found
    else:
        assert [(reason.fault, reason.artifact) for reason in found] == [(Fault.CLOCK, "onnx:int8")]
        assert said in found[0].message


def test_a_clock_that_differs_between_artifacts() -> None:
    slow, fast = an_artifact(a_run(clocks=[1800.0] * 10)), an_artifact(a_run(), Precision.FP32)
    (found,) = judge(Plan(), board(), [slow, fast]).reasons
    assert (found.fault, found.artifact) == (Fault.CLOCK, None)
    assert "1800 MHz under onnx:int8 and 2400 MHz under onnx:fp32" in found.message
    # One that moved by itself is said once, and not compared with the others.
    moved = an_artifact(a_run(clocks=[2400.0, 1800.0] * 5))
    (found,) = judge(Plan(), board(), [moved, fast]).reasons
    assert (found.fault, found.artifact) == (Fault.CLOCK, "onnx:int8")


@pytest.mark.parametrize(
    ("conditions", "fault", "said"),
    [
        # a hog for a quarter of the time: (0.03 * 6 + 1 * 2) / 8
        (board(*[NOTHING] * 5, *[replace(NOTHING, other_cores=1.0)] * 2), Fault.LOAD, "0.27 cores"),
        # what came before the run is not counted, nor what is unknown
        (board(NOTHING, before=replace(NOTHING, other_cores=4.0)), None, ""),
        (board(Moment(), after=Moment(throttled=())), None, ""),
        # 4 cores in use, of which 2 % are 0.08
        (board(replace(NOTHING, stolen_cores=0.2)), Fault.STOLEN, "0.10 of the 4 cores"),
        (board(replace(NOTHING, stolen_cores=0.1)), None, ""),
        # of a single thread
        (board(replace(NOTHING, stolen_cores=0.1), threads=1), Fault.STOLEN, "0.05 of the 1 core"),
        (board(swapped_pages=1), Fault.SWAP, "1 page went"),
        (board(swapped_pages=12_345), Fault.SWAP, "12,345 pages went"),
        (board(swapped_pages=None), None, ""),
    ],
)
def test_what_others_take(conditions: Conditions, fault: Fault | None, said: str) -> None:
    found = verdict(conditions=conditions).reasons
    assert [reason.fault for reason in found] == ([fault] if fault else [])
    assert all(said in reason.message for reason in found)


FULL = Plan.of(Mode.FULL)


@pytest.mark.parametrize(
    ("run", "plan", "said"),
    [
        # 20 samples in 10 s
        (a_run(per_turn=2), Plan(), "20 samples of at least 30"),
        # 10 turns of a second where 12 s were asked for
        (a_run(), Plan(seconds=12.0), "10.0 of at least 12 s"),
        # enough for quick, not for full
        (a_run(), FULL, "60 samples of at least 1,024 and 10.0 of at least 60 s"),
        # a full run is not what somebody calls full
        (a_run(), Plan(mode=Mode.FULL, samples=10, seconds=1.0), "60 samples of at least 1,024 and"),
        # a shorter quick one is
        (a_run(), Plan(seconds=3.0), None),
        (a_run((10.0,) * 60, (2400.0,) * 60, per_turn=20), FULL, None),
    ],
)
def test_samples(run: Measured, plan: Plan, said: str | None) -> None:
    found = verdict(run, plan=plan).reasons
    assert [reason.fault for reason in found] == ([] if said is None else [Fault.SAMPLES])
    assert said is None or said in found[0].message


def test_nothing_measured() -> None:
    skipped = ArtifactReport(format=Format.ONNX, precision=Precision.INT8, file_bytes=1, skipped="no engine")
    assert [reason.fault for reason in judge(Plan(), board(), [skipped]).reasons] == [Fault.SAMPLES]
    assert judge(Plan(), board(), [skipped, an_artifact(a_run(), Precision.FP32)]) == Verdict()


def test_spread() -> None:
    (found,) = verdict(a_run((9.0, 11.0) * 5)).reasons  # of ten, the interval is from the second to the ninth
    assert found.fault is Fault.SPREAD
    assert "9 to 11 ms, ±11 % of 9 ms" in found.message  # the median by nearest rank
    (found,) = verdict(a_run((10.0,) * 5, (2400.0,) * 5, per_turn=12), plan=Plan(seconds=5.0)).reasons
    assert found.fault is Fault.SPREAD
    assert found.message.startswith("5 turns are too few")
    assert verdict(a_run((9.6, 10.4) * 5)) == Verdict()  # ±4 %
    assert verdict(a_run((10.0,) * 8 + (30.0,) * 2)).valid is False
    assert verdict(a_run((10.0,) * 9 + (30.0,))) == Verdict()  # one turn in ten


def test_drift() -> None:
    grows = [10.0, 10.0, 10.0, 10.1, 10.2, 10.4, 10.6, 10.7, 10.7, 10.7]
    (found,) = verdict(a_run(grows)).reasons
    assert (found.fault, found.artifact) == (Fault.DRIFT, "onnx:int8")
    assert "took 10 ms, the last 10.7 ms (+7 %)" in found.message
    (found,) = verdict(a_run(grows[::-1])).reasons  # it was too warm before
    assert "(-7 %)" in found.message
    assert verdict(a_run([10.0, 10.1, 10.0, 10.1, 10.2, 10.3, 10.3, 10.4, 10.4, 10.4])) == Verdict()  # 4 %


@pytest.mark.parametrize("noise", [0.01, 0.05])
def test_noise_is_seldom_taken_for_drift(noise: float) -> None:
    rng = np.random.default_rng(3)
    runs = 10 * (1 + noise * rng.standard_normal((400, 10)))
    drifted = [
        any(reason.fault is Fault.DRIFT for reason in verdict(a_run(tuple(medians))).reasons)
        for medians in runs.tolist()
    ]
    assert np.mean(drifted) < 0.1


def a_minute(minute: int, p50_ms: float) -> Minute:
    return Minute(minute=minute, samples=100, p50_ms=p50_ms, p90_ms=p50_ms, fps=50.0)


def test_sustained() -> None:
    """Heat, its clock and its slowness are what was asked for; the rest makes it INVALID all the same."""
    plan = Plan.of(Mode.SUSTAINED, minutes=0.1)
    hot = replace(NOTHING, throttled=("soft temperature limit",))
    run = a_run([10.0] * 5 + [13.0] * 5, [2400.0] * 5 + [1800.0] * 5)
    run = replace(run, minutes=(a_minute(1, 10.0), a_minute(2, 13.0)))
    found = verdict(run, board(hot, hot), plan)
    assert found.valid
    assert [warning.partition(": ")[0] for warning in found.warnings] == [
        "Soft temperature limit in 2 of 4 readings",
        "onnx:int8",
        "onnx:int8",
    ]
    assert "minute 2 took 13 ms where minute 1 took 10 ms (+30 %)" in found.warnings[-1]
    for conditions, fault in (
        (board(UNDER), Fault.THROTTLED),  # a weak supply is not the board's heat
        (board(swapped_pages=9), Fault.SWAP),
        (board(replace(NOTHING, other_cores=2.0)), Fault.LOAD),
        (board(replace(NOTHING, stolen_cores=2.0)), Fault.STOLEN),
    ):
        assert [reason.fault for reason in verdict(run, conditions, plan).reasons] == [fault]
    (short,) = verdict(run, plan=Plan.of(Mode.SUSTAINED, minutes=1)).reasons
    assert short.fault is Fault.SAMPLES


@pytest.mark.parametrize(
    ("conditions", "said"),
    [
        (board(governor="powersave"), "The governor powersave may hold"),
        (board(governor="conservative"), "The governor conservative may hold"),
        (board(supply="battery"), "on its battery"),
        (board(power_mode="low-power"), "power mode is low-power"),
        (board(power_mode="quiet"), "power mode is quiet"),
        (board(power_mode="MAXN"), None),
        (board(note="using the profile of Raspberry Pi 4"), "Using the profile of Raspberry Pi 4."),
        (board(before=replace(NOTHING, load_1min=2.5)), "busy before the run (load 2.50 on 4 cores)"),
        (board(before=replace(NOTHING, load_1min=1.5)), None),
        (make_conditions(swapped_pages=0), "Not known to be unthrottled: neither the kernel nor vcgencmd"),
        (
            make_conditions(device="jetson-orin-nano", model="NVIDIA Jetson Orin Nano"),
            "Not known to be unthrottled: this kernel",
        ),
        (make_conditions(device="x86", model="ThinkPad"), None),  # which has no such thing
    ],
)
def test_warnings(conditions: Conditions, said: str | None) -> None:
    found = verdict(conditions=conditions)
    assert found.valid
    assert len(found.warnings) == (said is not None)
    assert said is None or said in found.warnings[0]


def test_every_message_is_a_sentence() -> None:
    many = board(
        *[replace(UNDER, other_cores=1.0, stolen_cores=1.0)] * 3,
        swapped_pages=3,
        governor="powersave",
        supply="battery",
        power_mode="quiet",
    )
    bad = a_run([10.0] * 5 + [20.0] * 5, [1000.0, 2000.0] * 5, per_turn=1)
    found = verdict(bad, many, FULL)
    assert {reason.fault for reason in found.reasons} == set(Fault)
    for message in (*(reason.message for reason in found.reasons), *found.warnings):
        assert message.endswith(".")
        assert "\n" not in message
    assert sentence(Reason(fault=Fault.SWAP, message="It swapped.")) == "It swapped."
    assert sentence(Reason(fault=Fault.SWAP, message="a", artifact="onnx:int8")) == "onnx:int8: a"


@settings(max_examples=30)
@given(
    p50=st.floats(0.01, 1e5),
    turns=st.integers(6, 40),
    clock=st.none() | st.floats(100, 6000),
    mode=st.sampled_from(Mode),
)
def test_a_constant_run_is_valid(p50: float, turns: int, clock: float | None, mode: Mode) -> None:
    plan = Plan.of(mode, minutes=0.5)
    run = a_run((p50,) * turns, (clock,) * turns, per_turn=200)
    longer = tuple(replace(turn, seconds=plan.seconds / turns) for turn in run.turns)
    assert verdict(replace(run, turns=longer), plan=plan) == Verdict()


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.builds(msgspec.json.encode, anything(Report)))
def test_it_judges_whatever_can_be_decoded(text: bytes) -> None:
    report = msgspec.json.decode(text, type=Report)
    found = judge(report.plan, report.conditions, report.artifacts)
    assert msgspec.json.decode(msgspec.json.encode(found), type=Verdict) == found
