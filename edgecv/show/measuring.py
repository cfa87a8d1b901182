"""Measurements: reports, choices, comparisons, accuracy."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgecv.show.terminal import new_console, new_table, print_notes, print_whole

if TYPE_CHECKING:
    from edgecv.remote.bench import Away, Cleaned
    from edgecv.reports.accuracy import Evaluation
    from edgecv.reports.compare import Comparison
    from edgecv.reports.fleet import Fleet
    from edgecv.reports.gates import Failure
    from edgecv.reports.pages import Written
    from edgecv.reports.schema import Report
    from edgecv.reports.tune import Tuning
    from edgecv.reports.tune_candidates import Candidate
    from edgecv.runtime.replay import Replayed

SHOWN = 12  # candidates of tune; all are in --json


def report(result: Report, written: Written) -> None:
    from edgecv.reports.table import terminal_table

    print_whole(terminal_table(result))
    _written(written)


def away(done: Away) -> None:
    print_notes([*done.notes, f"kept on {done.where}: {done.cache} (--clean removes it)"])


def cleaned(host: str, done: Cleaned) -> None:
    click.echo(f"Deleted {done.cache} on {host}: {done.freed_mb} MB")


def compared(found: Comparison, failures: Sequence[Failure], written: Written | None, as_json: bool) -> None:
    from edgecv.reports.compare_pages import comparison_json, gate_text
    from edgecv.reports.compare_words import terminal_tables

    if as_json:
        click.echo(comparison_json(found), nl=False)
    else:
        for table in terminal_tables(found):
            print_whole(table)
        if written:
            _written(written)
    for failure in failures:
        click.echo(gate_text(failure), err=True)


def merged(fleet: Fleet, written: Written) -> None:
    click.echo(f"{len(fleet.boards)} report{'s' * (len(fleet.boards) != 1)}")
    _written(written)


def accuracies(found: Evaluation, as_json: bool) -> None:
    from edgecv.reports.accuracy import eval_json
    from edgecv.reports.table import accuracy_table, robustness_table

    if as_json:
        click.echo(eval_json(found))
        return
    print_whole(accuracy_table(found.accuracies))
    if found.robustness:
        print_whole(robustness_table(found.robustness))


def tuned(done: Tuning, path: Path | None, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(tuned_json(done, path), indent=2))
        return
    console = new_console()
    table = new_table("candidate", done.objective.heading, "loses", "", numbers=0)
    table.columns[1].justify = "right"
    for one in done.candidates[:SHOWN]:
        mark = "chosen" if one is done.winner else one.out
        table.add_row(one.name, done.objective.text(one.cost) if one.costs else "", _points(one), mark)
    console.print(table)
    more = len(done.candidates) - SHOWN
    if more > 0:
        console.print(f"and {more} more; --json lists them.")
    for kind, reason in done.excluded:
        console.print(f"{kind} was left out: {reason}", soft_wrap=True)
    console.print(done.tuned.why, style="bold", soft_wrap=True)
    print_notes([f"{warning} The choice may be another on a quiet board." for warning in done.warnings])
    if done.warnings and not path:
        print_notes(["so nothing was saved: tune again when it is quiet, or save it with --force"])
    kept = f"Saved for `edgecv run`: {path}" if path else "Nothing was saved"
    console.print(f"{kept}. It took {done.seconds:.0f} s.", soft_wrap=True)


def tuned_json(done: Tuning, path: Path | None) -> dict[str, object]:
    import msgspec

    return {
        "choice": msgspec.to_builtins(done.tuned),
        "saved": str(path) if path else None,
        "seconds": round(done.seconds, 1),
        "candidates": [
            {
                "artifact": str(one.artifact.kind),
                "threads": one.options.threads,
                "variant": one.options.variant,
                "engine": one.engine,
                done.objective.key: done.objective.number(one.cost) if one.costs else None,
                "points_lost": one.loss.points,
                "rounds": one.rounds,
                "out": one.out,
            }
            for one in done.candidates
        ],
        "warnings": done.warnings,
        "excluded": {str(kind): reason for kind, reason in done.excluded},
    }


def forgotten(found: bool) -> None:
    said = "Forgotten: `edgecv run` follows the profile again" if found else "There was no choice to forget"
    click.echo(said)


def replayed(rows: Sequence[Replayed]) -> None:
    table = new_table("artifact", "engine", "golden samples", "", numbers=0)
    for row in rows:
        verdict = {True: "pass", False: "FAIL", None: "not run"}[row.passed]
        table.add_row(row.artifact, row.engine, verdict, row.message)
    new_console().print(table)


def _points(candidate: Candidate) -> str:
    points = candidate.loss.points
    return "" if points is None else f"{points:.1f} points"


def _written(written: Written) -> None:
    print_notes([written.note] if written.note else [])
    for path in written.paths:
        new_console().print(f"Wrote {path}", soft_wrap=True)
