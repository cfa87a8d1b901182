"""A connection to a broker that comes back by itself, and knows what the broker has acknowledged."""

from __future__ import annotations

import contextlib
import logging
import ssl
import sys
import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, NamedTuple

from edgecv.errors import SinkError
from edgecv.runtime.sinks.complaints import Complaints
from edgecv.runtime.sinks.mqtt_address import Broker

if TYPE_CHECKING:
    from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags
    from paho.mqtt.properties import Properties
    from paho.mqtt.reasoncodes import ReasonCode

log = logging.getLogger(__name__)

OPENING_S = 2.0  # for the broker's first answer: one that refuses is an error, one that is away is not
ACKNOWLEDGE_S = 2.0
RECONNECT_S = (1, 30)  # between tries, doubled from one to the other
KEEPALIVE_S = 30  # a board without power is `offline` after one and a half of it


class Message(NamedTuple):
    """qos 1: kept by the client until the broker has acknowledged it, over new connections if need be."""

    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False


class Connection:
    """greet: what is published at the start of each connection. will: by the broker when we are gone.

    Raises SinkError when the broker refuses at once; that it is away is no error.
    """

    def __init__(
        self, broker: Broker, client_id: str, will: Message, greet: Callable[[], Iterable[Message]]
    ) -> None:
        self._complaints = Complaints(log, broker.name)
        self._greet = greet
        self._awaited: set[int] = set()
        self._settled = threading.Event()  # the first try to connect is over
        self._ending = False
        self._changed = threading.Condition()
        # Written by the client's thread.
        self.connected = False
        self._sending = False  # an answer is due to what was sent last
        self._acknowledged: set[int] = set()
        self.trouble = f"no answer from {broker.host}:{broker.port}"  # why nothing goes
        self._refused = False
        self._client = self._make(broker, client_id, will)
        self._client.loop_start()
        self._settled.wait(OPENING_S)
        if not self.connected:
            if self._refused:
                self._end()
                raise SinkError(f"{broker.name}: {self.trouble}")
            self._complaints.tell(f"{self.trouble}; trying on")

    def publish(self, message: Message) -> int:
        return self._client.publish(*message).mid

    def send(self, messages: Iterable[Message]) -> None:
        """Publish with qos 1; `arrived` tells of the last messages that were sent."""
        with self._changed:
            self._acknowledged.clear()
            self._sending = True
        # Not under the lock: the client calls _on_publish with one of its own held, which publish() takes.
        self._awaited = {self.publish(message) for message in messages}

    def arrived(self) -> bool:
        """Wait for the broker to acknowledge; False when it did not in time, or is gone meanwhile."""
        with self._changed:
            self._changed.wait_for(lambda: self._all_there() or not self.connected, ACKNOWLEDGE_S)
            self._sending = not self._all_there()
            return not self._sending

    def close(self, farewell: Message) -> None:
        self._ending = True
        if self.connected:
            self.send([farewell])
            self.arrived()
        self._end()

    def _all_there(self) -> bool:
        return self._awaited <= self._acknowledged

    def _make(self, broker: Broker, client_id: str, will: Message) -> Client:
        from paho.mqtt.client import CallbackAPIVersion, Client

        client = Client(CallbackAPIVersion.VERSION2, client_id)
        if broker.user is not None:
            client.username_pw_set(broker.user, broker.password)
        if broker.tls is not None:
            client.tls_set_context(broker.tls)
        client.will_set(*will)
        client.reconnect_delay_set(*RECONNECT_S)
        client.on_connect, client.on_connect_fail = self._on_connect, self._on_connect_fail
        client.on_disconnect, client.on_publish = self._on_disconnect, self._on_publish
        client.connect_async(broker.host, broker.port, KEEPALIVE_S)
        return client

    def _end(self) -> None:
        self._client.disconnect()
        # loop_stop() looks at its thread twice, and the thread may end in between.
        with contextlib.suppress(AttributeError):
            self._client.loop_stop()

    def _on_connect(
        self, client: Client, _data: object, _flags: ConnectFlags, code: ReasonCode, _: Properties | None
    ) -> None:
        if code.is_failure:
            self.trouble, self._refused = f"the broker refuses: {code}", True
            if self._settled.is_set():  # at opening it is an error, and said there
                self._complaints.tell(self.trouble)
        else:
            for message in self._greet():
                client.publish(*message)
            self.trouble = "the broker does not acknowledge"
            with self._changed:
                self.connected = True
        self._settled.set()

    def _on_connect_fail(self, _client: Client, _data: object) -> None:
        error = sys.exc_info()[1]  # called from where it is handled, which is the only way to it
        if isinstance(error, ssl.SSLCertVerificationError):
            why = f"its certificate is not accepted ({error.verify_message}); give ?ca=FILE"
            self.trouble, self._refused = f"the broker is not trusted: {why}", True
        else:
            self.trouble = f"the broker is away: {getattr(error, 'strerror', None) or error}"
        self._settled.set()

    def _on_disconnect(
        self, _client: Client, _data: object, _flags: DisconnectFlags, code: ReasonCode, _: Properties | None
    ) -> None:
        with self._changed:
            lost, self.connected = self.connected, False
            self._changed.notify_all()
        if lost and not self._ending:
            self.trouble = f"the connection to the broker is lost: {code}"
            self._complaints.tell(f"{self.trouble}; trying on")

    def _on_publish(self, _client: Client, _data: object, mid: int, _code: ReasonCode, _: Properties) -> None:
        with self._changed:
            if self._sending:
                self._acknowledged.add(mid)
                self._changed.notify_all()
