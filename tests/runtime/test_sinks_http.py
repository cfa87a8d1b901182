"""Webhooks against a real HTTP server, and metrics scraped from the real exporter."""

from __future__ import annotations

import queue
import socket
import sys
import threading
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec
import pytest
from sinks_samples import UNIX_S, context, event, item, settle, summary
from waits import WAIT_S

from edgecv.errors import SinkError
from edgecv.runtime.sinks import Item, Outlet, SinkBusy, open_sink, outlet


class Hook(ThreadingHTTPServer):
    """Answers with the codes of `answers` in turn and with 200 after them; None hangs up instead."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), HookHandler)
        self.answers: list[int | None] = []
        self.seen: queue.Queue[tuple[str, dict[str, str], dict[str, Any]]] = queue.Queue()

    @property
    def where(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"


class HookHandler(BaseHTTPRequestHandler):
    server: Hook

    def do_POST(self) -> None:
        body = msgspec.json.decode(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.seen.put((self.path, dict(self.headers), body))
        code = self.server.answers.pop(0) if self.server.answers else 200
        if code is None:
            return
        self.send_response(code)
        if 300 <= code < 400:
            self.send_header("Location", "http://127.0.0.1:9/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def hook() -> Iterator[Hook]:
    with Hook() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outlet, "FIRST_PAUSE_S", 0.001)


def one(frame: int = 0) -> Item:
    return item(frame, event("cat", frame=frame), on=("cat",))


# --- webhooks


def test_an_event_is_posted_with_where_it_comes_from(hook: Hook) -> None:
    front = Outlet(open_sink(f"http://{hook.where}/hook/geheim é?a=b c", context()))
    front.offer(item(0), True)
    front.offer(one(4), True)
    front.close()
    path, headers, body = hook.seen.get(timeout=WAIT_S)
    assert path == "/hook/geheim%20%C3%A9?a=b%20c"
    assert headers["Content-Type"] == "application/json"
    assert "Authorization" not in headers
    assert body == {
        **{"label": "cat", "state": "on", "frame": 4, "unix_s": UNIX_S + 4, "score": 0.9},
        **{"device": "Test Board", "model": "tiny onnx:int8", "source": "synthetic:96x64"},
    }
    assert hook.seen.empty()
    assert front.name == f"http://{hook.where}/…"  # with many services, the path is the secret


@pytest.mark.parametrize("answer", [500, 503, 429, 408, None])
def test_a_server_in_trouble_gets_it_again(answer: int | None, hook: Hook) -> None:
    hook.answers = [answer, answer]
    front = Outlet(open_sink(f"http://{hook.where}/", context()))
    for frame in range(2):
        front.offer(one(frame), True)
    settle(front)
    front.close()
    assert front.counts().delivered == 2
    assert [hook.seen.get()[2]["frame"] for _ in range(4)] == [0, 0, 0, 1]


@pytest.mark.parametrize("answer", [400, 401, 404, 302, 307])
def test_what_it_will_never_take_is_lost(answer: int, hook: Hook, caplog: pytest.LogCaptureFixture) -> None:
    hook.answers = [answer]
    front = Outlet(open_sink(f"http://{hook.where}/", context()))
    for frame in range(2):
        front.offer(one(frame), True)
    front.close()
    assert (front.counts().delivered, front.counts().failed) == (1, 1)
    assert f"the webhook answers {answer} " in caplog.messages[0]


@pytest.mark.parametrize(
    ("credentials", "token", "header"),
    [
        ("", "t0ken", "Bearer t0ken"),
        ("", " t0ken\r\n", "Bearer t0ken"),  # from a file
        ("user:p%2Fw@", "", "Basic dXNlcjpwL3c="),
        ("user:p%2Fw@", "t0ken", "Basic dXNlcjpwL3c="),  # what is in the address is meant for it
    ],
)
def test_who_is_asking(
    credentials: str, token: str, header: str, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGECV_WEBHOOK_TOKEN", token)
    sink = open_sink(f"http://{credentials}{hook.where}/", context())
    sink.write(one())
    assert hook.seen.get(timeout=WAIT_S)[1]["Authorization"] == header
    assert "p/w" not in sink.traits.name
    assert "p%2Fw" not in sink.traits.name


@pytest.mark.parametrize("token", ["ge\rheim", "ge\nheim", "ge\x1bheim", "gehéim"])
def test_a_token_that_no_header_holds_is_not_told(token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGECV_WEBHOOK_TOKEN", token)
    with pytest.raises(SinkError, match="EDGECV_WEBHOOK_TOKEN holds characters") as caught:
        open_sink("http://127.0.0.1:9/", context())
    assert "ge" not in str(caught.value).replace("EDGECV", "")


def test_nobody_there_is_no_error_at_opening() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        sink = open_sink(f"http://127.0.0.1:{free.getsockname()[1]}/", context())
        with pytest.raises(SinkBusy, match="no answer from the webhook: Connection refused"):
            sink.write(one())


def test_a_server_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    from edgecv.runtime.sinks import webhook

    monkeypatch.setattr(webhook, "TIMEOUT_S", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        sink = open_sink(f"http://127.0.0.1:{silent.getsockname()[1]}/", context())
        with pytest.raises(SinkBusy, match="timed out"):
            sink.write(one())


# --- metrics


def scraped(name: str) -> dict[str, float]:
    """name: prometheus:HOST:PORT; the samples by their names and labels."""
    url = f"http://{name.partition(':')[2]}/metrics"
    with urllib.request.urlopen(url, timeout=WAIT_S) as answer:
        lines = answer.read().decode().splitlines()
    return {key: float(value) for key, _, value in (x.rpartition(" ") for x in lines if x[0] != "#")}


@pytest.fixture(scope="module")
def exporter() -> Iterator[Outlet]:
    """One for all, as its server takes half a second to stop."""
    pytest.importorskip("prometheus_client", reason='needs the extra "prometheus"')
    front = Outlet(open_sink("prometheus:0", context()))
    yield front
    front.close()


def test_what_the_run_counts_is_scraped(exporter: Outlet) -> None:
    found = scraped(exporter.name)
    expected = {
        "edgecv_frames_total": summary().frames,
        'edgecv_frames_dropped_total{where="capture"}': 2,
        'edgecv_frames_dropped_total{where="queue"}': 1,
        "edgecv_reconnects_total": 3,
        "edgecv_engine_failures_total": 1,
        'edgecv_info{device="Test Board",engine="Fake 1.0",model="tiny onnx:int8"}': 1,
        'edgecv_sink_items_total{outcome="delivered",sink="-"}': 6,  # two of one name are one sample
        'edgecv_sink_items_total{outcome="failed",sink="-"}': 2,
        'edgecv_sink_waiting_items{sink="-"}': 3,
    }
    assert {key: found.get(key) for key in expected} == expected


def test_results_become_histograms_and_labels(exporter: Outlet) -> None:
    exporter.offer(item(0, event("cat"), on=("cat",)), True)
    exporter.offer(item(1, event("cat", region="door"), on=("cat",), region="door"), True)
    exporter.offer(item(2, event("cat", "off"), event("dog"), on=("dog",)), True)
    still = item(3, on=("dog",))
    exporter.offer(still._replace(result=msgspec.structs.replace(still.result, still=True)), True)
    settle(exporter)
    found = scraped(exporter.name)
    expected = {
        "edgecv_latency_seconds_count": 4,
        'edgecv_latency_seconds_bucket{le="0.01"}': 0,
        'edgecv_latency_seconds_bucket{le="0.02"}': 4,
        "edgecv_queue_seconds_count": 4,
        "edgecv_inference_seconds_count": 3,  # the gate let three through
        'edgecv_label_on{label="cat",region=""}': 0,
        'edgecv_label_on{label="dog",region=""}': 1,
        'edgecv_label_on{label="cat",region="door"}': 1,
        'edgecv_events_total{label="cat",state="on"}': 2,
        'edgecv_events_total{label="cat",state="off"}': 1,
    }
    assert {key: found.get(key) for key in expected} == expected
    assert found["edgecv_inference_seconds_sum"] == pytest.approx(0.036)


def test_a_port_that_is_taken_is_an_error_at_opening(exporter: Outlet) -> None:
    port = exporter.name.rpartition(":")[2]
    with pytest.raises(SinkError, match=f"cannot listen on 127.0.0.1:{port}: Address already in use"):
        open_sink(f"prometheus:{port}", context())


def test_closing_gives_the_port_and_the_thread_back() -> None:
    pytest.importorskip("prometheus_client", reason='needs the extra "prometheus"')
    before = set(threading.enumerate())  # another test's may be ending
    sink = open_sink("prometheus:localhost:0", context())
    scraped(sink.traits.name)
    sink.close()
    assert set(threading.enumerate()) <= before
    with socket.create_server(("127.0.0.1", int(sink.traits.name.rpartition(":")[2]))):
        pass


def test_a_missing_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(SinkError) as caught:
        open_sink("prometheus:0", context())
    assert 'pip install "edgecv[prometheus]"' in str(caught.value)


def test_ipv6() -> None:
    pytest.importorskip("prometheus_client", reason='needs the extra "prometheus"')
    try:
        sink = open_sink("prometheus:[::1]:0", context())
    except SinkError:
        pytest.skip("this machine has no IPv6")
    assert scraped(sink.traits.name)["edgecv_frames_total"] == 7
    sink.close()
