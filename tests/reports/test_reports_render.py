"""The three renderings of one report."""

from __future__ import annotations

import base64
import hashlib
import re
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest
from reports_full import CORRUPTIONS, make_full_report
from reports_page import Page
from reports_samples import SPREAD, THROTTLED, WARNING, make_report
from rich.console import Console

from edgecv.errors import EdgecvError, UsageError
from edgecv.reports.facts import condition_rows, headlines, notes, ruling, title
from edgecv.reports.page_accuracy import robustness_sheet
from edgecv.reports.page_sheets import operation_sheets
from edgecv.reports.pages import breakable
from edgecv.reports.plots_latency import pareto
from edgecv.reports.render import load_report, render_html, render_markdown, write_reports
from edgecv.reports.schema import Fault, Reason, Report, Verdict, WrongPicture
from edgecv.reports.table import accuracy_table, robustness_table, terminal_table
from edgecv.reports.wording import NONE, change, ms, number
from edgecv.spec import Drop, Format, Kind, Precision

HOSTILE = '<script>alert("x")</script> | **b** [red]&amp;[/red] \x1b[2J `c`'


@pytest.fixture(scope="module")
def full() -> Report:
    return make_full_report(reasons=(SPREAD,), warnings=(WARNING,), pictures=200)


@pytest.fixture(scope="module")
def full_html(full: Report) -> str:
    return render_html(full)


@pytest.fixture(scope="module")
def html() -> str:
    return render_html(make_report())


def unmeasured(report: Report) -> Report:
    """Only what was skipped, which takes no figures."""
    return msgspec.structs.replace(report, artifacts=report.artifacts[2:])


def hostile_report() -> Report:
    report = make_report(skipped=HOSTILE)
    rows = list(report.artifacts[1:])
    assert rows[0].measured is not None
    rows[0] = msgspec.structs.replace(
        rows[0], measured=msgspec.structs.replace(rows[0].measured, engine=HOSTILE, notes=(HOSTILE,))
    )
    c = msgspec.structs.replace(
        report.conditions, model=HOSTILE, note=HOSTILE, os=HOSTILE, arithmetic=HOSTILE
    )
    wrong = WrongPicture(
        name=HOSTILE,
        jpeg=b"no picture",
        artifact=HOSTILE,
        truth=HOSTILE,
        float_label=HOSTILE,
        float_score=0.9,
        label=HOSTILE,
        score=0.4,
    )
    verdict = Verdict(
        reasons=(Reason(fault=Fault.LOAD, message=HOSTILE, artifact=HOSTILE),), warnings=(HOSTILE,)
    )
    return msgspec.structs.replace(
        report, bundle=HOSTILE, conditions=c, artifacts=tuple(rows), worst=(wrong,), verdict=verdict
    )


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


def test_what_is_invalid_is_marked_everywhere() -> None:
    report = make_report(reasons=(SPREAD,))
    assert [(line.who, line.valid) for line in headlines(report)] == [
        ("onnx int8", False),
        ("onnx int8", False),
        ("onnx fp32", True),
    ]
    markdown = render_markdown(report)
    assert markdown.split("\n")[2].startswith("**INVALID.**")
    assert "- **Fastest:** onnx int8 (INVALID), 8.99 ms" in markdown
    assert "| onnx int8 (INVALID, Engine 1.0) |" in markdown
    assert "| onnx fp32 (Engine 1.0) |" in markdown
    terminal = _terminal(terminal_table(report))
    assert terminal.count("INVALID") == 3  # above, at the row, and before the reason
    html = render_html(report)
    assert html.count('<em class="mark">INVALID</em>') == 2 + 2  # two tiles, two tables
    figures = re.findall(r"<figure.*?</figure>", html, re.DOTALL)
    unmarked = [figure for figure in figures if "INVALID" not in figure]
    assert (len(figures), unmarked) == (7, [])
    assert 'class="fastest"' not in html  # the only other one is not the fastest of anything


def test_nothing_is_marked_in_a_valid_report(html: str) -> None:
    report = make_report()
    for text in (html, render_markdown(report), _terminal(terminal_table(report))):
        assert "INVALID" not in text
        assert "VALID" in text


