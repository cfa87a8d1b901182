"""The benchmark report's figures: precisions are filled or open, stages are hatched."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from edgecv.reports.figures import (
    FORMAT_COLOURS,
    FORMAT_MARKERS,
    INK,
    PAPER,
    SOFT,
    STAGES,
    STYLE,
    Plot,
    dots,
    height,
    new_figure,
    note,
    room,
    rows_figure,
    svg,
)
from edgecv.reports.schema import ArtifactReport, Measured, Report
from edgecv.reports.table import ms, name, number
from edgecv.spec import Precision

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DOTS = 300  # of the samples, by rank; more cannot be seen

Row = tuple[ArtifactReport, Measured]


def plots(report: Report) -> tuple[Plot, ...]:
    """The figures of what was measured, fastest artifact first; none when nothing was."""
    import matplotlib

    rows = [(a, a.measured) for a in report.artifacts if a.measured]
    rows.sort(key=lambda row: row[1].inference.p50_ms)
    if not rows:
        return ()
    with matplotlib.rc_context(STYLE):
        found = [
            Plot(
                "Latency",
                "Every inference as a dot. Bar and number: p50; thin bar: p99.",
                svg(_latency(rows), "latency"),
            ),
            Plot("Where a frame's time goes", "p50 of each stage.", svg(_stages(rows), "stages")),
            Plot("Size on disk", "All files of the artifact.", svg(_sizes(rows), "sizes")),
        ]
        scored = [row for row in rows if row[0].accuracy]
        if scored:
            caption = "Up and left is better. Open is fp32, filled what is smaller."
            found.insert(2, Plot("Accuracy against latency", caption, svg(_tradeoff(scored), "tradeoff")))
    return tuple(found)


def _latency(rows: Sequence[Row]) -> Figure:
    figure, axes = rows_figure([name(artifact) for artifact, _ in rows])
    for y, (artifact, run) in enumerate(rows):
        ordered = sorted(run.inference_ms)
        shown = [ordered[i * len(ordered) // DOTS] for i in range(DOTS)] if len(ordered) > DOTS else ordered
        # A golden-ratio sequence spreads the dots over the row evenly, and the same way every time.
        heights = [y - 0.27 + 0.54 * (i * 0.618033988749895 % 1) for i in range(len(shown))]
        colour = FORMAT_COLOURS[artifact.format]
        dots(axes, shown, heights, colour)
        axes.plot([run.inference.p50_ms] * 2, [y - 0.38, y + 0.38], color=INK, linewidth=2.2)
        axes.plot([run.inference.p99_ms] * 2, [y - 0.24, y + 0.24], color=INK, linewidth=1.2)
        note(axes, max(run.inference.p99_ms, shown[-1]), y, f"{ms(run.inference.p50_ms)} ms")
    axes.set_xlabel("inference, ms")
    room(axes, max(max(run.inference_ms) for _, run in rows))
    return figure


def _stages(rows: Sequence[Row]) -> Figure:
    figure, axes = rows_figure([name(artifact) for artifact, _ in rows])
    for y, (_, run) in enumerate(rows):
        left = 0.0
        for stage, colour, hatch in STAGES:
            width = getattr(run, stage).p50_ms
            label = stage if y == 0 else None
            axes.barh(y, width, 0.6, left, color=colour, hatch=hatch, label=label, linewidth=0)
            left += width
        note(axes, left, y, f"{ms(run.total.p50_ms)} ms · {number(run.fps)} FPS")
    axes.set_xlabel("one frame, ms")
    room(axes, max(run.total.p50_ms for _, run in rows), 1.42)
    figure.legend(loc="outside upper left", ncols=3, frameon=False, handlelength=1.6, columnspacing=1.4)
    return figure


def _sizes(rows: Sequence[Row]) -> Figure:
    figure, axes = rows_figure([name(artifact) for artifact, _ in rows])
    for y, (artifact, _) in enumerate(rows):
        mib = artifact.file_bytes / 2**20
        filled = artifact.precision is not Precision.FP32
        colour = FORMAT_COLOURS[artifact.format]
        axes.barh(y, mib, 0.6, facecolor=colour if filled else "none", edgecolor=colour, linewidth=1.4)
        note(axes, mib, y, f"{number(mib)} MiB")
    axes.set_xlabel("MiB; open is fp32, filled what is smaller")
    room(axes, max(artifact.file_bytes for artifact, _ in rows) / 2**20)
    return figure


def _tradeoff(rows: Sequence[Row]) -> Figure:
    figure, axes = new_figure(height(len(rows)))
    for artifact, run in sorted(rows, key=lambda row: (row[0].precision.value, row[0].format.value)):
        assert artifact.accuracy is not None
        colour = FORMAT_COLOURS[artifact.format]
        axes.plot(
            run.inference.p50_ms,
            100 * artifact.accuracy.top1,
            FORMAT_MARKERS[artifact.format],
            color=colour,
            markerfacecolor=colour if artifact.precision is not Precision.FP32 else PAPER,
            markersize=9,
            markeredgewidth=1.8,
            label=name(artifact),
        )
    axes.grid(linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", labelcolor=SOFT)
    axes.set_xlabel("p50 inference, ms")
    axes.set_ylabel("top-1, %")
    axes.margins(y=0.2)
    room(axes, max(run.inference.p50_ms for _, run in rows))
    # A legend, since names beside the points would run into one another: fp32 artifacts score alike.
    figure.legend(loc="outside upper left", ncols=2, frameon=False, columnspacing=2)
    return figure
