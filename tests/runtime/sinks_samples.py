"""Results, contexts and a sink worked by hand, for the tests of the sinks."""

from __future__ import annotations

import queue
import threading
from pathlib import Path

import numpy as np
from waits import WAIT_S, wait_until

from edgecv.runtime.results import Dropped, Event, Result, SinkCounts, Summary
from edgecv.runtime.sinks import Context, Item, Outlet, Sink, Traits
from edgecv.tasks import Prediction
from edgecv.timing import Latency

IMPORTABLE = [str(folder) for folder in Path(__file__).parents[:2]]  # for a child process that imports this
UNIX_S = 1_795_356_900.123  # 2026-11-22 14:15:00.123 UTC
LABELS = ("cat", "dog", "crane, bird")


def event(label: str = "cat", state: str = "on", frame: int = 0, region: str = "") -> Event:
    about = {"label": label, "frame": frame, "unix_s": UNIX_S + frame, "score": 0.9, "region": region}
    return Event(**about, state="on") if state == "on" else Event(**about, state="off", duration_s=2.5)  # type: ignore[arg-type]


def result(
    frame: int = 0,
    *events: Event,
    on: tuple[str, ...] = (),
    region: str = "",
    name: str = "",
    still: bool = False,
) -> Result:
    scores = (0.9, 0.08, 0.02)
    return Result(
        frame=frame,
        time_s=frame / 10,
        unix_s=UNIX_S + frame,
        latency_ms=20.0,
        queue_ms=5.0,
        infer_ms=12.0,
        top=tuple(Prediction(index=i, label=LABELS[i], score=scores[i]) for i in range(3)),
        name=name,
        region=region,
        still=still,
        on=on,
        events=events,
    )


def item(frame: int = 0, *events: Event, on: tuple[str, ...] = (), region: str = "") -> Item:
    """With a grey picture of 64x96."""
    return Item(result(frame, *events, on=on, region=region), np.full((64, 96, 3), 128, np.uint8))


def summary() -> Summary:
    spent = Latency.of([20.0])
    return Summary(
        frames=7,
        dropped=Dropped(capture=2, queue=1),
        skipped=0,
        reconnects=3,
        engine_failures=1,
        fps=12.5,
        latency=spent,
        queue=spent,
        inference=spent,
        events=4,
        sinks=(
            SinkCounts(name="-", delivered=5, dropped=1, failed=2, waiting=3),
            SinkCounts(name="-", delivered=1),
        ),
    )


def context(labels: tuple[str, ...] = LABELS, fps: float | None = None, top_k: int = 5) -> Context:
    return Context("tiny onnx:int8", labels, "Test Board", "Fake 1.0", "synthetic:96x64", summary, fps, top_k)


def settle(outlet: Outlet) -> None:
    """Wait until nothing waits in it."""
    wait_until(lambda: not outlet.counts().waiting)


class HandSink(Sink):
    """Each write says which frame it has got, and then waits for its outcome: None, or an error to raise."""

    def __init__(self, **traits: object) -> None:
        self.traits = Traits("hand", **traits)  # type: ignore[arg-type]
        self.begun: queue.Queue[int] = queue.Queue()
        self.outcomes: queue.Queue[Exception | None] = queue.Queue()
        self.items: list[Item] = []
        self.closed = threading.Event()
        self.closer: threading.Thread | None = None

    def write(self, item: Item) -> None:
        self.begun.put(item.result.frame)
        error = self.outcomes.get(timeout=WAIT_S)
        if error is not None:
            raise error
        self.items.append(item)

    def close(self) -> None:
        self.closer = threading.current_thread()
        self.closed.set()

    @property
    def frames(self) -> list[int]:
        return [item.result.frame for item in self.items]
