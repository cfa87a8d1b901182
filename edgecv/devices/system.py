"""Reading a Linux system's small files: unreadable is empty, and nothing raises."""

from __future__ import annotations

import re
from pathlib import Path

SYSTEM = Path("/")
_READ_LIMIT = 4 << 20  # bytes; the cpuinfo of a large server is under one MiB


def text(path: Path) -> str:
    """The file's text without white space around it; bytes that are no UTF-8 become U+FFFD."""
    try:
        with open(path, "rb") as file:
            return file.read(_READ_LIMIT).decode("utf-8", errors="replace").strip()
    except OSError:  # absent on this kernel, or a sensor that refuses to answer
        return ""


def number(path: Path) -> float | None:
    """The first word of a file as a number."""
    try:
        return float(text(path).split(maxsplit=1)[0])
    except (IndexError, ValueError):
        return None


def meminfo_mb(root: Path) -> dict[str, int]:
    """/proc/meminfo in MiB; what it does not say is not there."""
    rows = re.findall(r"^(\w+):\s*([0-9]{1,15}) kB", text(root / "proc/meminfo"), re.MULTILINE)
    return {name: int(kilobytes) >> 10 for name, kilobytes in rows}


def printable(raw: str) -> str:
    """Fit for terminals, reports and TOML comments: no NUL, no escape sequences, no page of them."""
    return "".join(character for character in raw[:200] if character.isprintable()).strip()
