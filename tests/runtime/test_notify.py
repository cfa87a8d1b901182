"""sd_notify to real datagram sockets."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from waits import WAIT_S

from edgecv.runtime import notify
from edgecv.runtime.notify import Watchdog, watchdog_interval_s


@pytest.fixture(params=["path", "abstract"])
def systemd(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[socket.socket]:
    """systemd's end of the socket, its name in the environment."""
    name = f"@edgecv-test-{os.getpid()}" if request.param == "abstract" else str(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", name)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind(name.replace("@", "\0", 1))
        end.settimeout(WAIT_S)
        yield end


def received(end: socket.socket) -> list[str]:
    return end.recv(4096).decode().split("\n")


def nothing_more(end: socket.socket) -> bool:
    end.setblocking(False)
    try:
        end.recv(4096)
    except BlockingIOError:
        return True
    finally:
        end.settimeout(WAIT_S)
    return False


def test_what_systemd_hears(systemd: socket.socket) -> None:
    notify.ready("tflite:int8 on litert")
    assert received(systemd) == ["READY=1", "STATUS=tflite:int8 on litert"]
    notify.watchdog()
    assert received(systemd) == ["WATCHDOG=1"]
    # a line more would be an assignment more
    notify.status("30 frames\nMAINPID=1")
    assert received(systemd) == ["STATUS=30 frames MAINPID=1"]
    notify.stopping()
    assert received(systemd) == ["STOPPING=1"]


def test_a_beat_is_said_at_most_once_an_interval(systemd: socket.socket) -> None:
    times_s = iter((0.0, 0.1, 5.0, 9.9, 10.0))
    dog = Watchdog(10.0, lambda: next(times_s))
    dog.beat()
    assert received(systemd) == ["WATCHDOG=1"]
    for _ in range(3):
        dog.beat()
    assert nothing_more(systemd)
    dog.beat()
    assert received(systemd) == ["WATCHDOG=1"]
    Watchdog(None).beat()
    assert nothing_more(systemd)


@pytest.mark.parametrize("address", [None, "", "vsock:2:1234", "relative"])
def test_without_systemd_nothing_happens(
    address: str | None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    if address is None:
        monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    else:
        monkeypatch.setenv("NOTIFY_SOCKET", address)
    notify.ready()
    assert not caplog.records


def test_a_socket_that_is_gone_does_not_end_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    with caplog.at_level(logging.WARNING, "edgecv"):
        notify.watchdog()
    assert caplog.messages == ["systemd could not be told WATCHDOG=1: [Errno 2] No such file or directory"]


@pytest.mark.parametrize(
    ("environment", "interval_s"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 15.0),
        # somebody else's watchdog
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 15.0),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_interval(
    environment: dict[str, str], interval_s: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("WATCHDOG_USEC", "WATCHDOG_PID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert watchdog_interval_s() == interval_s
