"""The three renderings of one report."""

from __future__ import annotations

import base64
import hashlib
import re
import sys
from pathlib import Path

import msgspec
import pytest
from reports_full import make_full_report
from reports_page import Page, terminal
from reports_samples import SPREAD, WARNING, hostile_report, make_conditions, make_report

from edgecv.errors import EdgecvError, UsageError
from edgecv.reports import plots_accuracy, plots_row, plots_time
from edgecv.reports.facts import headlines
from edgecv.reports.pages import write_files
from edgecv.reports.render import load_report, render_html, render_markdown, write_reports
from edgecv.reports.schema import Moment, Report
from edgecv.reports.table import terminal_table
from edgecv.reports.wording import NONE


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
    assert terminal(terminal_table(report)).count("INVALID") == 3  # above, at the row, and before the reason
    html = render_html(report)
    assert html.count('<em class="mark">INVALID</em>') == 2 + 2  # two tiles, two tables
    figures = re.findall(r"<figure.*?</figure>", html, re.DOTALL)
    unmarked = [figure for figure in figures if "INVALID" not in figure]
    assert (len(figures), unmarked) == (7, [])
    assert 'class="fastest"' not in html  # the only other one is not the fastest of anything


def test_nothing_is_marked_in_a_valid_report(html: str) -> None:
    report = make_report()
    for text in (html, render_markdown(report), terminal(terminal_table(report))):
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


def test_what_was_measured_is_kept_when_drawing_fails(tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text("of an older run")

    def draw() -> str:
        raise RuntimeError("no such font")

    with pytest.raises(RuntimeError, match="no such font"):
        write_files(tmp_path, {"report.json": "{}"}, "report.html", draw)
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]


def test_a_path_that_is_no_unicode(tmp_path: Path) -> None:
    report = make_report(skipped="/data/\udcff/model.tflite: broken")
    written = write_reports(unmeasured(report), tmp_path)
    assert load_report(written.paths[0]).artifacts[0].skipped == "/data/?/model.tflite: broken"


def test_robustness_that_is_not_whole(full: Report) -> None:
    """Other strengths for other artifacts, or none at all: what there is is drawn."""
    first, second, *_ = full.artifacts
    some = tuple(r for r in first.robustness if r.strength in (0, 3) and r.corruption != "JPEG")
    clean = tuple(r for r in first.robustness if not r.strength)
    rows = [plots_row.Row(a, a.measured, True) for a in (first, second) if a.measured]
    for kept, drawn in ((some, True), (clean, False)):
        thin = [row._replace(artifact=msgspec.structs.replace(row.artifact, robustness=kept)) for row in rows]
        assert (plots_accuracy.robustness(thin) is not None) is drawn
        assert plots_accuracy.overall([thin[0], rows[1]]) is not None
    assert plots_accuracy.overall([]) is None


def test_whose_time_was_taken() -> None:
    """The hypervisor's line is dashed with and without another beside it."""
    moments = [Moment(at_s=float(i), stolen_cores=0.1) for i in range(6)]
    drawn = plots_time.timeline(make_conditions(tuple(moments), before=moments[0], after=moments[-1]))
    assert drawn is not None
    assert drawn.caption == "Time taken by the hypervisor (dashed)."
    assert "stroke-dasharray" in drawn.svg


def test_unwritable_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EdgecvError, match=r"cannot write .*file"):
        write_reports(make_report(), tmp_path / "file" / "reports")
