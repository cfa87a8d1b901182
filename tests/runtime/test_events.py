from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecv.errors import UsageError
from edgecv.runtime.controls import Controls
from edgecv.runtime.events import Rules, Watcher, parse_hits
from edgecv.runtime.results import Event


def follow(watcher: Watcher, *scores: float, step_s: float = 1.0) -> list[str]:
    """One label's scores, one a frame: what happened, as '2 on' for frame 2."""
    return [
        f"{event.frame} {event.state}"
        for frame, score in enumerate(scores)
        for event in watcher.update(np.float32([score]), frame, 100 + frame * step_s)
    ]


@pytest.mark.parametrize(
    ("hits", "window", "scores", "expected"),
    [
        (3, 5, (0.9, 0.9, 0.9), ["2 on"]),  # before the window is full, what was seen counts
        (3, 5, (0.9, 0, 0.9, 0, 0.9), ["4 on"]),  # the first of the five still counts
        (3, 5, (0.9, 0, 0, 0.9, 0, 0.9), []),  # it has left the window
        (3, 5, (0.5, 0.5, 0.5), ["2 on"]),  # at the threshold is on
        (3, 5, (0.9, 0.9, 0.9, 0.3, 0.4, 0.3), ["2 on"]),  # between the thresholds, and at `off`: it stays
        (3, 5, (0.9, 0.9, 0.9, 0, 0, 0.9, 0), ["2 on", "6 off"]),  # one good frame does not keep it
        (1, 1, (0.9, 0, 0.9, 0), ["0 on", "1 off", "2 on", "3 off"]),  # no smoothing
        (1, 5, (0, 0, 0, 0, 0.9, 0.9, 0.9), ["4 on"]),  # four low frames, but they were before it went on
        (2, 4, (0.9, 0.9, 0, 0.9, 0, 0.4, 0.9), ["1 on", "4 off"]),  # high ones from before it went off: not
    ],
)
def test_hits_of_the_last_frames_decide(
    hits: int, window: int, scores: tuple[float, ...], expected: list[str]
) -> None:
    assert follow(Watcher(["cat"], Rules(hits=hits, window=window)), *scores) == expected


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ((1, 1, 1, 1), ["3 on"]),  # 3 s after it qualified
        ((1, 1, 1, 0), []),  # too short: nothing at all, not even its end
        ((1, 0.4, 0.4, 0.4), ["3 on"]),  # not low enough to go off
        ((1, 1, 1, 0, 1, 1, 1, 1), ["7 on"]),  # each time it begins anew
        ((1, 1, 1, 1, 0), ["3 on", "4 off"]),
    ],
)
def test_a_label_has_to_stay_for_the_shortest_duration(
    scores: tuple[float, ...], expected: list[str]
) -> None:
    assert follow(Watcher(["cat"], Rules(hits=1, window=1, min_duration_s=3.0)), *scores) == expected


def test_what_an_event_says() -> None:
    watcher = Watcher(["cat", "dog"], Rules(hits=2, window=3, min_duration_s=1.0), region="door")
    frames = [(0.6, 0.1), (0.8, 0.1), (0.7, 0.1), (0.0, 0.1), (0.0, 0.1)]
    events = [
        event
        for i, scores in enumerate(frames)
        for event in watcher.update(np.float32(scores), 10 + i, 100.0 + i)
    ]
    assert events == [
        Event(label="cat", state="on", frame=12, unix_s=102.0, score=0.7, region="door"),
        # on since it qualified in frame 11, though that was told a second later
        Event(
            label="cat", state="off", frame=14, unix_s=104.0, score=0.233333, duration_s=3.0, region="door"
        ),
    ]


def test_labels_on_are_in_the_order_of_their_mean_scores() -> None:
    watcher = Watcher(["a", "b", "c", "d"], Rules(on=0.2, off=0.1, hits=1, window=2))
    assert watcher.on == ()
    watcher.update(np.float32([0.25, 0.5, 0.25, 0]), 0, 0.0)
    assert watcher.on == ("b", "a", "c")  # equal means: the lower class first
    watcher.update(np.float32([0.25, 0, 0.5, 0.25]), 1, 1.0)
    assert watcher.on == ("c", "a", "d")


def test_a_clock_that_is_set_back_stands_still() -> None:
    watcher = Watcher(["cat"], Rules(hits=1, window=1, min_duration_s=2.0))
    times_s = [1000.0, 1001.0, 50.0, 51.0, 52.0]  # set back at the third frame
    events = [event for i, t in enumerate(times_s) for event in watcher.update(np.float32([1]), i, t)]
    assert [event.frame for event in events] == [3]
    (off,) = watcher.update(np.float32([0]), 5, 53.0)
    assert (off.duration_s, off.unix_s) == (4.0, 53.0)


def test_thresholds_can_be_turned_while_it_runs() -> None:
    controls = Controls(on=0.9, off=0.5)
    watcher = Watcher(["cat"], Rules(hits=2, window=2), controls)
    assert follow(watcher, 0.8, 0.8, 0.8) == []
    controls.on = 0.7
    assert follow(watcher, 0.8, 0.8) == ["1 on"]
    controls.on, controls.off = 0.95, 0.85
    assert follow(watcher, 0.8, 0.8) == ["1 off"]


