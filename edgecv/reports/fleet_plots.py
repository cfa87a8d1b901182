"""The figures of a fleet: each board's best artifact, and accuracy against latency over all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from edgecv.reports.figures import (
    FORMAT_COLOURS,
    FORMAT_MARKERS,
    PAPER,
    SOFT,
    STYLE,
    Plot,
    height,
    name_rows,
    new_figure,
    note,
    room,
    rows_figure,
    svg,
)
from edgecv.reports.fleet import Board, Fleet, Result
from edgecv.reports.wording import INVALID, artifact_name, ms, plain, tail
from edgecv.spec import Kind, Precision

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NAME = 16  # characters of a board's name that a figure has room for
ROWS = 6  # at least as high as figures of so many rows, both of them


def fleet_plots(fleet: Fleet) -> tuple[Plot, ...]:
    """The figures of what may be quoted; none when nothing was measured."""
    import matplotlib

    best = [(board, result) for board in fleet.boards if (result := board.result(board.best))]
    best.sort(key=lambda row: row[1].p50_ms or 0.0)
    scored = [board for board in fleet.boards if _points(board)]
    found = []
    with matplotlib.rc_context(STYLE):
        if best:
            caption = "p50 inference of each board's best artifact."
            found.append(Plot("Boards", caption, svg(_bars(best), "boards")))
        if scored:
            caption = "Up and left is better. Open is fp32, filled what is smaller; a line joins a board's."
            found.append(Plot("Accuracy against latency", caption, svg(_scatter(scored), "fleet-tradeoff")))
    return tuple(found)


def _rows(shown: Sequence[object]) -> int:
    return max(len(shown), ROWS)


def _points(board: Board) -> list[tuple[float, float, Result]]:
    """(p50 in ms, top-1 in percent, result), fastest first."""
    return sorted(
        (
            (result.p50_ms, 100 * result.top1, result)
            for result in board.results
            if result.p50_ms is not None and result.top1 is not None
        ),
        key=lambda point: point[:2],
    )


def _bars(best: Sequence[tuple[Board, Result]]) -> Figure:
    figure, axes = rows_figure([_label(board, result) for board, result in best], height(_rows(best)))
    name_rows(axes, [result.valid for _, result in best])
    thick = 0.6 * len(best) / _rows(best)  # as thick as in a full figure
    for y, (_, result) in enumerate(best):
        kind, p50 = Kind.parse(result.artifact), result.p50_ms or 0.0
        colour = FORMAT_COLOURS[kind.format]
        filled = kind.precision is not Precision.FP32 and result.valid
        face = colour if filled else "none"
        axes.barh(y, p50, thick, facecolor=face, edgecolor=colour, linewidth=1.4)
        note(axes, p50, y, f"{ms(p50)} ms · {artifact_name(result.artifact)}")
    axes.set_xlabel("inference, ms")
    room(axes, max(result.p50_ms or 0.0 for _, result in best), 1.9)
    return figure


def _label(board: Board, result: Result) -> str:
    name = _short(board)
    return name if result.valid else f"{name} · {INVALID}"


def _short(board: Board) -> str:
    return tail(plain(board.name), NAME)


def _scatter(boards: Sequence[Board]) -> Figure:
    """On a logarithmic scale of time: boards differ a hundredfold."""
    figure, axes = new_figure(height(_rows(boards)))
    axes.set_xscale("log")
    for board in boards:
        points = _points(board)
        axes.plot([p[0] for p in points], [p[1] for p in points], color=SOFT, linewidth=0.8, zorder=1)
        for p50, top1, result in points:
            _mark(axes, p50, top1, result)
        axes.annotate(
            _short(board),
            points[0][:2],
            (0, -14),
            textcoords="offset points",
            ha="center",
            fontsize=9.5,
        )
    _ticks(axes, [p50 for board in boards for p50, _, _ in _points(board)])
    axes.grid(linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", labelcolor=SOFT)
    axes.set_xlabel("p50 inference, ms")
    axes.set_ylabel("top-1, %")
    axes.margins(y=0.2)
    _legend(figure, boards)
    return figure


def _mark(axes: Axes, p50: float, top1: float, result: Result) -> None:
    kind = Kind.parse(result.artifact)
    colour = FORMAT_COLOURS[kind.format]
    axes.plot(
        p50,
        top1,
        FORMAT_MARKERS[kind.format] if result.valid else "x",
        color=colour,
        markerfacecolor=PAPER if kind.precision is Precision.FP32 else colour,
        markersize=7,
        markeredgewidth=1.5,
        zorder=2,
    )


def _ticks(axes: Axes, values: Sequence[float]) -> None:
    """At 1, 2 and 5, as plain numbers, a little beyond what is shown."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlim(max(min(values), 1e-3) / 1.6, max(*values, 1e-3) * 1.6)


def _legend(figure: Figure, boards: Sequence[Board]) -> None:
    """One entry a format, and one for what is INVALID."""
    from matplotlib.lines import Line2D

    def entry(marker: str, colour: str, label: str) -> Line2D:
        return Line2D([], [], linestyle="", marker=marker, color=colour, markersize=7, label=label)

    results = [result for board in boards for _, _, result in _points(board)]
    shown = {Kind.parse(result.artifact).format for result in results}
    handles = [entry(FORMAT_MARKERS[f], FORMAT_COLOURS[f], f.value) for f in FORMAT_MARKERS if f in shown]
    if not all(result.valid for result in results):
        handles.append(entry("x", SOFT, INVALID))
    figure.legend(
        handles=handles, loc="outside upper left", ncols=4, frameon=False, columnspacing=1.4, fontsize=10
    )
