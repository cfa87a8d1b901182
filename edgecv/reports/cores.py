"""Who takes the cores: this measurement, other programs, or the hypervisor, from the kernel's counts."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from edgecv.devices.system import text

LEAST_S = 0.2  # CPU time is counted in ticks of 10 ms: a shorter time's share would be noise

_BUSY = (0, 1, 2, 5, 6)  # user, nice, system, irq, softirq; a guest's is in user, too
_STOLEN = 7


class Taken(NamedTuple):
    """How many cores' time others took; None is unknown."""

    other: float | None = None
    stolen: float | None = None


class _Spent(NamedTuple):
    """Seconds of CPU time so far: everybody's, the hypervisor's, this process's and its children's."""

    at_s: float
    busy_s: float | None
    stolen_s: float | None
    own_s: float | None


class Cores:
    """Counts from now on. process: this process, by its number below `root`."""

    def __init__(self, root: Path, process: int, children: Iterable[int], at_s: float) -> None:
        self._root, self._process = root, process
        self._ticks = os.sysconf("SC_CLK_TCK")
        self._spent = self._count(children, at_s)

    def taken(self, children: Iterable[int], at_s: float) -> Taken:
        """Since the time before; unknown, and counted with the next, when that is less than LEAST_S ago.

        children: those that run now; what ended ones used is their parent's.
        """
        before, now = self._spent, self._count(children, at_s)
        elapsed_s = now.at_s - before.at_s
        if elapsed_s < LEAST_S:
            return Taken()
        self._spent = now
        busy, own = _difference(before.busy_s, now.busy_s), _difference(before.own_s, now.own_s)
        stolen = _difference(before.stolen_s, now.stolen_s)
        return Taken(
            # The two are counted by different clocks: a process's by its switches, a core's by ticks.
            None if busy is None or own is None else max(busy - own, 0.0) / elapsed_s,
            None if stolen is None else max(stolen, 0.0) / elapsed_s,
        )

    def _count(self, children: Iterable[int], at_s: float) -> _Spent:
        fields = text(self._root / "proc/stat").partition("\n")[0].split()
        busy = stolen = None
        if fields[:1] == ["cpu"] and len(fields) > _STOLEN + 1:
            ticks = [int(field) for field in fields[1:]]
            busy = sum(ticks[index] for index in _BUSY) / self._ticks
            stolen = ticks[_STOLEN] / self._ticks
        own = self._used(self._process)
        if own is not None:
            own += sum(self._used(child) or 0.0 for child in children)
        return _Spent(at_s, busy, stolen, own)

    def _used(self, process: int) -> float | None:
        """Seconds of a process and of those of its children that it has waited for."""
        # The second field is the program's name in parentheses, and may hold anything.
        fields = text(self._root / f"proc/{process}/stat").rpartition(")")[2].split()
        return sum(map(int, fields[11:15])) / self._ticks if len(fields) > 14 else None


def _difference(before: float | None, now: float | None) -> float | None:
    return None if before is None or now is None else now - before
