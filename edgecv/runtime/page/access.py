"""Who may see the page: where it listens, and which requests it answers."""

from __future__ import annotations

import hashlib
import ipaddress
import re
import secrets
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import parse_qs, quote, urlsplit

from edgecv.errors import SinkError, UsageError

PORT = 8080
FORMS = "give PORT, HOST:PORT or [IPV6]:PORT"
OPEN_PATH = "/healthz"  # for watchdogs: says nothing but the state of the run, so it needs no token
_ADDRESS = re.compile(
    r"(?:(?P<host>\[[0-9A-Fa-f:.]+\]|[\w.-]*[A-Za-z.][\w.-]*)(?::(?=[0-9])|$))?(?P<port>[0-9]{1,5})?"
)

# Pictures that no viewer takes belong to the newest frame, not into a buffer of the kernel.
SEND_BUFFER = 128 * 1024


class Asked(NamedTuple):
    """A request as far as access is concerned; header names in lower case."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]


class Refusal(NamedTuple):
    status: int
    message: str


@dataclass(frozen=True)
class Access:
    """Decides over a request.

    hosts: names the Host header may have. any_ip: it may also be an address, which nobody can rebind.
    token: what a viewer must know; None on loopback only. port: where the page listens.
    """

    hosts: frozenset[str]
    any_ip: bool
    token: str | None
    port: int

    def refusal(self, asked: Asked) -> Refusal | None:
        """Why the request is not answered, or None."""
        host = asked.headers.get("host", "")
        if not self._is_ours(host):
            return Refusal(403, "not a name of this page: open it by the address that edgecv printed")
        origin = asked.headers.get("origin")
        if asked.method not in {"GET", "HEAD"} and origin is not None and urlsplit(origin).netloc != host:
            return Refusal(403, "only the page itself may change settings")
        if self.token is not None and asked.path != OPEN_PATH and not self._knows_token(asked):
            return Refusal(401, "a token is needed: open the address that edgecv printed, with ?token=...")
        return None

    def cookie(self, asked: Asked) -> str | None:
        """Set-Cookie for the page opened with a right token, so that the address need not carry it on."""
        if self.token is None or asked.path != "/" or not self._same(_query_token(asked)):
            return None
        return f"{self._secret}; HttpOnly; SameSite=Strict; Path=/"

    def _is_ours(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        return name in self.hosts or (self.any_ip and _is_ip(name))

    def _knows_token(self, asked: Asked) -> bool:
        scheme, _, bearer = asked.headers.get("authorization", "").partition(" ")
        cookies = [cookie.strip() for cookie in asked.headers.get("cookie", "").split(";")]
        return (
            any(secrets.compare_digest(cookie.encode(), self._secret.encode()) for cookie in cookies)
            or self._same(_query_token(asked))
            or (scheme.lower() == "bearer" and self._same(bearer.strip()))
        )

    def _same(self, token: str) -> bool:
        return secrets.compare_digest(token.encode(), (self.token or "").encode())

    @property
    def _secret(self) -> str:
        """The cookie, by a name of its own: cookies do not tell the ports of a board apart."""
        return f"edgecv_{self.port}={hashlib.sha256((self.token or '').encode()).hexdigest()}"


def _query_token(asked: Asked) -> str:
    return parse_qs(asked.query).get("token", [""])[0]


def _is_ip(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def parse_address(text: str) -> tuple[str, int]:
    """Host and port of '', 'PORT', 'HOST', 'HOST:PORT' or '[::1]:PORT'; UsageError for anything else."""
    match = _ADDRESS.fullmatch(text)
    if match is None or int(match["port"] or 0) > 65535:
        raise UsageError(f"{text!r} is not an address for the page: {FORMS}")
    return (match["host"] or "127.0.0.1").strip("[]"), int(match["port"] or PORT)


def listen(host: str, port: int) -> socket.socket:
    """A listening socket, port 0 being any free one.

    Raises UsageError for a host that is no name or address, SinkError when it cannot be listened on.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError):  # UnicodeError: a name that is too long
        raise UsageError(f"the page cannot listen on {host}: no host has this name; {FORMS}") from None
    family, _, _, _, address = min(found, key=lambda each: each[0] != socket.AF_INET)
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        listener.bind(address)
        listener.listen()
    except OSError as error:
        listener.close()
        raise SinkError(
            f"the page cannot listen on {host} port {port}: {error.strerror}; "
            "give another one, for example --serve 8081, or 0 for any free one"
        ) from None
    return listener


def admit(listener: socket.socket, host: str, token: str | None) -> tuple[Access, str]:
    """Who may come to a socket listening on `host`, and the URL to print, with the token where one is needed.

    On loopback nobody needs a token unless one is given; elsewhere one is made where none is given.
    """
    bound, port = listener.getsockname()[:2]
    address = ipaddress.ip_address(bound.partition("%")[0])
    hosts = {"localhost", "127.0.0.1", "::1", host.lower(), bound}
    token = token or None
    if not address.is_loopback:
        name = socket.gethostname().lower()
        hosts |= {name, f"{name}.local"}
        token = token or secrets.token_urlsafe(16)
    shown = _outward(listener.family) if address.is_unspecified else host
    access = Access(frozenset(hosts), not address.is_loopback, token, port)
    place = f"[{shown}]" if ":" in shown else shown
    return access, f"http://{place}:{port}/" + (f"?token={quote(token, safe='')}" if token else "")


def _outward(family: int) -> str:
    """The address others see this machine by; connecting a datagram socket sends nothing."""
    target = "2001:db8::1" if family == socket.AF_INET6 else "192.0.2.1"
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((target, 9))
            return str(probe.getsockname()[0])
    except OSError:  # no network now
        return socket.gethostname()
