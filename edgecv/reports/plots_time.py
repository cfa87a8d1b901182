"""Figures of what happened meanwhile: warm-up, turns, a sustained run's minutes, and the machine's state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from edgecv.reports.figures import (
    BAD,
    CLOCK,
    HEAT,
    OTHERS,
    POWER,
    SOFT,
    Plot,
    legend,
    new_figure,
    panels_figure,
    svg,
)
from edgecv.reports.plots_row import Row, series
from edgecv.reports.schema import Conditions, Moment

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LONG_S = 240  # from here on a time axis is in minutes
MAIN_PT, PANEL_PT, AXIS_PT, LEGEND_ROW_PT = 170, 62, 44, 17

STATES = (  # what the machine tells of itself: key, unit, colour
    ("temperature_c", "°C", HEAT),
    ("clock_mhz", "MHz", CLOCK),
    ("power_w", "W", POWER),
)
NAMES = {"°C": "temperature", "MHz": "clock", "W": "power"}
TAKEN: dict[str, tuple[Any, str]] = {  # by whom time was taken: line style, words
    "other_cores": ("-", "time taken by other programs"),
    "stolen_cores": ((0, (3, 2)), "time taken by the hypervisor (dashed)"),
}


def warmup(rows: Sequence[Row]) -> Plot | None:
    """The first inferences over each artifact's p50."""
    shown = [row for row in rows if len(row.run.warmup_ms) > 1]
    if not shown:
        return None
    figure, axes = new_figure(_height(rows))
    _baseline(axes, 1)
    for row in shown:
        ratios = [value / row.p50_ms for value in row.run.warmup_ms]
        series(axes, row, range(1, len(ratios) + 1), ratios)
    longest = max(len(row.run.warmup_ms) for row in shown)
    if longest > 40:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:,.0f}")
    else:
        axes.xaxis.set_major_locator(_few(6, integer=True))
    axes.set_xlabel("inference after loading")
    axes.set_ylabel("times its p50")
    legend(figure, 2)
    caption = "The first inferences after loading, none of which counts, over the p50 of those that do."
    return Plot("Warm-up", caption, svg(figure, "warmup"))


def turns(rows: Sequence[Row]) -> Plot | None:
    """p50 of each turn against the run's, with the machine's state beneath."""
    if not any(len(row.run.turns) > 1 for row in rows):
        return None
    states = sorted((turn for row in rows for turn in row.run.turns), key=lambda turn: turn.start_s)
    known = _known(states)[:2]
    figure, panels = panels_figure(_height(rows), (MAIN_PT, *[PANEL_PT] * len(known)))
    scale, unit = _time(states[-1].start_s)
    _baseline(panels[0], 0)
    for row in rows:
        xs = [(turn.start_s + turn.seconds / 2) / scale for turn in row.run.turns]
        series(panels[0], row, xs, [100 * (turn.p50_ms / row.p50_ms - 1) for turn in row.run.turns])
    low, high = panels[0].get_ylim()
    panels[0].set_ylim(min(low, -2), max(high, 2))  # a calm run looks calm
    panels[0].set_ylabel("against its p50, %")
    for axes, (key, of, colour) in zip(panels[1:], known, strict=True):
        _course(axes, [turn.start_s / scale for turn in states], states, key, of, colour)
    panels[-1].set_xlabel(f"{unit} since the beginning")
    figure.align_ylabels(panels)
    legend(figure, 2)
    caption = "p50 of each turn against that of the whole run: drift is a slope."
    return Plot("Turn by turn", caption, svg(figure, "turns"))


def sustained(rows: Sequence[Row]) -> Plot | None:
    """Minute by minute, how long an inference took and how many frames a second that made."""
    shown = [row for row in rows if len(row.run.minutes) > 1]
    if not shown:
        return None
    figure, panels = panels_figure(2 * MAIN_PT + AXIS_PT + _legend_pt(shown), (1, 1))
    for row in shown:
        xs = [minute.minute for minute in row.run.minutes]
        series(panels[0], row, xs, [minute.p50_ms for minute in row.run.minutes])
        series(panels[1], row, xs, [minute.fps for minute in row.run.minutes], label=False)
    for axes, label in zip(panels, ("p50 inference, ms", "frames a second"), strict=True):
        axes.set_ylim(0)
        axes.set_ylabel(label)
    throttled = _shade_minutes(panels, shown)
    legend(figure, 2)
    caption = "p50 of each minute" + (", shaded where the board throttled." if throttled else ".")
    return Plot("Minute by minute", caption, svg(figure, "sustained"))


