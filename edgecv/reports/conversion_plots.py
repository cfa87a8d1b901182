"""The figures of a conversion's page: what each artifact loses, and which operations cost it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from edgecv.bundle import Manifest, Sensitivity
from edgecv.reports.figures import (
    BAD,
    INK,
    STYLE,
    Plot,
    height,
    note,
    room,
    rows_figure,
    svg,
)
from edgecv.reports.findings import in_points, reduced_artifacts, sqnr
from edgecv.reports.plots_accuracy import drops
from edgecv.reports.wording import plain, tail

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST = 12  # operations shown: the others cost less
NAME = 26  # characters of their names


def conversion_plots(manifest: Manifest) -> tuple[Plot, ...]:
    """Drops with their intervals, and the sensitivity of operations, each where it was measured."""
    import matplotlib

    found = []
    lost = [
        (f"{a.format.value} {a.precision.value}", a.format, a.verified.drop)
        for a in reduced_artifacts(manifest)
        if a.verified and a.verified.drop
    ]
    worst = [s for s in manifest.sensitivity if s.sqnr_db is not None][:MOST]
    with matplotlib.rc_context(STYLE):
        if lost:
            bound = manifest.guarantee.max_drop if manifest.guarantee else None
            caption = "Mark: measured. Line: 95 % interval"
            caption += f"; dashed: the {in_points(bound)} allowed." if bound is not None else "."
            kind = "Accuracy lost" if lost[0][2].basis == "labels" else "Answers changed"
            found.append(Plot(f"{kind} against float", caption, svg(drops(lost, bound), "drops")))
        if worst:
            caption = "Error of the logits, in % of their size, when this operation alone is int8."
            found.append(Plot("Most sensitive operations", caption, svg(_sensitivity(worst), "sensitivity")))
    return tuple(found)


def _sensitivity(rows: Sequence[Sensitivity]) -> Figure:
    names = [tail(plain(s.name), NAME) for s in rows]
    figure, axes = rows_figure(names, max(22 * len(rows) + 60, height(1)))
    percent = [100 * 10 ** (-(s.sqnr_db or 0.0) / 20) for s in rows]
    for y, (s, value) in enumerate(zip(rows, percent, strict=True)):
        axes.barh(y, value, 0.62, color=BAD, alpha=0.85, linewidth=0)
        note(axes, value, y, f"{sqnr(s.sqnr_db)} dB")
    axes.set_xlabel("error of the logits, %")
    axes.tick_params(axis="y", labelcolor=INK, labelsize=10)
    room(axes, max(percent))
    return figure
