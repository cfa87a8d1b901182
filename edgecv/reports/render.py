"""Reports as files: report.json to keep, report.md to paste, report.html to look at."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import msgspec

from edgecv.errors import DataError
from edgecv.reports.facts import condition_rows, headlines, notes, ruling, title
from edgecv.reports.page_accuracy import accuracy_sheet, class_sheets, robustness_sheet
from edgecv.reports.page_sheets import operation_sheets, operations_said, scenario_sheets, sustained_sheet
from edgecv.reports.pages import Written, render_page, require_packages, write_files
from edgecv.reports.plots import plots
from edgecv.reports.schema import SCHEMA_VERSION, Report
from edgecv.reports.sheets import markdown, markdown_row, markdown_sheet
from edgecv.reports.table import summary
from edgecv.reports.wording import INVALID, plain

JSON, MARKDOWN, HTML = "report.json", "report.md", "report.html"
TEMPLATE = "report.html.jinja"
LINE = 240  # characters of JSON that still read well on one line


class _Versioned(msgspec.Struct):
    schema_version: int


def write_reports(report: Report, folder: Path) -> Written:
    """Write report.json, report.md and, where the `report` extra is installed, report.html.

    Older reports in `folder` are replaced, other files are left alone.
    Raises EdgecvError when the disk refuses.
    """
    texts = {JSON: render_json(report), MARKDOWN: render_markdown(report)}
    return write_files(folder, texts, HTML, lambda: render_html(report))


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
    except RecursionError as error:
        raise DataError(f"{path}: objects within objects, too deep for a report") from error


def render_json(report: Report) -> str:
    text = _readable(msgspec.to_builtins(report)) + "\n"
    return text.encode(errors="replace").decode()  # a path in it may be no Unicode


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
        operations_said=operations_said(report),
        accuracy=accuracy_sheet(report),
        classes=class_sheets(report),
        robustness=robustness_sheet(report),
        conditions=condition_rows(report),
        rule=plain(report.rule).replace("`", ""),
    )


def render_markdown(report: Report) -> str:
    said = ruling(report)
    lines = [f"# {markdown(title(report))}", "", f"**{said.headline}.** {markdown(said.line)}", ""]
    lines += [f"- **{markdown(who)}:** {markdown(reason)}" for who, reason in said.reasons]
    lines += [f"- **Warning:** {markdown(warning)}" for warning in said.warnings]
    lines += [""] if said.reasons or said.warnings else []
    for h in headlines(report):
        who = h.who if h.valid else f"{h.who} ({INVALID})"
        lines.append(f"- **{h.what}:** {markdown(who)}, {h.value} ({markdown(h.detail)})")
    lines += [f"- **Note:** {markdown(note)}" for note in notes(report)]
    found = [summary(report), *scenario_sheets(report), sustained_sheet(report)]
    found += [accuracy_sheet(report), robustness_sheet(report)]
    for sheet in filter(None, found):
        lines += markdown_sheet(sheet)
    if operations := operation_sheets(report):
        lines += ["", "## Operations", "", markdown(operations_said(report))]
    for sheet in operations:
        lines += markdown_sheet(sheet._replace(title=f"Operations of {sheet.title}"))
    lines += ["", "## Conditions", "", "| | |", "|---|---|", *map(markdown_row, condition_rows(report))]
    return "\n".join([*lines, "", "## Rule", "", markdown(report.rule)]) + "\n"
