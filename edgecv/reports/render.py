"""Reports as files: report.json to keep, report.md to paste, report.html to look at."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import NamedTuple

import msgspec

from edgecv.errors import DataError, UsageError
from edgecv.files import write_text, writing
from edgecv.reports.pages import render_page, require_packages
from edgecv.reports.plots import plots
from edgecv.reports.schema import SCHEMA_VERSION, Report
from edgecv.reports.table import (
    ARTIFACT_COLUMNS,
    NONE,
    Column,
    columns,
    condition_rows,
    headlines,
    name,
    notes,
    plain,
    title,
)

JSON, MARKDOWN, HTML = "report.json", "report.md", "report.html"
TEMPLATE = "report.html.jinja"


class Written(NamedTuple):
    """The files of a report, and a sentence for the user when the page could not be made here."""

    paths: tuple[Path, ...]
    note: str | None


class _Row(NamedTuple):
    """One artifact in the page's table."""

    name: str
    engine: str
    fastest: bool
    cells: list[tuple[Column, str]]
    skipped: str | None


class _Versioned(msgspec.Struct):
    schema_version: int


def write_reports(report: Report, folder: Path) -> Written:
    """Write report.json, report.md and, where jinja2 and matplotlib are installed, report.html.

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
    return msgspec.json.format(msgspec.json.encode(report), indent=1).decode() + "\n"


def render_html(report: Report) -> str:
    """One page that needs nothing beside itself; raises UsageError when the `report` extra is missing."""
    require_packages(f"copy {JSON} to a machine that has them and run `edgecv report {JSON}`")
    return render_page(
        TEMPLATE,
        report=report,
        title=title(report),
        notes=notes(report),
        headlines=headlines(report),
        columns=_beside_name(report),
        groups=_groups(report),
        rows=_rows(report),
        plots=plots(report),
        conditions=condition_rows(report),
    )


def render_markdown(report: Report) -> str:
    shown = columns(report)
    lines = [f"# {_md(title(report))}", ""]
    lines += [f"- **{h.what}:** {_md(h.who)}, {h.value} ({h.detail})" for h in headlines(report)]
    lines += [f"- **Note:** {_md(note)}" for note in notes(report)]
    lines += ["", "| " + " | ".join(_md(f"{c.group} {c.heading}".strip()) for c in shown) + " |"]
    lines += ["|" + "|".join("---" if c.words else "---:" for c in shown) + "|"]
    for artifact in report.artifacts:
        if artifact.measured:
            cells = [_md(c.cell(artifact, artifact.measured)) for c in shown]
        else:
            cells = [artifact.format.value, artifact.precision.value, "skipped"] + [NONE] * (len(shown) - 3)
        lines += ["| " + " | ".join(cells) + " |"]
    skipped = [a for a in report.artifacts if a.skipped]
    lines += ["", *(f"- {name(a)} skipped: {_md(a.skipped)}" for a in skipped if a.skipped)]
    lines += ["", "## Conditions", "", "| | |", "|---|---|"]
    lines += [f"| {what} | {_md(value)} |" for what, value in condition_rows(report)]
    return "\n".join(lines).replace("\n\n\n", "\n\n") + "\n"


def _beside_name(report: Report) -> tuple[Column, ...]:
    """The page's columns: format, precision and engine are in the row's name, which stays in view."""
    return columns(report)[len(ARTIFACT_COLUMNS) :]


def _rows(report: Report) -> list[_Row]:
    fastest = next((line.who for line in headlines(report)), None)
    rows = []
    for a in report.artifacts:
        cells = [(c, c.cell(a, a.measured)) for c in _beside_name(report)] if a.measured else []
        engine = plain(a.measured.engine) if a.measured else ""
        rows.append(_Row(name(a), engine, name(a) == fastest, cells, plain(a.skipped) if a.skipped else None))
    return rows


def _groups(report: Report) -> list[tuple[str, int]]:
    """Neighbouring columns of one group, with their number."""
    neighbours = itertools.groupby(_beside_name(report), key=lambda column: column.group)
    return [(group, len(list(members))) for group, members in neighbours]


def _md(text: str) -> str:
    """Plain text in Markdown: neither a table's bar, nor HTML, nor emphasis or links of its own."""
    text = plain(text).replace("&", "&amp;").replace("<", "&lt;")
    for character in "\\|`*_[]":
        text = text.replace(character, "\\" + character)
    return " ".join(text.split())
