"""The live page over plain HTTP: pictures only for those who look, numbers, controls and who is let in."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import socket
import sys
import threading
import time
from collections.abc import Iterator

import cv2
import numpy as np
import pytest
from page_samples import (
    Numbered,
    answer,
    feeding,
    make_context,
    make_event,
    make_frame,
    make_result,
    number,
    picture,
    port,
    serving,
    status,
)
from waits import wait_until

from edgecv.errors import SinkError
from edgecv.runtime.controls import Controls
from edgecv.runtime.page import Page, open_page, site
from edgecv.runtime.sinks.base import Item
from edgecv.runtime.sinks.outlet import Outlet


@pytest.fixture
def page() -> Iterator[Page]:
    with serving() as page:
        yield page


@pytest.fixture(scope="module")
def one() -> Iterator[tuple[Page, Controls]]:
    """One page for all tests that ask for nothing but answers: a server takes 0.2 s to end."""
    controls = Controls(0.5, 0.3)
    with serving(controls=controls) as page:
        yield page, controls


@pytest.fixture
def knobs(one: tuple[Page, Controls]) -> tuple[Page, Controls]:
    controls = one[1]
    controls.on, controls.off, controls.motion_gate = 0.5, 0.3, False
    return one


def full_hd(number: int) -> np.ndarray:
    return make_frame(number, (1080, 1920))


def test_without_a_viewer_nothing_is_encoded() -> None:
    encoder = Numbered()
    with serving(encode=encoder) as page:
        assert not any(page.wants(make_result(frame)) for frame in range(100))
        page.write(Item(make_result(1), make_frame(1)))  # on its way when the last viewer left
    assert encoder.frames == []


def test_when_the_viewer_has_left_nothing_is_encoded_any_more() -> None:
    encoder = Numbered()
    with serving(encode=encoder) as page, feeding(page):
        with answer(page, "/stream.mjpg") as stream:
            picture(stream)
            seen = len(encoder.frames)
        wait_until(lambda: not page._pictures._viewers)
        count = len(encoder.frames)
        before = time.monotonic()
        wait_until(lambda: time.monotonic() > before + 0.3)
        assert seen <= count
        assert len(encoder.frames) == count


def test_a_stream_is_what_browsers_take_for_one(page: Page) -> None:
    with feeding(page, frames=full_hd), answer(page, "/stream.mjpg") as stream:
        kind = stream.headers["Content-Type"]
        decoded = cv2.imdecode(np.frombuffer(picture(stream), np.uint8), cv2.IMREAD_COLOR)
        assert decoded is not None
        assert decoded.shape == (540, 960, 3)
        # The end of a part comes with the part: browsers wait for it.
        assert stream.readline() == b"\r\n"
        assert stream.readline().rstrip() == b"--" + kind.partition("boundary=")[2].encode()


def test_a_frame_is_encoded_once_for_all_viewers() -> None:
    encoder = Numbered()
    with serving(encode=encoder) as page, feeding(page), contextlib.ExitStack() as stack:
        streams = [stack.enter_context(answer(page, "/stream.mjpg")) for _ in range(3)]
        seen = [[number(picture(stream)) for _ in range(4)] for stream in streams]
    assert all(sorted(set(numbers)) == numbers for numbers in seen)  # in order, and none twice
    assert len({*seen[0], *seen[1], *seen[2]}) < 12  # of those four each, some are the same
    assert len(encoder.frames) == len(set(encoder.frames))


def test_who_does_not_read_holds_up_nobody_and_has_no_queue() -> None:
    encoder = Numbered(size=1_000_000)
    with serving(encode=encoder) as page, feeding(page), socket.socket() as stuck:
        stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        stuck.connect(("127.0.0.1", port(page)))
        stuck.sendall(b"GET /stream.mjpg HTTP/1.1\r\nHost: localhost\r\n\r\n")
        wait_until(lambda: bool(encoder.frames))
        with answer(page, "/stream.mjpg") as stream:
            seen = [number(picture(stream)) for _ in range(8)]
        with http.client.HTTPResponse(stuck) as late:
            late.begin()
            assert number(picture(late)) <= seen[0]  # what was on its way
            assert number(picture(late)) >= seen[-1]  # the next one is new


def test_numbers_reach_the_state(page: Page) -> None:
    for frame, latency_ms in enumerate((10.0, 30.0, 20.0)):
        page.wants(make_result(frame, latency_ms, on=("cat",), name="a.jpg"))
    with answer(page, "/state") as response:
        told = json.load(response)
    assert told["state"] == "running"
    assert (told["p50_ms"], told["p90_ms"], told["frame"], told["name"]) == (20.0, 30.0, 2, "a.jpg")
    assert told["answers"][0]["on"] == ["cat"]
    assert told["answers"][0]["top"][0] == {"index": 0, "label": "cat", "score": 0.75}
    assert told["summary"]["dropped"] == {"capture": 3, "queue": 1}
    assert told["summary"]["sinks"][0]["name"] == "csv out.csv"
    assert {"temperature_c", "throttled"} <= set(told["board"])
    assert told["controls"] == {"on": 0.5, "off": 0.3, "motion_gate": False}


def test_events_are_sent_once_and_the_end_is_told() -> None:
    with serving() as page, answer(page, "/events") as stream:
        page.wants(make_result(0, events=(make_event("cat"),)))
        states = []
        while not states or not states[-1]["events"]:
            states.append(_message(stream))
        page.wants(make_result(1, events=(make_event("dog"),)))
        while len(states[-1]["events"]) != 1 or states[-1]["events"][0]["n"] != 2:
            states.append(_message(stream))
        assert [noted["n"] for told in states for noted in told["events"]] == [1, 2]
        page.close()
        assert b"event: end" in stream.read()


def _message(stream: http.client.HTTPResponse) -> dict[str, object]:
    line = stream.readline()
    assert line.startswith(b"data: ")
    assert stream.readline() == b"\n"
    return json.loads(line[6:])  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("body", "on", "off", "gate"),
    [
        ('{"on": 0.8, "off": 0.6, "motion_gate": true}', 0.8, 0.6, True),
        ('{"on": 0.2, "off": 0.1}', 0.2, 0.1, False),  # both below what was off
        ('{"motion_gate": true}', 0.5, 0.3, True),  # the rest stays
        ('{"on": 1, "off": 1}', 1.0, 1.0, False),  # the limits
    ],
)
def test_controls_act(body: str, on: float, off: float, gate: bool, knobs: tuple[Page, Controls]) -> None:
    page, controls = knobs
    headers = {"Content_Type": "application/json", "Origin": page.url.rstrip("/")}
    with answer(page, "/controls", "POST", body.encode(), **headers) as response:
        assert response.status == 200
        assert json.load(response) == {"on": on, "off": off, "motion_gate": gate}
    assert controls == Controls(on, off, gate)


@pytest.mark.parametrize(
    ("body", "headers", "expected"),
    [
        (b'{"on": 0.2}', {}, 400),  # below off
        (b'{"off": 0.9}', {}, 400),  # above on
        (b'{"on": 1.01}', {}, 400),
        (b'{"off": 0}', {}, 400),
        (b'{"on": NaN}', {}, 400),
        (b'{"on": "0.5"}', {}, 400),
        (b'{"of": 0.5}', {}, 400),  # unknown
        (b"", {}, 400),
        (b"[" * 4000, {}, 400),  # deep
        (b" " * 5000, {}, 413),
        (b'{"on": 0.8}', {"Content_Type": "text/plain"}, 415),  # what a foreign form can send
        (b'{"on": 0.8}', {"Origin": "http://evil.example"}, 403),
        (b'{"on": 0.8}', {"Origin": "null"}, 403),
        (b'{"on": 0.8}', {"Host": "evil.example"}, 403),
    ],
)
def test_bad_controls_change_nothing(
    body: bytes, headers: dict[str, str], expected: int, knobs: tuple[Page, Controls]
) -> None:
    page, controls = knobs
    headers = {"Content_Type": "application/json", **headers}
    with answer(page, "/controls", "POST", body, **headers) as response:
        assert response.status == expected
        assert response.read().count(b"\n") == 1  # one line
    assert controls == Controls(0.5, 0.3)


def test_a_snapshot_is_the_newest_frame_at_full_size(page: Page) -> None:
    with feeding(page, frames=full_hd), answer(page, "/snapshot.jpg") as response:
        name = response.headers["Content-Disposition"]
        taken = cv2.imdecode(np.frombuffer(response.read(), np.uint8), cv2.IMREAD_COLOR)
    assert taken is not None
    assert taken.shape == (1080, 1920, 3)
    assert re.fullmatch(r'attachment; filename="edgecv-20231114T22\d{4}\.250Z\.jpg"', name)  # the capture's


def test_no_snapshot_without_a_frame(one: tuple[Page, Controls], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(site, "SNAPSHOT_WAIT_S", 0.05)
    with answer(one[0], "/snapshot.jpg") as response:
        assert response.status == 503
        assert response.read() == b"no frame came within 0.05 s\n"


def test_health_is_that_of_the_run(page: Page) -> None:
    with answer(page, "/healthz") as response:
        assert (response.status, response.read()) == (503, b"waiting\n")
    page.wants(make_result(0))
    wait_until(lambda: status(page, "/healthz") == 200)


@pytest.mark.parametrize("path", ["/", "/stream.mjpg", "/events"])
def test_a_head_request_ends(path: str, one: tuple[Page, Controls]) -> None:
    with answer(one[0], path, "HEAD") as response:
        assert (response.status, response.read()) == (200, b"")


def test_the_page_loads_nothing_from_elsewhere(one: tuple[Page, Controls]) -> None:
    with answer(one[0], "/") as response:
        html, headers = response.read().decode(), response.headers
    assert re.findall(r"(?:src|href)=[\"'](?!data:)[^\"']*", html) == []
    assert "innerHTML" not in html
    assert headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert headers["Cache-Control"] == "no-store"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"


def test_other_machines_need_the_token() -> None:
    with serving("0.0.0.0:0") as page:
        token = page.url.partition("?token=")[2]
        assert len(token) >= 20
        assert token not in page.traits.name  # which is shown and logged
        for path in ("/", "/state", "/events", "/stream.mjpg", "/snapshot.jpg", "/controls", "/nothing"):
            assert status(page, path) == 401, path
        assert status(page, "/?token=wrong") == 401
        assert status(page, "/state", Authorization="Bearer wrong") == 401
        assert status(page, "/state", Cookie=f"edgecv_{port(page)}=wrong") == 401
        assert status(page, "/healthz") == 503  # for watchdogs: without one, and here before a result
        assert status(page, "/state", Authorization=f"Bearer {token}") == 200
        with answer(page, f"/?token={token}") as response:
            cookie = response.headers["Set-Cookie"]
        assert {"HttpOnly", "SameSite=Strict"} <= set(cookie.split("; "))
        assert status(page, "/state", Cookie=f"other=1; {cookie.partition(';')[0]}") == 200


def test_a_token_of_ones_own_is_asked_for_on_loopback_too() -> None:
    with serving(token="Grüße & co") as page:
        assert page.url.endswith("?token=Gr%C3%BC%C3%9Fe%20%26%20co")
        assert status(page, "/state") == 401
        assert status(page, "/" + page.url.rpartition("/")[2]) == 200


def test_a_port_that_is_taken(one: tuple[Page, Controls]) -> None:
    with pytest.raises(SinkError, match="port .* in use; give another one"):
        open_page(str(port(one[0])), make_context(), Controls(0.5, 0.3))


def test_a_package_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(SinkError, match=r'needs uvicorn: pip install "edgecv\[serve\]"'):
        open_page("0", make_context(), Controls(0.5, 0.3))


def test_closing_leaves_nothing_behind() -> None:
    """Not even with viewers that read, one that does not, and one that waits for a snapshot."""
    before = set(threading.enumerate())
    with contextlib.ExitStack() as stack:
        page = open_page("0", make_context(), Controls(0.5, 0.3), encode=Numbered(size=2_000_000))
        events = stack.enter_context(answer(page, "/events"))
        stream = stack.enter_context(answer(page, "/stream.mjpg"))
        stuck = stack.enter_context(contextlib.closing(socket.create_connection(("127.0.0.1", port(page)))))
        stuck.sendall(b"GET /stream.mjpg HTTP/1.1\r\nHost: localhost\r\n\r\n")
        with feeding(page):
            picture(stream)
        waiting = stack.enter_context(contextlib.closing(socket.create_connection(("127.0.0.1", port(page)))))
        waiting.sendall(b"GET /snapshot.jpg HTTP/1.1\r\nHost: localhost\r\n\r\n")
        wait_until(lambda: bool(page._pictures._snapshots))
        began_s = time.monotonic()
        page.close()
        assert time.monotonic() - began_s < 10
        assert b"event: end" in events.read()
        assert set(threading.enumerate()) <= before
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port(page)))
        with pytest.raises(SinkError, match="has stopped"):
            page._pictures._viewers.append(None)  # type: ignore[arg-type]  # one who came at that moment
            page.write(Item(make_result(1), make_frame(1)))
        page.close()


def test_it_is_a_sink_like_any_other() -> None:
    with serving() as page:
        outlet = Outlet(page)
        try:
            with answer(page, "/stream.mjpg") as stream:
                frames = iter(range(10_000))
                never = threading.Event()
                while outlet.counts().delivered < 3:
                    frame = next(frames)
                    outlet.offer(Item(make_result(frame), make_frame(frame)), wait=True)
                    never.wait(0.02)
                assert picture(stream).startswith(b"\xff\xd8")
        finally:
            outlet.close()
        assert outlet.counts().failed == 0


POST = b"POST /controls HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


def test_who_leaves_within_a_request_is_nobodys_trouble(
    page: Page, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    running = page._server._uvicorn.server_state.tasks
    with socket.create_connection(("127.0.0.1", port(page))) as leaving:
        leaving.sendall(POST + b'Content-Length: 100\r\n\r\n{"on": ')
        wait_until(lambda: bool(running))
    wait_until(lambda: not running)
    assert status(page, "/state") == 200
    assert (capfd.readouterr().err, caplog.records) == ("", [])


def test_a_body_that_says_it_is_too_long_is_not_read(page: Page) -> None:
    with socket.create_connection(("127.0.0.1", port(page)), timeout=10) as sending:
        sending.sendall(POST + b"Content-Length: 1000000000\r\n\r\n")
        assert sending.recv(100).startswith(b"HTTP/1.1 413 ")


def test_what_fails_in_the_page_is_told_by_our_own_log(
    page: Page,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken() -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(page._tally, "state", broken)
    assert status(page, "/state") == 500
    wait_until(lambda: bool(caplog.records))
    assert [(one.name, one.getMessage()) for one in caplog.records] == [
        ("edgecv.runtime.page.site", "the page failed on /state")
    ]
    assert capfd.readouterr().err == ""
