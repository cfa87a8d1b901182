"""Reports side by side: differences, their intervals, gates, and what is refused."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reports_page import Page, terminal
from reports_samples import FP32, INT8, SPREAD, THROTTLED, make_report

from edgecv.errors import UsageError
from edgecv.reports.compare import Comparison, Row, compare
from edgecv.reports.compare_pages import (
    comparison_html,
    comparison_json,
    comparison_markdown,
    write_comparison,
)
from edgecv.reports.compare_words import change_text, interval_text, reading, terminal_tables
from edgecv.reports.differences import intervals, latency_intervals, shares_interval
from edgecv.reports.gates import parse_gate
from edgecv.reports.metrics import BY_NAME, METRICS
from edgecv.reports.schema import Answers, ArtifactReport, Camera, Offline, Pictures, Report
from edgecv.reports.wording import NONE
from edgecv.statistics import paired_interval, share_interval
from edgecv.timing import Latency

replace = msgspec.structs.replace
NAMES = ("old", "new")
HOSTILE = '<script>alert("x")</script> | **b** [red]x[/red] \x1b[2J'


def edit(report: Report, change: Callable[[ArtifactReport], ArtifactReport]) -> Report:
    return replace(report, artifacts=tuple(change(a) if a.measured else a for a in report.artifacts))


def answered(report: Report, wrong: dict[str, set[int]], digest: str = "cd") -> Report:
    """Every artifact has answered 100 pictures of class 0, all but `wrong` of them rightly."""

    def answer(a: ArtifactReport) -> ArtifactReport:
        missed = wrong.get(str(a.kind), set())
        best = tuple(int(i in missed) for i in range(100))
        assert a.accuracy is not None
        accuracy = replace(a.accuracy, n=100, top1=1 - len(missed) / 100)
        return replace(a, accuracy=accuracy, answers=Answers(best=best, score=(0.5,) * 100))

    pictures = Pictures(source="photos", digest=digest * 32, truth=(0,) * 100)
    artifacts = tuple(answer(a) if a.measured else a for a in report.artifacts)
    return replace(report, artifacts=artifacts, pictures=pictures, labels=("right", "wrong"))


def row(comparison: Comparison, metric: str, artifact: str = "onnx:int8") -> Row:
    found = next(a for a in comparison.artifacts if a.artifact == artifact)
    return next(row for row in found.rows if row.metric == metric)


def cells(found: Row, place: int = 1) -> tuple[str, str, str]:
    change = found.changes[place]
    assert change is not None
    return change_text(found, change), interval_text(found, change), reading(found, change)


def shown(found: Comparison) -> str:
    return terminal(*terminal_tables(found), width=120)


def test_differences() -> None:
    # int8 takes 8.00 .. 9.99 ms before, and 10 % of 8 more after; float is the same
    found = compare([make_report(), make_report(base_ms=(20.0, 8.8))], NAMES)
    assert [a.artifact for a in found.artifacts] == ["onnx:fp32", "onnx:int8"]
    p50 = row(found, "latency_p50")
    assert p50.values == (8.99, 9.79)
    change = p50.changes[1]
    assert change is not None
    assert change.absolute == pytest.approx(0.8)
    assert change.relative == pytest.approx(0.8 / 8.99)
    assert change.interval is not None
    assert change.interval.low < 0.8 < change.interval.high
    assert (change.significant, change.by) == (True, "turns")
    assert cells(p50)[0] == "+8.9 %"
    assert cells(p50)[2] == "worse"
    assert cells(row(found, "latency_p50", "onnx:fp32"))[2] == "unclear"
    # 1000 / (mean + 1.1 ms): one number a report, so that nothing can be said of chance
    assert row(found, "throughput").values == pytest.approx((1000 / 10.095, 1000 / 10.895))
    assert cells(row(found, "throughput")) == ("-7.3 %", NONE, NONE)
    # shares are in percentage points; from other pictures, the interval is Newcombe's
    top1 = row(found, "top1")
    assert top1.values == (90.5, 90.5)
    assert cells(top1) == ("+0.0 points", "-2.6 to +2.6", "unclear")
    assert top1.changes[1] is not None
    assert top1.changes[1].by == "shares"
    assert row(found, "size").values == (1.0, 1.0)
    assert {r.metric for r in found.artifacts[0].rows}.isdisjoint({"energy", "camera_age_p50"})  # unknown


def test_answers_to_the_same_pictures_are_paired() -> None:
    base = answered(make_report(), {"onnx:int8": {1, 2, 3}})
    # 4 to 13 are lost and 1 is won: 9 points of 100
    new = answered(make_report(), {"onnx:int8": {2, 3, *range(4, 14)}})
    top1 = row(compare([base, new], NAMES), "top1")
    change = top1.changes[1]
    assert change is not None
    assert (round(change.absolute, 9), change.by, change.significant) == (-9.0, "pairs", True)
    low, high = paired_interval(1, 10, 100)
    assert change.interval is not None
    assert (change.interval.low, change.interval.high) == pytest.approx((100 * low, 100 * high))
    # Other pictures: the same numbers, and not enough of them.
    other = row(compare([base, answered(new, {"onnx:int8": {2, 3, *range(4, 14)}}, "ef")], NAMES), "top1")
    assert other.changes[1] is not None
    assert (other.changes[1].by, other.changes[1].interval) == (
        "shares",
        shares_interval(0.97, 100, 0.88, 100),
    )
    # The same pictures in a folder of another name.
    assert new.pictures is not None
    moved = compare([base, replace(new, pictures=replace(new.pictures, source="moved"))], NAMES)
    found = row(moved, "top1").changes[1]
    assert found is not None
    assert found.by == "pairs"
    assert not any("Pictures differ" in note for note in moved.notes)


def test_newcombe() -> None:
    """Against the example of his paper: 56/70 - 48/80 = 0.2, 95 % interval 0.0524 to 0.3339."""
    found = shares_interval(48 / 80, 80, 56 / 70, 70)
    assert (found.low, found.high) == pytest.approx((5.24, 33.39), abs=0.01)


@given(st.integers(0, 50), st.integers(1, 50), st.integers(0, 50), st.integers(1, 50))
def test_newcombe_holds_the_difference(a: int, more_a: int, b: int, more_b: int) -> None:
    n, m = a + more_a, b + more_b
    found = shares_interval(a / n, n, b / m, m)
    difference = 100 * (b / m - a / n)
    assert -100 <= found.low <= difference + 1e-9
    assert difference - 1e-9 <= found.high <= 100
    back = shares_interval(b / m, m, a / n, n)
    assert (back.low, back.high) == pytest.approx((-found.high, -found.low), abs=1e-9)
    assert share_interval(a, n).low <= a / n + 1e-9


def test_latency_intervals() -> None:
    a, b = (make_report(base_ms=(20.0, base)).artifacts[1].measured for base in (8.0, 8.4))
    assert a is not None
    assert b is not None
    found = latency_intervals(a, b)
    assert set(found) == {50, 90}  # a p99 takes 368 samples
    assert found == latency_intervals(a, b)  # drawn from the same seed
    assert found[50].low < 0.4 < found[50].high
    few = replace(a, turns=a.turns[:5], inference_ms=a.inference_ms[:100])
    assert latency_intervals(few, b) == {}
    unlike = replace(a, inference_ms=a.inference_ms[:-1])  # which sample is of which turn?
    assert latency_intervals(unlike, b) == {}


def test_turns_are_what_varies() -> None:
    """A hundred samples of a slow turn are one slow turn, not a hundred slow samples."""
    steady = make_report(base_ms=(20.0, 8.0)).artifacts[1].measured
    assert steady is not None
    rng = np.random.default_rng(5)
    samples = np.concatenate([8 * (1 + 0.1 * rng.standard_normal()) + np.zeros(20) for _ in range(10)])
    shaky = replace(steady, inference_ms=tuple(samples), inference=Latency.of(samples))
    interval = latency_intervals(steady, shaky)[50]
    assert interval.high - interval.low > 0.5


def test_throughput_is_offline_where_all_have_it() -> None:
    def serve(a: ArtifactReport) -> ArtifactReport:
        assert a.measured is not None
        offline = Offline(inferences_per_s=300.0, inferences=3000, seconds=10.0, streams=4)
        return replace(a, measured=replace(a.measured, offline=offline))

    served = edit(make_report(), serve)
    found = row(compare([served, served], NAMES), "throughput")
    assert (found.label, found.values) == ("offline", (300.0, 300.0))
    found = row(compare([served, make_report()], NAMES), "throughput")
    assert (found.label, found.values) == ("frames", pytest.approx((1000 / 10.095,) * 2))


def test_camera_frames_dropped_are_of_those_that_came() -> None:
    def watch(a: ArtifactReport) -> ArtifactReport:
        assert a.measured is not None
        return replace(
            a, measured=replace(a.measured, camera=Camera(fps=30.0, frames=90, dropped=10, age=None))
        )

    watched = edit(make_report(), watch)
    assert row(compare([watched, watched], NAMES), "camera_dropped").values == (10.0, 10.0)


# What is refused, and what is said ------------------------------------------------------------------------


def test_invalid_is_refused_and_forced_is_marked() -> None:
    bad = make_report(reasons=(THROTTLED, SPREAD))
    with pytest.raises(UsageError, match="^new is INVALID: Soft temperature limit in .* --force") as refused:
        compare([make_report(), bad], NAMES)
    assert refused.value.exit_code == 2
    with pytest.raises(UsageError, match="^old is INVALID"):
        compare([bad, make_report()], NAMES)
    found = compare([make_report(), bad], NAMES, force=True)
    assert found.invalid == 1
    assert [[len(reasons) for reasons in a.invalid] for a in found.artifacts] == [[0, 1], [0, 2]]
    for text in (
        comparison_markdown(found),
        comparison_html(found),
        shown(found),
    ):
        assert "INVALID" in text
        assert "Soft temperature limit in" in text


def test_what_cannot_be_compared() -> None:
    report = make_report()
    with pytest.raises(UsageError, match="two reports or more"):
        compare([report], ["one"])
    other = replace(report, artifacts=report.artifacts[2:])
    with pytest.raises(UsageError, match="nothing to compare.*old has onnx:fp32, onnx:int8; new has none"):
        compare([report, other], NAMES)
    with pytest.raises(ValueError, match="different names"):
        compare([report, report], ["same", "same"])


def test_notes_say_what_else_differs() -> None:
    other = replace(make_report(), manifest_sha256="ef" * 32, rule="another")
    other = replace(other, conditions=replace(other.conditions, threads=2, device="rpi4b"))
    other = edit(other, lambda a: replace(a, measured=replace(a.measured, engine="Engine 2.0")))
    assert compare([make_report(), other], NAMES).notes == (
        "Bundle's manifest differs: abababababab in old, efefefefefef in new.",
        "Device profile differs: rpi5 in old, rpi4b in new.",
        "Engines differ: Engine 1.0 in old, Engine 2.0 in new.",
        "Threads differ: 4 in old, 2 in new.",
        "They were not measured by one rule; each report says by which.",
    )
    assert compare([make_report(), make_report()], NAMES).notes == ()
    only = replace(other, artifacts=other.artifacts[:1])
    assert compare([make_report(), only], NAMES).notes[0] == "onnx:int8 has no numbers in new: not in it."
    assert compare([only, make_report()], NAMES).notes[0] == (
        "Not compared, since old has no numbers of it: onnx:int8 of new."
    )
    assert "\x1b" not in shown(compare([only, make_report()], [HOSTILE, "new"]))


# Renderings -----------------------------------------------------------------------------------------------


def test_terminal() -> None:
    text = shown(compare([make_report(), make_report(base_ms=(20.0, 8.8))], NAMES))
    assert "new against old" in text
    assert re.search(r"inference p50, ms +8\.99 +9\.79 +\+8\.9 % +\+\d\.\d to \+\d+\.\d worse", text)


def test_markdown_and_json() -> None:
    found = compare([make_report(), make_report(base_ms=(20.0, 8.8))], NAMES)
    text = comparison_markdown(found, [parse_gate("latency_p50 > +5%"), parse_gate("top1 < -0.5")])
    assert text.startswith("# new against old\n\n**FAIL** 1 of 2 gates: latency\\_p50 > +5%.\n")
    assert "- new: inference p50 worse for onnx int8 (+8.9 %), unclear for 1; top-1 unclear for 2." in text
    assert "| latency\\_p50 > +5% | crossed | onnx int8 | new | 8.99 | 9.79 | +8.9 % |" in text
    assert "| top1 < -0.5 | held |".replace("<", "&lt;") in text
    assert re.search(r"\| inference p50, ms \| 8\.99 \| 9\.79 \| \+8\.9 % \| .* worse \|", text)
    tables = re.findall(r"(?:^\|.*\|\n)+", text, re.MULTILINE)
    assert all(len({line.count("|") for line in table.splitlines()}) == 1 for table in tables)
    assert msgspec.json.decode(comparison_json(found), type=Comparison) == found


def test_html_stands_alone() -> None:
    base = replace(make_report(), conditions=replace(make_report().conditions, model=HOSTILE))
    found = compare([base, make_report(base_ms=(20.0, 8.8))], [HOSTILE, "new"])
    html = comparison_html(found, [parse_gate("latency_p50 > +5%")])
    page = Page(html)
    assert not page.open
    assert len(page.ids) == len(set(page.ids))
    assert page.tags.count("svg") == 2
    assert all(reference.startswith("#") for reference in page.references)
    assert "alert" not in "".join(re.findall("<script.*?</script>", html, re.DOTALL))
    assert "\x1b" not in html
    assert "\x1b" not in comparison_markdown(found) + shown(found)
    assert "<script" not in comparison_markdown(found)


def test_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = compare([make_report(), make_report()], NAMES)
    written = write_comparison(found, tmp_path / "out")
    assert [path.name for path in written.paths] == ["compare.json", "compare.md", "compare.html"]
    assert json.loads(written.paths[0].read_text())["reports"][0]["name"] == "old"
    # Without the extra the older page goes, and the note says what to install.
    monkeypatch.setitem(__import__("sys").modules, "jinja2", None)
    written = write_comparison(found, tmp_path / "out")
    assert [path.name for path in written.paths] == ["compare.json", "compare.md"]
    assert not (tmp_path / "out" / "compare.html").exists()
    assert 'pip install "edgecv[report]"' in (written.note or "")


def test_metrics_have_one_name_each() -> None:
    assert len(BY_NAME) == len(METRICS) == 18
    assert intervals(make_report(), replace(make_report(), artifacts=()), INT8) == {}
    assert set(intervals(make_report(), make_report(), FP32)) <= set(BY_NAME)
