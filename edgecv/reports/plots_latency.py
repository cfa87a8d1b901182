"""Figures of how long it takes: distributions, latency against accuracy, and a frame's stages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from edgecv.reports.figures import (
    BAD,
    FORMAT_MARKERS,
    INK,
    LINE,
    PAPER,
    SOFT,
    STAGES,
    Plot,
    dots,
    height,
    legend,
    name_rows,
    new_figure,
    note,
    rings,
    room,
    rows_figure,
    svg,
)
from edgecv.reports.wording import ms, number
from edgecv.statistics import share_interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from edgecv.reports.plots_row import Row

DOTS = 300  # of the samples, by rank; more cannot be seen


def distributions(rows: Sequence[Row]) -> Plot | None:
    """Every inference as a dot, over the artifact's p50, so that slow and fast ones compare."""
    if not rows:
        return None
    limit = max(row.run.inference.p99_ms / row.p50_ms for row in rows)
    least = min(min(row.run.inference_ms) / row.p50_ms for row in rows)
    edge = limit + 0.15 * (limit - least)
    figure, axes = rows_figure([row.heading for row in rows], height(len(rows)) + 8 * len(rows))
    name_rows(axes, [row.valid for row in rows])
    late = 0
    for y, row in enumerate(rows):
        ratios = np.sort(row.run.inference_ms) / row.p50_ms
        late += int((ratios > edge).sum())
        shown = ratios[np.arange(DOTS) * len(ratios) // DOTS] if len(ratios) > DOTS else ratios
        shown = shown[shown <= edge]
        (dots if row.valid else rings)(axes, shown.tolist(), (y + _heaped(shown)).tolist(), row.colour)
        _marks(axes, row, y)
        text = f"{ms(row.p50_ms)} · {ms(row.run.inference.p90_ms)} · {ms(row.run.inference.p99_ms)}"
        axes.annotate(text, (1.02, y), xycoords=("axes fraction", "data"), va="center", fontsize=10)
    axes.set_xlim(least - 0.02 * (edge - least), edge + 0.02 * (edge - least))
    axes.set_xlabel("inference, times its p50")
    axes.annotate(
        "p50 · p90 · p99, ms", (1.02, 1), xycoords="axes fraction", va="bottom", fontsize=9, color=SOFT
    )
    caption = "Every inference as a dot. Long bar: p50, the band its 95 % interval; shorter: p90 and p99."
    if late:
        latest = max(row.run.inference.max_ms for row in rows)
        caption += f" Beyond the edge: {late:,}, up to {ms(latest)} ms."
    return Plot("Distribution", caption, svg(figure, "latency"))


def _heaped(shown: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far from the middle of its row each dot is drawn: -0.36 to 0.36, wide where there are many."""
    if not len(shown):
        return shown
    counts, edges = np.histogram(shown, bins=24)
    density = np.sqrt(counts / counts.max())
    wide = density[np.clip(np.searchsorted(edges, shown, "right") - 1, 0, 23)]
    # A golden-ratio sequence spreads the dots over the row evenly, and the same way every time.
    even = np.arange(len(shown)) * 0.618033988749895 % 1
    return np.asarray(0.72 * (even - 0.5) * wide)


def _marks(axes: Axes, row: Row, y: int) -> None:
    """p50 with its interval, p90 and p99."""
    run = row.run
    if run.p50_interval_ms:
        low, high = run.p50_interval_ms.low / row.p50_ms, run.p50_interval_ms.high / row.p50_ms
        axes.fill_between([low, high], y - 0.42, y + 0.42, color=INK, alpha=0.18, linewidth=0)
    for value, reach in ((row.p50_ms, 0.42), (run.inference.p90_ms, 0.28), (run.inference.p99_ms, 0.18)):
        axes.plot([value / row.p50_ms] * 2, [y - reach, y + reach], color=INK, linewidth=1.6)


def stages(rows: Sequence[Row]) -> Plot | None:
    if not rows:
        return None
    figure, axes = rows_figure([row.heading for row in rows])
    name_rows(axes, [row.valid for row in rows])
    for y, row in enumerate(rows):
        left = 0.0
        for stage, colour, hatch in STAGES:
            width = getattr(row.run, stage).p50_ms
            label = stage if y == 0 else None
            axes.barh(y, width, 0.6, left, color=colour, hatch=hatch, label=label, linewidth=0)
            left += width
        if not row.valid:
            axes.barh(y, left, 0.6, facecolor="none", edgecolor=BAD, hatch="xx", linewidth=1.2)
        note(axes, left, y, f"{ms(row.run.total.p50_ms)} ms · {number(row.run.fps)} FPS")
    axes.set_xlabel("one frame, ms")
    room(axes, max(row.run.total.p50_ms for row in rows), 1.65)
    legend(figure, 3)
    return Plot("Where a frame's time goes", "p50 of each stage.", svg(figure, "stages"))


def sizes(rows: Sequence[Row]) -> Plot | None:
    if not rows:
        return None
    figure, axes = rows_figure([row.heading for row in rows])
    name_rows(axes, [row.valid for row in rows])
    for y, row in enumerate(rows):
        mib = row.artifact.file_bytes / 2**20
        face = "none" if row.open else row.colour
        axes.barh(y, mib, 0.6, facecolor=face, edgecolor=row.colour, linewidth=1.4)
        note(axes, mib, y, f"{number(mib)} MiB")
    axes.set_xlabel("MiB on disk")
    room(axes, max(row.artifact.file_bytes for row in rows) / 2**20)
    caption = "All files of the artifact; open is fp32, filled what is smaller."
    return Plot("Size on disk", caption, svg(figure, "sizes"))


def tradeoff(rows: Sequence[Row]) -> Plot | None:
    """Top-1 over p50; the front joins those that no other beats in both. INVALID ones are not on it."""
    scored = [row for row in rows if row.artifact.accuracy]
    if not scored:
        return None
    figure, axes = new_figure(height(len(scored)) + 30)
    front = pareto([_point(row) for row in scored if row.valid])
    if len(front) > 1:
        axes.step(*zip(*front, strict=True), where="post", color=SOFT, linewidth=1.2, dashes=(4, 3), zorder=1)
    for row in sorted(scored, key=lambda row: (row.artifact.precision.value, row.artifact.format.value)):
        x, y = _point(row)
        accuracy = row.artifact.accuracy
        assert accuracy is not None
        interval = share_interval(round(accuracy.top1 * accuracy.n), accuracy.n)
        axes.plot([x, x], [100 * interval.low, 100 * interval.high], color=LINE, linewidth=1.4, zorder=0)
        axes.plot(
            x,
            y,
            FORMAT_MARKERS[row.artifact.format],
            color=row.colour,
            markerfacecolor=PAPER if row.open or not row.valid else row.colour,
            markersize=9,
            markeredgewidth=1.8,
            label=row.label,
        )
        if not row.valid:
            axes.plot(x, y, "x", color=BAD, markersize=11, markeredgewidth=2)
    axes.grid(linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", labelcolor=SOFT)
    axes.set_xlabel("p50 inference, ms")
    axes.set_ylabel("top-1, %")
    axes.margins(y=0.1)
    room(axes, max(row.p50_ms for row in scored), 1.12)
    # A legend, since names beside the points would run into one another: fp32 artifacts score alike.
    legend(figure, 2)
    caption = "Up and left is better. Open is fp32, filled what is smaller; thin line: 95 % interval"
    caption += "; dashed: the Pareto front." if len(front) > 1 else "."
    return Plot("Accuracy against latency", caption, svg(figure, "tradeoff"))


def _point(row: Row) -> tuple[float, float]:
    assert row.artifact.accuracy is not None
    return row.p50_ms, 100 * row.artifact.accuracy.top1


def pareto(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Of (cost, worth), those that no other beats in both, the cheapest first."""
    front: list[tuple[float, float]] = []
    for cost, worth in sorted(points, key=lambda point: (point[0], -point[1])):
        if not front or worth > front[-1][1]:
            front.append((cost, worth))
    return front
