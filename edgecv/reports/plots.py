"""The report's figures as inline SVG: colours are the page's CSS variables, text stays text.

Colour alone tells nothing apart: formats have their own marker, precisions are filled or open, stages
are hatched, and every row and point carries its name.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from edgecv.reports.schema import ArtifactReport, Measured, Report
from edgecv.reports.table import ms, name, number
from edgecv.spec import Format, Precision

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Colours that no style sheet uses, replaced by variables when the SVG is put into the page.
INK, SOFT, LINE, PAPER = "#010201", "#010202", "#010203", "#010204"
FORMAT_COLOURS = {Format.TFLITE: "#010211", Format.ONNX: "#010212", Format.OPENVINO: "#010213"}
FORMAT_MARKERS = {Format.TFLITE: "o", Format.ONNX: "s", Format.OPENVINO: "D"}
STAGES = (  # with their hatches
    ("preprocess", "#010221", "////"),
    ("inference", "#010222", ""),
    ("postprocess", "#010223", "\\\\\\\\"),
)
VARIABLES = {
    INK: "--ink",
    SOFT: "--soft",
    LINE: "--line",
    PAPER: "--paper",
    **{colour: f"--{format.value}" for format, colour in FORMAT_COLOURS.items()},
    **{colour: f"--{stage}" for stage, colour, _ in STAGES},
}
WIDTH_PT = 390  # figures are drawn for a phone's width, so that their text stays legible there
ROW_PT = 30
DOTS = 300  # of the samples, by rank; more cannot be seen
STYLE = {
    "svg.fonttype": "none",
    "font.size": 11,
    "text.color": INK,
    "axes.edgecolor": LINE,
    "axes.labelcolor": SOFT,
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": SOFT,
    "ytick.labelcolor": INK,
    "grid.color": LINE,
    "hatch.color": PAPER,
    "hatch.linewidth": 1.2,
    "axes.unicode_minus": False,
    "path.simplify": False,  # it would drop the zero-length strokes that are the dots
}

Row = tuple[ArtifactReport, Measured]


class Plot(NamedTuple):
    title: str
    caption: str
    svg: str


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
                _svg(_latency(rows), "latency"),
            ),
            Plot("Where a frame's time goes", "p50 of each stage.", _svg(_stages(rows), "stages")),
            Plot("Size on disk", "All files of the artifact.", _svg(_sizes(rows), "sizes")),
        ]
        scored = [row for row in rows if row[0].accuracy]
        if scored:
            caption = "Up and left is better. Filled is int8, open is fp32."
            found.insert(2, Plot("Accuracy against latency", caption, _svg(_tradeoff(scored), "tradeoff")))
    return tuple(found)


def _latency(rows: Sequence[Row]) -> Figure:
    figure, axes = _rows_figure(rows)
    for y, (artifact, run) in enumerate(rows):
        ordered = sorted(run.inference_ms)
        dots = [ordered[i * len(ordered) // DOTS] for i in range(DOTS)] if len(ordered) > DOTS else ordered
        # A golden-ratio sequence spreads the dots over the row evenly, and the same way every time.
        heights = [y - 0.27 + 0.54 * (i * 0.618033988749895 % 1) for i in range(len(dots))]
        colour = FORMAT_COLOURS[artifact.format]
        _dots(axes, dots, heights, colour)
        axes.plot([run.inference.p50_ms] * 2, [y - 0.38, y + 0.38], color=INK, linewidth=2.2)
        axes.plot([run.inference.p99_ms] * 2, [y - 0.24, y + 0.24], color=INK, linewidth=1.2)
        _note(axes, max(run.inference.p99_ms, dots[-1]), y, f"{ms(run.inference.p50_ms)} ms")
    axes.set_xlabel("inference, ms")
    _room(axes, max(max(run.inference_ms) for _, run in rows))
    return figure


def _stages(rows: Sequence[Row]) -> Figure:
    figure, axes = _rows_figure(rows)
    for y, (_, run) in enumerate(rows):
        left = 0.0
        for stage, colour, hatch in STAGES:
            width = getattr(run, stage).p50_ms
            label = stage if y == 0 else None
            axes.barh(y, width, 0.6, left, color=colour, hatch=hatch, label=label, linewidth=0)
            left += width
        _note(axes, left, y, f"{ms(run.total.p50_ms)} ms · {number(run.fps)} FPS")
    axes.set_xlabel("one frame, ms")
    _room(axes, max(run.total.p50_ms for _, run in rows), 1.42)
    figure.legend(loc="outside upper left", ncols=3, frameon=False, handlelength=1.6, columnspacing=1.4)
    return figure


def _sizes(rows: Sequence[Row]) -> Figure:
    figure, axes = _rows_figure(rows)
    for y, (artifact, _) in enumerate(rows):
        mib = artifact.file_bytes / 2**20
        filled = artifact.precision is Precision.INT8
        colour = FORMAT_COLOURS[artifact.format]
        axes.barh(y, mib, 0.6, facecolor=colour if filled else "none", edgecolor=colour, linewidth=1.4)
        _note(axes, mib, y, f"{number(mib)} MiB")
    axes.set_xlabel("MiB; filled is int8, open is fp32")
    _room(axes, max(artifact.file_bytes for artifact, _ in rows) / 2**20)
    return figure


def _tradeoff(rows: Sequence[Row]) -> Figure:
    figure, axes = _figure(_height(rows))
    for artifact, run in sorted(rows, key=lambda row: (row[0].precision.value, row[0].format.value)):
        assert artifact.accuracy is not None
        colour = FORMAT_COLOURS[artifact.format]
        axes.plot(
            run.inference.p50_ms,
            100 * artifact.accuracy.top1,
            FORMAT_MARKERS[artifact.format],
            color=colour,
            markerfacecolor=colour if artifact.precision is Precision.INT8 else PAPER,
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
    _room(axes, max(run.inference.p50_ms for _, run in rows))
    # A legend, since names beside the points would run into one another: fp32 artifacts score alike.
    figure.legend(loc="outside upper left", ncols=2, frameon=False, columnspacing=2)
    return figure


def _dots(axes: Axes, xs: Sequence[float], ys: Sequence[float], colour: str) -> None:
    """Dots as one path of zero-length strokes with round ends: a tenth of the bytes of markers."""
    gap = float("nan")
    line_x = [value for x in xs for value in (x, x, gap)]
    line_y = [value for y in ys for value in (y, y, gap)]
    axes.plot(line_x, line_y, color=colour, linewidth=3, solid_capstyle="round", alpha=0.75)


def _figure(height_pt: float) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH_PT / 72, height_pt / 72), layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _rows_figure(rows: Sequence[Row]) -> tuple[Figure, Axes]:
    """One horizontal row an artifact, the fastest on top, named on the left."""
    figure, axes = _figure(_height(rows))
    axes.set_yticks(range(len(rows)), [name(artifact) for artifact, _ in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x", linewidth=0.6)
    axes.set_axisbelow(True)
    return figure, axes


def _height(rows: Sequence[Row]) -> float:
    """The same for all figures of a page, which stand side by side."""
    return max(len(rows) * ROW_PT + 70, 190)


def _note(axes: Axes, x: float, y: float, text: str) -> None:
    axes.annotate(text, (x, y), xytext=(6, 0), textcoords="offset points", va="center", fontsize=10)


def _room(axes: Axes, largest: float, factor: float = 1.25) -> None:
    """Space for the number at the end of the longest row."""
    axes.set_xlim(0, max(largest, 1e-6) * factor)


def _svg(figure: Figure, key: str) -> str:
    """The figure as an <svg> element that may stand in a page beside others and follows its theme."""
    import matplotlib

    file = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": key}):
        # Without metadata there is neither a date nor an address in the file.
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(file, format="svg", transparent=True, metadata=nothing)
    svg = file.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r'\1 aria-hidden="true"', svg, count=1)
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{key}-", svg)
    for colour, variable in VARIABLES.items():
        svg = svg.replace(colour, f"var({variable})")
    return svg
