"""Figures of how often it is right: what is lost, whether the scores can be believed, and bad pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from edgecv.reports import classes
from edgecv.reports.figures import (
    BAD,
    FORMAT_COLOURS,
    FORMAT_MARKERS,
    INK,
    PAPER,
    SOFT,
    Plot,
    legend,
    multiples_pt,
    name_rows,
    new_figure,
    rows_figure,
    small_multiples,
    svg,
)
from edgecv.reports.findings import interval, points
from edgecv.reports.plots_row import Row, series
from edgecv.reports.schema import Answers, Report
from edgecv.reports.wording import INVALID, name, plain, share
from edgecv.spec import Drop, Format

DIAGRAM_PT = 135  # the height of one of several small diagrams

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def losses(rows: Sequence[Row]) -> Plot | None:
    lost = [(row, row.artifact.accuracy.drop) for row in rows if row.artifact.accuracy]
    shown = [(row, drop) for row, drop in lost if drop is not None]
    if not shown:
        return None
    labels = [(row.heading, row.artifact.format, drop) for row, drop in shown]
    figure = drops(labels, height_pt=multiples_pt(len(rows), 3, DIAGRAM_PT))
    name_rows(figure.axes[0], [row.valid for row, _ in shown])
    caption = "On the same pictures. Mark: measured. Line: 95 % interval."
    return Plot("Accuracy lost against float", caption, svg(figure, "drops"))


def drops(
    rows: Sequence[tuple[str, Format, Drop]], bound: float | None = None, height_pt: float | None = None
) -> Figure:
    """A drop with its interval in each row, and the dashed bound that was allowed."""
    figure, axes = rows_figure([label for label, _, _ in rows], height_pt)
    axes.axvline(0, color=SOFT, linewidth=1)
    if bound is not None:
        axes.axvline(bound, color=BAD, linewidth=1.6, dashes=(4, 3))
    for y, (_, format, drop) in enumerate(rows):
        colour = FORMAT_COLOURS[format]
        axes.plot([drop.low, drop.high], [y, y], color=colour, linewidth=3, solid_capstyle="round")
        axes.plot(
            drop.points,
            y,
            FORMAT_MARKERS[format],
            color=colour,
            markersize=9,
            markeredgecolor=PAPER,
            markeredgewidth=1.5,
        )
        text = f"{points(drop)} ({interval(drop)})"
        axes.annotate(text, (1.02, y), xycoords=("axes fraction", "data"), va="center", fontsize=10)
    labels = rows[0][2].basis == "labels"
    axes.set_xlabel("top-1 points lost; left of 0 is better than float" if labels else "answers changed, %")
    axes.margins(x=0.12)
    return figure


def calibration(report: Report, rows: Sequence[Row]) -> Plot | None:
    """A reliability diagram of each artifact: how often it is right when it is so sure."""
    shown = [(row, row.artifact.answers) for row in rows if row.artifact.answers]
    if not shown or report.pictures is None or not report.pictures.truth:
        return None
    figure, panels = small_multiples(len(shown), min(len(shown), 3), DIAGRAM_PT)
    for axes, (row, answers) in zip(panels, shown, strict=True):
        _reliability(axes, row, answers, report.pictures.truth)
    for axes in panels[:: min(len(shown), 3)]:
        axes.set_ylabel("right, %")
    figure.supxlabel("score of the answer, %", color=SOFT)
    caption = "How often an answer is right, by its score: on the diagonal a score can be believed. "
    caption += "Thin bars: few pictures. ECE: the mean distance."
    return Plot("Calibration", caption, svg(figure, "calibration"))


def _reliability(axes: Axes, row: Row, answers: Answers, truth: Sequence[int]) -> None:
    bins = classes.reliability(truth, answers.best, answers.score)
    most = max(each.n for each in bins)
    for each in bins:
        centre, wide = 50 * (each.low + each.high), 100 * (each.high - each.low)
        axes.bar(
            centre,
            100 * each.accuracy,
            wide * max((each.n / most) ** 0.5 * 0.92, 0.12),
            facecolor="none" if row.open or not row.valid else row.colour,
            edgecolor=row.colour,
            linewidth=0.9,
            hatch=None if row.valid else "////",
        )
    axes.plot([0, 100], [0, 100], color=INK, linewidth=1, dashes=(4, 3))
    axes.set(xlim=(0, 100), ylim=(0, 100), xticks=(0, 50, 100), yticks=(0, 50, 100))
    accuracy = row.artifact.accuracy
    below = [f"ECE {share(accuracy.ece)} %"] if accuracy and accuracy.ece is not None else []
    below += [] if row.valid else [INVALID]
    title = "\n".join([name(row.artifact), *below])
    axes.set_title(title, fontsize=9.5, loc="left", color=INK if row.valid else BAD)


def robustness(rows: Sequence[Row]) -> Plot | None:
    """Top-1 over the strength of each corruption; strength 0 is the pictures as they are."""
    shown = [row for row in rows if row.artifact.robustness]
    corruptions = list(
        dict.fromkeys(r.corruption for row in rows for r in row.artifact.robustness if r.strength)
    )
    if not corruptions:
        return None
    columns = min(len(corruptions), 3)
    figure, panels = small_multiples(len(corruptions), columns, DIAGRAM_PT)
    for axes, corruption in zip(panels, corruptions, strict=True):
        for row in shown:
            course = _course(row, corruption)
            series(axes, row, list(course), list(course.values()), label=axes is panels[0])
        axes.set_title(plain(corruption), fontsize=10, loc="left", color=INK)
        axes.set(xticks=range(6), ylim=(0, 100), yticks=(0, 50, 100))
        axes.grid(axis="y", linewidth=0.6)
        axes.set_axisbelow(True)
    for axes in panels[::columns]:
        axes.set_ylabel("top-1, %")
    figure.supxlabel("strength", color=SOFT)
    legend(figure, 2)
    caption = "Top-1 as the pictures get worse. Open is fp32, filled what is smaller."
    return Plot("By corruption", caption, svg(figure, "robustness"))


def overall(rows: Sequence[Row]) -> Plot | None:
    """The mean over the corruptions."""
    shown = [row for row in rows if row.artifact.robustness]
    if not shown:
        return None
    figure, axes = new_figure(multiples_pt(6, 3, DIAGRAM_PT))
    for row in shown:
        top1: dict[int, list[float]] = {}
        for r in sorted(row.artifact.robustness, key=lambda r: r.strength):
            top1.setdefault(r.strength, []).append(100 * r.top1)
        series(axes, row, list(top1), [sum(values) / len(values) for values in top1.values()])
    axes.set(xticks=range(6), ylim=(0, 100), xlabel="strength", ylabel="top-1, %")
    axes.grid(axis="y", linewidth=0.6)
    axes.set_axisbelow(True)
    legend(figure, 2)
    return Plot("Over all corruptions", "The mean of their top-1 at each strength.", svg(figure, "overall"))


def _course(row: Row, corruption: str) -> dict[int, float]:
    """Top-1 in percent by strength, from the clean pictures on."""
    found = {
        r.strength: 100 * r.top1
        for r in row.artifact.robustness
        if r.corruption == corruption or r.strength == 0
    }
    return dict(sorted(found.items()))
