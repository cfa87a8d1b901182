"""A POST of every event."""

from __future__ import annotations

import base64
import os
import ssl
import urllib.error
import urllib.request
from http.client import HTTPException
from urllib.parse import quote, unquote, urlunsplit

import msgspec

from edgecv.errors import SinkError, UsageError
from edgecv.runtime.sinks.base import Context, Item, Sink, SinkBusy, Traits
from edgecv.runtime.sinks.options import split_address

TIMEOUT_S = 5.0
TOKEN = "EDGECV_WEBHOOK_TOKEN"
SAFE = "/?%:@!$&'()*+,;=~"  # of an address: what means something, or is quoted already
LATER = (408, 425, 429)  # of the client's errors, those that a later try may not have


def open_webhook(uri: str, context: Context) -> Sink:
    """Raises UsageError for an address that is none, SinkError for a token that no header can carry.

    That nobody answers there is no error yet.
    """
    split = split_address(uri)
    if split is None:
        raise UsageError(
            "the webhook's address is not valid; give https://[user:password@]HOST[:PORT]/PATH, "
            "special characters in the user and the password percent-encoded: # is %23"
        )
    parts, host, port = split
    where = f"[{host}]" if ":" in host else host
    netloc = where if port is None else f"{where}:{port}"
    headers = {"Content-Type": "application/json", "User-Agent": "edgecv"}
    if parts.username is not None:
        secret = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers["Authorization"] = f"Basic {base64.b64encode(secret.encode()).decode()}"
    elif token := os.environ.get(TOKEN, "").strip():
        if not (token.isascii() and token.isprintable()):  # whose complaint would quote it
            raise SinkError(f"{TOKEN} holds characters that no token has: control characters or non-ASCII")
        headers["Authorization"] = f"Bearer {token}"
    # The path is not shown: with many services it is the secret.
    name = f"{parts.scheme}://{netloc}/" + ("…" if parts.path.strip("/") or parts.query else "")
    path, query = (quote(part, safe=SAFE) for part in (parts.path or "/", parts.query))
    url = urlunsplit((parts.scheme, netloc, path, query, ""))
    return Webhook(url, name, headers, context)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirected POST would become a GET without the event, and take the token to another host."""

    def redirect_request(self, *_: object) -> None:
        return None


class Webhook(Sink):
    """2xx is delivered; no answer, 5xx and 429 are tried again; anything else is lost."""

    def __init__(self, url: str, name: str, headers: dict[str, str], context: Context) -> None:
        self.traits = Traits(name, events=True)
        self._url, self._headers = url, headers
        self._run = {"device": context.device, "model": context.model, "source": context.source}
        self._opener = urllib.request.build_opener(_NoRedirect)

    def write(self, item: Item) -> None:
        body = msgspec.json.encode(msgspec.to_builtins(item.result.events[0]) | self._run)
        request = urllib.request.Request(self._url, body, self._headers, method="POST")
        try:
            self._opener.open(request, timeout=TIMEOUT_S).close()
        except urllib.error.HTTPError as error:
            error.close()
            kind = SinkBusy if error.code >= 500 or error.code in LATER else SinkError
            raise kind(f"the webhook answers {error.code} {error.reason}") from None
        except (OSError, HTTPException) as error:  # refused, timed out, cut off
            raise SinkBusy(f"no answer from the webhook: {_reason(error)}") from error

    def close(self) -> None:
        """Every request is a connection of its own."""


def _reason(error: Exception) -> str:
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(reason, ssl.SSLCertVerificationError):
        return reason.verify_message
    return str(getattr(reason, "strerror", None) or reason)
