"""Where a board is, as people write it: `pi@raspberrypi.local`, `host:2222`, `ssh://...`, an alias."""

from __future__ import annotations

import re
from dataclasses import dataclass

from edgecv.errors import UsageError

# ssh puts these into commands of the user's own configuration (ProxyCommand, Match exec), so nothing that a
# shell or an option parser could read is let through.
_USER = r"[\w.][\w.+-]*\$?"
_NAME = r"\w[\w.-]*"
_IPV6 = r"[0-9A-Fa-f]*:[0-9A-Fa-f:.]*(?:%[\w.]+)?"
_ADDRESS = re.compile(
    rf"(?:ssh://)?(?:(?P<user>{_USER})@)?"
    rf"(?:(?P<name>{_NAME})|\[(?P<bracketed>{_IPV6})\])(?::(?P<port>[0-9]{{1,5}}))?/?"
)
_BARE_IPV6 = re.compile(rf"(?:(?P<user>{_USER})@)?(?P<name>{_IPV6})")


@dataclass(frozen=True)
class Address:
    """destination: `user@host`, or an alias of ~/.ssh/config. port: None for the one ssh would take."""

    destination: str
    port: int | None = None

    @property
    def words(self) -> tuple[str, ...]:
        """The last words of an ssh command line, before the remote command."""
        port = () if self.port is None else ("-p", str(self.port))
        return (*port, "--", self.destination)

    def __str__(self) -> str:
        return self.destination if self.port is None else f"{self.destination}:{self.port}"


def parse_address(text: str) -> Address:
    """Read `[user@]host[:port]`, `ssh://[user@]host[:port]`, an IPv6 address or an alias of ~/.ssh/config.

    Raises UsageError for anything else, a leading "-" and characters of a shell among it.
    """
    if found := _ADDRESS.fullmatch(text):
        host = found["name"] or found["bracketed"]
        port = found["port"] and int(found["port"])
        if port is not None and not 1 <= port <= 65535:
            raise UsageError(f"--host {text}: port {port} is not one of 1 to 65535")
    elif found := _BARE_IPV6.fullmatch(text):
        host, port = found["name"], None
    else:
        raise UsageError(f"--host {text!r}: give [user@]host[:port], or a name of ~/.ssh/config")
    return Address(f"{found['user']}@{host}" if found["user"] else host, port)
