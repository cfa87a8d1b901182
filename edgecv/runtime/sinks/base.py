"""What every sink is: somewhere for results to go, written to from a thread of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

from edgecv.errors import SinkError
from edgecv.runtime.results import Result, Summary

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class SinkBusy(SinkError):  # noqa: N818  reads as the fact it states
    """Not now, perhaps later: the item is kept, and tried again."""


class SinkClosed(SinkError):  # noqa: N818  the same
    """Whoever read has had enough, as `head -1` has after a line: no item will ever be taken again."""


class Item(NamedTuple):
    """bgr: [H, W, 3] uint8, never written into by a sink; None unless the sink's traits ask for pictures."""

    result: Result
    bgr: NDArray[np.uint8] | None = None


class Traits(NamedTuple):
    """How a sink is to be fed.

    name: as shown, passwords masked. events: it gets an item for each event, the result with that event
    alone, and none without; otherwise an item for each result. pictures: it needs Item.bgr. waits: where
    the source loses nothing, the run waits for this sink rather than drop. depth: items that may wait in
    front of it; with pictures each holds a whole frame. whole: nothing is there before close() has succeeded,
    and what was delivered counts as failed when it does not.
    """

    name: str
    events: bool = False
    pictures: bool = False
    waits: bool = False
    depth: int = 1000
    whole: bool = False


class Context(NamedTuple):
    """What a sink may say about the run.

    summary(): the counts so far, at any time once the sink is open and from any thread; not free, so no more
    than once a second. fps: the source's own rate, None where it has none. top_k: classes in a result, where
    the model has as many.
    """

    model: str
    labels: Sequence[str]
    device: str
    engine: str
    source: str
    summary: Callable[[], Summary]
    fps: float | None = None
    top_k: int = 5


class Sink(Protocol):
    """Made by open_sink, which raises SinkError or UsageError when it cannot work at all.

    Derive from it: two members to implement, beside the traits.
    """

    traits: Traits

    def wants(self, result: Result) -> bool:  # noqa: ARG002  for those who choose
        """Whether this result is for it; from the run's own thread, so a look and no work."""
        return True

    def write(self, item: Item) -> None:
        """Deliver. SinkBusy: keep it and try again; any other SinkError or OSError: this item is lost."""
        ...

    def close(self) -> None:
        """Flush, and free what is held; after the last write, from the same thread."""
        ...
