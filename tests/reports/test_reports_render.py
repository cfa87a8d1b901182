"""The three renderings of one report."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import msgspec
import pytest
from reports_page import Page
from reports_samples import make_report
from rich.console import Console

from edgecv.errors import EdgecvError, UsageError
from edgecv.reports.render import load_report, render_html, render_markdown, write_reports
from edgecv.reports.schema import Report
from edgecv.reports.table import (
    NONE,
    accuracy_table,
    condition_rows,
    headlines,
    ms,
    notes,
    number,
    terminal_table,
    title,
)
from edgecv.spec import Drop

HOSTILE = '<script>alert("x")</script> | **b** [red]&amp;[/red] \x1b[2J `c`'


def hostile_report() -> Report:
    report = make_report(skipped=HOSTILE)
    rows = list(report.artifacts)
    assert rows[0].measured is not None
    rows[0] = msgspec.structs.replace(
        rows[0], measured=msgspec.structs.replace(rows[0].measured, engine=HOSTILE)
    )
    c = msgspec.structs.replace(
        report.conditions, model=HOSTILE, note=HOSTILE, os=HOSTILE, arithmetic=HOSTILE
    )
    return msgspec.structs.replace(report, bundle=HOSTILE, conditions=c, artifacts=tuple(rows))


def test_headlines() -> None:
    assert [tuple(line) for line in headlines(make_report())] == [
        # samples are 8.00 .. 9.99: the 100th of 200 is 8.99, and a whole frame takes 1.1 ms more
        ("Fastest", "onnx int8", "8.99 ms", "p50 inference · 99.1 frames/s in all"),
        ("Smallest", "onnx int8", "1.00 MiB", "on disk · 90.0 MiB peak memory"),
        ("Most accurate", "onnx fp32", "91.3 %", "top-1 of 1,000 pictures · 98.0 % top-5"),
    ]
    assert [line.what for line in headlines(make_report(scored=False))] == ["Fastest", "Smallest"]


def test_markdown() -> None:
    text = render_markdown(make_report())
    assert text.startswith("# tiny on Raspberry Pi 5 Model B Rev 1.0\n\n- **Fastest:** onnx int8, 8.99 ms")
    # nearest rank of 8.00, 8.01, .. 9.99: the 100th, 180th, 198th and 200th sample
    row = "| onnx | int8 | Engine 1.0 | 90.5 | 98.0 | 97.0 | +0.8 (-0.3 to +1.9) | 8.99 | 9.79 | 9.97 |"
    assert row in text
    assert '- tflite int8 skipped: no engine: pip install "edgecv\\[tflite\\]"' in text
    assert "| Temperature | 50.0 → 63.5 °C (before → after) |" in text
    assert "| Load, 1 min | 0.10 → unknown (before → after) |" in text
    assert "| Rule | nearest-rank |" in text
    tables = [line for line in text.split("\n") if line.startswith("| onnx") or line.startswith("| Format")]
    assert len({line.count("|") for line in tables}) == 1


def test_markdown_escapes() -> None:
    text = render_markdown(hostile_report())
    assert "<script" not in text
    assert "\x1b" not in text
    assert r"\| \*\*b\*\* \[red\]&amp;amp;" in text


def test_html_stands_alone() -> None:
    html = render_html(make_report())
    page = Page(html)
    assert page.open == []  # every element is closed
    addresses = set(re.findall(r"[a-z]+://[^\s\"'<>]+", html))
    assert addresses <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert all(reference.startswith("#") for reference in page.references)
    assert "url(http" not in html
    assert "@import" not in html
    assert len(page.ids) == len(set(page.ids))
    assert {reference[1:] for reference in page.references} <= set(page.ids)
    assert not {"script", "link", "img", "iframe", "metadata"} & set(page.tags)
    assert page.tags.count("svg") == 4
    text = " ".join(page.text)
    for expected in ("8.99", "onnx int8", "Accuracy against latency", "nearest-rank", "90.5", "63.5 °C"):
        assert expected in text
    assert "#0102" not in html  # every colour of a figure is one of the page's variables
    assert "var(--onnx)" in html


def test_html_is_reproducible() -> None:
    assert render_html(make_report()) == render_html(make_report())


def test_html_without_accuracy() -> None:
    html = render_html(make_report(scored=False))
    assert html.count("<svg") == 3
    assert "top-1" not in html


def test_html_escapes() -> None:
    html = render_html(hostile_report())
    assert "<script" not in html
    assert "\x1b" not in html
    assert "script" not in Page(html).tags
    assert "&lt;script&gt;alert(&#34;x&#34;)&lt;/script&gt;" in html


def test_nothing_measured_still_renders() -> None:
    report = make_report()
    report = msgspec.structs.replace(report, artifacts=report.artifacts[2:])
    assert "<svg" not in render_html(report)
    assert "skipped" in render_markdown(report)
    assert headlines(report) == ()


def test_write_reports_replaces_its_own_files_only(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "reports"
    first = write_reports(make_report(), folder)
    (folder / "notes.txt").write_text("mine")
    written = write_reports(make_report(scored=False), folder)
    assert first == written
    assert [path.name for path in written.paths] == ["report.json", "report.md", "report.html"]
    assert written.note is None
    assert load_report(folder / "report.json") == make_report(scored=False)
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
    cells = "onnx int8 90.5 97.0 8.99 9.97 10.1 99.1 12.5 90.0 1.00"
    assert cells in [" ".join(line.split()) for line in text.split("\n")]
    assert 'tflite int8 skipped: no engine: pip install "edgecv[tflite]"' in " ".join(text.split())


def test_terminal_table_is_not_markup() -> None:
    text = _terminal(terminal_table(hostile_report()), width=200)
    assert "\x1b" not in text
    assert "[red]&amp;[/red]" in text


def test_accuracy_table() -> None:
    scores = [row.accuracy for row in make_report().artifacts if row.accuracy]
    lines = [" ".join(line.split()) for line in _terminal(accuracy_table(scores)).split("\n")]
    assert f"onnx fp32 1,000 91.3 98.0 float {NONE}" in lines
    assert "onnx int8 1,000 90.5 98.0 97.0 +0.8 (-0.3 to +1.9)" in lines
    assert "2 unreadable pictures were skipped." in lines
    assert "On 1,000 pictures that of onnx int8 cannot be told from 0." in " ".join(lines)
    clear = Drop(points=0.8, low=0.1, high=1.5, images=1000, basis="labels")
    text = _terminal(accuracy_table([msgspec.structs.replace(scores[1], drop=clear)]))
    assert "Drop: top-1 points lost against float" in text
    assert "cannot" not in text
    assert "Drop" not in _terminal(accuracy_table(scores[:1]))


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
    busy = msgspec.structs.replace(report.conditions.before, load_1min=2.5)
    c = msgspec.structs.replace(report.conditions, model="unknown", note="not this board", before=busy)
    report = msgspec.structs.replace(report, conditions=c)
    assert title(report) == "tiny on rpi5"
    assert notes(report)[0] == "not this board"
    assert "busy before the run (load 2.50 on 4 cores)" in notes(report)[1]
    for text in (render_html(report), render_markdown(report), _terminal(terminal_table(report), 200)):
        assert "busy before the run" in text


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0.0214, "0.021"), (0.9996, "1.000"), (7.416, "7.42"), (31.36, "31.4"), (1234.5, "1,234")],
)
def test_milliseconds(value: float, expected: str) -> None:
    assert ms(value) == expected


def test_number() -> None:
    assert [number(value) for value in (0.004, 9.99, 10, 250.4)] == ["0.00", "9.99", "10.0", "250"]
