"""What stands around a run in soak.py beside its camera: a broker, receivers and viewers, all on loopback."""

from __future__ import annotations

import contextlib
import http.client
import json
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from soak_camera import HOST, WAIT_S, Camera, Server, free_port

if TYPE_CHECKING:
    from paho.mqtt.client import MQTTMessage

TOPIC = "soak"
KEEP = 1000  # snapshots that stay
FROZEN_S = 5.0  # --frozen
SILENCE_S = 60.0  # of the live page, which has no picture while the camera is away


class Broker:
    """mosquitto, which remembers subscribers and what they are owed while it is stopped."""

    def __init__(self, folder: Path) -> None:
        program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
        if program is None:
            raise SystemExit("soak: needs mosquitto: apt install mosquitto")
        self.port = free_port()
        folder.mkdir()
        lines = (f"listener {self.port} {HOST}", "allow_anonymous true", "user root", "persistence true")
        conf = folder / "mosquitto.conf"
        conf.write_text("\n".join((*lines, f"persistence_location {folder}/")) + "\n")
        self._command = [program, "-c", str(conf)]
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(WAIT_S)
            self._process = None


class Arrived:
    """An event that somebody got, and when."""

    def __init__(self, content: bytes) -> None:
        self.unix_s = time.time()
        self.event: dict[str, Any] = json.loads(content)


class Subscriber:
    """Every event the broker has, over its restarts; some of them twice, perhaps."""

    def __init__(self, port: int) -> None:
        from paho.mqtt.client import CallbackAPIVersion, Client

        self.arrived: list[Arrived] = []
        subscribed = threading.Event()
        self._client = Client(CallbackAPIVersion.VERSION2, "soak", clean_session=False)
        self._client.on_connect = lambda client, *_: client.subscribe(f"{TOPIC}/event", 1)
        self._client.on_subscribe = lambda *_: subscribed.set()
        self._client.on_message = self._take
        self._client.reconnect_delay_set(1, 1)
        self._client.connect_async(HOST, port)
        self._client.loop_start()
        if not subscribed.wait(WAIT_S):
            raise SystemExit("soak: the broker does not answer")

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _take(self, _client: object, _data: object, message: MQTTMessage) -> None:
        self.arrived.append(Arrived(message.payload))


class Receiver:
    """A webhook; while it fails it answers 500, and has not got the event."""

    def __init__(self) -> None:
        self.arrived: list[Arrived] = []
        self.refused = 0
        self._failing = False
        self._server = Server("do_POST", self._answer)
        self.url = f"http://{HOST}:{self._server.port}/hook"

    def fail(self) -> None:
        self._failing = True

    def recover(self) -> None:
        self._failing = False

    def close(self) -> None:
        self._server.stop()

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        content = handler.rfile.read(int(handler.headers["Content-Length"]))
        if failing := self._failing:
            self.refused += 1
        else:
            self.arrived.append(Arrived(content))
        handler.send_response(500 if failing else 204)
        handler.send_header("Content-Length", "0")
        handler.end_headers()


class Visitor(threading.Thread):
    """Somebody who looks at the run again and again: `look` until `over`; a look that fails is counted."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.over = threading.Event()
        self.looks = 0
        self.failures: list[str] = []

    def run(self) -> None:
        while not self.over.is_set():
            try:
                self.look()
                self.looks += 1
            except (OSError, http.client.HTTPException, ValueError) as error:
                if not self.over.is_set():
                    self.failures.append(f"{type(error).__name__}: {error}")
                    self.over.wait(1)

    def look(self) -> None:
        raise NotImplementedError

    def close(self) -> None:
        self.over.set()
        self.join(WAIT_S)


class Scraper(Visitor):
    """Reads the metrics every `period_s`; samples: name with labels -> value, the last look's."""

    def __init__(self, port: int, period_s: float) -> None:
        super().__init__()
        self._port, self._period_s = port, period_s
        self.samples: dict[str, float] = {}
        self.gone_down: set[str] = set()  # counters that did
        self.start()

    def look(self) -> None:
        from prometheus_client.parser import text_string_to_metric_families

        found = {}
        with _get(self._port, "/metrics") as answer:
            for family in text_string_to_metric_families(answer.read().decode()):
                for sample in family.samples:
                    name = f"{sample.name}{sorted(sample.labels.items())}"
                    found[name] = sample.value
                    if family.type == "counter" and sample.value < self.samples.get(name, 0):
                        self.gone_down.add(name)
        self.samples = found
        self.over.wait(self._period_s)

    def value(self, name: str) -> float:
        return self.samples.get(f"{name}[]", -1)


