"""The benchmark report's figures by section: float is open, what is INVALID hollow or hatched."""

from __future__ import annotations

from collections.abc import Callable

from edgecv.reports import plots_accuracy, plots_latency, plots_time
from edgecv.reports.facts import valid
from edgecv.reports.figures import STYLE, Plot
from edgecv.reports.plots_row import Row
from edgecv.reports.schema import Report


def plots(report: Report) -> dict[str, tuple[Plot, ...]]:
    """The figures of each section, fastest artifact first; those without data are left out."""
    import matplotlib

    rows = [Row(a, a.measured, valid(report, a)) for a in report.artifacts if a.measured]
    rows.sort(key=lambda row: row.p50_ms)
    sections: dict[str, tuple[Callable[[], Plot | None], ...]] = {
        "latency": (
            lambda: plots_latency.distributions(rows),
            lambda: plots_latency.tradeoff(rows),
            lambda: plots_time.turns(rows),
            lambda: plots_time.warmup(rows),
            lambda: plots_latency.stages(rows),
            lambda: plots_latency.sizes(rows),
        ),
        "sustained": (lambda: plots_time.sustained(rows), lambda: plots_time.meanwhile(rows)),
        "accuracy": (lambda: plots_accuracy.losses(rows), lambda: plots_accuracy.calibration(report, rows)),
        "robustness": (lambda: plots_accuracy.robustness(rows), lambda: plots_accuracy.overall(rows)),
        "conditions": (lambda: plots_time.timeline(report.conditions),),
    }
    with matplotlib.rc_context(STYLE):
        return {
            section: tuple(plot for draw in draws if (plot := draw()) is not None)
            for section, draws in sections.items()
        }
