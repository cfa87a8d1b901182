"""How a measurement was made, in the words that its report carries."""

from __future__ import annotations

from edgecv.reports.messages import WARMUP, WARMUP_S
from edgecv.reports.runner import FRAME_HW, REWARM, REWARM_MAX_S, REWARM_S
from edgecv.reports.schema import Mode, Plan, Scenario
from edgecv.reports.turns import PATIENCE, TURN_S

_STAGES = (
    "Synthetic {width}x{height} frames back to back; of each frame preprocessing, inference and "
    "postprocessing are timed, and `total` is their sum. Every artifact runs in a fresh process of its own. "
    "Warm-up, shown but not counted: {warmup} inferences and {warmup_s:g} s at least. "
)
_INTERLEAVED = (
    "Then turns of {turn_s:g} s, artifacts between each other and in reversed order from round to round, so "
    "that heat and load befall all alike; each turn begins with frames that do not count, {rewarm} and "
    "{rewarm_s:g} ms at least, {rewarm_max_s:g} s at most. An artifact is done after {seconds:g} s and "
    "{samples:,} samples, or {patience:g} times the seconds. "
)
_SUSTAINED = "Then turns of {turn_s:g} s without a pause for {minutes:g} min, one artifact after the other. "
_LONELY = (
    "Memory does not hold all processes at once: each was started for its turn, warmed up as above and "
    "ended. "
)
_NUMBERS = (
    "Percentiles are observed samples (nearest rank). 95 % intervals are by ranks: the median's of the "
    "turns' medians, since single inferences are not independent, p99's of the samples. `load` is the "
    "model's alone, with its engine imported before. Peak memory is the resident set's high-water mark of "
    "the process. Energy is mean power times the turns' time, for each frame."
)
_OFFLINE = "Offline: as many engines as cores, of one thread each, on prepared pictures. "
_CAMERA = (
    "Camera: the pipeline of `edgecv run` before a synthetic camera of {width}x{height} at {fps:g} frames/s; "
    "age is from capture to result. "
)


def describe(plan: Plan, resident: bool) -> str:
    """resident: whether all processes were kept from turn to turn."""
    sustained = plan.mode is Mode.SUSTAINED
    text = _STAGES + (_SUSTAINED if sustained else _INTERLEAVED)
    text += "" if resident else _LONELY
    text += _OFFLINE if Scenario.OFFLINE in plan.scenarios else ""
    text += _CAMERA if Scenario.CAMERA in plan.scenarios else ""
    height, width = FRAME_HW
    return (text + _NUMBERS).format(
        width=width,
        height=height,
        warmup=WARMUP,
        warmup_s=WARMUP_S,
        turn_s=TURN_S if sustained else plan.seconds / plan.turns,
        minutes=plan.minutes,
        rewarm=REWARM,
        rewarm_s=1000 * REWARM_S,
        rewarm_max_s=REWARM_MAX_S,
        seconds=plan.seconds,
        samples=plan.samples,
        patience=PATIENCE.get(plan.mode, 1.0),
        fps=plan.camera_fps,
    )
