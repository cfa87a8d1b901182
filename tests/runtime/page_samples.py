"""A page on loopback, and a run that feeds it."""

from __future__ import annotations

import contextlib
import http.client
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from edgecv.runtime.controls import Controls
from edgecv.runtime.page import Page, open_page
from edgecv.runtime.results import Dropped, Event, Result, SinkCounts, Summary
from edgecv.runtime.sinks.base import Context, Item
from edgecv.tasks import Prediction

LABELS = ("cat", "dog")


def make_summary(**changes: Any) -> Summary:
    values = {
        "frames": 7,
        "dropped": Dropped(capture=3, queue=1),
        "skipped": 2,
        "reconnects": 1,
        "engine_failures": 0,
        "fps": 30.0,
        "latency": None,
        "queue": None,
        "inference": None,
        "events": 0,
        "sinks": (SinkCounts(name="csv out.csv", delivered=5),),
    }
    return Summary(**{**values, **changes})


def make_context(summary: Callable[[], Summary] = make_summary) -> Context:
    return Context("tiny", LABELS, "a board", "fake", "synthetic:64x48@30", summary, 30.0)


def make_result(frame: int, latency_ms: float = 20.0, cat: float = 0.75, **changes: Any) -> Result:
    top = (Prediction(index=0, label="cat", score=cat), Prediction(index=1, label="dog", score=1 - cat))
    values = {"top": top, "time_s": frame / 30, "unix_s": 1_700_000_000.25 + frame}
    return Result(
        frame=frame, latency_ms=latency_ms, **{**values, "queue_ms": 1.0, "infer_ms": 9.0, **changes}
    )


def make_event(label: str = "cat", **changes: Any) -> Event:
    values = {"state": "on", "frame": 1, "unix_s": 1_700_000_000.0, "score": 0.9}
    return Event(label=label, **{**values, **changes})


def make_frame(number: int, size_hw: tuple[int, int] = (48, 64)) -> np.ndarray:
    """A grey picture whose level is the number's."""
    return np.full((*size_hw, 3), number % 256, np.uint8)


class Numbered:
    """An encoder whose pictures say which frame they are of, for frames of make_frame below 256."""

    def __init__(self, size: int = 0) -> None:
        self.frames: list[int] = []
        self._filler = b"." * size

    def __call__(self, bgr: np.ndarray, max_width: int | None, quality: int) -> bytes:
        assert (max_width, quality) == (960, 80)
        self.frames.append(int(bgr[0, 0, 0]))
        return b"frame %d" % self.frames[-1] + self._filler


class Feeder(threading.Thread):
    """A run at about `fps`, until it is stopped. results: makes one, of a frame number."""

    def __init__(
        self,
        page: Page,
        results: Callable[[int], Result] = make_result,
        frames: Callable[[int], np.ndarray] = make_frame,
        fps: float = 60.0,
    ) -> None:
        super().__init__(daemon=True)
        self._page, self._results, self._frames, self._period_s = page, results, frames, 1 / fps
        self.over = threading.Event()

    def run(self) -> None:
        number = 0
        while not self.over.wait(self._period_s):
            result = self._results(number)
            if self._page.wants(result):
                self._page.write(Item(result, self._frames(number)))
            number += 1


@contextlib.contextmanager
def feeding(page: Page, **how: Any) -> Iterator[Feeder]:
    feeder = Feeder(page, **how)
    feeder.start()
    try:
        yield feeder
    finally:
        feeder.over.set()
        feeder.join()


@contextlib.contextmanager
def serving(address: str = "0", **how: Any) -> Iterator[Page]:
    how = {"context": make_context(), "controls": Controls(0.5, 0.3), **how}
    page = open_page(address, **how)
    try:
        yield page
    finally:
        page.close()


def port(page: Page) -> int:
    return int(page.url.partition("?")[0].rstrip("/").rpartition(":")[2])


@contextlib.contextmanager
def answer(
    page: Page, path: str, method: str = "GET", body: bytes | None = None, **headers: str
) -> Iterator[http.client.HTTPResponse]:
    """The answer of a page to a request; header names with _ for -."""
    connection = http.client.HTTPConnection("127.0.0.1", port(page), timeout=10)
    sent = {name.replace("_", "-"): text for name, text in headers.items()}
    with contextlib.closing(connection):
        connection.request(method, path, body, sent)
        with connection.getresponse() as response:
            yield response


def status(page: Page, path: str, method: str = "GET", body: bytes | None = None, **headers: str) -> int:
    with answer(page, path, method, body, **headers) as response:
        response.read()
        return response.status


def picture(response: http.client.HTTPResponse) -> bytes:
    """The next part of a stream."""
    length = None
    while (line := response.readline()) != b"\r\n" or length is None:
        assert line, "the stream has ended"
        if line.lower().startswith(b"content-length:"):
            length = int(line.partition(b":")[2])
    return response.read(length)


def number(jpeg: bytes) -> int:
    """The frame of a picture of Numbered."""
    return int(jpeg.removeprefix(b"frame ").rstrip(b"."))