def test_markdown() -> None:
    text = render_markdown(make_report())
    assert text.startswith("# tiny on Raspberry Pi 5 Model B Rev 1.0\n\n**VALID.** Nothing was found")
    assert "\n- **Fastest:** onnx int8, 8.99 ms" in text
    # nearest rank of 8.00, 8.01, .. 9.99: the 100th, 180th, 198th and 200th sample
    assert "| onnx int8 (Engine 1.0) | 90.5 | +0.8 | 8.99 | 9.79 | 9.97 | 9.99 |" in text
    assert "| 98.0 | +0.8 (-0.3 to +1.9) | 97.0 | 95.7 to 97.9 | 3.1 |" in text  # of the accuracies
    assert f'| tflite int8 | skipped: no engine: pip install "edgecv\\[tflite\\]" | {NONE} |' in text
    assert "| Temperature | 50.0 → 63.5 °C (before → after) |" in text
    assert "| Load, 1 min | 0.10 → unknown (before → after) |" in text
    assert text.endswith("## Rule\n\nnearest-rank\n")


def test_markdown_escapes() -> None:
    text = render_markdown(hostile_report())
    assert "<script" not in text
    assert "\x1b" not in text
    assert r"\| \*\*b\*\* \[red\]&amp;amp;" in text


def test_markdown_tables_are_whole(full: Report) -> None:
    tables: dict[int, set[int]] = {}
    previous, number = "", 0
    for line in render_markdown(full).split("\n"):
        number += line.startswith("|") and not previous.startswith("|")
        if line.startswith("|"):
            tables.setdefault(number, set()).add(line.count("|") - line.count("\\|"))
        previous = line
    # artifacts, offline, camera, sustained, accuracy, robustness, six times operations, conditions
    assert len(tables) == 13
    assert all(len(counts) == 1 for counts in tables.values())


@pytest.mark.slow
def test_html_is_reproducible(html: str) -> None:
    assert render_html(make_report()) == html


@pytest.mark.slow
def test_html_stands_alone(full_html: str) -> None:
    page = Page(full_html)
    assert page.open == []  # every element is closed
    addresses = set(re.findall(r"[a-z]+://[^\s\"'<>]+", full_html))
    assert addresses <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert all(reference.startswith(("#", "data:image/jpeg;base64,")) for reference in page.references)
    assert "url(http" not in full_html
    assert "@import" not in full_html
    assert len(page.ids) == len(set(page.ids))
    inside = {reference[1:] for reference in page.references if reference.startswith("#")}
    assert inside <= set(page.ids)
    assert not {"link", "iframe", "metadata"} & set(page.tags)
    assert "#0102" not in full_html  # every colour of a figure is one of the page's variables
    assert {"var(--onnx)", "var(--heat)"} <= set(re.findall(r"var\(--\w+\)", full_html))
    assert len(full_html) < 1_500_000


def test_only_its_own_script_may_run(html: str) -> None:
    [script] = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'sha256-{digest}'"
    assert f'content="{policy}"' in html


@pytest.mark.slow
def test_sections_in_order(full_html: str) -> None:
    headings = re.findall(r"<h2>(.*?)</h2>", full_html)
    assert headings == [
        "All artifacts",
        "Latency",
        "Offline and camera",
        "Sustained",
        "Where the inference goes",
        "Accuracy",
        "Robustness",
        "Where float is right and the artifact is not",
        "Conditions",
    ]
    text = " ".join(Page(full_html.replace("<wbr>", "")).text)
    position = -1
    for expected in (
        "INVALID",  # first of all
        SPREAD.message,
        WARNING,
        "Most efficient",
        "Distribution",
        "Accuracy against latency",
        "Turn by turn",
        "Warm-up",
        "Where a frame's time goes",
        "camera of 30 frames a second",
        "in minute 12",
        "57.3 GFLOP/s",
        "DEPTHWISE_CONV_2D",
        "Calibration",
        "Classes, worst first",
        "Most often confused",
        "Over all corruptions",
        "photo_003.jpg",
        "7 of 64 readings",
        "The machine meanwhile",
        "nearest rank",
    ):
        assert text.find(expected, position + 1) > position, expected
        position = text.find(expected, position + 1)
    assert full_html.count("data:image/jpeg;base64,") == 8


