"""The systemd unit file of a camera run: what is in it, where it lies, and how systemd wants it quoted."""

from __future__ import annotations

import getpass
import grp
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edgecv.errors import UsageError

MARKER = "# Written by `edgecv service install`, which may replace it."
SYSTEM_UNITS = Path("/etc/systemd/system")
SYSTEM_CONFIG = Path("/etc")
# A safe path: a queue.py in the working folder must not become Python's. Fault handler: when the watchdog
# kills a run that hangs, the journal gets the stack of every thread.
VARIABLES = {"PYTHONSAFEPATH": "1", "PYTHONFAULTHANDLER": "1"}


def unit_path(name: str, user: bool) -> Path:
    """Where the unit of this service belongs. Raises UsageError for a name that systemd would not take."""
    stem = name.removesuffix(".service")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9:_.-]{0,99}", stem):
        raise UsageError(f"{name!r} is not the name of a service: letters, digits and : _ . - make one")
    return (_user_config() / "systemd/user" if user else SYSTEM_UNITS) / f"{stem}.service"


def environment_file(name: str, user: bool) -> Path:
    """A file of NAME=value lines that the unit reads where it exists: %E/edgecv/NAME.env."""
    return (_user_config() if user else SYSTEM_CONFIG) / "edgecv" / f"{name}.env"


@dataclass(frozen=True)
class Unit:
    """A service that runs `edgecv run` with `arguments` in `folder`.

    user: of a user's own systemd, not of the machine's. watchdog_s: 0 for no watchdog.
    """

    name: str
    arguments: tuple[str, ...]
    user: bool
    memory_max_mb: int | None
    watchdog_s: int
    environment: Mapping[str, str]
    folder: Path

    def text(self) -> str:
        """The file. Raises UsageError for what cannot be written into one."""
        for key in self.environment:
            if not re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", key):
                raise UsageError(f"{key!r} is not the name of an environment variable")
        command = " ".join(quoted(word) for word in (sys.executable, "-m", "edgecv", "run", *self.arguments))
        folder = str(self.folder.absolute())
        quoted(folder)  # goes without quotes, but the same characters are refused
        variables = {**VARIABLES, **self.environment}.items()
        lines = (
            MARKER,
            "[Unit]",
            f"Description=EdgeCV camera run {self.name}",
            *(() if self.user else ("Wants=network-online.target", "After=network-online.target")),
            "StartLimitIntervalSec=0",
            "",
            "[Service]",
            "Type=notify",
            "NotifyAccess=main",
            f"ExecStart={command.replace('$', '$$')}",
            f"WorkingDirectory={folder.replace('%', '%%')}",
            *(f"Environment={quoted(f'{key}={value}')}" for key, value in variables),
            f"EnvironmentFile=-%E/edgecv/{self.name}.env",
            *(() if self.user else _system_only()),
            "Restart=always",
            "RestartSec=5",
            "TimeoutStartSec=180",
            "TimeoutStopSec=20",
            "KillSignal=SIGTERM",
            *((f"WatchdogSec={self.watchdog_s}",) if self.watchdog_s else ()),
            *((f"MemoryMax={self.memory_max_mb}M",) if self.memory_max_mb else ()),
            "# Results go to sinks, what the run says of itself to the journal.",
            "StandardOutput=null",
            "StandardError=journal",
            "# Cameras, their sockets in /tmp, and models: no PrivateDevices, PrivateTmp or ProtectHome.",
            "NoNewPrivileges=yes",
            "LockPersonality=yes",
            "",
            "[Install]",
            f"WantedBy={'default.target' if self.user else 'multi-user.target'}",
        )
        return "\n".join(lines) + "\n"


def quoted(word: str) -> str:
    """A word of a unit file's line, so that systemd reads it back as it is; `$` is its own matter.

    Raises UsageError for control characters and for what is not UTF-8.
    """
    if not word.isprintable():
        raise UsageError(f"{word!r} holds characters that a service's file cannot")
    escaped = re.sub(r'[\\"]', r"\\\g<0>", word.replace("%", "%%"))
    return escaped if re.fullmatch(r"[\w@%+=:,./$-]+", word, re.ASCII) else f'"{escaped}"'


def _system_only() -> list[str]:
    groups = {group.gr_name for group in grp.getgrall()}  # one that does not exist would stop every start
    return [
        f"User={os.environ.get('SUDO_USER') or getpass.getuser()}",
        *(["SupplementaryGroups=video"] if "video" in groups else []),
        "Nice=-5",
        "ProtectSystem=full",
        "ProtectControlGroups=yes",
    ]


def _user_config() -> Path:
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
