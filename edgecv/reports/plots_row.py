"""An artifact as the figures show it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from edgecv.reports.figures import FORMAT_COLOURS, FORMAT_MARKERS, PAPER
from edgecv.reports.schema import ArtifactReport, Measured
from edgecv.reports.wording import INVALID, name
from edgecv.spec import Precision

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class Row(NamedTuple):
    """A measured artifact, and whether its numbers are valid."""

    artifact: ArtifactReport
    run: Measured
    valid: bool

    @property
    def label(self) -> str:
        return name(self.artifact) if self.valid else f"{name(self.artifact)} · {INVALID}"

    @property
    def heading(self) -> str:
        """Of a row of its own: a name with a mark beside it would take the figure's width."""
        return self.label.replace(" · ", "\n")

    @property
    def p50_ms(self) -> float:
        """Of inference; never 0, to divide by."""
        return max(self.run.inference.p50_ms, 1e-6)

    @property
    def colour(self) -> str:
        return FORMAT_COLOURS[self.artifact.format]

    @property
    def open(self) -> bool:
        """Whether its mark is open: float is, what is smaller is filled."""
        return self.artifact.precision is Precision.FP32


def series(axes: Axes, row: Row, xs: Sequence[float], ys: Sequence[float], label: bool = True) -> None:
    """An artifact's course over something: dashed and without a mark when it is INVALID."""
    axes.plot(
        xs,
        ys,
        color=row.colour,
        linewidth=1.2 if row.open else 1.8,
        linestyle="-" if row.valid else (0, (3, 2)),
        marker=FORMAT_MARKERS[row.artifact.format],
        markevery=-(-len(xs) // 8),
        markersize=4,
        markerfacecolor=PAPER if row.open or not row.valid else row.colour,
        markeredgewidth=1.2,
        label=row.label if label else None,
    )
