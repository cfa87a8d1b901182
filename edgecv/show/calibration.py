"""Calibration pictures: what was found in them, what was gathered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from edgecv.show.terminal import new_console, new_table, print_notes

if TYPE_CHECKING:
    from edgecv.api.calibration import Checked
    from edgecv.converters.collect import Collected


def checked(done: Checked, as_json: bool) -> None:
    """What the doctor found, a row a finding, then the verdicts."""
    import json

    if as_json:
        click.echo(json.dumps(checked_json(done), indent=2))
        return
    report, console = done.report, new_console()
    if report.findings:
        table = new_table("finding", "", "what", "where", "what to do", numbers=0)
        for finding in report.findings:
            table.add_row(
                finding.check.value,
                "left out" if finding.dropped else "said",
                finding.what,
                finding.where,
                finding.advice,
            )
        console.print(table)
    varied = "" if report.variety is None else f", as varied as {report.variety:.1f} different ones"
    console.print(f"{report.usable} of {report.seen} pictures are fit to calibrate on{varied}.")
    if done.ranges:
        console.print(f"{str(done.ranges)[0].upper()}{str(done.ranges)[1:]}.", soft_wrap=True)
    print_notes(done.notes)


def checked_json(done: Checked) -> dict[str, Any]:
    import msgspec

    report = done.report
    ranges = done.ranges and {**msgspec.to_builtins(done.ranges), "stable": done.ranges.stable}
    return {**msgspec.to_builtins(report), "enough": report.enough, "ranges": ranges, "notes": done.notes}


def collected(done: Collected) -> None:
    """One line of what was seen, kept and left out, and one of why it ended early."""
    from edgecv.converters.collect import Ended

    left_out = ", ".join(f"{count} {check.value}" for check, count in done.dropped.items())
    there = f" ({done.before + done.kept} there now)" if done.before else ""
    click.echo(
        f"{done.seen} frames seen, {done.kept} kept in {done.folder}{there}"
        + (f"; left out: {left_out}" if left_out else "")
    )
    if done.ended is not Ended.DONE:
        print_notes([f"{done.kept} of {done.wanted} frames: {done.ended.value}; {done.advice}"])
