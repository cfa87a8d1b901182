"""`?key=value&key=value` behind a sink's address."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import unquote

from edgecv.errors import UsageError


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
