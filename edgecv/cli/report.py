"""What is made of measurements: pages, comparisons, gates, fleets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from edgecv.cli.options import json_option

GATE_CROSSED = 1


class _Reports(click.Group):
    """`edgecv report FILE` is short for `edgecv report render FILE`."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        if args and args[0] not in self.commands and Path(args[0]).suffix == ".json":
            args = ["render", *args]
        return super().resolve_command(ctx, args)


@click.group(cls=_Reports)
def report() -> None:
    """Render, compare and merge the report.json files of benches."""


reports_argument = click.argument(
    "reports", nargs=-1, required=True, type=click.Path(), metavar="REPORT.json..."
)


@report.command("render")
@click.argument("report", type=click.Path(), metavar="REPORT.json")
@click.option("--out", "-o", type=click.Path(), help="Folder to write.  [default: beside the JSON]")
def report_render(report: str, out: str | None) -> None:
    """Write Markdown and HTML of a report.json, perhaps from another board."""
    from edgecv import api
    from edgecv.show import measuring

    loaded, written = api.render(report, out)
    measuring.report(loaded, written)


@report.command("compare")
@reports_argument
@click.option(
    "--fail-if",
    multiple=True,
    metavar="GATE",
    help='Exit with 1 when crossed, as "latency_p90 > +5%" or "top1 < -0.5"; repeatable.',
)
@click.option("--force", is_flag=True, help="INVALID reports, too; they are marked.")
@click.option("--out", "-o", type=click.Path(), help="Folder for compare.json, .md and .html.")
@json_option
def report_compare(reports: tuple[str, ...], as_json: bool, **asked: Any) -> None:
    """Hold reports against the first: differences, their intervals, and gates for CI."""
    from edgecv import api
    from edgecv.show import measuring

    found, failures, written = api.compare(reports, **asked)
    measuring.compared(found, failures, written, as_json)
    if failures:
        raise SystemExit(GATE_CROSSED)


@report.command("merge")
@reports_argument
@click.option(
    "--force",
    is_flag=True,
    help="A board's best may be INVALID; it is marked. Listed is every artifact anyhow.",
)
@click.option(
    "--out", "-o", default="edgecv-fleet", show_default=True, type=click.Path(), help="Folder to write."
)
def report_merge(reports: tuple[str, ...], out: str, force: bool) -> None:
    """Put the reports of many boards on one page."""
    from edgecv import api
    from edgecv.show import measuring

    measuring.merged(*api.merge(reports, out, force=force))
