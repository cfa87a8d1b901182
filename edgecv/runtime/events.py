"""Scores -> events: a label goes on when it was seen often enough lately, off when it was missed as often."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

from edgecv.errors import UsageError
from edgecv.runtime.controls import Controls
from edgecv.runtime.results import Event
from edgecv.spec import Fraction, Struct

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_WINDOW = 1000


class Rules(Struct):
    """When a label goes on or off: `hits` of the last `window` frames say so.

    A label that is off goes on after `hits` frames with a score of at least `on`; one that is on goes off
    after `hits` frames with a score below `off`. Each change begins a new count, so that old frames cannot
    undo it. min_duration_s: a label that goes off again before this gives no event. Raises UsageError.
    """

    on: Fraction = 0.5
    off: Fraction = 0.3
    hits: int = 3
    window: int = 5
    min_duration_s: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.off <= self.on <= 1:
            raise UsageError(f"thresholds are 0 < off <= on <= 1, not on {self.on:g} and off {self.off:g}")
        if not 1 <= self.hits <= self.window <= MAX_WINDOW:
            raise UsageError(
                f"{self.hits} of {self.window} frames cannot be: 1 <= hits <= window <= {MAX_WINDOW}"
            )
        if not 0 <= self.min_duration_s < float("inf"):
            raise UsageError(f"a shortest duration of {self.min_duration_s:g} s cannot be: give 0 s or more")


def parse_hits(text: str) -> tuple[int, int]:
    """Read `3/5` as (hits, window); UsageError says what is allowed."""
    match = re.fullmatch(r"(\d{1,4})/(\d{1,4})", text, re.ASCII)
    hits, window = (int(match[1]), int(match[2])) if match else (0, 0)
    if not 1 <= hits <= window <= MAX_WINDOW:
        raise UsageError(
            f"{text!r} is not HITS/WINDOW, as 3/5 for 3 of the last 5 frames, with "
            f"1 <= hits <= window <= {MAX_WINDOW}"
        )
    return hits, window


class Watcher:
    """Follows every label of the picture, or of one region of it.

    labels: a name for each class. controls: where given, its thresholds hold, not those of `rules`.
    shown: [classes], which of them may go on; None is all.
    """

    def __init__(
        self,
        labels: Sequence[str],
        rules: Rules,
        controls: Controls | None = None,
        region: str = "",
        shown: NDArray[np.bool_] | None = None,
    ) -> None:
        self._shown = None if shown is None else np.flatnonzero(shown)
        self._labels = labels if self._shown is None else [labels[i] for i in self._shown]
        self._rules, self._region = rules, region
        self._thresholds: Controls | Rules = controls or rules
        shape = (rules.window, len(self._labels))
        self._scores = np.zeros(shape, np.float32)
        # What speaks against the state a label is in: high scores while it is off, low ones while it is on.
        self._against = np.zeros(shape, np.bool_)
        self._count = np.zeros(len(self._labels), np.int16)
        self._frames = 0
        self._clock_s = self._unix_s = 0.0
        self._since_s: dict[int, float] = {}  # of all that qualify, those too short for an event included
        self._on: set[int] = set()

    def update(self, scores: NDArray[np.float32], frame: int, unix_s: float) -> tuple[Event, ...]:
        """What changed with this frame: first what went off, then what went on.

        scores: [classes] float32, softmax. unix_s: when the frame was captured; a clock that is set back
        stands still for that frame.
        """
        self._tick(unix_s)
        changed = self._judge(scores if self._shown is None else scores[self._shown])
        if not changed and len(self._since_s) == len(self._on):
            return ()
        gone = [c for c in changed if c in self._since_s]
        events = self._end(gone, frame, unix_s)
        self._since_s.update((c, self._clock_s) for c in changed if c not in gone)
        for c, since_s in self._since_s.items():
            if c not in self._on and self._clock_s - since_s >= self._rules.min_duration_s:
                self._on.add(c)
                events.append(self._event(c, "on", frame, unix_s))
        return tuple(events)

    @property
    def on(self) -> tuple[str, ...]:
        """The labels that are on, the highest mean score over the window first."""
        if not self._on:
            return ()  # the very tuple that is a Result's default, which is then left out of JSON
        classes = sorted(self._on)
        if len(classes) > 1:
            classes = [classes[i] for i in np.argsort(-self._means(classes), kind="stable")]
        return tuple(self._labels[c] for c in classes)

    def _tick(self, unix_s: float) -> None:
        self._clock_s += max(0.0, unix_s - self._unix_s)
        self._unix_s = unix_s

    def _judge(self, scores: NDArray[np.float32]) -> list[int]:
        """Count the frame; the classes whose state changes with it."""
        row = self._frames % self._rules.window
        self._frames += 1
        self._scores[row] = scores
        against = self._against[row]
        self._count -= against
        np.greater_equal(scores, self._thresholds.on, out=against)
        if self._since_s:
            active = list(self._since_s)
            against[active] = scores[active] < self._thresholds.off
        self._count += against
        changed: list[int] = (self._count >= self._rules.hits).nonzero()[0].tolist()
        if changed:
            self._begin_count(changed)
        return changed

    def _begin_count(self, classes: list[int]) -> None:
        self._against[:, classes] = False
        self._count[classes] = 0

    def _end(self, classes: list[int], frame: int, unix_s: float) -> list[Event]:
        """Forget that these qualify; an event for each that was on."""
        lasted_s = {c: self._clock_s - self._since_s.pop(c) for c in classes}
        ended = [c for c in classes if c in self._on]
        self._on.difference_update(ended)
        return [self._event(c, "off", frame, unix_s, lasted_s[c]) for c in ended]

    def _event(
        self, c: int, state: Literal["on", "off"], frame: int, unix_s: float, lasted_s: float = 0.0
    ) -> Event:
        return Event(
            label=self._labels[c],
            state=state,
            frame=frame,
            unix_s=unix_s,
            score=round(float(self._means([c])[0]), 6),
            duration_s=round(lasted_s, 3),
            region=self._region,
        )

    def _means(self, classes: list[int]) -> NDArray[np.float64]:
        """Over the window, of which only what was seen counts."""
        return self._scores[: self._frames, classes].mean(axis=0, dtype=np.float64)
