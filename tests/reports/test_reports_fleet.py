"""Many boards' reports as one: verdicts, best artifacts, and the page."""

from __future__ import annotations

import json
import re
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reports_page import Page
from reports_samples import SPREAD, THROTTLED, make_report
from reports_strategies import anything

from edgecv.errors import UsageError
from edgecv.reports.fleet import Fleet, merge, report_names
from edgecv.reports.fleet_words import (
    board_sheet,
    fleet_html,
    fleet_json,
    fleet_markdown,
    headlines,
    verdict,
    write_fleet,
)
from edgecv.reports.schema import Moment, Report
from edgecv.reports.wording import NONE
from edgecv.spec import Drop

replace = msgspec.structs.replace
HOSTILE = '<script>alert("x")</script> | **b** \x1b[2J'


def with_drop(report: Report, points: float) -> Report:
    """The int8 artifact loses so many points."""
    drop = Drop(points=points, low=points - 1, high=points + 1, images=1000, basis="labels")
    int8 = report.artifacts[1]
    assert int8.accuracy is not None
    int8 = replace(int8, accuracy=replace(int8.accuracy, drop=drop))
    return replace(report, artifacts=(report.artifacts[0], int8, *report.artifacts[2:]))


def on(report: Report, model: str, **more: object) -> Report:
    return replace(report, conditions=replace(report.conditions, model=model, **more))


GOOD = with_drop(make_report(), 0.3)


def test_boards_side_by_side() -> None:
    hot = Moment(temperature_c=81.0)
    slow = on(
        with_drop(make_report(base_ms=(60.0, 30.0)), 0.5), "Raspberry Pi 4", device="rpi4b", during=(hot,)
    )
    found = merge([GOOD, slow], ["kitchen", "gate"])
    assert [(board.name, board.best, board.temperature_c) for board in found.boards] == [
        ("kitchen", "onnx:int8", 63.5),
        ("gate", "onnx:int8", 81.0),
    ]
    fp32, int8, skipped = found.boards[0].results
    assert (int8.p50_ms, int8.p90_ms, int8.top1, int8.drop, int8.memory_mb) == (8.99, 9.79, 0.905, 0.3, 90.0)
    assert (fp32.drop, fp32.energy_mj, skipped.p50_ms) == (None, None, None)
    assert skipped.skipped is not None
    assert found.notes == ()
    assert [tuple(line)[:3] for line in headlines(found)] == [
        ("Fastest", "kitchen, onnx int8", "8.99 ms"),
        ("Most accurate", "kitchen, onnx int8", "90.5 %"),
    ]
    lines = board_sheet(found).lines
    # best, p50, p90, frames a second of p50 + 1.1 ms, top-1, energy, memory, heat, mode, profile
    kitchen = ("onnx int8", "8.99", "9.79", "99.1", "90.5", NONE, "90.0", "64", "quick", "rpi5")
    assert (lines[0].name, lines[0].cells) == ("kitchen", kitchen)
    assert (lines[1].below, lines[1].cells[-3:]) == ("Raspberry Pi 4", ("81", "quick", "rpi4b"))


@pytest.mark.parametrize(
    ("report", "force", "best"),
    [
        (GOOD, False, "onnx:int8"),
        # it has lost more than 0.5 points
        (with_drop(make_report(), 0.6), False, "onnx:fp32"),
        # nobody knows what it has lost
        (make_report(scored=False), False, "onnx:int8"),
        # its own numbers are INVALID, and those of float are not
        (with_drop(make_report(reasons=(SPREAD,)), 0.3), False, "onnx:fp32"),
        (with_drop(make_report(reasons=(SPREAD,)), 0.3), True, "onnx:int8"),
        # all numbers are
        (with_drop(make_report(reasons=(THROTTLED,)), 0.3), False, None),
        (with_drop(make_report(reasons=(THROTTLED,)), 0.3), True, "onnx:int8"),
    ],
)
def test_the_best_artifact(report: Report, force: bool, best: str | None) -> None:
    assert merge([report], ["board"], force).boards[0].best == best


