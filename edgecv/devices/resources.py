"""What a run lives on: memory, swap, disk, a clock that is right, and a container's limits.

Pure checks of a Linux system's files below `root`; sizes are MiB.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from edgecv.devices.detect import Detected
from edgecv.devices.health import Finding, ok, problem, unknown, warning
from edgecv.devices.system import meminfo_mb, number, printable, text

BASE_MB = 200  # Python, numpy, OpenCV and an engine took 150 to 250
SPARE_MB = 100  # the system's own, below which it begins to swap
SMALL_RAM_MB = 2048
DISK_MB = 200
SWAPPED_MB = 64
NO_LIMIT = 1 << 60  # bytes; version 1 writes a huge number
FIRST_YEAR = 2025  # before it, a clock was never set
_ZRAM = "`sudo apt install zram-tools` adds compressed memory"
_FREE = f"stop other programs, or the desktop (`sudo systemctl set-default multi-user.target`); {_ZRAM}"


class Usage(NamedTuple):
    """Of a file system: what is free, and whether it can be written to."""

    free_mb: int
    read_only: bool


class Limits(NamedTuple):
    """A control group's, as containers and services have them; None is no limit."""

    cpus: float | None
    memory_mb: int | None
    memory_left_mb: int | None


def memory(root: Path, artifact_bytes: int) -> Finding:
    """Whether a run with a model of that size fits into what is available."""
    info = meminfo_mb(root)
    available, swap = info.get("MemAvailable"), info.get("SwapFree", 0)
    if available is None:
        return unknown("memory", "/proc/meminfo does not say what is available")
    left = limits(root).memory_left_mb
    if left is not None and left < available:
        available, swap = left, 0
    needed = BASE_MB + 2 * (artifact_bytes >> 20)  # the weights once more, as the engine lays them out
    what = f"{available} MB available, a run takes about {needed} MB"
    if available + swap < needed:
        return problem("memory", f"{what}: it would be killed", _FREE)
    if available < needed + SPARE_MB:
        return warning("memory", f"{what}: it would swap", _FREE)
    return ok("memory", what)


def swap(root: Path) -> Finding:
    """Where memory goes when it runs out, and how much went there."""
    table = text(root / "proc/swaps").splitlines()[1:]
    rows = [row.split() for row in table if len(row.split()) >= 4]
    if not (root / "proc/swaps").exists():
        return unknown("swap", "/proc/swaps cannot be read")
    if not rows:
        ram = meminfo_mb(root).get("MemTotal")
        if ram is not None and ram < SMALL_RAM_MB:
            what = f"none, with {ram} MB of memory: a run that needs more is killed"
            return warning("swap", what, _ZRAM)
        return ok("swap", "none")
    shown = ", ".join(
        f"{printable(name)} {int(size) >> 10} MB ({int(used) >> 10} used)" for name, _, size, used, *_ in rows
    )
    slow = [int(used) >> 10 for name, _, _, used, *_ in rows if "zram" not in name]
    if sum(slow) >= SWAPPED_MB:
        card = " on the SD card" if _root_device(root).startswith("/dev/mmcblk") else ""
        return warning(
            "swap", f"{shown}: memory is short, and what is swapped{card} makes a run stutter", _FREE
        )
    return ok("swap", shown)


def disk(where: str, usage: Usage) -> Finding:
    """where: what lies on it, "/" or the cache's folder."""
    subject = f"disk of {where}"
    if usage.read_only:
        return warning(
            subject,
            "read-only: nothing can be recorded, converted or kept",
            "`sudo mount -o remount,rw /`; failing cards become so (`sudo dmesg | grep -i error`)",
        )
    what = f"{usage.free_mb} MB free"
    if usage.free_mb < DISK_MB:
        remedy = "`sudo apt clean`, `sudo journalctl --vacuum-size=50M`, or delete bundles of the cache"
        return warning(subject, what, remedy)
    return ok(subject, what)


def clock(root: Path, now: datetime.datetime, ntp: str) -> Finding:
    """ntp: what `timedatectl show --property=NTPSynchronized --value` prints, "" when it cannot be asked."""
    remedy = "`sudo timedatectl set-ntp true`, and a network that lets NTP (UDP port 123) through"
    if now.year < FIRST_YEAR:
        what = f"it is {now:%Y-%m-%d} here: TLS fails, and times are wrong"
        return warning("clock", what, remedy)
    if (root / "run/systemd/timesync/synchronized").exists() or ntp.strip() == "yes":
        return ok("clock", f"synchronised, {now:%Y-%m-%d %H:%M %Z}".rstrip())
    if ntp.strip() == "no":
        what = f"not synchronised ({now:%Y-%m-%d %H:%M}): times in results drift"
        return warning("clock", what, remedy)
    what = f"{now:%Y-%m-%d %H:%M}; whether it is synchronised is not known"
    return unknown("clock", what)


def container(root: Path, detected: Detected) -> Finding | None:
    """The limits of the control group this process is in; None where there are none."""
    found = limits(root)
    parts = []
    if found.cpus is not None:
        parts.append(f"{found.cpus:g} CPUs")
    if found.memory_mb is not None:
        parts.append(f"{found.memory_mb} MB of memory")
    if not parts:
        return None
    what = f"limited to {' and '.join(parts)}"
    if found.cpus is not None and detected.cores and found.cpus < detected.cores:
        remedy = (
            f"`--threads {max(1, int(found.cpus))}`, or raise the limit (docker run --cpus {detected.cores})"
        )
        what += f", of {detected.cores} cores: threads stop each other"
        return warning("limits", what, remedy)
    return ok("limits", what)


def limits(root: Path) -> Limits:
    """The tightest limits on the way from this process's control group up (version 2, else version 1)."""
    cpus: list[float] = []
    sizes: list[int] = []
    lefts: list[int] = []
    for group in _groups(root):
        if found := re.fullmatch(r"([0-9]+) ([0-9]+)", text(group / "cpu.max")):
            cpus.append(int(found[1]) / max(1, int(found[2])))
        quota, period = number(group / "cpu.cfs_quota_us"), number(group / "cpu.cfs_period_us")
        if quota and period and quota > 0:
            cpus.append(quota / period)
        most = number(group / "memory.max") or number(group / "memory.limit_in_bytes")
        if most is None or most >= NO_LIMIT:
            continue
        sizes.append(int(most) >> 20)
        used = number(group / "memory.current") or number(group / "memory.usage_in_bytes")
        if used is not None:
            # Files that were read count as used, and are given back at need.
            cached = re.search(
                r"^(?:total_)?inactive_file ([0-9]+)$", text(group / "memory.stat"), re.MULTILINE
            )
            lefts.append(int(most - used + (int(cached[1]) if cached else 0)) >> 20)
    return Limits(min(cpus, default=None), min(sizes, default=None), min(lefts, default=None))


def _groups(root: Path) -> Iterator[Path]:
    base = root / "sys/fs/cgroup"
    for line in text(root / "proc/self/cgroup").splitlines():
        _, controllers, inside = [*line.split(":", 2), "", ""][:3]
        if ".." in inside or not inside.isprintable():  # of another namespace, or nonsense
            inside = "/"
        for top in (
            [base] if not controllers else [base / name for name in ("cpu", "memory") if name in controllers]
        ):
            folder = top / inside.strip("/")
            yield from (folder, *(parent for parent in folder.parents if parent.is_relative_to(top)))


def _root_device(root: Path) -> str:
    mounts = (line.split() for line in text(root / "proc/mounts").splitlines())
    return next((words[0] for words in mounts if len(words) > 1 and words[1] == "/"), "")
