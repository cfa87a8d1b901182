"""What artifacts do on this machine, in numbers: measured, compared, chosen by."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from edgecv.api.bundles import PathLike, open_bundle, select_device
from edgecv.spec import Format, Precision

if TYPE_CHECKING:
    from edgecv.reports.render import Written
    from edgecv.reports.schema import Accuracy, Report


def bench(
    bundle: PathLike | None = None,
    device: str = "auto",
    format: Format | None = None,
    precision: Precision | None = None,
    threads: int | None = None,
    data: PathLike | None = None,
    out: PathLike | None = None,
    progress: Callable[[str, float], None] | None = None,
) -> tuple[Report, Written]:
    """Measure a bundle's artifacts on this machine and write the reports (default: ./edgecv-NAME-report)."""
    from edgecv.reports.bench import bench as measure
    from edgecv.reports.render import write_reports

    selected, opened = select_device(device, threads), open_bundle(bundle)
    artifacts = opened.select(format, precision)
    report = measure(opened, artifacts, selected, data=Path(data) if data else None, progress=progress)
    return report, write_reports(report, Path(out or f"edgecv-{opened.manifest.name}-report"))


def render(report: PathLike, out: PathLike | None = None) -> tuple[Report, Written]:
    """Write the reports of a report.json, perhaps from another board (default: beside it)."""
    from edgecv.reports.render import load_report, write_reports

    path = Path(report)
    loaded = load_report(path)
    return loaded, write_reports(loaded, Path(out) if out else path.parent)


def evaluate(
    bundle: PathLike | None,
    data: PathLike,
    device: str = "auto",
    format: Format | None = None,
    precision: Precision | None = None,
    threads: int | None = None,
    progress: Callable[[str, float], None] | None = None,
) -> tuple[Accuracy, ...]:
    """Top-1, top-5 and agreement with float of a bundle's artifacts on labelled pictures."""
    from edgecv.reports.accuracy import evaluate as score

    selected, opened = select_device(device, threads), open_bundle(bundle)
    return score(opened, opened.select(format, precision), Path(data), selected, progress)