def test_hidden_classes_never_go_on() -> None:
    watcher = Watcher(["a", "b", "c"], Rules(hits=1, window=1), shown=np.array([False, True, True]))
    (event,) = watcher.update(np.float32([0.9, 0, 0.9]), 0, 0.0)
    assert (event.label, watcher.on) == ("c", ("c",))


@pytest.mark.parametrize(
    ("text", "expected"), [("3/5", (3, 5)), ("1/1", (1, 1)), ("1000/1000", (1000, 1000))]
)
def test_hits_are_read(text: str, expected: tuple[int, int]) -> None:
    assert parse_hits(text) == expected


@pytest.mark.parametrize("text", ["", "3", "0/5", "6/5", "3/1001", "-1/5", "3/5/7", "3 / 5", "a/b"])
def test_hits_that_cannot_be_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="3/5"):
        parse_hits(text)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"on": 0.2}, "off <= on"),  # below the default `off`
        ({"off": 0.0}, "0 < off"),  # never below it: it could not go off
        ({"on": float("nan")}, "on nan"),
        ({"on": 1.5}, "on 1.5"),
        ({"hits": 0}, "1 <= hits"),
        ({"hits": 6}, "6 of 5 frames"),
        ({"window": 1001}, "window <= 1000"),
        ({"min_duration_s": -1.0}, "-1 s"),
        ({"min_duration_s": float("inf")}, "inf s"),
    ],
)
def test_rules_that_cannot_be_are_refused(wrong: dict[str, float], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Rules(**wrong)


@dataclass
class Slow:
    """One label, as the documentation has it, frame by frame with lists."""

    rules: Rules
    scores: deque[float]
    since: list[float] = field(default_factory=list)  # scores since the last change
    qualified_s: float | None = None
    told: bool = False

    def update(self, score: float, clock_s: float) -> tuple[str, float, float] | None:
        """(state, mean score, duration) of an event."""
        self.scores.append(score)
        self.since.append(score)
        last = self.since[-self.rules.window :]
        mean = sum(self.scores) / len(self.scores)
        if self.qualified_s is None:
            if sum(s >= np.float32(self.rules.on) for s in last) >= self.rules.hits:
                self.qualified_s, self.since = clock_s, []
        elif sum(s < np.float32(self.rules.off) for s in last) >= self.rules.hits:
            lasted_s, told = clock_s - self.qualified_s, self.told
            self.qualified_s, self.since, self.told = None, [], False
            return ("off", mean, lasted_s) if told else None
        if self.qualified_s is None or self.told or clock_s - self.qualified_s < self.rules.min_duration_s:
            return None
        self.told = True
        return "on", mean, 0.0


@st.composite
def runs(draw: st.DrawFn) -> tuple[Rules, list[list[float]], list[float]]:
    """Rules, scores [frames][3] and times that mostly grow."""
    window = draw(st.integers(1, 7))
    on, off = sorted(draw(st.lists(st.sampled_from([0.25, 0.5, 0.75]), min_size=2, max_size=2)), reverse=True)
    rules = Rules(
        on=on,
        off=off,
        hits=draw(st.integers(1, window)),
        window=window,
        min_duration_s=draw(st.sampled_from([0.0, 0.5, 2.0])),
    )
    score = st.sampled_from([0.0, 0.25, 0.4, 0.5, 0.6, 0.75, 1.0])
    frames = draw(st.lists(st.lists(score, min_size=3, max_size=3), max_size=60))
    steps = st.sampled_from([0.0, 0.25, 0.5, 1.0, -30.0])
    times = np.cumsum(draw(st.lists(steps, min_size=len(frames), max_size=len(frames)))) + 1000.0
    return rules, frames, times.tolist()


@given(runs())
def test_all_labels_at_once_are_what_each_is_alone(
    run: tuple[Rules, list[list[float]], list[float]],
) -> None:
    rules, frames, times_s = run
    labels = ["a", "b", "c"]
    slow = {label: Slow(rules, deque(maxlen=rules.window)) for label in labels}
    watcher, clock_s, before_s = Watcher(labels, rules), 0.0, 0.0
    for index, (scores, unix_s) in enumerate(zip(frames, times_s, strict=True)):
        clock_s, before_s = clock_s + max(0.0, unix_s - before_s), unix_s
        expected = {}
        for label, score in zip(labels, scores, strict=True):
            if event := slow[label].update(score, clock_s):
                expected[label] = event
        found = watcher.update(np.float32(scores), index, unix_s)
        assert {e.label: (e.state, e.duration_s) for e in found} == {
            label: (state, lasted_s) for label, (state, _, lasted_s) in expected.items()
        }
        for event in found:
            assert event.score == pytest.approx(expected[event.label][1], abs=1e-6)
        assert set(watcher.on) == {label for label in labels if slow[label].told}
