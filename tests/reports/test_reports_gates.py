"""Gates: how they are read, what crosses them, and what cannot be checked."""

from __future__ import annotations

import contextlib

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reports_samples import make_report
from reports_strategies import anything

from edgecv.errors import UsageError
from edgecv.reports.compare import Compared, Comparison, compare
from edgecv.reports.compare_pages import comparison_json, comparison_markdown, gate_text
from edgecv.reports.compare_words import summary, terminal_tables
from edgecv.reports.gates import Against, Gate, check, parse_gate
from edgecv.reports.metrics import METRICS
from edgecv.reports.schema import ArtifactReport, Report

replace = msgspec.structs.replace
NAMES = ("old", "new")


@pytest.mark.parametrize(
    ("text", "gate", "canonical"),
    [
        ("latency_p90 > +5%", ("latency_p90", True, 5.0, Against.PERCENT), "latency_p90 > +5%"),
        ("top1 < -0.5", ("top1", False, -0.5, Against.CHANGE), "top1 < -0.5"),
        ("throughput<-3%", ("throughput", False, -3.0, Against.PERCENT), "throughput < -3%"),
        (" memory  >  +10 ", ("memory", True, 10.0, Against.CHANGE), "memory > +10"),
        ("latency_p50 > 20", ("latency_p50", True, 20.0, Against.VALUE), "latency_p50 > 20"),
        ("top1 < 75.5", ("top1", False, 75.5, Against.VALUE), "top1 < 75.5"),
        ("energy > +0%", ("energy", True, 0.0, Against.PERCENT), "energy > +0%"),
        ("load > .5", ("load", True, 0.5, Against.VALUE), "load > 0.5"),
    ],
)
def test_gates_are_read(text: str, gate: tuple[str, bool, float, Against], canonical: str) -> None:
    found = parse_gate(text)
    assert (found.metric, found.above, found.limit, found.against) == gate
    assert str(found) == canonical


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("latency > +5%", "no metric 'latency'; there are latency_p50, latency_p90"),
        ("latency_p90", "write METRIC > LIMIT"),
        ("latency_p90 >= 5", "write METRIC > LIMIT"),
        ("latency_p90 > five", "write METRIC > LIMIT"),
        ("latency_p90 > 5%", "needs its sign, as in \\+5% or -3%"),
        ("top1 < -0.5%", "percentage points; leave out the % sign"),
        ("load > 1e999", "no number"),
        ("", "write METRIC > LIMIT"),
    ],
)
def test_gates_that_cannot_be_read(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        parse_gate(text)


@st.composite
def gates(draw: st.DrawFn) -> Gate:
    metric = draw(st.sampled_from(METRICS))
    against = draw(st.sampled_from([a for a in Against if a is not Against.PERCENT or metric.unit != "%"]))
    low = 0.0 if against is Against.VALUE else None
    limit = draw(st.floats(low, allow_nan=False, allow_infinity=False)) + 0.0
    return Gate(metric=metric.name, above=draw(st.booleans()), limit=limit, against=against)


@given(gates())
def test_gates_survive_their_text(gate: Gate) -> None:
    assert parse_gate(str(gate)) == gate


@given(st.text(max_size=30) | st.from_regex(r"[a-z_0-9]{0,12} ?[<>] ?[+-]?[0-9.e]{0,6}%?", fullmatch=True))
def test_any_text_is_a_gate_or_a_usage_error(text: str) -> None:
    with contextlib.suppress(UsageError):
        assert parse_gate(text).metric in text


def failures(comparison: Comparison, *texts: str) -> list[tuple[str, str | None, bool | None]]:
    found = check(comparison, [parse_gate(text) for text in texts])
    return [(failure.gate, failure.artifact, failure.significant) for failure in found]


def test_gates_are_checked() -> None:
    # float 1 % faster, int8 8.9 % slower: p90 from 9.79 to 10.59 ms
    found = compare([make_report(), make_report(base_ms=(19.8, 8.8))], NAMES)
    assert failures(found, "latency_p90 > +8%") == [("latency_p90 > +8%", "onnx:int8", True)]
    assert failures(found, "latency_p90 > +8.2%", "latency_p90 > +1", "memory > +0%", "size > +0") == []
    assert failures(found, "latency_p90 > +0.5", "latency_p90 > 21") == [
        ("latency_p90 > +0.5", "onnx:int8", True),
        ("latency_p90 > 21", "onnx:fp32", None),
    ]
    # A change within the noise fails as well, and says so.
    near = compare([make_report(), make_report(base_ms=(19.99, 8.0))], NAMES)
    (failure,) = check(near, [parse_gate("latency_p50 < -0.001")])
    assert (failure.artifact, failure.significant) == ("onnx:fp32", False)
    assert "not significant, it may be chance (95 % interval -" in failure.message
    (failure,) = check(found, [parse_gate("throughput < -5%")])
    assert gate_text(failure) == (
        "throughput < -5%: onnx:int8 in new: frames went from 99.1 /s to 91.8 /s, -7.3 %, where at least "
        "-5 % is allowed; whether that is chance cannot be told"
    )
    (failure,) = check(found, [parse_gate("latency_p90 > +0.5")])
    assert "to 10.6 ms, +8.2 % or +0.8 ms, where at most +0.5 ms is allowed" in failure.message
    (failure,) = check(found, [parse_gate("latency_p90 > 21")])
    assert failure.message == "onnx:fp32 in new: inference p90 is 21.6 ms where at most 21.0 ms is allowed"


def test_the_other_reports_are_each_checked() -> None:
    found = compare([make_report(), make_report(), make_report(base_ms=(20.0, 9.0))], ["a", "b", "c"])
    (failure,) = check(found, [parse_gate("latency_p50 > +5%")])
    assert failure.report == "c"
    assert [line.partition(":")[0] for line in summary(found)] == ["b", "c"]
    assert len(terminal_tables(found)) == 2


def test_what_cannot_be_checked_has_not_passed() -> None:
    base = make_report()
    # int8 crashed in the new run
    crashed = replace(base, artifacts=(base.artifacts[0], _skipped(base.artifacts[1])))
    (failure,) = check(compare([base, crashed], NAMES), [parse_gate("latency_p50 > +5%")])
    assert (failure.artifact, failure.new) == ("onnx:int8", None)
    assert "cannot be checked: skipped: it crashed" in failure.message
    # accuracy was not measured
    (first, _second) = check(compare([base, make_report(scored=False)], NAMES), [parse_gate("top1 < -0.5")])
    assert "top-1 cannot be checked: not measured there" in first.message
    # nobody knows
    (failure,) = check(compare([base, base], NAMES), [parse_gate("energy > +5%")])
    assert failure.message == "energy cannot be checked: it is known of no artifact in both old and new"
    # int8 was not asked for: float is checked
    fewer = replace(base, artifacts=base.artifacts[:1])
    assert check(compare([base, fewer], NAMES), [parse_gate("latency_p50 > +5%")]) == ()


def _skipped(artifact: ArtifactReport) -> ArtifactReport:
    return replace(artifact, measured=None, accuracy=None, skipped="it crashed")


@pytest.mark.slow
@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.tuples(anything(Report), anything(Report)), gates())
def test_whatever_can_be_decoded_is_compared_or_refused(reports: tuple[Report, Report], gate: Gate) -> None:
    # The same artifacts in both, so that there is something to compare.
    other = replace(reports[1], artifacts=reports[0].artifacts)
    try:
        found = compare([reports[0], other], NAMES, force=True)
    except UsageError:
        return
    check(found, [gate])
    comparison_markdown(found, [gate])
    assert msgspec.json.decode(comparison_json(found), type=Comparison) == found
    assert all(isinstance(artifact, Compared) for artifact in found.artifacts)
