"""What a run gives: a result a frame, the events in it, and the counts at its end."""

from __future__ import annotations

from typing import Literal

from edgecv.spec import Struct
from edgecv.tasks import Prediction
from edgecv.timing import Latency


class Event(Struct, omit_defaults=True):
    """A label that went on or off, decided by the frame `frame`, which was captured at `unix_s`.

    score: the mean of the label's scores over the last frames. duration_s: of an `off`, how long ago the
    label had been seen often enough, a shortest duration included. region: '' for the whole picture.
    """

    label: str
    state: Literal["on", "off"]
    frame: int
    unix_s: float
    score: float
    duration_s: float = 0.0
    region: str = ""


class Result(Struct, omit_defaults=True):
    """What one frame, or one region of it, gave.

    time_s: when the frame was captured, in seconds after the first one; of a video file its place in it, of
    pictures when they were read. unix_s: the same in seconds since 1970. latency_ms: how old the frame was
    when its answer was there; of this, it waited queue_ms for preprocessing and for the engine, and infer_ms
    went by in the engine.
    still: the motion gate saw nothing new, and `top` is the answer before.
    on: the labels that are on now, those with the highest scores first. name: the picture's file name.
    """

    frame: int
    time_s: float
    unix_s: float
    latency_ms: float
    queue_ms: float
    infer_ms: float
    top: tuple[Prediction, ...]
    name: str = ""
    region: str = ""
    still: bool = False
    on: tuple[str, ...] = ()
    events: tuple[Event, ...] = ()


class Dropped(Struct):
    """Frames of a live source that nobody answered.

    capture: a newer one came before it was taken; queue: it was prepared, and a newer one was too before the
    engine was free.
    """

    capture: int = 0
    queue: int = 0

    @property
    def total(self) -> int:
        return self.capture + self.queue


class SinkCounts(Struct):
    """delivered: written, or acknowledged by the other side; dropped: pushed out of a full buffer by newer
    ones, or left in it at the end; failed: could not be written. Items are results or, where the sink takes
    only those, events."""

    name: str
    delivered: int = 0
    dropped: int = 0
    failed: int = 0
    waiting: int = 0


class Avoided(Struct):
    """What the motion gate saved: inferences, and the CPU seconds they would have taken (their number times
    the mean of those that ran)."""

    inferences: int
    cpu_s: float


class Summary(Struct):
    """A run so far, or a whole one. `fps`, `latency` (capture to result), `queue` and `inference` are over
    the last frames only (at most pipeline.RECENT), so that a run of months needs no more memory than a short
    one. lost: the live source is gone, and being opened again."""

    frames: int
    dropped: Dropped
    skipped: int
    reconnects: int
    engine_failures: int
    fps: float | None
    latency: Latency | None
    queue: Latency | None
    inference: Latency | None
    events: int
    lost: bool = False
    avoided: Avoided | None = None
    sinks: tuple[SinkCounts, ...] = ()
