"""A comparison as files: compare.json to keep, compare.md to paste, compare.html to look at."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from edgecv.reports.compare import Comparison
from edgecv.reports.compare_plots import compare_plots
from edgecv.reports.compare_words import (
    INTERVAL,
    METHOD,
    find_row,
    marks,
    pair_cells,
    sheets,
    side_sheet,
    summary,
    title,
)
from edgecv.reports.gates import Failure, Gate, check
from edgecv.reports.pages import Written, render_page, require_packages, write_files
from edgecv.reports.sheets import Line, Sheet, markdown, markdown_sheet, text_column
from edgecv.reports.wording import INVALID, NONE, artifact_name, optional, plain, plural

JSON, MARKDOWN, HTML = "compare.json", "compare.md", "compare.html"
TEMPLATE = "compare.html.jinja"


class Finding(NamedTuple):
    """What comes first: good is whether the gates hold, None without gates."""

    good: bool | None
    headline: str
    line: str = ""


def write_comparison(comparison: Comparison, folder: Path, gates: Sequence[Gate] = ()) -> Written:
    """Write compare.json, compare.md and, where the `report` extra is installed, compare.html.

    gates: shown with what crosses them. Raises EdgecvError when the disk refuses.
    """
    texts = {JSON: comparison_json(comparison), MARKDOWN: comparison_markdown(comparison, gates)}
    return write_files(folder, texts, HTML, lambda: comparison_html(comparison, gates))


def comparison_json(comparison: Comparison) -> str:
    return msgspec.json.format(msgspec.json.encode(comparison), indent=1).decode() + "\n"


def finding(gates: Sequence[Gate], failures: Sequence[Failure]) -> Finding:
    """Whether the gates hold."""
    if not gates:
        return Finding(None, "What changed")
    crossed = list(dict.fromkeys(failure.gate for failure in failures))
    if not crossed:
        return Finding(True, "PASS", f"{plural(len(gates), 'gate')} held.")
    return Finding(False, "FAIL", f"{len(crossed)} of {plural(len(gates), 'gate')}: {', '.join(crossed)}.")


def gate_text(failure: Failure) -> str:
    """`latency_p90 > +5%: onnx:int8 in new.json: ...`"""
    return plain(f"{failure.gate}: {failure.message}")


def gate_sheet(comparison: Comparison, gates: Sequence[Gate], failures: Sequence[Failure]) -> Sheet:
    """A line for each failure, and one for each gate that held."""
    columns = [text_column(heading, words=True) for heading in ("Result", "Artifact", "Report")]
    columns += [text_column(heading) for heading in ("base", "new", "change")]
    columns.append(text_column(INTERVAL, words=True))
    names = [side.name for side in comparison.reports]
    lines = []
    for gate in gates:
        crossed = [failure for failure in failures if failure.gate == str(gate)]
        if not crossed:
            lines.append(Line(str(gate), ("held", *[NONE] * 6)))
        for failure in crossed:
            row = find_row(comparison, failure.artifact, gate.metric)
            numbers = [NONE] * 4 if row is None else pair_cells(row, names.index(failure.report))
            result = "not checked" if failure.new is None else "crossed"
            artifact = optional(failure.artifact, artifact_name)
            lines.append(Line(str(gate), (result, artifact, plain(failure.report), *numbers)))
    return Sheet("Gates", "", "Fails when", tuple(columns), tuple(lines))


def comparison_markdown(comparison: Comparison, gates: Sequence[Gate] = ()) -> str:
    failures = check(comparison, gates)
    found = finding(gates, failures)
    lines = [
        f"# {markdown(title(comparison))}",
        "",
        f"**{found.headline}** {markdown(found.line)}".rstrip(),
        "",
    ]
    lines += [f"- {markdown(line)}" for line in summary(comparison)]
    lines += [f"- **{INVALID}:** {markdown(mark)}" for mark in marks(comparison)]
    lines += markdown_sheet(gate_sheet(comparison, gates, failures)) if gates else []
    for sheet in (side_sheet(comparison), *sheets(comparison)):
        lines += markdown_sheet(sheet)
    if comparison.notes:
        lines += ["", "## What else differs", "", *(f"- {markdown(note)}" for note in comparison.notes)]
    return "\n".join([*lines, "", markdown(METHOD)]) + "\n"


def comparison_html(comparison: Comparison, gates: Sequence[Gate] = ()) -> str:
    """One page that needs nothing beside itself; raises UsageError when the `report` extra is missing."""
    require_packages(f"read {MARKDOWN}")
    failures = check(comparison, gates)
    return render_page(
        TEMPLATE,
        sortable=True,
        title=title(comparison),
        finding=finding(gates, failures),
        summary=summary(comparison),
        marks=marks(comparison),
        gates=gate_sheet(comparison, gates, failures) if gates else None,
        sides=side_sheet(comparison),
        plots=compare_plots(comparison),
        sheets=sheets(comparison),
        wide=len(comparison.reports) > 2,
        notes=comparison.notes,
        method=METHOD,
    )
