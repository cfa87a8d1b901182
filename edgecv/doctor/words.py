"""A diagnosis as a person or a program reads it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import msgspec

from edgecv.devices.health import State
from edgecv.doctor import Diagnosis

if TYPE_CHECKING:
    from rich.console import Group

# The mark says it without the colour.
MARKS = {
    State.OK: ("✓", "green"),
    State.WARNING: ("!", "yellow"),
    State.PROBLEM: ("✗", "bold red"),
    State.UNKNOWN: ("?", "dim"),
}
NOUNS = {State.PROBLEM: "problem", State.WARNING: "warning", State.UNKNOWN: "unknown"}


def text(diagnosis: Diagnosis) -> Group:
    """For rich: a heading a group, a line a finding with its remedy below, and the sum of it."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    width = max(len(finding.subject) for finding in diagnosis.findings)
    parts: list[Any] = []
    for group in diagnosis.groups:
        parts.append(Text(group.title, style="bold"))
        table = Table.grid(padding=(0, 1))
        table.add_column(width=2, justify="right")
        table.add_column(width=width)
        table.add_column(overflow="fold")
        subject = ""
        for finding in group.findings:
            mark, style = MARKS[finding.state]
            name = "" if finding.subject == subject else finding.subject
            subject = finding.subject
            table.add_row(Text(mark, style=style), name, Text(finding.what))
            if finding.remedy:
                table.add_row("", "", Text(f"→ {finding.remedy}", style="cyan"))
        parts += [table, Text("")]
    return Group(*parts, Text(verdict(diagnosis), style="bold green" if diagnosis.ok else "bold red"))


def verdict(diagnosis: Diagnosis) -> str:
    counts = Counter(finding.state for finding in diagnosis.findings)
    parts = [
        f"{counts[state]} {noun}{_plural(state, counts[state])}"
        for state, noun in NOUNS.items()
        if counts[state]
    ]
    listed = f" ({', '.join(parts)})" if parts else ""
    return ("Nothing here stops `edgecv run`" if diagnosis.ok else "`edgecv run` would not run here") + listed


def as_json(diagnosis: Diagnosis) -> dict[str, Any]:
    """`ok`, and `findings` with the group each is in."""
    findings = [
        {"group": group.title, **msgspec.to_builtins(finding)}
        for group in diagnosis.groups
        for finding in group.findings
    ]
    return {"ok": diagnosis.ok, "findings": findings}


def _plural(state: State, count: int) -> str:
    return "s" if count > 1 and state is not State.UNKNOWN else ""
