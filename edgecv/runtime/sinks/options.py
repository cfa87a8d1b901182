"""A sink's address, and `?key=value&key=value` behind it."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import SplitResult, unquote, urlsplit

from edgecv.errors import UsageError


def split_address(uri: str) -> tuple[SplitResult, str, int | None] | None:
    """(its parts, host, port) of scheme://HOST[:PORT]/PATH; None for what is no such address.

    There is no fragment: a `#` behind the host belongs to the path. Whoever complains must not quote the
    address, since it may hold a password.
    """
    before, at, _ = uri.partition("://")[2].partition("/")[0].rpartition("@")
    # urlsplit would drop line ends silently, and take `user:pass` for the host of `user:pass#word@host`.
    if not uri.isprintable() or (at and set(before) & set("#?")):
        return None
    try:
        parts = urlsplit(uri, allow_fragments=False)
        host, port = parts.hostname, parts.port
        (host or "").encode("idna")  # which a client's thread would die of
    except ValueError:
        return None
    return (parts, host, port) if host and " " not in host else None


def split_options(text: str, allowed: Sequence[str]) -> tuple[str, dict[str, str]]:
    """(what is before the `?`, the options behind it); UsageError for one that is not `allowed`."""
    address, _, query = text.partition("?")
    found: dict[str, str] = {}
    for pair in filter(None, query.split("&")):
        key, _, value = pair.partition("=")
        if key not in allowed:
            raise UsageError(f"?{key}= is no option of this sink; there are {', '.join(allowed)}")
        if key in found:
            raise UsageError(f"?{key}= is given twice")
        found[key] = unquote(value)
    return address, found


def flag(options: dict[str, str], key: str) -> bool:
    """0 or 1, 0 where it is not given; UsageError for anything else."""
    value = options.get(key, "0")
    if value not in ("0", "1"):
        raise UsageError(f"?{key}={value}: give 0 or 1")
    return value == "1"


def count(options: dict[str, str], key: str, default: int) -> int:
    """A whole number from 1 on; UsageError for anything else."""
    value = options.get(key, str(default))
    if not (value.isascii() and value.isdigit() and int(value)):
        raise UsageError(f"?{key}={value}: give a whole number from 1 on")
    return int(value)
