"""Reports as files: report.json to keep, report.md to paste, report.html to look at."""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from edgecv.errors import DataError, UsageError
from edgecv.files import write_text, writing
from edgecv.reports.facts import condition_rows, headlines, notes, ruling, title
from edgecv.reports.page_accuracy import accuracy_sheet, class_sheets, robustness_sheet
from edgecv.reports.page_sheets import operation_sheets, scenario_sheets, sustained_sheet
from edgecv.reports.pages import render_page, require_packages
from edgecv.reports.plots import plots
from edgecv.reports.schema import SCHEMA_VERSION, Report
from edgecv.reports.table import Line, Sheet, summary
from edgecv.reports.wording import INVALID, NONE, plain

JSON, MARKDOWN, HTML = "report.json", "report.md", "report.html"
TEMPLATE = "report.html.jinja"
LINE = 240  # characters of JSON that still read well on one line


class Written(NamedTuple):
    """The files of a report, and a sentence for the user when the page could not be made here."""

    paths: tuple[Path, ...]
    note: str | None


class _Versioned(msgspec.Struct):
    schema_version: int


def write_reports(report: Report, folder: Path) -> Written:
    """Write report.json, report.md and, where the `report` extra is installed, report.html.

    Older reports in `folder` are replaced, other files are left alone.
    Raises EdgecvError when the disk refuses.
    """
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    note, html = None, None
    try:
        html = render_html(report)
    except UsageError as error:
        note = f"no {HTML}: {error}"
        with writing(folder / HTML):
            (folder / HTML).unlink(missing_ok=True)  # it would show the numbers of an older run
    texts = {JSON: render_json(report), MARKDOWN: render_markdown(report), HTML: html}
    written = {folder / file: text for file, text in texts.items() if text is not None}
    for path, text in written.items():
        write_text(path, text)
    return Written(tuple(written), note)


def load_report(path: Path) -> Report:
    """Read a report.json; raises DataError, which names the file and the key."""
    try:
        text = path.read_bytes()
        version = msgspec.json.decode(text, type=_Versioned).schema_version
        if version != SCHEMA_VERSION:
            raise DataError(
                f"{path}: schema_version {version}, this edgecv reads {SCHEMA_VERSION}; "
                + ("upgrade edgecv" if version > SCHEMA_VERSION else "run `edgecv bench` again")
            )
        return msgspec.json.decode(text, type=Report)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: {error}") from error


def render_json(report: Report) -> str:
    return _readable(msgspec.to_builtins(report)) + "\n"


def render_schema() -> str:
    """The JSON schema (2020-12) of report.json, with what the code says of each object."""
    schema = msgspec.json.schema(Report)
    for definition in schema["$defs"].values():
        if "description" in definition:  # Python 3.13 takes the indentation off, others do not
            definition["description"] = inspect.cleandoc(definition["description"])
    return _readable(schema) + "\n"


def _readable(node: Any, margin: str = "\n") -> str:
    """JSON that is indented down to what fits into a line, and to lists and objects of plain values."""
    flat = json.dumps(node, ensure_ascii=False)
    values = node.values() if isinstance(node, dict) else node if isinstance(node, (list, tuple)) else ()
    if len(flat) <= LINE or not any(isinstance(value, (dict, list, tuple)) for value in values):
        return flat
    inner = margin + " "
    if isinstance(node, dict):
        parts = [f"{json.dumps(key)}: {_readable(value, inner)}" for key, value in node.items()]
        return "{" + inner + ("," + inner).join(parts) + margin + "}"
    return "[" + inner + ("," + inner).join(_readable(value, inner) for value in node) + margin + "]"


def render_html(report: Report) -> str:
    """One page that needs nothing beside itself; raises UsageError when the `report` extra is missing."""
    require_packages(f"copy {JSON} to a machine that has them and run `edgecv report {JSON}`")
    return render_page(
        TEMPLATE,
        sortable=True,
        report=report,
        title=title(report),
        ruling=ruling(report),
        notes=notes(report),
        headlines=headlines(report),
        summary=summary(report),
        plots=plots(report),
        scenarios=scenario_sheets(report),
        sustained=sustained_sheet(report),
        operations=operation_sheets(report),
        accuracy=accuracy_sheet(report),
        classes=class_sheets(report),
        robustness=robustness_sheet(report),
        conditions=condition_rows(report),
        rule=plain(report.rule).replace("`", ""),
    )


def render_markdown(report: Report) -> str:
    said = ruling(report)
    lines = [f"# {_md(title(report))}", "", f"**{said.headline}.** {_md(said.line)}", ""]
    lines += [f"- **{_md(who)}:** {_md(reason)}" for who, reason in said.reasons]
    lines += [f"- **Warning:** {_md(warning)}" for warning in said.warnings]
    lines += [""]
    for h in headlines(report):
        who = h.who if h.valid else f"{h.who} ({INVALID})"
        lines.append(f"- **{h.what}:** {_md(who)}, {h.value} ({_md(h.detail)})")
    lines += [f"- **Note:** {_md(note)}" for note in notes(report)]
    lines += _sheet(summary(report), "")
    for sheet in scenario_sheets(report):
        lines += _sheet(sheet, sheet.title)
    for heading, found in (
        ("Sustained", sustained_sheet(report)),
        ("Accuracy", accuracy_sheet(report)),
        ("Robustness", robustness_sheet(report)),
    ):
        lines += _sheet(found, heading) if found else []
    for sheet in operation_sheets(report):
        lines += _sheet(sheet, f"Operations of {sheet.title}")
    lines += ["", "## Conditions", "", "| | |", "|---|---|"]
    lines += [f"| {what} | {_md(value)} |" for what, value in condition_rows(report)]
    lines += ["", "## Rule", "", _md(report.rule)]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)) + "\n"


def _sheet(sheet: Sheet, heading: str) -> list[str]:
    lines = ["", f"## {_md(heading)}"] if heading else []
    lines += ["", _md(sheet.note), ""]
    if not sheet.lines:
        return lines
    headings = [sheet.first, *(f"{c.group} {c.heading}".strip() for c in sheet.columns)]
    lines += ["| " + " | ".join(map(_md, headings)) + " |"]
    lines += ["|---|" + "|".join("---" if c.words else "---:" for c in sheet.columns) + "|"]
    lines += ["| " + " | ".join(map(_md, _cells(line, len(sheet.columns)))) + " |" for line in sheet.lines]
    return [*lines, "", *(f"- {_md(line.name)} {_md(line.instead)}" for line in sheet.lines if line.instead)]


def _cells(line: Line, count: int) -> list[str]:
    """A row's cells, its name first, with the mark in it."""
    name = f"{line.name} ({', '.join(filter(None, (line.mark, line.below)))})"
    name = name if line.mark or line.below else line.name
    return [name, *(["skipped", *[NONE] * (count - 1)] if line.instead else line.cells)]


def _md(text: str) -> str:
    """Plain text in Markdown: neither a table's bar, nor HTML, nor emphasis or links of its own."""
    text = plain(text).replace("&", "&amp;").replace("<", "&lt;")
    for character in "\\|`*_[]":
        text = text.replace(character, "\\" + character)
    return " ".join(text.split())
