"""What the page says about a run: gathered from results as they pass, put together when somebody asks."""

from __future__ import annotations

import itertools
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from edgecv.devices.telemetry import Reading
from edgecv.runtime.controls import Controls
from edgecv.runtime.results import Event, Result, Summary
from edgecv.runtime.sinks.base import Context
from edgecv.spec import Struct
from edgecv.tasks import Prediction
from edgecv.timing import nearest_rank

EVENTS = 50
HISTORY_S = 120
RECENT_S = 5.0  # what "now" means for rates and latencies
STALE_S = 3.0  # without a result; more where results come slowly anyway
KEPT_S = 0.2  # a state serves all viewers for so long
COUNTED_S = 1.0  # the same for what is not free to ask: the run's counts, the board's sensors


class Answer(Struct):
    """The newest answer of one region ('' for the whole picture)."""

    region: str
    top: tuple[Prediction, ...]
    on: tuple[str, ...]
    still: bool


class Noted(Struct):
    """The n-th event of the run."""

    n: int
    event: Event


class Second(Struct):
    """One second of the run, at_s seconds after the page was opened: frames a second, and latencies."""

    at_s: float
    fps: float
    p50_ms: float
    p90_ms: float


class Knobs(Struct):
    on: float
    off: float
    motion_gate: bool


class State(Struct):
    """One look at a run. run: another one for another run. now_s: since the page was opened.

    state: waiting (no result yet), running, stale (none for age_s), or reconnecting (the same, and the
    source is being opened again). frame, name: of the newest result. fps, p50_ms, p90_ms: of the last
    seconds, None while there is nothing new.
    """

    run: str
    state: str
    now_s: float
    age_s: float | None
    model: str
    device: str
    engine: str
    source: str
    frame: int | None
    name: str
    answers: tuple[Answer, ...]
    fps: float | None
    p50_ms: float | None
    p90_ms: float | None
    summary: Summary
    board: Reading
    controls: Knobs
    history: tuple[Second, ...]
    events: tuple[Noted, ...]

    def after(self, event: int, at_s: float) -> State:
        """Without the events up to number `event`, and without the history up to at_s."""
        return msgspec.structs.replace(
            self,
            events=tuple(noted for noted in self.events if noted.n > event),
            history=tuple(second for second in self.history if second.at_s > at_s),
        )


class _Sample(NamedTuple):
    at_s: float
    latency_ms: float
    first: bool  # of its frame, which has a result a region


class Tally:
    """Notes results from the run's thread without a lock; any other thread may ask for the state."""

    def __init__(
        self,
        context: Context,
        controls: Controls,
        board: Callable[[], Reading],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._context, self._controls, self._read_board, self._clock = context, controls, board, clock
        self._run, self._opened_s = secrets.token_hex(4), clock()
        # Written by note(). Appending to a deque, copying it and setting a key are one step each in CPython.
        self._newest: dict[str, Result] = {}
        self._frame = -1
        self._samples: deque[_Sample] = deque(maxlen=600)
        self._second: list[_Sample] = []
        self._history: deque[Second] = deque(maxlen=HISTORY_S)
        self._events: deque[Noted] = deque(maxlen=EVENTS)
        self._numbers = itertools.count(1)
        # Written by state(), one asker at a time.
        self._asking = threading.Lock()
        self._state: State | None = None
        self._summary: Summary | None = None
        self._board = Reading()
        self._counted_s = 0.0

    def note(self, result: Result) -> None:
        sample = _Sample(self._clock(), result.latency_ms, result.frame != self._frame)
        if self._second and sample.at_s >= self._second[0].at_s + 1:
            self._history.append(self._sum_up(self._second, sample.at_s))
            self._second = []
        self._second.append(sample)
        self._samples.append(sample)
        self._frame = result.frame
        self._newest[result.region] = result
        self._events.extend(Noted(n=next(self._numbers), event=event) for event in result.events)

    def state(self) -> State:
        with self._asking:
            now_s = self._clock() - self._opened_s
            if self._state is None or now_s >= self._state.now_s + KEPT_S:
                self._state = self._look(now_s)
            return self._state

    def _look(self, now_s: float) -> State:
        if self._summary is None or now_s >= self._counted_s + COUNTED_S:
            self._summary, self._board = self._context.summary(), self._read_board()
            self._counted_s = now_s
        recent = self._recent()
        fps = _fps(recent)
        age_s = now_s + self._opened_s - recent[-1].at_s if recent else None
        state = _name(age_s, fps, self._summary)
        newest = max(self._newest.copy().values(), key=lambda result: result.frame, default=None)
        latencies = sorted(sample.latency_ms for sample in recent) if state == "running" else []
        return State(
            run=self._run,
            state=state,
            now_s=round(now_s, 3),
            age_s=None if age_s is None else round(age_s, 3),
            model=self._context.model,
            device=self._context.device,
            engine=self._context.engine,
            source=self._context.source,
            frame=newest.frame if newest else None,
            name=newest.name if newest else "",
            answers=tuple(
                Answer(region=region, top=result.top, on=result.on, still=result.still)
                for region, result in sorted(self._newest.copy().items())
            ),
            fps=fps if latencies else None,
            p50_ms=nearest_rank(latencies, 50) if latencies else None,
            p90_ms=nearest_rank(latencies, 90) if latencies else None,
            summary=self._summary,
            board=self._board,
            controls=Knobs(
                on=self._controls.on, off=self._controls.off, motion_gate=self._controls.motion_gate
            ),
            history=tuple(self._history),
            events=tuple(self._events),
        )

    def _recent(self) -> list[_Sample]:
        """The samples of the last seconds before the newest one, and no fewer than two."""
        samples = list(self._samples)
        if not samples:
            return []
        since_s = min(samples[-2:][0].at_s, samples[-1].at_s - RECENT_S)
        return [sample for sample in samples if sample.at_s >= since_s]

    def _sum_up(self, second: list[_Sample], next_s: float) -> Second:
        """`next_s`: when the first result after that second came, which makes its rate true for slow runs."""
        latencies = sorted(sample.latency_ms for sample in second)
        return Second(
            at_s=round(second[0].at_s - self._opened_s, 3),
            fps=round(sum(sample.first for sample in second) / (next_s - second[0].at_s), 3),
            p50_ms=nearest_rank(latencies, 50),
            p90_ms=nearest_rank(latencies, 90),
        )


def _name(age_s: float | None, fps: float | None, summary: Summary) -> str:
    if age_s is None:
        return "waiting"
    if age_s < max(STALE_S, 4 / fps if fps else 0.0):
        return "running"
    return "reconnecting" if summary.lost else "stale"


def _fps(samples: list[_Sample]) -> float | None:
    """Frames a second from the first frame to the last; None of fewer than two."""
    starts_s = [sample.at_s for sample in samples if sample.first]
    span_s = starts_s[-1] - starts_s[0] if starts_s else 0.0
    return round((len(starts_s) - 1) / span_s, 3) if span_s > 0 else None
