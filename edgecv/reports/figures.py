"""What the pages' figures share: inline SVG whose colours are the page's CSS variables, text stays text.

Colour alone tells nothing apart: formats have their own marker, and every row and point carries its name.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from edgecv.spec import Format

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Colours that no style sheet uses, replaced by variables when the SVG is put into the page.
INK, SOFT, LINE, PAPER, BAD = "#010201", "#010202", "#010203", "#010204", "#010205"
HEAT, CLOCK, OTHERS, POWER = "#010231", "#010232", "#010233", "#010234"
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
    BAD: "--bad",
    HEAT: "--heat",
    CLOCK: "--clock",
    OTHERS: "--others",
    POWER: "--power",
    **{colour: f"--{format.value}" for format, colour in FORMAT_COLOURS.items()},
    **{colour: f"--{stage}" for stage, colour, _ in STAGES},
}
WIDTH_PT = 350  # figures are drawn for a phone's width, so that their text stays legible there
ROW_PT = 30
STYLE = {
    "svg.fonttype": "none",
    "font.size": 10.5,
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


class Plot(NamedTuple):
    title: str
    caption: str
    svg: str


def dots(axes: Axes, xs: Sequence[float], ys: Sequence[float], colour: str) -> None:
    """Dots as one path of zero-length strokes with round ends: a tenth of the bytes of markers."""
    gap = float("nan")
    line_x = [value for x in xs for value in (x, x, gap)]
    line_y = [value for y in ys for value in (y, y, gap)]
    axes.plot(line_x, line_y, color=colour, linewidth=2.6, solid_capstyle="round", alpha=0.6)


def rings(axes: Axes, xs: Sequence[float], ys: Sequence[float], colour: str) -> None:
    """Hollow dots, for what is INVALID."""
    dots(axes, xs, ys, colour)
    axes.lines[-1].set(linewidth=3.6, alpha=1)
    dots(axes, xs, ys, PAPER)
    axes.lines[-1].set(linewidth=1.8, alpha=1)


def new_figure(height_pt: float) -> tuple[Figure, Axes]:
    figure, panels = panels_figure(height_pt, (1,))
    return figure, panels[0]


def panels_figure(height_pt: float, ratios: Sequence[float]) -> tuple[Figure, list[Axes]]:
    """Panels of these relative heights below one another, which share their x axis."""
    figure = _empty(height_pt)
    panels = figure.subplots(len(ratios), sharex=True, height_ratios=ratios, squeeze=False)[:, 0]
    for axes in panels:
        axes.spines[["top", "right"]].set_visible(False)
    return figure, list(panels)


def small_multiples(count: int, columns: int, row_pt: float) -> tuple[Figure, list[Axes]]:
    """`count` panels side by side in rows, which share both axes."""
    rows = -(-count // columns)
    figure = _empty(multiples_pt(count, columns, row_pt))
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    for axes in grid:
        axes.spines[["top", "right"]].set_visible(False)
    for axes in grid[count:]:
        axes.set_visible(False)
    for axes in grid[max(count - columns, 0) : count]:
        axes.xaxis.set_tick_params(labelbottom=True)  # the last of its column, though not of the last row
    return figure, list(grid[:count])


def multiples_pt(count: int, columns: int, row_pt: float) -> float:
    """The height of such a figure."""
    return -(-count // columns) * row_pt + 30


def _empty(height_pt: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(WIDTH_PT / 72, height_pt / 72), layout="constrained")


def rows_figure(names: Sequence[str], height_pt: float | None = None) -> tuple[Figure, Axes]:
    """One horizontal row a name, the first on top, named on the left."""
    figure, axes = new_figure(height_pt or height(len(names)))
    axes.set_yticks(range(len(names)), list(names))
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x", linewidth=0.6)
    axes.set_axisbelow(True)
    return figure, axes


def height(rows: int) -> float:
    """The same for all figures with so many rows, which stand side by side."""
    return max(rows * ROW_PT + 70, 190)


def name_rows(axes: Axes, good: Sequence[bool]) -> None:
    """The names of INVALID rows in the colour of warning."""
    for label, fine in zip(axes.get_yticklabels(), good, strict=True):
        if not fine:
            label.set_color(BAD)


def legend(figure: Figure, columns: int) -> None:
    """Above the axes, from everything that has a label."""
    figure.legend(
        loc="outside upper left",
        ncols=columns,
        frameon=False,
        handlelength=1.6,
        columnspacing=1.4,
        fontsize=10,
    )


def note(axes: Axes, x: float, y: float, text: str) -> None:
    axes.annotate(text, (x, y), xytext=(6, 0), textcoords="offset points", va="center", fontsize=10)


def room(axes: Axes, largest: float, factor: float = 1.25) -> None:
    """Space for the number at the end of the longest row."""
    axes.set_xlim(0, max(largest, 1e-6) * factor)


def svg(figure: Figure, key: str) -> str:
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
