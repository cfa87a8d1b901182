"""Measurements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from edgecv.show.terminal import new_console, new_table, print_notes

if TYPE_CHECKING:
    from edgecv.reports.render import Written
    from edgecv.reports.schema import Accuracy, Report
    from edgecv.runtime.replay import Replayed


def report(result: Report, written: Written) -> None:
    from edgecv.reports.table import terminal_table

    console = new_console()
    console.print(terminal_table(result))
    print_notes([written.note] if written.note else [])
    for path in written.paths:
        console.print(f"Wrote {path}", soft_wrap=True)


def accuracies(rows: Sequence[Accuracy], as_json: bool) -> None:
    from edgecv.reports.accuracy import eval_json
    from edgecv.reports.table import accuracy_table

    if as_json:
        click.echo(eval_json(rows))
    else:
        new_console().print(accuracy_table(rows))


def replayed(rows: Sequence[Replayed]) -> None:
    table = new_table("artifact", "engine", "golden samples", "", numbers=0)
    for row in rows:
        verdict = {True: "pass", False: "FAIL", None: "not run"}[row.passed]
        table.add_row(row.artifact, row.engine, verdict, row.message)
    new_console().print(table)
