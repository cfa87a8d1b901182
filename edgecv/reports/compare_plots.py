"""The figures of a comparison: each artifact's change with its interval, beside the line of no change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from edgecv.reports.compare import Change, Comparison, Row
from edgecv.reports.compare_words import change_text
from edgecv.reports.figures import (
    FORMAT_COLOURS,
    FORMAT_MARKERS,
    PAPER,
    SOFT,
    STYLE,
    Plot,
    name_rows,
    rows_figure,
    svg,
)
from edgecv.reports.metrics import POINTS
from edgecv.reports.wording import INVALID, artifact_name, plain, tail
from edgecv.spec import Format, Kind

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAME = 22  # characters of a report's name below an artifact's: a row has no room for more


class _Mark(NamedTuple):
    """One row of a figure; low, centre and high in the unit of its axis."""

    label: str
    format: Format
    valid: bool
    text: str
    significant: bool
    low: float
    centre: float
    high: float


def compare_plots(comparison: Comparison) -> tuple[Plot, ...]:
    """The changes of p50 and of top-1, where they are known."""
    import matplotlib

    with matplotlib.rc_context(STYLE):
        found = []
        for metric, what, title, axis in (
            ("latency_p50", "Left is faster.", "Inference p50", "change of p50, %"),
            ("top1", "Right is better.", "Top-1", "change of top-1, points"),
        ):
            marks = _marks(comparison, metric)
            if marks:
                caption = f"{what} Bar: 95 % interval; open where it includes 0."
                found.append(Plot(title, caption, svg(_forest(marks, axis), metric)))
    return tuple(found)


def _marks(comparison: Comparison, metric: str) -> list[_Mark]:
    several, marks = len(comparison.reports) > 2, []
    for artifact in comparison.artifacts:
        for row in artifact.rows:
            for place, change in enumerate(row.changes):
                if row.metric != metric or change is None or (at := _scale(row, change)) is None:
                    continue
                valid = not artifact.invalid[0] and not artifact.invalid[place]
                label = artifact_name(artifact.artifact) + ("" if valid else f" · {INVALID}")
                report = tail(plain(comparison.reports[place].name), NAME)
                marks.append(
                    _Mark(
                        label=f"{label}\n{report}" if several else label,
                        format=Kind.parse(artifact.artifact).format,
                        valid=valid,
                        text=change_text(row, change).removesuffix(" points"),
                        significant=bool(change.significant),
                        low=at[0],
                        centre=at[1],
                        high=at[2],
                    )
                )
    return marks


def _scale(row: Row, change: Change) -> tuple[float, float, float] | None:
    """Low, centre and high in points, or in percent of the base; None for a base of 0."""
    interval = change.interval
    low, high = (interval.low, interval.high) if interval else (change.absolute, change.absolute)
    if row.unit == POINTS:
        return low, change.absolute, high
    base = row.values[0]
    return (100 * low / base, 100 * change.absolute / base, 100 * high / base) if base else None


def _forest(marks: Sequence[_Mark], axis: str) -> Figure:
    figure, axes = rows_figure([mark.label for mark in marks])
    name_rows(axes, [mark.valid for mark in marks])
    for y, mark in enumerate(marks):
        colour = FORMAT_COLOURS[mark.format]
        axes.plot([mark.low, mark.high], [y, y], color=colour, linewidth=2, solid_capstyle="round")
        axes.plot(
            mark.centre,
            y,
            FORMAT_MARKERS[mark.format],
            color=colour,
            markerfacecolor=colour if mark.significant else PAPER,
            markersize=8,
            markeredgewidth=1.8,
        )
        axes.annotate(
            mark.text, (1, y), xycoords=("axes fraction", "data"), va="center", ha="right", fontsize=10
        )
    axes.axvline(0, color=SOFT, linewidth=1.2)
    low = min(0.0, *(mark.low for mark in marks))
    high = max(0.0, *(mark.high for mark in marks))
    room = max(high - low, 1.0)
    axes.set_xlim(low - 0.05 * room, high + 0.42 * room)  # the numbers stand on the right
    axes.set_xlabel(axis)
    return figure
