"""A conversion, and what is in a bundle."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from edgecv.show.terminal import cells_table, new_console, new_table, percent, print_notes

if TYPE_CHECKING:
    from rich.console import Console

    from edgecv.api.bundles import Inspected
    from edgecv.bundle import Artifact, Manifest
    from edgecv.converters.convert import Conversion

TRIED = ("Recipe", "Verdict", "Why", "Drop (95 % interval)", "Agree, %", "Latency, ms")
SENSITIVE = 10  # operations named without --operations


def conversion(done: Conversion) -> None:
    """The bundle's artifacts with how near each is to the float source, and where the time went."""
    from edgecv.reports.findings import arithmetic
    from edgecv.reports.wording import megabytes

    manifest = done.bundle.manifest
    labelled = any(artifact.verified and artifact.verified.labelled for artifact in manifest.artifacts)
    table = new_table("artifact", "size MB", "top-1 agreement", "SQNR dB", "largest error", numbers=4)
    if labelled:
        for name in ("top-1", "top-5", "points lost (95 % interval)"):
            table.add_column(name, justify="right")
    for artifact in manifest.artifacts:
        check = artifact.verified
        assert check is not None
        row = [
            str(artifact.kind),
            megabytes(artifact.bytes),
            f"{check.top1_agreement:.1%}",
            "exact" if check.sqnr_db is None else f"{check.sqnr_db:.1f}",
            f"{check.max_abs_error:.1e}",
        ]
        if labelled:
            row += [percent(check.top1), percent(check.top5), _lost(artifact)]
        table.add_row(*row)
    console = new_console()
    console.print(table)
    check = manifest.artifacts[0].verified
    if manifest.guarantee:
        _searches(console, manifest)
        _verdict(console, manifest)
        if check:
            console.print(f"Judged on {check.pictures}; {arithmetic(manifest)}.", soft_wrap=True)
    elif check:
        console.print(
            f"Each against the float source on {check.images} pictures ({check.pictures}), "
            f"in its own engine, {arithmetic(manifest)}."
        )
    spent = sorted(done.seconds.items(), key=lambda item: -item[1])
    parts = [f"{title} {seconds:.1f} s" for title, seconds in spent if seconds >= 0.5]
    console.print(f"Time: {sum(done.seconds.values()):.1f} s" + (f" ({', '.join(parts)})" if parts else ""))
    print_notes(done.notes)
    console.print(f"Bundle: {done.bundle.root}", soft_wrap=True)


def _verdict(console: Console, manifest: Manifest) -> None:
    from edgecv.reports.findings import verdict

    found = verdict(manifest)
    style = {True: "bold green", False: "bold red", None: "bold"}[found.good]
    console.print(f"{manifest.name}: {found.headline}", style=style, soft_wrap=True)
    for line in found.lines:
        console.print(line, soft_wrap=True)


def _searches(console: Console, manifest: Manifest) -> None:
    """The recipes that were tried under the bound, from the fastest to the safest of each artifact."""
    from edgecv.reports.findings import trial_cells

    for artifact in manifest.artifacts:
        if artifact.search:
            tried = trial_cells(artifact).only(*TRIED)
            console.print(cells_table(tried, f"{artifact.kind}, tried from the fastest to the safest"))


def _lost(artifact: Artifact) -> str:
    from edgecv.reports.findings import points_and_interval
    from edgecv.spec import Precision

    drop = artifact.verified.drop if artifact.verified else None
    if drop is None or artifact.precision is Precision.FP32:
        return ""
    return points_and_interval(drop)


def conversion_json(done: Conversion) -> dict[str, Any]:
    import msgspec

    return {
        "bundle": str(done.bundle.root),
        "manifest": msgspec.to_builtins(done.bundle.manifest),
        "seconds": {title: round(seconds, 3) for title, seconds in done.seconds.items()},
        "notes": done.notes,
    }


def inspected(found: Inspected, operations: bool, as_json: bool) -> None:
    """The verdict, the artifacts, their files, the search behind them, and how all of it was made."""
    import json

    from edgecv.reports import findings

    if as_json:
        click.echo(json.dumps(inspected_json(found), indent=2))
        return
    manifest, console = found.bundle.manifest, new_console()
    _verdict(console, manifest)
    console.print(cells_table(findings.artifact_cells(found.artifacts)))
    console.print(cells_table(findings.file_cells(found.contents)))
    for row in found.contents:
        if row.unread:
            console.print(f"{row.kind}: {row.unread}", soft_wrap=True)
        elif operations:
            console.print(cells_table(findings.operation_cells(row.operations), row.kind))
    for artifact in found.artifacts:
        if artifact.search:
            tried = findings.trial_cells(artifact).only(*TRIED)
            console.print(cells_table(tried, f"{artifact.kind}, what was tried"))
    if manifest.sensitivity:
        most = None if operations else SENSITIVE
        console.print(cells_table(findings.sensitivity_cells(manifest, most), "Sensitivity to int8"))
    for what, value in findings.condition_rows(manifest):
        console.print(f"{what}: {value}", soft_wrap=True)


def inspected_json(found: Inspected) -> dict[str, Any]:
    import msgspec

    from edgecv.converters.inspect import contents_json
    from edgecv.reports.findings import verdict

    manifest = found.bundle.manifest
    kept = msgspec.structs.replace(manifest, artifacts=found.artifacts)
    return {
        "bundle": str(found.bundle.root),
        "verdict": verdict(manifest)._asdict(),
        "manifest": msgspec.to_builtins(kept),
        "files": contents_json(found.contents),
    }