class Viewer(Visitor):
    """A browser's part: the picture for a while, then the numbers, then nobody looks."""

    def __init__(self, port: int, turn_s: float) -> None:
        super().__init__()
        self._port, self._turn_s = port, turn_s
        self.pictures = 0
        self.states: dict[str, int] = {}
        self.start()

    def look(self) -> None:
        for path, read in (("/stream.mjpg", self._picture), ("/events", self._state)):
            end_s = time.monotonic() + self._turn_s
            with _get(self._port, path) as answer:
                while time.monotonic() < end_s and not self.over.is_set():
                    read(answer)
        self.over.wait(self._turn_s)

    def _picture(self, answer: http.client.HTTPResponse) -> None:
        while not (line := answer.readline()).lower().startswith(b"content-length:"):
            if not line:
                raise ValueError("the stream has ended")
        answer.readline()
        jpeg = answer.read(int(line.partition(b":")[2]))
        if cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_REDUCED_GRAYSCALE_8) is None:
            raise ValueError("a picture that is none")
        self.pictures += 1

    def _state(self, answer: http.client.HTTPResponse) -> None:
        line = answer.readline()
        if line.startswith(b"data: "):
            state = json.loads(line[6:])["state"]
            self.states[state] = self.states.get(state, 0) + 1


@contextlib.contextmanager
def _get(port: int, path: str) -> Iterator[http.client.HTTPResponse]:
    connection = http.client.HTTPConnection(HOST, port, timeout=SILENCE_S)
    with contextlib.closing(connection):
        connection.request("GET", path)
        answer = connection.getresponse()
        if answer.status != 200:
            raise ValueError(f"{path} answers {answer.status}")
        yield answer


@dataclass
class World:
    """Everything around a run, and where it writes."""

    folder: Path
    camera: Camera
    broker: Broker
    subscriber: Subscriber
    webhook: Receiver
    metrics_port: int
    page_port: int

    @property
    def files(self) -> dict[str, Path]:
        names = {"jsonl": "results.jsonl", "csv": "results.csv", "video": "clip.mp4", "snapshots": "snaps"}
        return {kind: self.folder / name for kind, name in names.items()}

    def options(self) -> list[str]:
        """Of `edgecv run`."""
        outs = [str(self.files[kind]) for kind in ("jsonl", "csv", "video")]
        outs += [f"{self.files['snapshots']}/?keep={KEEP}", f"mqtt://{HOST}:{self.broker.port}/{TOPIC}"]
        outs += [self.webhook.url, f"prometheus:{HOST}:{self.metrics_port}"]
        return [
            *("--source", self.camera.url, "--frozen", f"{FROZEN_S:g}", "--motion-gate"),
            *("--precision", "int8", "--threads", "1", "--on", "0.25", "--hits", "2/3"),
            *(word for out in outs for word in ("--out", out)),
            *("--serve", f"{HOST}:{self.page_port}"),
        ]


@contextlib.contextmanager
def world(folder: Path, photos: list[Path], size_wh: tuple[int, int]) -> Iterator[World]:
    with contextlib.ExitStack() as stack:
        broker = Broker(folder / "broker")
        stack.callback(broker.stop)
        subscriber = Subscriber(broker.port)
        stack.callback(subscriber.close)
        webhook = Receiver()
        stack.callback(webhook.close)
        camera = Camera(photos, size_wh)
        stack.callback(camera.close)
        yield World(folder, camera, broker, subscriber, webhook, free_port(), free_port())