def test_html_without_accuracy() -> None:
    report = make_report(scored=False)
    html = render_html(msgspec.structs.replace(report, artifacts=report.artifacts[1:2]))
    assert html.count("<svg") == 5
    assert "top-1" not in html
    assert re.findall(r"<h2>(.*?)</h2>", html) == ["All artifacts", "Latency", "Conditions"]


def test_html_escapes() -> None:
    html = render_html(hostile_report())
    assert re.findall(r'<p class="note">onnx int8: &lt;script&gt;', html)
    assert html.count("<script") == 1
    assert "\x1b" not in html
    assert Page(html).tags.count("script") == 1
    assert "&lt;script&gt;alert(&#34;x&#34;)&lt;/script&gt;" in html


def test_nothing_measured_still_renders() -> None:
    report = unmeasured(make_report())
    assert "<svg" not in render_html(report)
    assert "skipped" in render_markdown(report)
    assert headlines(report) == ()


def test_write_reports_replaces_its_own_files_only(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "reports"
    first = write_reports(unmeasured(make_report()), folder)
    (folder / "notes.txt").write_text("mine")
    report = unmeasured(make_report(warnings=(WARNING,)))
    written = write_reports(report, folder)
    assert first == written
    assert [path.name for path in written.paths] == ["report.json", "report.md", "report.html"]
    assert written.note is None
    assert load_report(folder / "report.json") == report
    assert sorted(path.name for path in folder.iterdir()) == [
        "notes.txt",
        "report.html",
        "report.json",
        "report.md",
    ]


@pytest.mark.parametrize("missing", ["jinja2", "matplotlib"])
def test_without_the_report_extra(missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "report.html").write_text("of an older run")
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(UsageError, match=r'pip install "edgecv\[report\]"'):
        render_html(make_report())
    written = write_reports(make_report(), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.json", "report.md"]
    assert [path.name for path in written.paths] == ["report.json", "report.md"]
    assert written.note is not None
    assert "edgecv report report.json" in written.note


def test_unwritable_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EdgecvError, match=r"cannot write .*file"):
        write_reports(make_report(), tmp_path / "file" / "reports")


def _terminal(table: object, width: int = 80) -> str:
    console = Console(width=width, color_system=None, force_terminal=False)
    with console.capture() as capture:
        console.print(table)
    return capture.get()


def test_terminal_table_fits_80_columns() -> None:
    text = _terminal(terminal_table(make_report()))
    cells = "onnx int8 90.5 +0.8 8.99 9.97 10.1 99.1 12.5 90.0 1.00"
    assert cells in [" ".join(line.split()) for line in text.split("\n")]
    assert 'tflite int8 skipped: no engine: pip install "edgecv[tflite]"' in " ".join(text.split())


def test_terminal_table_is_not_markup() -> None:
    text = _terminal(terminal_table(hostile_report()), width=200)
    assert "\x1b" not in text
    assert "[red]&amp;[/red]" in text


def test_accuracy_table() -> None:
    scores = [row.accuracy for row in make_report().artifacts if row.accuracy]
    lines = [" ".join(line.split()) for line in _terminal(accuracy_table(scores)).split("\n")]
    assert f"onnx fp32 1,000 91.3 98.0 float {NONE} 3.1" in lines
    assert "onnx int8 1,000 90.5 98.0 97.0 +0.8 (-0.3 to +1.9) 3.1" in lines
    assert "2 unreadable pictures were skipped." in lines
    assert "On 1,000 pictures that of onnx int8 cannot be told from 0." in " ".join(lines)
    clear = Drop(points=0.8, low=0.1, high=1.5, images=1000, basis="labels")
    text = _terminal(accuracy_table([msgspec.structs.replace(scores[1], drop=clear)]))
    assert "Drop: top-1 points lost against float" in text
    assert "cannot" not in text
    assert "Drop" not in _terminal(accuracy_table(scores[:1]))


def test_robustness_is_alike_everywhere(full: Report) -> None:
    rows = {a.kind: a.robustness for a in full.artifacts}
    text = _terminal(robustness_table({**rows, next(iter(rows)): rows[Kind(Format.ONNX, Precision.FP32)]}))
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
    assert _terminal(robustness_table({Kind(Format.ONNX, Precision.INT8): ()})).strip()


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
    for text in (render_markdown(report), _terminal(terminal_table(report), 200)):
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
