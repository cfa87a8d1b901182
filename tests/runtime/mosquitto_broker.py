"""A real broker on loopback, and somebody who listens to it."""

from __future__ import annotations

import contextlib
import queue
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("paho.mqtt.client", reason='needs the extra "mqtt"')

from paho.mqtt.client import CallbackAPIVersion, Client, MQTTMessage
from waits import WAIT_S, wait_until

USER, PASSWORD = "camera", "s3cret:/@?"


class Broker:
    """mosquitto on a free port, which is the same after a restart; what it held is gone then."""

    def __init__(self, folder: Path, *lines: str) -> None:
        program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
        if program is None:
            pytest.skip("needs mosquitto: apt install mosquitto")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        settings = (f"listener {self.port} 127.0.0.1", *lines, "user root", "persistence false")
        self._command = [program, "-c", str(folder / "mosquitto.conf")]
        (folder / "mosquitto.conf").write_text("\n".join(settings) + "\n")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(self._answers)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(WAIT_S)
            self._process = None

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False


@contextlib.contextmanager
def running(folder: Path, *lines: str) -> Iterator[Broker]:
    broker = Broker(folder, *(lines or ("allow_anonymous true",)))
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()


class Listener:
    """All messages of a broker, from the moment it is made; it comes back with the broker."""

    def __init__(self, port: int, user: str | None = None, password: str | None = None) -> None:
        self.messages: queue.Queue[MQTTMessage] = queue.Queue()
        self.subscribed: queue.Queue[None] = queue.Queue()
        client = self._client = Client(CallbackAPIVersion.VERSION2)
        if user is not None:
            client.username_pw_set(user, password)
        client.on_connect = lambda made, *_: made.subscribe("#", 1)
        client.on_subscribe = lambda *_: self.subscribed.put(None)
        client.on_message = lambda _client, _data, message: self.messages.put(message)
        client.reconnect_delay_set(0.1, 0.1)  # type: ignore[arg-type]
        client.connect_async("127.0.0.1", port)
        client.loop_start()
        self.subscribed.get(timeout=WAIT_S)

    def get(self, topic: str, payload: bytes | None = None) -> bytes:
        """The next message of a topic, others left out; with `payload`, the next that says this."""
        while True:
            message = self.messages.get(timeout=WAIT_S)
            if message.topic == topic and payload in (None, message.payload):
                return message.payload

    def close(self) -> None:
        self._client.disconnect()
        with contextlib.suppress(AttributeError):
            self._client.loop_stop()


@contextlib.contextmanager
def listening(port: int, user: str | None = None, password: str | None = None) -> Iterator[Listener]:
    listener = Listener(port, user, password)
    try:
        yield listener
    finally:
        listener.close()
