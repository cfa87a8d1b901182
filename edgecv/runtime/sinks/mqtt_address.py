"""`mqtt://[user:password@]host[:port]/base/topic?options`, read and checked."""

from __future__ import annotations

import os
import ssl
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

from edgecv.errors import SinkError, UsageError
from edgecv.runtime.sinks.options import flag, split_address, split_options

PORTS = {"mqtt": 1883, "mqtts": 8883}
PASSWORD = "EDGECV_MQTT_PASSWORD"
TLS_OPTIONS = ("ca", "cert", "key", "insecure")
OPTIONS = ("results", "discovery", "password_file", *TLS_OPTIONS)


class Broker(NamedTuple):
    """Where to publish, and what. name: fit to be shown. discovery: Home Assistant's prefix, '' for none."""

    name: str
    host: str
    port: int
    topic: str
    user: str | None
    password: str | None
    tls: ssl.SSLContext | None
    results: bool
    discovery: str


def parse_broker(uri: str) -> Broker:
    """Raises UsageError for an address or options that cannot be, SinkError for files that cannot be read."""
    split = split_address(uri)
    topic = unquote(split[0].path).strip("/") if split else ""
    if split is None or not topic or "\0" in topic or len(topic) > 200:
        raise UsageError(
            "the broker's address is not valid; give mqtt://[user:password@]HOST[:PORT]/BASE/TOPIC, "
            "special characters in the user and the password percent-encoded: # is %23"
        )
    if set(topic) & set("+#"):
        raise UsageError("the broker's address is not valid: + and # are wildcards, no base topic holds them")
    parts, host, port = split
    user = parts.username
    _, options = split_options(uri, OPTIONS)
    discovery = options.get("discovery", "").strip("/")
    if set(discovery) & set("+#\0"):
        raise UsageError(f"?discovery={discovery}: give Home Assistant's prefix, mostly homeassistant")
    scheme = parts.scheme.lower()
    if scheme == "mqtt" and (wrong := [key for key in TLS_OPTIONS if key in options]):
        raise UsageError(f"?{wrong[0]}= is for mqtts://, the connection with TLS")
    password = _password(None if parts.password is None else unquote(parts.password), options)
    if password is not None and user is None and "password_file" in options:
        raise UsageError("a password without a user; give mqtt://USER@HOST/TOPIC")
    port = port or PORTS[scheme]
    where = f"[{host}]" if ":" in host else host
    return Broker(
        name=f"{scheme}://{where}:{port}/{topic}",
        host=host,
        port=port,
        topic=topic,
        user=None if user is None else unquote(user),
        password=None if user is None else password,
        tls=_tls(options) if scheme == "mqtts" else None,
        results=flag(options, "results"),
        discovery=discovery,
    )


def _password(given: str | None, options: dict[str, str]) -> str | None:
    if given is not None:
        return given
    if "password_file" not in options:
        found = os.environ.get(PASSWORD)
        return found and found.rstrip("\r\n")
    path = Path(os.path.expanduser(options["password_file"]))
    try:
        return path.read_text().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise SinkError(f"cannot read the password in {path}: {_reason(error)}") from error


def _tls(options: dict[str, str]) -> ssl.SSLContext:
    """The system's certificates, or those of `ca`; `cert` and `key` are the client's own."""
    files = {key: os.path.expanduser(options[key]) for key in ("ca", "cert", "key") if key in options}
    if "key" in files and "cert" not in files:
        raise UsageError("?key= needs ?cert=, the certificate it belongs to")
    try:
        context = ssl.create_default_context(cafile=files.get("ca"))
        if "cert" in files:
            context.load_cert_chain(files["cert"], files.get("key"))
    except OSError as error:  # ssl.SSLError is one
        raise SinkError(f"cannot read {' or '.join(files.values())}: {_reason(error)}") from error
    if flag(options, "insecure"):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return "not a certificate or key in PEM form, or the two do not belong together"
    return getattr(error, "strerror", None) or str(error)