def test_invalid_is_marked_everywhere() -> None:
    bad = with_drop(make_report(reasons=(THROTTLED,)), 0.3)
    found = merge([GOOD, bad], ["good", "bad"])
    assert [line.mark for line in board_sheet(found).lines] == ["", "INVALID"]
    good, headline, reasons = verdict(found)
    assert (good, headline) == (False, "1 of 2 boards INVALID")
    assert reasons == (("bad", "Soft temperature limit in 7 of 62 readings."),)
    text = fleet_markdown(found)
    assert "- **INVALID:** bad: Soft temperature limit in 7 of 62 readings." in text
    assert f"| bad (INVALID, Raspberry Pi 5 Model B Rev 1.0) | {NONE} | {NONE} |" in text
    assert "| onnx int8 (INVALID, Engine 1.0) | 8.99 |" in text
    assert "INVALID" in fleet_html(found)
    assert verdict(merge([GOOD], ["one"])) == (True, "1 board, VALID", ())
    # With force it may win, and is marked where it does.
    forced = headlines(merge([bad], ["bad"], force=True))
    assert [line.valid for line in forced] == [False, False]


def test_notes_say_what_is_unlike() -> None:
    other = replace(make_report(), bundle="other", rule="another")
    notes = merge([make_report(), other], ["a", "b"]).notes
    assert notes == (
        "The bundles are not the same on all boards (a: tiny abababababab, b: other abababababab).",
        "They were not measured by one rule; each report says by which.",
    )


def test_what_cannot_be_merged() -> None:
    with pytest.raises(UsageError, match="at least one report"):
        merge([], [])
    with pytest.raises(ValueError, match="different names"):
        merge([GOOD, GOOD], ["a", "a"])


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["pi5/report.json", "pi4/report.json"], ("pi5", "pi4")),
        (["pi5.json", "pi4.json"], ("pi5", "pi4")),
        (["lab/pi5/report.json", "home/pi5/report.json"], ("lab/pi5", "home/pi5")),
        (["old/a.json", "new/b.json"], ("a", "b")),
        (["old/a.json", "new/a.json"], ("old", "new")),
        (["a.json", "a.json"], None),  # twice the same file: it is kept apart all the same
        (["only/report.json"], ("report",)),
    ],
)
def test_names(paths: list[str], names: tuple[str, ...] | None) -> None:
    found = report_names([Path(path) for path in paths])
    assert len(set(found)) == len(paths)
    assert names is None or found == names


@given(st.lists(st.lists(st.sampled_from(["a", "b", "report.json"]), min_size=1, max_size=4), max_size=5))
def test_names_are_all_different(paths: list[list[str]]) -> None:
    found = report_names([Path(*parts) for parts in paths])
    assert len(set(found)) == len(paths)


def test_html_stands_alone(tmp_path: Path) -> None:
    hostile = on(replace(GOOD, bundle=HOSTILE), HOSTILE)
    found = merge([hostile, GOOD], [HOSTILE, "b"])
    html = fleet_html(found)
    page = Page(html)
    assert not page.open
    assert len(page.ids) == len(set(page.ids))
    assert page.tags.count("svg") == 2
    assert all(reference.startswith("#") for reference in page.references)
    assert "alert" not in "".join(re.findall("<script.*?</script>", html, re.DOTALL))
    assert "\x1b" not in html + fleet_markdown(found)
    assert msgspec.json.decode(fleet_json(found), type=Fleet) == found
    written = write_fleet(found, tmp_path / "out")
    assert [path.name for path in written.paths] == ["fleet.json", "fleet.md", "fleet.html"]
    assert len(json.loads(written.paths[0].read_text())["boards"]) == 2


@pytest.mark.slow
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(anything(Report), min_size=1, max_size=2), st.booleans())
def test_whatever_can_be_decoded_is_merged(reports: list[Report], force: bool) -> None:
    found = merge(reports, ["a", "b"][: len(reports)], force)
    fleet_markdown(found)
    assert msgspec.json.decode(fleet_json(found), type=Fleet) == found