def meanwhile(rows: Sequence[Row]) -> Plot | None:
    """What the board said in those minutes."""
    shown = [row for row in rows if len(row.run.minutes) > 1]
    known = _known([minute for row in shown for minute in row.run.minutes])
    if not known:
        return None
    figure, panels = panels_figure(2 * MAIN_PT + AXIS_PT + _legend_pt(shown), [1] * len(known))
    for axes, (key, unit, _) in zip(panels, known, strict=True):
        for row in shown:
            xs = [minute.minute for minute in row.run.minutes]
            values = [_number(getattr(minute, key)) for minute in row.run.minutes]
            series(axes, row, xs, values, label=axes is panels[0])
        axes.set_ylabel(unit)
    _shade_minutes(panels, shown)
    figure.align_ylabels(panels)
    legend(figure, 2)
    told = ", ".join(NAMES[unit] for _, unit, _ in known)
    return Plot("The board meanwhile", f"{told.capitalize()}.", svg(figure, "meanwhile"))


def _shade_minutes(panels: Sequence[Axes], shown: Sequence[Row]) -> bool:
    throttled = {m.minute for row in shown for m in row.run.minutes if m.throttled}
    for axes in panels:
        for minute in throttled:
            axes.axvspan(minute - 0.5, minute + 0.5, color=BAD, alpha=0.13, linewidth=0)
    _finish(panels, "minute")
    return bool(throttled)


def timeline(conditions: Conditions) -> Plot | None:
    """What the machine said of itself from before the first artifact until after the last."""
    moments = sorted((conditions.before, *conditions.during, conditions.after), key=lambda m: m.at_s)
    taken = [key for key in TAKEN if any(getattr(m, key) for m in moments)]
    known = _known(moments)
    if len(moments) < 4 or not (known or taken):
        return None
    count = len(known) + bool(taken)
    figure, panels = panels_figure(count * (PANEL_PT + 26) + AXIS_PT, [1] * count)
    scale, unit = _time(moments[-1].at_s)
    xs = [moment.at_s / scale for moment in moments]
    for axes, (key, of, colour) in zip(panels, known, strict=False):
        _course(axes, xs, moments, key, of, colour)
    for key in taken:
        _course(panels[-1], xs, moments, key, "cores", OTHERS, TAKEN[key][0])
    if taken:
        panels[-1].set_ylim(0, max(panels[-1].get_ylim()[1], 0.5))
    throttled = _throttled(panels, xs, moments)
    _finish(panels, f"{unit} since the beginning")
    figure.align_ylabels(panels)
    parts = [NAMES[unit] for _, unit, _ in known]
    caption = ", ".join([*parts, *(TAKEN[key][1] for key in taken)])
    caption = caption[0].upper() + caption[1:] + ("; red: throttled." if throttled else ".")
    return Plot("The machine meanwhile", caption, svg(figure, "timeline"))


def _throttled(panels: Sequence[Axes], xs: Sequence[float], moments: Sequence[Moment]) -> bool:
    """Shade from each look that saw throttling to the next one."""
    ends = [*xs[1:], xs[-1]]
    spans = [(x, end) for x, end, moment in zip(xs, ends, moments, strict=True) if moment.throttled]
    for x, end in spans:
        for axes in panels:
            axes.axvspan(x, end, color=BAD, alpha=0.13, linewidth=0)
    return bool(spans)


def _known(states: Sequence[Any]) -> list[tuple[str, str, str]]:
    """Those of STATES that were told at least twice."""
    return [s for s in STATES if sum(getattr(state, s[0]) is not None for state in states) > 1]


def _course(
    axes: Axes, xs: Sequence[float], states: Sequence[Any], key: str, unit: str, colour: str, style: Any = "-"
) -> None:
    values = [_number(getattr(state, key)) for state in states]
    axes.plot(xs, values, color=colour, linewidth=1.5, linestyle=style)
    axes.set_ylabel(unit)
    told = [value for value in values if value == value]
    if key == "clock_mhz" and max(told) - min(told) < 0.02 * max(told):
        axes.set_ylim(0.9 * max(told), 1.1 * max(told))  # a steady clock is a straight line
    axes.yaxis.set_major_locator(_few(3))
    axes.yaxis.set_major_formatter("{x:,g}")
    axes.grid(axis="y", linewidth=0.6)


def _few(most: int, integer: bool = False) -> Any:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(most, integer=integer)


def _number(value: float | None) -> float:
    return float("nan") if value is None else value


def _time(last_s: float) -> tuple[float, str]:
    return (60.0, "minutes") if last_s > LONG_S else (1.0, "seconds")


def _baseline(axes: Axes, y: float) -> None:
    axes.axhline(y, color=SOFT, linewidth=1)
    axes.grid(axis="y", linewidth=0.6)
    axes.set_axisbelow(True)


def _finish(panels: Sequence[Axes], label: str) -> None:
    for axes in panels:
        axes.grid(axis="y", linewidth=0.6)
        axes.set_axisbelow(True)
    panels[-1].set_xlabel(label)


def _height(rows: Sequence[Row]) -> float:
    """Of the turns' figure: a main panel, one for each state that is known, and the legend."""
    states = _known([turn for row in rows for turn in row.run.turns])[:2]
    return MAIN_PT + len(states) * PANEL_PT + AXIS_PT + _legend_pt(rows)


def _legend_pt(rows: Sequence[Row]) -> float:
    return LEGEND_ROW_PT * -(-len(rows) // 2)
