"""A report in words, numbers and a terminal's tables."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from reports_full import CORRUPTIONS, make_full_report
from reports_page import terminal
from reports_samples import SPREAD, THROTTLED, WARNING, hostile_report, make_report

from edgecv.reports.facts import condition_rows, headlines, in_short, notes, ruling, title
from edgecv.reports.page_accuracy import robustness_sheet
from edgecv.reports.page_sheets import operation_sheets
from edgecv.reports.pages import breakable
from edgecv.reports.plots_latency import pareto
from edgecv.reports.render import render_markdown
from edgecv.reports.schema import Fault, Reason, Report, Verdict
from edgecv.reports.table import accuracy_table, robustness_table, summary, terminal_table
from edgecv.reports.wording import NONE, change, ms, number, tail
from edgecv.spec import Drop, Format, Kind, Precision


@pytest.fixture(scope="module")
def full() -> Report:
    return make_full_report(reasons=(SPREAD,), warnings=(WARNING,), pictures=200)


def test_headlines() -> None:
    assert [tuple(line) for line in headlines(make_report())] == [
        # samples are 8.00 .. 9.99: the 100th of 200 is 8.99, and a whole frame takes 1.1 ms more
        ("Fastest", "onnx int8", "8.99 ms", "p50 inference · 99.1 frames/s in all", True),
        ("Smallest", "onnx int8", "1.00 MiB", "on disk · 90.0 MiB peak memory", True),
        ("Most accurate", "onnx fp32", "91.3 %", "top-1 of 1,000 pictures · 98.0 % top-5", True),
    ]
    assert [line.what for line in headlines(make_report(scored=False))] == ["Fastest", "Smallest"]
    efficient = headlines(make_full_report(pictures=0))[-1]
    assert (efficient.what, efficient.who) == ("Most efficient", "tflite int8")
    assert efficient.detail == "a frame · 6.40 W (PMIC)"


def test_the_verdict_in_words() -> None:
    good = ruling(make_report(warnings=(WARNING,)))
    assert (good.valid, good.headline, good.reasons, good.warnings) == (True, "VALID", (), (WARNING,))
    # one artifact is doubtful: the other may be quoted
    some = ruling(make_report(reasons=(SPREAD,)))
    assert (some.valid, some.headline) == (False, "INVALID")
    assert some.line == "Neither quote nor compare what is marked INVALID. Valid: onnx fp32."
    assert some.reasons == (("onnx int8", SPREAD.message),)
    # all are
    every = ruling(make_report(reasons=(THROTTLED, SPREAD)))
    assert every.line == "These numbers are neither to be quoted nor compared."
    assert [who for who, _ in every.reasons] == ["all artifacts", "onnx int8"]
    # several of one artifact are one line
    twice = ruling(make_report(reasons=(SPREAD, THROTTLED, Reason(Fault.DRIFT, "It drifted.", "onnx:int8"))))
    assert twice.reasons[0] == ("onnx int8", f"{SPREAD.message} It drifted.")


def test_the_verdict_in_short() -> None:
    """A board's faults with their numbers, an artifact's by name, and no remedies."""
    drift = Reason(fault=Fault.DRIFT, message="It drifted: 7 to 9 ms: cool it.", artifact="onnx:fp32")
    other = Reason(fault=Fault.SPREAD, message="As wide.", artifact="tflite:int8")
    said = in_short(Verdict(reasons=(THROTTLED, SPREAD, drift, other)))
    assert said == (
        "Soft temperature limit in 7 of 62 readings. Spread too wide: onnx int8, tflite int8. "
        "Drifted: onnx fp32."
    )
    assert in_short(Verdict()) == ""


def test_energy_is_counted_as_frames_are(full: Report) -> None:
    """Power times the time of all frames, by their number: no percentile."""
    [at] = [i for i, column in enumerate(summary(full).columns) if column.heading == "mJ"]
    assert [column.group for column in summary(full).columns[at - 1 : at + 1]] == ["Counted", "Counted"]


def test_skipped_without_a_reason() -> None:
    """An engine's error may have no text: the row is whole all the same."""
    report = make_report(skipped="")
    assert summary(report).lines[2].instead == f"skipped: {NONE}"
    assert "tflite int8" in render_markdown(report)


def test_terminal_table_fits_80_columns() -> None:
    text = terminal(terminal_table(make_report()))
    cells = "onnx int8 90.5 +0.8 8.99 9.97 10.1 99.1 12.5 90.0 1.00"
    assert cells in [" ".join(line.split()) for line in text.split("\n")]
    assert 'tflite int8 skipped: no engine: pip install "edgecv[tflite]"' in " ".join(text.split())


def test_terminal_table_is_not_markup() -> None:
    text = terminal(terminal_table(hostile_report()), width=200)
    assert "\x1b" not in text
    assert "[red]&amp;[/red]" in text


def test_accuracy_table() -> None:
    scores = [row.accuracy for row in make_report().artifacts if row.accuracy]
    lines = [" ".join(line.split()) for line in terminal(accuracy_table(scores)).split("\n")]
    assert f"onnx fp32 1,000 91.3 98.0 float {NONE} 3.1" in lines
    assert "onnx int8 1,000 90.5 98.0 97.0 +0.8 (-0.3 to +1.9) 3.1" in lines
    assert "2 unreadable pictures were skipped." in lines
    assert "On 1,000 pictures that of onnx int8 cannot be told from 0." in " ".join(lines)
    clear = Drop(points=0.8, low=0.1, high=1.5, images=1000, basis="labels")
    text = terminal(accuracy_table([msgspec.structs.replace(scores[1], drop=clear)]))
    assert "Drop: top-1 points lost against float" in text
    assert "cannot" not in text
    assert "Drop" not in terminal(accuracy_table(scores[:1]))


