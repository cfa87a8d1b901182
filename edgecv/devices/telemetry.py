"""How the board is now: heat, clock, throttling, power, memory, from the files of a Linux system."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from edgecv.devices.power import Power
from edgecv.devices.system import SYSTEM, meminfo_mb, number, printable, text
from edgecv.spec import Struct

__all__ = ["SYSTEM", "Reading", "Telemetry", "power_mode", "throttle_c"]

COMMAND_EVERY_S = 10.0  # vcgencmd is a process of its own
COMMAND_TIMEOUT_S = 1.0

# Raspberry Pi's get_throttled: bits 0 to 3 are now, bits 16 to 19 the same before now.
REASONS = ("under-voltage", "frequency capped", "throttled", "soft temperature limit")
_EVER_SHIFT = 16
_ALERT = "-throttle-alert"  # ends the name of a Jetson's cooling device that is a flag


class Reading(Struct):
    """What the machine says of itself at one time; None where it does not say, which is never "fine".

    clock_mhz: the fastest core's. memory_available_mb: MiB that programs may still take. power_w: of a Jetson
    the module's, of a PC the CPU packages' mean since the reading before; `Telemetry.power_source` names it.
    throttled: the reasons that hold now (of a PC: since the reading before), () when there are none.
    throttled_since_boot: those known to have held; () only where the firmware or the kernel keeps count.
    """

    temperature_c: float | None = None
    clock_mhz: float | None = None
    governor: str | None = None
    load_1min: float | None = None
    memory_available_mb: int | None = None
    power_w: float | None = None
    throttled: tuple[str, ...] | None = None
    throttled_since_boot: tuple[str, ...] | None = None


class Telemetry:
    """Finds this machine's sensors once, and then reads them as often as asked; never an exception.

    root: where the system's files are. command: gives what `vcgencmd get_throttled` prints; without one,
    vcgencmd is used where "/" is read and it is installed. Use it from one thread at a time.
    """

    def __init__(
        self,
        root: Path = SYSTEM,
        command: Callable[[], str] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._root, self._load = root, root / "proc/loadavg"
        cpus = root / "sys/devices/system/cpu"
        self._governor = cpus / "cpu0/cpufreq/scaling_governor"
        self._clocks = sorted(cpus.glob("cpu[0-9]*/cpufreq/scaling_cur_freq"))
        self._zones = _zones(root / "sys/class/thermal")
        self._throttling = _Throttling(root, command, clock)
        self._power = Power(root, clock)

    @property
    def power_source(self) -> str | None:
        """The sensor that `power_w` is from, "INA3221: VDD_IN"; it may still refuse to be read."""
        return self._power.source

    def read(self) -> Reading:
        """The state now."""
        khz = _highest(self._clocks)
        millidegrees = next((value for zones in self._zones if (value := _highest(zones, 150_000))), None)
        throttled, since_boot = self._throttling.read()
        return Reading(
            temperature_c=millidegrees and millidegrees / 1000,
            clock_mhz=khz and khz / 1000,
            governor=text(self._governor) or None,
            load_1min=number(self._load),
            memory_available_mb=meminfo_mb(self._root).get("MemAvailable"),
            power_w=self._power.read(),
            throttled=throttled,
            throttled_since_boot=since_boot,
        )


class _Throttling:
    """A Raspberry Pi's bits from the kernel or else vcgencmd; a Jetson's flags; an Intel CPU's count of its
    first package; else under-voltage only."""

    def __init__(self, root: Path, command: Callable[[], str] | None, clock: Callable[[], float]) -> None:
        # soc/soc:firmware, and on the Pi 5 soc@107c000000/soc@107c000000:firmware
        self._bits = next((root / "sys/devices/platform").glob("soc*/soc*:firmware/get_throttled"), None)
        self._command = command or _command(root, "vcgencmd", "get_throttled")
        self._clock = clock
        self._asked_s, self._answer = float("-inf"), ""
        devices = sorted((root / "sys/devices/virtual/thermal").glob("cooling_device*/type"))
        names = {path.with_name("cur_state"): text(path) for path in devices}
        self._alerts = {path: name for path, name in names.items() if name.endswith(_ALERT)}
        hwmon = (root / "sys/class/hwmon").glob("hwmon*/name")
        volts = next((path for path in hwmon if text(path) == "rpi_volt"), None)
        self._alarm = volts and volts.with_name("in0_lcrit_alarm")
        self._seen = 0
        self._events = root / "sys/devices/system/cpu/cpu0/thermal_throttle/package_throttle_count"
        self._counted = number(self._events)

    def read(self) -> tuple[tuple[str, ...] | None, tuple[str, ...] | None]:
        if self._bits and (bits := _hex(text(self._bits))) is not None:
            # The kernel clears the firmware's memory at each of its own looks, two seconds apart: what was
            # before this program is not known.
            self._seen |= bits | bits >> _EVER_SHIFT
            return _reasons(bits), _reasons(self._seen) or None
        if self._command and (bits := _hex(self._ask(self._command))) is not None:
            return _reasons(bits), _reasons(bits | bits >> _EVER_SHIFT)
        states = {name: number(path) for path, name in self._alerts.items()}
        if any(state is not None for state in states.values()):
            parts = (name.removesuffix(_ALERT) for name, state in states.items() if state)
            return tuple(f"throttled ({part})" for part in parts), None
        if self._counted is not None and (count := number(self._events)) is not None:
            more, self._counted = count > self._counted, count
            return REASONS[2:3] if more else (), REASONS[2:3] if count else ()
        low = self._alarm and number(self._alarm)
        return (REASONS[:1], REASONS[:1]) if low else (None, None)

    def _ask(self, command: Callable[[], str]) -> str:
        if self._clock() - self._asked_s >= COMMAND_EVERY_S:
            self._asked_s, self._answer = self._clock(), command()
        return self._answer


def _zones(thermal: Path) -> list[list[Path]]:
    """The groups of zones to try in turn: the CPU's by their name, else the SoC's, else all of them."""
    names = {zone: text(zone / "type").lower() for zone in sorted(thermal.glob("thermal_zone*"))}
    # Jetson's PMIC-Die zone reads 100 °C whatever happens.
    real = {zone / "temp": name for zone, name in names.items() if "pmic" not in name}
    groups = [[zone for zone, name in real.items() if part in name] for part in ("cpu", "x86_pkg", "soc")]
    return [*groups, list(real)]


def throttle_c(root: Path = SYSTEM) -> float | None:
    """Where this kernel begins to slow the CPU down, °C: the lowest `passive` trip point of its zones.

    None where it has none: a Raspberry Pi's firmware throttles by itself, at 80 to 85.
    """
    for zones in _zones(root / "sys/class/thermal"):
        kinds = [kind for zone in zones for kind in zone.parent.glob("trip_point_*_type")]
        trips = [kind.with_name(f"{kind.name[:-5]}_temp") for kind in kinds if text(kind) == "passive"]
        values = [value for trip in trips if (value := number(trip)) and 40_000 <= value < 150_000]
        if values:
            return min(values) / 1000
    return None


def power_mode(root: Path = SYSTEM, command: Callable[[], str] | None = None) -> str | None:
    """The mode by its own name, "MAXN" or "15W", or of a PC's firmware "balanced"; None is unknown.

    A Jetson's is in the files that nvpmodel keeps; where they cannot be read, `command` gives what
    `nvpmodel -q` prints. Without one it is asked only where "/" is read and it is installed.
    """
    if profile := text(root / "sys/firmware/acpi/platform_profile"):
        return printable(profile)
    if kept := re.search(r"pmode:([0-9]{1,6})", text(root / "var/lib/nvpmodel/status")):
        modes = text(root / "etc/nvpmodel.conf")
        name = re.search(rf"^\s*<\s*POWER_MODEL\s+ID={int(kept[1])}\s+NAME=(\S+)", modes, re.MULTILINE)
        if name:
            return printable(name[1])
    ask = command or _command(root, "nvpmodel", "-q")
    found = re.search(r"^NV Power Mode:[ \t]*(\S+)", ask(), re.MULTILINE) if ask else None
    return printable(found[1]) if found else None


def _command(root: Path, *words: str) -> Callable[[], str] | None:
    """A function that gives what the command prints, where "/" is read and it is installed."""
    if root != SYSTEM or not shutil.which(words[0]):
        return None

    def answer() -> str:
        try:
            done = subprocess.run(words, capture_output=True, timeout=COMMAND_TIMEOUT_S, check=False)
        except (OSError, subprocess.TimeoutExpired):
            return ""
        return done.stdout.decode("utf-8", errors="replace")

    return answer


def _reasons(bits: int) -> tuple[str, ...]:
    return tuple(reason for bit, reason in enumerate(REASONS) if bits >> bit & 1)


def _hex(answer: str) -> int | None:
    """`throttled=0x50005` of vcgencmd, and `50005` of the kernel."""
    found = re.fullmatch(r"(?:throttled=)?(?:0x)?([0-9a-fA-F]{1,8})", answer.strip())
    return int(found[1], 16) if found else None


def _highest(paths: Iterable[Path], below: float = float("inf")) -> float | None:
    """The largest plausible number: a zone that is switched off reads -256 °C or 0."""
    values = (number(path) for path in paths)
    return max((value for value in values if value and 0 < value < below), default=None)
