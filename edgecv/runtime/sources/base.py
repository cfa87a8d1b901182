"""What every source gives: frames, and the count of those it could not give."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from types import TracebackType

    import numpy as np


@dataclass(frozen=True, slots=True, eq=False)  # comparing pixels by == would be an array, not an answer
class Frame:
    """One picture. Nobody writes into it: neither the source that has handed it out, nor its takers.

    bgr: [H, W, 3] uint8, blue first as OpenCV has it; may be a read-only view with a stride of its own.
    index: 0-based, in order of delivery. captured_s: time.perf_counter() when the driver, the decoder or the
    disk had it ready; where the sensor says so, when its exposure began.
    name: the picture's file name, '' where the source is no pictures.
    """

    bgr: np.ndarray
    index: int
    captured_s: float
    name: str


@dataclass(frozen=True)
class Counts:
    """Frames nobody got so far.

    dropped: captured by a live source, and replaced by a newer one before anybody took it.
    skipped: there, but not decodable (a damaged photograph, a frame torn on its way).
    reconnects: how often a live source was lost and came back. lost: it is gone now.
    """

    dropped: int = 0
    skipped: int = 0
    reconnects: int = 0
    lost: bool = False


class Source(Iterator[Frame], Protocol):
    """Frames, one at a time, from one thread. A source has five members to implement; the rest is given.

    An iteration that is left goes on with the next frame when it is taken up again.

    live: frames come whether they are taken or not, and only the newest is kept; otherwise none is lost.
    fps: the source's own rate in frames a second, None where it is unknown.
    """

    live: bool
    fps: float | None

    @property
    def counts(self) -> Counts: ...

    def __next__(self) -> Frame:
        """Wait for the next frame; StopIteration at the end and after close(); SourceError says why not."""
        ...

    def close(self) -> None:
        """Free the device and end the iteration. From any thread, any number of times."""
        ...

    def __enter__(self) -> Source:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Shot(NamedTuple):
    """What the generators below a source yield; None instead of a Shot is a frame that cannot be decoded."""

    bgr: np.ndarray
    captured_s: float
    name: str = ""


Shots = Generator["Shot | None", None, None]


class Opened(NamedTuple):
    """A device, stream or file that is open: its frames, and its rate as Source.fps."""

    shots: Shots
    fps: float | None = None
