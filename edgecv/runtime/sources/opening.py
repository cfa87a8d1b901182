"""Opening what may never open."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as TooLate

from edgecv.errors import SourceError
from edgecv.runtime.sources.base import Opened

# A camera may want this long before it is open, however soon its frames are missed.
OPENING_S = 30.0

Opener = Callable[[threading.Event], Opened]


def open_in_time(opener: Opener, stop: threading.Event, where: str) -> Opened:
    """Open in a thread of its own, which is left alone when it hangs; meanwhile, Ctrl-C works.

    Raises what the opener raises, and SourceError after OPENING_S seconds.
    """
    future: Future[Opened] = Future()

    def work() -> None:
        try:
            future.set_result(opener(stop))
        except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
            future.set_exception(error)

    threading.Thread(target=work, name="edgecv-opening", daemon=True).start()
    try:
        return future.result(OPENING_S)
    except TooLate:
        raise SourceError(
            f"{where} did not open within {OPENING_S:g} s; its driver hangs, or an element of its pipeline "
            "does not exist here"
        ) from None
