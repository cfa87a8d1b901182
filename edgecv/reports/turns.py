"""The order of turns: artifacts between each other, or one of them until the heat has come."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence

import numpy as np

from edgecv.errors import EngineError
from edgecv.reports.lanes import Lane, Pool
from edgecv.reports.monitor import Monitor
from edgecv.reports.schema import Minute, Mode, Plan
from edgecv.timing import nearest_rank

PATIENCE = {Mode.QUICK: 4.0, Mode.FULL: 10.0}  # times the seconds that were asked for
TURN_S = 5.0  # of a sustained run, whose turns follow each other
MINUTE_S = 60.0


def interleave(lanes: Sequence[Lane], plan: Plan, pool: Pool, say: Callable[[Lane, float], None]) -> None:
    """Round after round until every lane has the plan's seconds and samples, or has run out of patience.

    The order is reversed from round to round: what drifts steadily, adds the same to all. say: called before
    a turn, with its seconds; 0 for loading.
    """
    for lane in lanes:
        say(lane, 0.0)
        _attempt(lane, pool, lambda lane=lane: pool.load(lane))
        if not pool.resident:
            pool.leave(lane)
    turn_s = plan.seconds / plan.turns
    order = list(lanes)
    while order := [lane for lane in order if _wants(lane, plan)]:
        for lane in order:
            say(lane, turn_s)
            _attempt(lane, pool, lambda lane=lane: pool.turn(lane, turn_s))
        order.reverse()
    for lane in lanes:
        pool.leave(lane)


def sustain(
    lane: Lane,
    minutes: float,
    pool: Pool,
    monitor: Monitor,
    say: Callable[[Lane, float], None],
    *,
    minute_s: float = MINUTE_S,
    turn_s: float = TURN_S,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """One lane without a pause, minute by minute; the last one may be shorter."""

    def run() -> None:
        pool.load(lane)
        start_s = clock()
        for minute in range(math.ceil(minutes)):
            until_s, first = start_s + min(minute + 1, minutes) * minute_s, len(lane.turns)
            mark = monitor.mark()
            while (left_s := until_s - clock()) > 0 or len(lane.turns) == first:
                seconds = max(min(left_s, turn_s), 0.0)
                say(lane, seconds)
                pool.turn(lane, seconds, warm=not lane.turns)
            lane.minutes.append(_minute(lane, minute + 1, first, monitor, mark))

    _attempt(lane, pool, run)
    pool.leave(lane)


def _wants(lane: Lane, plan: Plan) -> bool:
    if lane.failure or lane.seconds >= PATIENCE[plan.mode] * plan.seconds > 0:
        return False
    return lane.seconds < plan.seconds or lane.samples < plan.samples


def _attempt(lane: Lane, pool: Pool, work: Callable[[], None]) -> None:
    """An engine's failure is the lane's; the others go on."""
    try:
        work()
    except EngineError as error:
        lane.failure = str(error)
        pool.leave(lane)


def _minute(lane: Lane, number: int, first: int, monitor: Monitor, mark: int) -> Minute:
    """From the lane's turns since `first`."""
    turns, seen = lane.turns[first:], monitor.seen(mark)
    ordered = np.sort(np.concatenate([turned.inference for turned in lane.turned[first:]]))
    return Minute(
        minute=number,
        samples=ordered.size,
        p50_ms=float(nearest_rank(ordered, 50)),
        p90_ms=float(nearest_rank(ordered, 90)),
        fps=ordered.size / sum(turn.seconds for turn in turns),
        temperature_c=seen.temperature_c,
        clock_mhz=seen.clock_mhz,
        power_w=seen.power_w,
        throttled=seen.throttled,
    )
