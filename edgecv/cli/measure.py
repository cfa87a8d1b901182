"""Numbers: bench, eval, verify and reports."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from edgecv.cli.options import bundle_options, json_option

if TYPE_CHECKING:
    pass


@click.command()
@bundle_options
@click.option("--data", type=click.Path(), help="Labelled pictures: adds accuracy to the report.")
@click.option("--out", "-o", type=click.Path(), help="Report folder.  [default: ./edgecv-NAME-report]")
def bench(**options: Any) -> None:
    """Measure every artifact of BUNDLE on this machine and write a report."""
    from edgecv import api
    from edgecv.show import measuring
    from edgecv.show.terminal import progress

    with progress() as shown:
        result, written = api.bench(**options, progress=shown.share)
    measuring.report(result, written)


@click.command("eval")
@bundle_options
@click.option("--data", type=click.Path(), required=True, help="Labelled pictures (labels.csv or folders).")
@json_option
def evaluate(as_json: bool, **options: Any) -> None:
    """Measure top-1, top-5 and agreement with float on labelled pictures."""
    from edgecv import api
    from edgecv.show import measuring
    from edgecv.show.terminal import progress

    with progress() as shown:
        rows = api.evaluate(**options, progress=shown.share)
    measuring.accuracies(rows, as_json)


@click.command()
@bundle_options
def verify(**options: Any) -> None:
    """Check BUNDLE's hashes and replay its golden samples in every engine here."""
    from edgecv import api
    from edgecv.show import measuring

    rows = api.verify(**options)
    measuring.replayed(rows)
    if not any(row.passed for row in rows) or any(row.passed is False for row in rows):
        raise SystemExit(1)


@click.command()
@click.argument("report", type=click.Path())
@click.option("--out", "-o", type=click.Path(), help="Folder to write.  [default: beside the JSON]")
def report(report: str, out: str | None) -> None:
    """Render a bench's report.json, perhaps from another board, as Markdown and HTML."""
    from edgecv import api
    from edgecv.show import measuring

    loaded, written = api.render(report, out)
    measuring.report(loaded, written)
