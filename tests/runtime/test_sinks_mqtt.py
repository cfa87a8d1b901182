"""MQTT against a real mosquitto: what arrives, what a broker that goes away costs, and who gets in."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import msgspec
import pytest
from mosquitto_broker import PASSWORD, USER, Broker, listening, running
from sinks_samples import IMPORTABLE, context, event, item, result, settle
from waits import WAIT_S, wait_until

from edgecv.errors import SinkError
from edgecv.runtime.results import Event, Result
from edgecv.runtime.sinks import Outlet, mqtt, mqtt_connection, open_sink, outlet
from edgecv.runtime.sinks.homeassistant import discovery
from edgecv.runtime.sinks.mqtt_address import parse_broker


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mqtt_connection, "RECONNECT_S", (0.05, 0.1))
    monkeypatch.setattr(outlet, "FIRST_PAUSE_S", 0.05)
    monkeypatch.setattr(outlet, "LAST_PAUSE_S", 0.1)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with running(tmp_path) as made:
        yield made


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[Broker]:
    """With a user and a password."""
    program = shutil.which("mosquitto_passwd")
    if program is None:
        pytest.skip("needs mosquitto_passwd: apt install mosquitto")
    subprocess.run([program, "-b", "-c", str(tmp_path / "users"), USER, PASSWORD], check=True)
    with running(tmp_path, "allow_anonymous false", f"password_file {tmp_path}/users") as made:
        yield made


def events(payload: bytes) -> Event:
    return msgspec.json.decode(payload, type=Event)


# --- what arrives


def test_events_state_and_status_arrive(broker: Broker) -> None:
    with listening(broker.port) as listener:
        front = Outlet(open_sink(f"mqtt://127.0.0.1:{broker.port}/home/hall", context()))
        assert listener.get("home/hall/status") == b"online"
        assert listener.get("home/hall/state") == b'{"on":[]}'
        front.offer(item(0), True)
        front.offer(item(3, event("cat", frame=3), on=("cat",)), True)
        assert events(listener.get("home/hall/event")) == event("cat", frame=3)
        assert listener.get("home/hall/state") == b'{"on":["cat"]}'
        front.offer(item(9, event("cat", "off", frame=9)), True)
        assert events(listener.get("home/hall/event")) == event("cat", "off", frame=9)
        assert listener.get("home/hall/state") == b'{"on":[]}'
        front.close()
        assert listener.get("home/hall/status") == b"offline"
        assert front.counts().delivered == 2
        assert front.name == f"mqtt://127.0.0.1:{broker.port}/home/hall"


def test_regions_are_told_apart_in_the_state(broker: Broker) -> None:
    with listening(broker.port) as listener:
        front = Outlet(open_sink(f"mqtt://127.0.0.1:{broker.port}/a", context()))
        for region in ("door", "gate"):
            front.offer(item(0, event("cat", region=region), on=("cat",), region=region), True)
        front.close()
        listener.get("a/state", b'{"on":["cat"],"regions":{"door":["cat"]}}')
        listener.get("a/state", b'{"on":["cat"],"regions":{"door":["cat"],"gate":["cat"]}}')


def test_what_is_retained_greets_who_comes_later(broker: Broker) -> None:
    front = Outlet(open_sink(f"mqtt://127.0.0.1:{broker.port}/a", context()))
    front.offer(item(0, event("cat"), on=("cat",)), True)
    settle(front)
    with listening(broker.port) as late:
        assert {(m.topic, m.payload) for m in (late.messages.get(timeout=WAIT_S) for _ in range(2))} == {
            ("a/state", b'{"on":["cat"]}'),
            ("a/status", b"online"),
        }
        front.close()


def test_every_result_where_asked_for(broker: Broker) -> None:
    with listening(broker.port) as listener:
        front = Outlet(open_sink(f"mqtt://127.0.0.1:{broker.port}/a?results=1", context()))
        front.offer(item(0), True)
        front.offer(item(1, event("cat", frame=1), event("dog", frame=1), on=("cat", "dog")), True)
        front.close()
        assert msgspec.json.decode(listener.get("a/result"), type=Result) == result(0)
        assert [events(listener.get("a/event")).label for _ in range(2)] == ["cat", "dog"]
        assert front.counts().delivered == 2


def test_metrics_come_by_themselves(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mqtt, "METRICS_S", 0.01)
    with listening(broker.port) as listener:
        front = Outlet(open_sink(f"mqtt://127.0.0.1:{broker.port}/a", context()))
        assert msgspec.json.decode(listener.get("a/metrics")) == {
            "fps": 12.5,
            "latency_p50_ms": 20.0,
            "frames": 7,
            "frames_dropped": 3,
            "events": 4,
            "reconnects": 3,
            "engine_failures": 1,
        }
        front.close()


def test_home_assistant_finds_the_sensors(broker: Broker) -> None:
    """The keys that its device discovery documents."""
    with listening(broker.port) as listener:
        uri = f"mqtt://127.0.0.1:{broker.port}/home/hall?discovery=homeassistant"
        front = Outlet(open_sink(uri, context()))
        node = front._sink._node  # type: ignore[attr-defined]
        payload = msgspec.json.decode(listener.get(f"homeassistant/device/{node}/config"))
        front.close()
    assert payload["availability_topic"] == "home/hall/status"
    assert payload["device"]["identifiers"] == [node]
    assert payload["origin"]["name"] == "edgecv"
    sensors = payload["components"]
    assert {sensor["platform"] for sensor in sensors.values()} == {"sensor"}
    assert {key: sensor["state_topic"] for key, sensor in sensors.items()} == {
        "label": "home/hall/state",
        "fps": "home/hall/metrics",
        "latency": "home/hall/metrics",
    }
    assert len({sensor["unique_id"] for sensor in sensors.values()}) == 3


def test_the_templates_say_what_home_assistant_is_to_show() -> None:
    jinja2 = pytest.importorskip("jinja2")
    sensors = msgspec.json.decode(discovery("homeassistant", "node", "a", context())[1])["components"]

    def shown(key: str, payload: dict[str, object]) -> str:
        return jinja2.Template(sensors[key]["value_template"]).render(value_json=payload)

    assert shown("label", {"on": ["cat", "dog"]}) == "cat, dog"
    assert shown("label", {"on": []}) == "none"
    assert len(shown("label", {"on": ["x" * 300]})) == 255  # the most a state may have
    assert shown("fps", {"fps": 12.5}) == "12.5"
    assert shown("latency", {"latency_p50_ms": None}) == "None"  # which it takes for unknown


# --- a broker that is away


def test_a_client_that_is_killed_is_offline(broker: Broker) -> None:
    code = (
        "import sys; sys.path[:0] = sys.argv[2:]\n"
        "from sinks_samples import IMPORTABLE, context\n"
        "from edgecv.runtime.sinks import open_sink\n"
        "sink = open_sink(sys.argv[1], context())\n"
        "print('open', flush=True)\n"
        "sys.stdin.read()\n"
    )
    uri = f"mqtt://127.0.0.1:{broker.port}/a"
    with listening(broker.port) as listener:
        command = [sys.executable, "-c", code, uri, *IMPORTABLE]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as run:
            assert run.stdout is not None
            assert run.stdout.readline() == b"open\n"  # however long a slow machine starts Python for
            assert listener.get("a/status") == b"online"
            run.kill()
        assert listener.get("a/status") == b"offline"


def test_a_broker_that_comes_later_gets_everything(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    broker = Broker(tmp_path, "allow_anonymous true")
    front = Outlet(open_sink(f"mqtt://127.0.0.1:{broker.port}/a", context()))
    assert caplog.messages == [f"{front.name}: the broker is away: Connection refused; trying on"]
    for frame in range(5):
        front.offer(item(frame, event(frame=frame), on=("cat",)), True)
    broker.start()
    try:
        with listening(broker.port) as listener:
            assert [events(listener.get("a/event")).frame for _ in range(5)] == [0, 1, 2, 3, 4]
            front.close()
    finally:
        broker.stop()
    assert front.counts().delivered == 5


def test_a_broker_that_restarts_costs_no_event_and_no_order(broker: Broker) -> None:
    with listening(broker.port) as listener:
        front = Outlet(open_sink(f"mqtt://127.0.0.1:{broker.port}/a", context()))
        front.offer(item(0, event(frame=0), on=("cat",)), True)
        settle(front)
        broker.stop()
        for frame in range(1, 20):
            front.offer(item(frame, event(frame=frame), on=("cat",) if frame % 2 else ()), True)
        broker.start()
        settle(front)
        front.close()
        assert front.counts().delivered == 20
    # In order; the listener may itself have been late for the first ones after the restart.
    found = [events(m.payload).frame for m in list(listener.messages.queue) if m.topic == "a/event"]
    assert found == sorted(found)
    assert found[0] == 0
    states = [m.payload for m in list(listener.messages.queue) if m.topic == "a/state"]
    assert states[-1] == b'{"on":["cat"]}'


def test_what_does_not_fit_while_the_broker_is_away_is_counted(tmp_path: Path) -> None:
    broker = Broker(tmp_path, "allow_anonymous true")
    sink = open_sink(f"mqtt://127.0.0.1:{broker.port}/a", context())
    sink.traits = sink.traits._replace(depth=3)
    front = Outlet(sink)
    for frame in range(10):
        front.offer(item(frame, event(frame=frame)), True)
    wait_until(lambda: front.counts().dropped == 7)
    front.close(0.1)
    assert (front.counts().dropped, front.counts().waiting) == (10, 0)


# --- who gets in


@pytest.mark.parametrize("way", ["address", "file", "environment"])
def test_a_password_may_come_three_ways(
    way: str, locked: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options, secret = "", ""
    if way == "address":
        secret = f":{quote(PASSWORD, safe='')}"
    elif way == "file":
        (tmp_path / "password").write_text(PASSWORD + "\n")
        options = f"?password_file={tmp_path}/password"
    else:
        monkeypatch.setenv("EDGECV_MQTT_PASSWORD", PASSWORD)
    front = Outlet(open_sink(f"mqtt://{USER}{secret}@127.0.0.1:{locked.port}/a{options}", context()))
    front.offer(item(0, event()), True)
    front.close()
    assert front.counts().delivered == 1
    assert "s3cret" not in front.name


def test_a_broker_that_refuses_is_an_error_at_opening(locked: Broker) -> None:
    with pytest.raises(SinkError, match="the broker refuses: Not authorized"):
        open_sink(f"mqtt://{USER}:wrong@127.0.0.1:{locked.port}/a", context())


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A throw-away authority (ca.pem), a server's and a client's certificate (.pem) and key (.key)."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs openssl to make certificates")
    folder = tmp_path_factory.mktemp("certificates")

    def run(*arguments: str) -> None:
        subprocess.run([openssl, *arguments], cwd=folder, check=True, capture_output=True)

    # With all the extensions that Python from 3.13 on insists upon.
    new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
    authority = ("-addext", "keyUsage=critical,keyCertSign,cRLSign")
    run("req", "-x509", *new, *authority, "-subj", "/CN=test", "-keyout", "ca.key", "-out", "ca.pem")
    (folder / "extensions").write_text("subjectAltName=IP:127.0.0.1\nauthorityKeyIdentifier=keyid\n")
    for name in ("server", "client"):
        run("req", *new, "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr")
        run(
            *("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"),
            *("-extfile", "extensions", "-days", "2", "-out", f"{name}.pem"),
        )
    run("verify", "-x509_strict", "-CAfile", "ca.pem", "server.pem", "client.pem")
    return folder


# paho-mqtt leaves the socket of a handshake that fails to the garbage collector.
@pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning")
def test_tls_with_certificates_on_both_sides(certificates: Path, tmp_path: Path) -> None:
    c = certificates
    with running(
        tmp_path,
        *("allow_anonymous true", "require_certificate true"),
        *(f"cafile {c}/ca.pem", f"certfile {c}/server.pem", f"keyfile {c}/server.key"),
    ) as broker:
        where, own = f"mqtts://127.0.0.1:{broker.port}/a", f"cert={c}/client.pem&key={c}/client.key"
        for trusted in (f"ca={c}/ca.pem", "insecure=1"):
            front = Outlet(open_sink(f"{where}?{trusted}&{own}", context()))
            front.offer(item(0, event()), True)
            front.close()
            assert front.counts().delivered == 1, trusted
        with pytest.raises(SinkError, match="certificate is not accepted .*; give [?]ca=FILE"):
            open_sink(f"{where}?{own}", context())


# --- the address


def test_an_address_is_read() -> None:
    broker = parse_broker("MQTT://u%40x:p%2Fw@Host.local/base/a%20b/?results=1&discovery=ha/")
    assert broker.name == "mqtt://host.local:1883/base/a b"
    assert (broker.user, broker.password) == ("u@x", "p/w")
    assert (broker.host, broker.port, broker.topic) == ("host.local", 1883, "base/a b")
    assert (broker.results, broker.discovery, broker.tls) == (True, "ha", None)
    assert parse_broker("mqtts://[::1]/a").name == "mqtts://[::1]:8883/a"


def test_a_missing_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "paho.mqtt.client", None)
    with pytest.raises(SinkError) as caught:
        open_sink("mqtt://127.0.0.1:9/a", context())
    assert 'pip install "edgecv[mqtt]"' in str(caught.value)


@pytest.mark.parametrize("given", ["file", "environment"])
def test_the_end_of_a_line_is_no_part_of_a_password(
    given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "password").write_bytes(b" ge#heim \r\n")
    monkeypatch.setenv("EDGECV_MQTT_PASSWORD", " ge#heim \r\n")
    options = f"?password_file={tmp_path}/password" if given == "file" else ""
    assert parse_broker(f"mqtt://user@host/a{options}").password == " ge#heim "


def test_what_is_percent_encoded_in_an_address() -> None:
    broker = parse_broker("mqtt://us%40er:ge%23h%3Feim@host:1884/home/my%20hall?results=1")
    assert (broker.user, broker.password) == ("us@er", "ge#h?eim")
    assert (broker.host, broker.port, broker.topic, broker.results) == ("host", 1884, "home/my hall", True)
