"""What the machine is doing while it is measured: its sensors, and who else takes its cores.

Whoever waits for a measured process calls `look`: there is no thread that would take time of its own.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from edgecv.devices.power import Power
from edgecv.devices.system import SYSTEM, meminfo_mb, text
from edgecv.devices.telemetry import Telemetry
from edgecv.errors import UsageError
from edgecv.reports.cores import Cores
from edgecv.reports.schema import Moment

MAX_MOMENTS = 600
EVERY_S = 1.0
COMMAND_EVERY_S = 0.9  # a look that is a little early gets a new answer
COMMAND_TIMEOUT_S = 5.0


class Seen(NamedTuple):
    """Means over some moments, and the reasons for throttling in any of them; None is unknown."""

    temperature_c: float | None
    clock_mhz: float | None
    power_w: float | None
    throttled: tuple[str, ...] | None


class Monitor:
    """Takes moments. `children`: the processes now running whose CPU time is this one's own.

    root: where the system's files are. power: watts from elsewhere than the board's sensor; None is unknown.
    process: this process, by its number below `root`.
    """

    def __init__(
        self,
        root: Path = SYSTEM,
        clock: Callable[[], float] = time.monotonic,
        power: Callable[[], float | None] | None = None,
        process: int | None = None,
    ) -> None:
        self.children: set[int] = set()
        self.moments: list[Moment] = []
        self._root, self._clock = root, clock
        self._telemetry = Telemetry(root, clock=clock)
        self._sensor, self._command = Power(root, clock), power
        self._began_s = clock()
        self._looked_s = float("-inf")
        self._cores = Cores(root, process or os.getpid(), (), self._began_s)
        self._swapped = _swapped(root)

    @property
    def power_source(self) -> str | None:
        """Where watts come from, None while there were none."""
        if all(moment.power_w is None for moment in self.moments):
            return None
        return "--power-command" if self._command else self._sensor.source

    def now_s(self) -> float:
        """Since the measurement began."""
        return self._clock() - self._began_s

    def available_mb(self) -> int | None:
        """MiB that programs may still take."""
        return meminfo_mb(self._root).get("MemAvailable")  # not a reading, whose throttling would be lost

    def swapped_pages(self) -> int | None:
        """Pages brought in or put out since the measurement began."""
        now = _swapped(self._root)
        return None if now is None or self._swapped is None else max(now - self._swapped, 0)

    def look(self) -> None:
        """Take a moment, unless the last one is less than EVERY_S old."""
        if self._clock() - self._looked_s >= EVERY_S:
            self.take()

    def take(self) -> Moment:
        """A moment, which is kept in `moments`."""
        self._looked_s = self._clock()
        reading = self._telemetry.read()
        power_w = self._command() if self._command else self._sensor.read()
        now_s = self._clock()
        taken = self._cores.taken(self.children, now_s)
        moment = Moment(
            at_s=round(now_s - self._began_s, 3),
            temperature_c=reading.temperature_c,
            clock_mhz=reading.clock_mhz,
            power_w=power_w,
            load_1min=reading.load_1min,
            memory_available_mb=reading.memory_available_mb,
            other_cores=taken.other,
            stolen_cores=taken.stolen,
            throttled=reading.throttled,
            throttled_since_boot=reading.throttled_since_boot,
        )
        self.moments.append(moment)
        return moment

    def mark(self) -> int:
        """The start of something, for `seen`: a counter of energy is read from here on."""
        self._sensor.read()
        return len(self.moments)

    def seen(self, mark: int) -> Seen:
        """What the moments since a mark say."""
        moments = self.moments[mark:]
        return Seen(
            mean(moment.temperature_c for moment in moments),
            mean(moment.clock_mhz for moment in moments),
            mean(moment.power_w for moment in moments),
            _union(moment.throttled for moment in moments),
        )


def thinned(moments: Sequence[Moment]) -> tuple[Moment, ...]:
    """At most MAX_MOMENTS; of more, neighbours become one: their means, and every reason of theirs."""
    step = -(-len(moments) // MAX_MOMENTS)
    groups = (moments[start : start + step] for start in range(0, len(moments), max(step, 1)))
    return tuple(group[0] if len(group) == 1 else _merged(group) for group in groups)


def supply(root: Path = SYSTEM) -> str | None:
    """`battery` while one is being used up, `mains` where a supply says that it is connected."""
    folder = root / "sys/class/power_supply"
    online = discharging = False
    for path in sorted(folder.glob("*/type")):
        kind, of = text(path), path.parent
        if text(of / "scope") == "Device":  # a mouse's
            continue
        online |= kind in ("Mains", "USB") and text(of / "online") == "1"
        discharging |= kind == "Battery" and text(of / "status") == "Discharging"
    if online:
        return "mains"
    return "battery" if discharging else None


def power_command(command: str, clock: Callable[[], float] = time.monotonic) -> Callable[[], float | None]:
    """Watts by a command of the user's: the first number that it prints, asked about once a second at most.

    The command is split as a shell does, and run without one. What is returned gives None when the command
    fails later on; UsageError when it fails the first time, or cannot be split.
    """
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise UsageError(f"--power-command {command!r}: {error}") from None
    asked_s, answer = float("-inf"), None

    def watts() -> float | None:
        nonlocal asked_s, answer
        first = asked_s == float("-inf")
        if clock() - asked_s < COMMAND_EVERY_S:
            return answer
        asked_s = clock()
        try:
            answer = _watts(words)
        except UsageError:
            if first:
                raise
            answer = None
        return answer

    return watts


def mean(values: Iterable[float | None]) -> float | None:
    """Of those that are known, None when none is."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _watts(words: list[str]) -> float:
    shown = shlex.join(words)
    try:
        done = subprocess.run(
            words, capture_output=True, text=True, errors="replace", timeout=COMMAND_TIMEOUT_S, check=True
        )
    except subprocess.TimeoutExpired:
        raise UsageError(f"--power-command {shown}: no answer within {COMMAND_TIMEOUT_S:g} s") from None
    except subprocess.CalledProcessError as error:
        said = (error.stderr.strip().splitlines() or ["it printed no reason"])[-1]
        raise UsageError(f"--power-command {shown}: exit status {error.returncode} ({said[:200]})") from None
    except (OSError, IndexError, ValueError) as error:
        raise UsageError(f"--power-command {shown or repr('')}: cannot be run ({error})") from None
    found = re.search(r"(?<![\w.])[0-9]{1,9}(?:\.[0-9]+)?", done.stdout)
    if not found:
        raise UsageError(f"--power-command {shown}: it has to print watts, and printed {done.stdout[:80]!r}")
    return float(found[0])


def _swapped(root: Path) -> int | None:
    counts = re.findall(r"^pswp(?:in|out) ([0-9]{1,18})$", text(root / "proc/vmstat"), re.MULTILINE)
    return sum(map(int, counts)) if len(counts) == 2 else None


def _union(reasons: Iterable[tuple[str, ...] | None]) -> tuple[str, ...] | None:
    known = [names for names in reasons if names is not None]
    return tuple(dict.fromkeys(name for names in known for name in names)) if known else None


def _merged(group: Sequence[Moment]) -> Moment:
    available = [m.memory_available_mb for m in group if m.memory_available_mb is not None]
    return Moment(
        at_s=group[-1].at_s,
        temperature_c=mean(m.temperature_c for m in group),
        clock_mhz=mean(m.clock_mhz for m in group),
        power_w=mean(m.power_w for m in group),
        load_1min=mean(m.load_1min for m in group),
        memory_available_mb=min(available, default=None),
        other_cores=mean(m.other_cores for m in group),
        stolen_cores=mean(m.stolen_cores for m in group),
        throttled=_union(m.throttled for m in group),
        throttled_since_boot=_union(m.throttled_since_boot for m in group),
    )
