"""The parts of the live page, without a server: addresses, access, the rate of pictures, and the tally."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from page_samples import make_context, make_event, make_frame, make_result, make_summary

from edgecv.devices.telemetry import Reading
from edgecv.errors import SinkError, UsageError
from edgecv.runtime.controls import Controls
from edgecv.runtime.page.access import Access, Asked, admit, listen, parse_address
from edgecv.runtime.page.pictures import Pictures, encode_jpeg
from edgecv.runtime.page.state import Tally
from edgecv.runtime.results import Summary
from edgecv.runtime.sinks.base import Item


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("", "127.0.0.1", 8080),
        ("9000", "127.0.0.1", 9000),
        ("0", "127.0.0.1", 0),
        ("0.0.0.0", "0.0.0.0", 8080),
        ("0.0.0.0:80", "0.0.0.0", 80),
        ("localhost:81", "localhost", 81),
        ("board-1.lan:81", "board-1.lan", 81),
        ("[::1]:82", "::1", 82),
        ("[::]", "::", 8080),
    ],
)
def test_addresses(text: str, host: str, port: int) -> None:
    assert parse_address(text) == (host, port)


@pytest.mark.parametrize(
    "text", ["::1", "host:", ":80", "65536", "host:65536", "host:x", "http://host", "a b", "[x]", "-1"]
)
def test_no_addresses(text: str) -> None:
    with pytest.raises(UsageError, match="is not an address"):
        parse_address(text)


@given(st.text(max_size=12))
def test_any_text_is_an_address_or_a_usage_error(text: str) -> None:
    try:
        host, port = parse_address(text)
    except UsageError:
        return
    assert host
    assert 0 <= port <= 65535


@pytest.mark.parametrize("error", [socket.gaierror(socket.EAI_NONAME, "unknown"), UnicodeError("too long")])
def test_a_name_that_no_host_has(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def look_up(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(socket, "getaddrinfo", look_up)  # the real one would ask the network
    with pytest.raises(UsageError, match=r"abc: no host has this name; give PORT, HOST:PORT or \[IPV6\]"):
        listen("abc", 0)


def test_a_host_that_is_not_here() -> None:
    with pytest.raises(
        SinkError, match=r"cannot listen on 192\.0\.2\.1"
    ):  # an address for documentation only
        listen("192.0.2.1", 0)


@pytest.mark.parametrize(
    ("host", "given", "needed"),
    [
        ("127.0.0.1", None, False),
        ("localhost", None, False),
        ("127.0.0.1", "mine", True),
        ("127.0.0.1", "", False),  # an empty variable of the environment
        ("0.0.0.0", None, True),
        ("0.0.0.0", "", True),
    ],
)
def test_when_a_token_is_needed(host: str, given: str | None, needed: bool) -> None:
    with listen(host, 0) as listener:
        access, url = admit(listener, host, given)
    assert (access.token is not None) == needed
    assert ("?token=" in url) == needed
    assert "0.0.0.0" not in url  # nobody can open that


def test_ipv6() -> None:
    try:
        listener = listen("::1", 0)
    except SinkError:
        pytest.skip("no IPv6 loopback here")
    with listener:
        access, url = admit(listener, "::1", None)
        assert url == f"http://[::1]:{listener.getsockname()[1]}/"
    assert access.token is None
    assert access.refusal(_asked(host="[::1]:1")) is None


LOCAL = Access(frozenset({"localhost", "127.0.0.1", "::1"}), False, None, 8080)
OPEN = Access(frozenset({"localhost", "127.0.0.1", "pi"}), True, "secret", 8080)


def _asked(method: str = "GET", path: str = "/state", query: str = "", **headers: str) -> Asked:
    return Asked(method, path, query, headers)


@pytest.mark.parametrize(
    ("access", "asked", "expected"),
    [
        (LOCAL, _asked(host="localhost:8080"), None),
        (LOCAL, _asked(host="LOCALHOST"), None),
        (LOCAL, _asked(host="127.0.0.1:9"), None),  # through a tunnel, on another port
        (LOCAL, _asked(host="[::1]:8080"), None),
        (LOCAL, _asked(host="rebound.example:8080"), 403),
        (LOCAL, _asked(host="localhost.rebound.example"), 403),
        (LOCAL, _asked(host="192.168.1.5"), 403),
        (LOCAL, _asked(host="[::1"), 403),  # not even a host
        (LOCAL, _asked(), 403),  # none at all
        (LOCAL, _asked("POST", host="localhost:8080", origin="http://localhost:8080"), None),
        (LOCAL, _asked("POST", host="localhost:8080", origin="http://localhost:3000"), 403),  # another page
        (LOCAL, _asked("POST", host="localhost:8080"), None),  # no browser
        (OPEN, _asked(host="pi:8080", authorization="Bearer secret"), None),
        (OPEN, _asked(host="192.168.1.5:8080", authorization="bearer secret"), None),
        (OPEN, _asked(host="192.168.1.5:8080", query="token=secret"), None),
        (OPEN, _asked(host="rebound.example", authorization="Bearer secret"), 403),
        (OPEN, _asked(host="pi", authorization="Basic secret"), 401),
        (OPEN, _asked(host="pi", authorization="Bearer sécret"), 401),
        (OPEN, _asked(host="pi", query="token="), 401),
        (OPEN, _asked(host="pi", query="token=secret2"), 401),
        (OPEN, _asked(host="pi", cookie="edgecv_8080=secret"), 401),
        (OPEN, _asked(host="pi"), 401),
        (OPEN, _asked(host="pi", path="/healthz"), None),
        (OPEN, _asked(host="rebound.example", path="/healthz"), 403),
    ],
)
def test_who_is_refused(access: Access, asked: Asked, expected: int | None) -> None:
    refusal = access.refusal(asked)
    assert (refusal and refusal.status) == expected


def test_a_cookie_is_for_one_port_and_one_token() -> None:
    cookie = OPEN.cookie(_asked(path="/", query="token=secret"))
    assert cookie is not None
    assert "secret" not in cookie
    value = cookie.partition(";")[0]
    assert OPEN.refusal(_asked(host="pi", cookie=value)) is None
    other = Access(OPEN.hosts, True, "another", 8080)
    assert other.refusal(_asked(host="pi", cookie=value)).status == 401  # type: ignore[union-attr]
    assert OPEN.cookie(_asked(path="/", query="token=wrong")) is None
    assert LOCAL.cookie(_asked(path="/", query="token=")) is None


@pytest.mark.parametrize(
    ("fps", "expected"),
    [
        (5, 50),  # slower than the limit: all of them
        (15, 150),
        (30, 150),  # every second one, not every third
        (40, 150),
        (1000, 150),
    ],
)
def test_the_rate_of_pictures(fps: int, expected: int) -> None:
    clock = Clock()

    async def ten_seconds() -> int:
        pictures = Pictures(lambda *_: b"", clock)
        viewer = asyncio.ensure_future(pictures.next())
        await asyncio.sleep(0)  # now it waits
        wanted = 0
        for _ in range(10 * fps):
            clock.now_s += 1 / fps
            wanted += pictures.wanted()
        pictures.end()
        assert await viewer is None
        return wanted

    assert asyncio.run(ten_seconds()) == pytest.approx(expected, abs=1)


def test_a_slow_encoder_gets_a_quarter_of_a_core() -> None:
    clock = Clock()

    def encode(*_: Any) -> bytes:
        clock.now_s += 0.1
        return b"jpeg"

    async def pauses() -> list[float]:
        pictures = Pictures(encode, clock)
        pictures.loop = asyncio.get_running_loop()
        paused_s = []
        for _ in range(3):
            viewer = asyncio.ensure_future(pictures.next())
            await asyncio.sleep(0)
            began_s = clock.now_s
            while not pictures.wanted():
                clock.now_s += 0.01
            paused_s.append(clock.now_s - began_s)
            pictures.put(Item(make_result(0), make_frame(0)))
            assert await viewer == b"jpeg"
        return paused_s

    assert asyncio.run(pauses())[1:] == pytest.approx([0.3, 0.3], abs=0.02)


@pytest.mark.parametrize(
    ("size_hw", "max_width", "encoded_hw"),
    [
        ((1080, 1920), 960, (540, 960)),
        ((480, 640), 960, (480, 640)),  # never larger
        ((3, 5000), 960, (1, 960)),
        ((1080, 1920), None, (1080, 1920)),
    ],
)
def test_the_size_of_a_picture(
    size_hw: tuple[int, int], max_width: int | None, encoded_hw: tuple[int, int]
) -> None:
    import cv2

    jpeg = encode_jpeg(make_frame(100, size_hw), max_width, 80)
    decoded = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert decoded.shape == (*encoded_hw, 3)
    assert abs(float(decoded.mean()) - 100) < 2


def test_a_picture_that_cannot_be_encoded() -> None:
    with pytest.raises(SinkError, match="of 0x0 cannot be encoded"):
        encode_jpeg(np.empty((0, 0, 3), np.uint8), 960, 80)


def _tally(clock: Clock) -> Tally:
    return Tally(make_context(), Controls(0.5, 0.3), Reading, clock)


def test_rates_and_latencies_are_of_the_last_seconds() -> None:
    clock = Clock()
    tally = _tally(clock)
    for frame in range(201):  # 20 s at 10 a second; slow at first
        clock.now_s += 0.1
        tally.note(make_result(frame, latency_ms=500.0 if frame < 100 else 20.0))
    told = tally.state()
    assert (told.fps, told.p50_ms, told.p90_ms) == (pytest.approx(10.0), 20.0, 20.0)
    assert [second.p50_ms for second in told.history[:2]] == [500.0, 500.0]
    assert all(second.fps == pytest.approx(10, abs=1) for second in told.history)
    assert len(told.history) == pytest.approx(19, abs=1)
    assert told.after(0, told.history[-3].at_s).history == told.history[-2:]


def test_a_frame_with_regions_counts_once() -> None:
    clock = Clock()
    tally = _tally(clock)
    for frame in range(30):
        clock.now_s += 0.1
        tally.note(make_result(frame, region="door", on=("cat",)))
        tally.note(make_result(frame, region="bed"))
    told = tally.state()
    assert told.fps == pytest.approx(10)
    assert [(answer.region, answer.on) for answer in told.answers] == [("bed", ()), ("door", ("cat",))]


def test_two_minutes_of_history_and_fifty_events() -> None:
    clock = Clock()
    tally = _tally(clock)
    for frame in range(300):
        clock.now_s += 1.0
        tally.note(make_result(frame, events=(make_event(str(frame)),)))
    told = tally.state()
    assert (len(told.history), len(told.events)) == (120, 50)
    assert (told.events[-1].n, told.events[-1].event.label) == (300, "299")
    assert [noted.n for noted in told.after(298, 0).events] == [299, 300]


def test_the_state_of_a_run_that_falls_silent() -> None:
    clock = Clock()
    tally = _tally(clock)
    assert tally.state().state == "waiting"
    for frame in range(30):
        clock.now_s += 0.1
        tally.note(make_result(frame))
    assert tally.state().state == "running"
    clock.now_s += 2.9
    assert tally.state().state == "running"
    clock.now_s += 0.2
    told = tally.state()
    assert (told.state, told.age_s, told.fps, told.p50_ms) == ("stale", pytest.approx(3.1), None, None)
    tally.note(make_result(30))
    clock.now_s += 0.3
    assert tally.state().state == "running"


def test_a_slow_run_is_not_stale() -> None:
    clock = Clock()
    tally = _tally(clock)
    for frame in range(3):
        clock.now_s += 10
        tally.note(make_result(frame))
    clock.now_s += 10
    told = tally.state()
    assert (told.state, told.fps) == ("running", pytest.approx(0.1))
    assert [second.fps for second in told.history] == pytest.approx([0.1, 0.1])


def test_counts_are_asked_for_once_a_second_however_many_look() -> None:
    clock, asked = Clock(), list[float]()

    def summary() -> Summary:
        asked.append(clock.now_s)
        return make_summary()

    tally = Tally(make_context(summary), Controls(0.5, 0.3), Reading, clock)
    for _ in range(100):
        clock.now_s += 0.05
        tally.state()
    assert 4 <= len(asked) <= 6


def test_sockets_have_short_send_buffers() -> None:
    """A picture a viewer has not taken belongs to the newest frame, not into the kernel."""
    with listen("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()):
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) <= 1 << 18
