"""Events, the labels that are on, and metrics, published to an MQTT broker."""

from __future__ import annotations

import hashlib
import socket
import threading
from collections.abc import Iterator

import msgspec

from edgecv.errors import SinkError
from edgecv.runtime.results import Result, Summary
from edgecv.runtime.sinks.base import Context, Item, Sink, SinkBusy, Traits
from edgecv.runtime.sinks.homeassistant import discovery
from edgecv.runtime.sinks.mqtt_address import Broker, parse_broker
from edgecv.runtime.sinks.mqtt_connection import Connection, Message

METRICS_S = 10.0


def open_mqtt(uri: str, context: Context) -> Sink:
    """Raises UsageError, and SinkError when the broker refuses; that it is away is no error."""
    broker = parse_broker(uri)
    try:
        from paho.mqtt.client import CallbackAPIVersion  # noqa: F401  paho-mqtt 1 has none
    except ImportError as error:
        raise SinkError('mqtt: needs paho-mqtt 2: pip install "edgecv[mqtt]"') from error
    return Mqtt(broker, context)


class Mqtt(Sink):
    """One item at a time is on its way; it is delivered when the broker has acknowledged its messages."""

    def __init__(self, broker: Broker, context: Context) -> None:
        self.traits = Traits(broker.name, events=not broker.results)
        self._broker, self._context = broker, context
        self._on: dict[str, tuple[str, ...]] = {}  # by region
        self._state = Message(f"{broker.topic}/state", _state({}), retain=True)
        self._sent: Item | None = None  # on its way
        digest = hashlib.sha256(f"{socket.gethostname()}/{broker.topic}".encode()).hexdigest()
        self._node = f"edgecv-{digest[:12]}"  # the same after a restart: no second device, no second session
        self._offline = self._status(b"offline")._replace(qos=1)
        self._connection = Connection(broker, self._node, self._offline, self._greeting)
        self._stop = threading.Event()
        self._metrics = threading.Thread(target=self._tell_metrics, name="edgecv-mqtt", daemon=True)
        self._metrics.start()

    def write(self, item: Item) -> None:
        connection = self._connection
        if item is not self._sent:
            if not connection.connected:
                raise SinkBusy(connection.trouble)
            connection.send(self._messages(item.result))
            self._sent = item
        if not connection.arrived():  # the client goes on trying, and the next write looks again
            raise SinkBusy(connection.trouble)
        self._sent = None

    def close(self) -> None:
        self._stop.set()
        self._metrics.join()
        self._connection.close(self._offline)

    def _messages(self, result: Result) -> Iterator[Message]:
        topic, encode = self._broker.topic, msgspec.json.encode
        for event in result.events:
            yield Message(f"{topic}/event", encode(event), qos=1)
        if self._on.get(result.region, ()) != result.on:
            self._on[result.region] = result.on
            self._state = self._state._replace(payload=_state(self._on))
            yield self._state._replace(qos=1)
        if self._broker.results:
            yield Message(f"{topic}/result", encode(result), qos=1)

    def _greeting(self) -> Iterator[Message]:
        """Not to be acknowledged: when its connection ends too early, the next one says it again."""
        yield self._status(b"online")
        yield self._state
        if prefix := self._broker.discovery:
            yield Message(*discovery(prefix, self._node, self._broker.topic, self._context), retain=True)

    def _status(self, payload: bytes) -> Message:
        return Message(f"{self._broker.topic}/status", payload, retain=True)

    def _tell_metrics(self) -> None:
        while not self._stop.wait(METRICS_S):
            if self._connection.connected:
                payload = msgspec.json.encode(_metrics(self._context.summary()))
                self._connection.publish(Message(f"{self._broker.topic}/metrics", payload))


def _state(on: dict[str, tuple[str, ...]]) -> bytes:
    """`{"on": [...]}` of all regions together, and `regions` with those of each where they have names."""
    together = dict.fromkeys(label for labels in on.values() for label in labels)
    state: dict[str, object] = {"on": list(together)}
    if regions := {region: labels for region, labels in on.items() if region}:
        state["regions"] = regions
    return msgspec.json.encode(state)


def _metrics(summary: Summary) -> dict[str, float | None]:
    latency = summary.latency
    return {
        "fps": None if summary.fps is None else round(summary.fps, 2),
        "latency_p50_ms": None if latency is None else round(latency.p50_ms, 2),
        "frames": summary.frames,
        "frames_dropped": summary.dropped.total,
        "events": summary.events,
        "reconnects": summary.reconnects,
        "engine_failures": summary.engine_failures,
    }