def test_robustness_is_alike_everywhere(full: Report) -> None:
    rows = {a.kind: a.robustness for a in full.artifacts}
    text = terminal(robustness_table({**rows, next(iter(rows)): rows[Kind(Format.ONNX, Precision.FP32)]}))
    lines = [" ".join(line.split()) for line in text.split("\n")]
    sheet = robustness_sheet(full)
    assert sheet is not None
    assert [column.heading for column in sheet.columns] == ["clean", *CORRUPTIONS, "mean of all"]
    for line in sheet.lines[1:]:
        assert f"{line.name} {' '.join(line.cells)}" in lines
        assert f"| {line.name} " in render_markdown(full)
    # clean is strength 0; the strongest is the one of 5; the mean leaves out what is clean
    first = rows[Kind(Format.ONNX, Precision.FP32)]
    strong = next(row for row in first if (row.corruption, row.strength) == ("defocus", 5))
    clean = next(row.top1 for row in first if row.strength == 0)
    mean = np.mean([row.top1 for row in first if row.strength])
    cells = sheet.lines[2].cells
    assert (cells[0], cells[3], cells[-1]) == tuple(
        f"{100 * value:.1f}" for value in (clean, strong.top1, mean)
    )
    assert "Top-1, % of 200 pictures" in text
    assert max(len(line) for line in text.split("\n")) <= 80
    assert terminal(robustness_table({Kind(Format.ONNX, Precision.INT8): ()})).strip()


@pytest.mark.parametrize("fault", [Fault.LOAD, Fault.STOLEN])
def test_peaks_of_a_busy_machine_are_not_used(full: Report, fault: Fault) -> None:
    assert "the board's measured peaks (57.3 GFLOP/s, 6.10 GB/s) would take" in render_markdown(full)
    assert any(line.cells[3] != NONE for sheet in operation_sheets(full) for line in sheet.lines)
    reason = Reason(fault=fault, message="0.4 cores' time", artifact="onnx:int8")
    busy = msgspec.structs.replace(full, verdict=Verdict(reasons=(reason,)))
    assert {line.cells[3] for sheet in operation_sheets(busy) for line in sheet.lines} == {NONE}
    text = render_markdown(busy)
    assert "left out: it was measured while the machine was busy." in text
    assert "| Measured peaks | 57.3 GFLOP/s, 6.10 GB/s; the machine was busy |" in text


def test_unknown_conditions_say_so() -> None:
    report = make_report()
    c = msgspec.structs.replace(
        report.conditions,
        cores=None,
        ram_mb=None,
        governor=None,
        cpu_features=(),
        after=report.conditions.before,
    )
    rows = dict(condition_rows(msgspec.structs.replace(report, conditions=c)))
    assert rows["Processor"].endswith("unknown cores")
    assert rows["Memory"] == rows["Governor"] == rows["CPU features"] == "unknown"


def test_title_and_notes() -> None:
    report = make_report()
    assert notes(make_report(scored=False)) == ()
    assert len(notes(report)) == 1
    c = msgspec.structs.replace(report.conditions, model="unknown")
    first, *others = report.artifacts
    assert first.measured is not None
    run = msgspec.structs.replace(first.measured, notes=("no camera scenario: it failed",))
    first = msgspec.structs.replace(first, measured=run)
    report = msgspec.structs.replace(report, conditions=c, artifacts=(first, *others))
    assert title(report) == "tiny on rpi5"
    assert notes(report)[0] == "onnx fp32: no camera scenario: it failed"
    for text in (render_markdown(report), terminal(terminal_table(report), 200)):
        assert "onnx fp32: no camera scenario: it failed" in text
    # said once where it is alike for several
    second = msgspec.structs.replace(first, format=Format.TFLITE)
    both = msgspec.structs.replace(report, artifacts=(first, second))
    assert notes(both)[0] == "onnx fp32, tflite fp32: no camera scenario: it failed"


def test_pareto() -> None:
    points = [
        (10.0, 80.0),  # the fastest
        (12.0, 79.0),  # slower and worse
        (20.0, 90.0),
        (20.0, 85.0),  # as slow and worse
        (30.0, 90.0),  # slower and no better
    ]
    assert pareto(points) == [(10.0, 80.0), (20.0, 90.0)]
    assert pareto([]) == []


def test_change() -> None:
    assert [change(10, 12.5), change(10, 9), change(0, 1)] == ["+25.0 %", "-10.0 %", NONE]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("block1.expand/conv_1", "block1.<wbr>expand/<wbr>conv_<wbr>1"),
        # neither versions nor units, and nothing of the name's own
        ("Engine 1.31.1, /s <b>", "Engine 1.31.1, /s &lt;b&gt;"),
    ],
)
def test_names_may_end_a_line(name: str, shown: str) -> None:
    assert breakable(name) == shown


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0.0214, "0.021"), (0.9996, "1.000"), (7.416, "7.42"), (31.36, "31.4"), (1234.5, "1,234")],
)
def test_milliseconds(value: float, expected: str) -> None:
    assert ms(value) == expected


def test_number() -> None:
    assert [number(value) for value in (0.004, 9.99, 10, 250.4)] == ["0.00", "9.99", "10.0", "250"]


def test_long_names_keep_their_end() -> None:
    assert [tail("board", 5), tail("a-board", 5)] == ["board", "…oard"]
