"""A run with its sinks: who gets what, and how it ends when one of them does not work."""

from __future__ import annotations

import csv
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from waits import WAIT_S

import edgecv
from edgecv import api
from edgecv.bundle import Bundle
from edgecv.errors import SinkError, UsageError
from edgecv.runtime import session as session_module
from edgecv.runtime.events import Rules
from edgecv.runtime.sinks.base import Item, Sink, Traits

pytestmark = pytest.mark.usefixtures("fake_engine")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Six flat pictures, three black and three white: for the fake engine classes 0 and 9."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for index in range(6):
        assert cv2.imwrite(str(folder / f"{index}.png"), np.full((20, 30, 3), 255 * (index > 2), np.uint8))
    return folder


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())  # another test's may be stuck in a driver that hangs
    yield
    new = set(threading.enumerate()) - before
    assert not [thread.name for thread in new if thread.name.startswith("edgecv-")]


def test_every_sink_gets_every_result(bundle: Bundle, photos: Path, tmp_path: Path) -> None:
    lines, table, snapshots = tmp_path / "r.jsonl", tmp_path / "r.csv", tmp_path / "snapshots"
    rules = Rules(on=0.4, off=0.2, hits=1, window=1)
    with api.open_run(
        bundle.root, str(photos), rules=rules, out=[str(lines), str(table), f"{snapshots}/"], top_k=2
    ) as session:
        results = list(session)
        session.close()
        counts = {sink.name: sink for sink in session.summary().sinks}
    assert [result.on for result in results] == [("class 0",)] * 3 + [("class 9",)] * 3
    written = [json.loads(line) for line in lines.read_text().splitlines()]
    assert [row["frame"] for row in written] == list(range(6))
    assert [event["state"] for row in written for event in row.get("events", ())] == ["on", "off", "on"]
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert [row["label_1"] for row in rows] == ["class 0"] * 3 + ["class 9"] * 3
    assert "label_2" in rows[0]
    assert "label_3" not in rows[0]
    assert len(list(snapshots.glob("*.jpg"))) == 2
    assert [(sink.delivered, sink.dropped, sink.failed, sink.waiting) for sink in counts.values()] == [
        (6, 0, 0, 0),
        (6, 0, 0, 0),
        (2, 0, 0, 0),
    ]


def test_a_sink_that_cannot_be_opened_closes_those_before_it(
    bundle: Bundle, photos: Path, tmp_path: Path
) -> None:
    with pytest.raises(SinkError, match="nowhere"):
        api.open_run(
            bundle.root, str(photos), out=[str(tmp_path / "a.jsonl"), str(tmp_path / "nowhere" / "b.csv")]
        ).__enter__()


def test_a_sink_that_nobody_knows_is_a_wrong_call(bundle: Bundle, photos: Path) -> None:
    with pytest.raises(UsageError, match="fax"):
        api.open_run(bundle.root, str(photos), out=["fax:12345"]).__enter__()


def test_a_port_that_is_taken_is_said(bundle: Bundle, photos: Path) -> None:
    pytest.importorskip("prometheus_client", reason='pip install "edgecv[prometheus]"')
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(SinkError, match=str(port)):
            api.open_run(bundle.root, str(photos), out=[f"prometheus:{port}"]).__enter__()


def test_the_stream_for_python_ends_when_it_is_left(bundle: Bundle) -> None:
    for result in edgecv.stream(bundle.root, "synthetic:64x48@500", top_k=1):
        assert len(result.top) == 1
        if result.frame >= 3:  # frames are dropped where the machine is slow
            break


def test_stop_reaches_a_run_that_waits_for_a_stuck_sink(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck, go = threading.Event(), threading.Event()

    class Stuck(Sink):
        traits = Traits(name="stuck", waits=True, depth=1)

        def write(self, item: Item) -> None:
            del item
            stuck.set()
            assert go.wait(WAIT_S)

        def close(self) -> None: ...

    monkeypatch.setattr(session_module, "open_sink", lambda _uri, _context: Stuck())
    monkeypatch.setattr(session_module, "STOP_S", 0.01)
    with api.open_run(bundle.root, "synthetic:64x48", out=["-"]) as session:
        taker = threading.Thread(target=lambda: list(session))
        taker.start()
        assert stuck.wait(WAIT_S)
        session.stop()
        taker.join(WAIT_S)
        assert not taker.is_alive()
        go.set()
    (counts,) = session.summary().sinks
    assert counts.delivered + counts.dropped == session.summary().frames
    assert counts.waiting == 0
