"""How the board is now: heat, clock, throttling, power, memory, from the files of a Linux system."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from edgecv.spec import Struct

SYSTEM = Path("/")
COMMAND_EVERY_S = 10.0  # vcgencmd is a process of its own
COMMAND_TIMEOUT_S = 1.0

# Raspberry Pi's get_throttled: bits 0 to 3 are now, bits 16 to 19 the same before now.
REASONS = ("under-voltage", "frequency capped", "throttled", "soft temperature limit")
_EVER_SHIFT = 16
_ALERT = "-throttle-alert"  # ends the name of a Jetson's cooling device that is a flag
# What a Jetson's module takes: one rail of it, or on AGX Orin, which has no such one, three.
_WHOLE = ({"VDD_IN"}, {"VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0"})


class Reading(Struct):
    """What the machine says of itself at one time; None where it does not say, which is never "fine".

    clock_mhz: the fastest core's. memory_available_mb: MiB that programs may still take. power_w: of a Jetson
    the module's, of a PC the CPU packages' mean since the reading before.
    throttled: the reasons that hold now, () when there are none. throttled_since_boot: those known to have
    held; () only where the firmware keeps count.
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
        self._memory, self._load = root / "proc/meminfo", root / "proc/loadavg"
        cpus = root / "sys/devices/system/cpu"
        self._governor = cpus / "cpu0/cpufreq/scaling_governor"
        self._clocks = sorted(cpus.glob("cpu[0-9]*/cpufreq/scaling_cur_freq"))
        self._zones = _zones(root / "sys/class/thermal")
        self._throttling = _Throttling(root, command, clock)
        self._power = _Power(root, clock)

    def read(self) -> Reading:
        """The state now."""
        khz = _highest(self._clocks)
        millidegrees = next((value for zones in self._zones if (value := _highest(zones, 150_000))), None)
        throttled, since_boot = self._throttling.read()
        return Reading(
            temperature_c=millidegrees and millidegrees / 1000,
            clock_mhz=khz and khz / 1000,
            governor=_text(self._governor) or None,
            load_1min=_number(self._load),
            memory_available_mb=_available_mb(_text(self._memory)),
            power_w=self._power.read(),
            throttled=throttled,
            throttled_since_boot=since_boot,
        )


class _Throttling:
    """A Raspberry Pi's bits from the kernel or else vcgencmd; a Jetson's flags; else under-voltage only."""

    def __init__(self, root: Path, command: Callable[[], str] | None, clock: Callable[[], float]) -> None:
        # soc/soc:firmware, and on the Pi 5 soc@107c000000/soc@107c000000:firmware
        self._bits = next((root / "sys/devices/platform").glob("soc*/soc*:firmware/get_throttled"), None)
        if command is None and root == SYSTEM and shutil.which("vcgencmd"):
            command = _vcgencmd
        self._command, self._clock = command, clock
        self._asked_s, self._answer = float("-inf"), ""
        devices = sorted((root / "sys/devices/virtual/thermal").glob("cooling_device*/type"))
        names = {path.with_name("cur_state"): _text(path) for path in devices}
        self._alerts = {path: name for path, name in names.items() if name.endswith(_ALERT)}
        hwmon = (root / "sys/class/hwmon").glob("hwmon*/name")
        volts = next((path for path in hwmon if _text(path) == "rpi_volt"), None)
        self._alarm = volts and volts.with_name("in0_lcrit_alarm")
        self._seen = 0

    def read(self) -> tuple[tuple[str, ...] | None, tuple[str, ...] | None]:
        if self._bits and (bits := _hex(_text(self._bits))) is not None:
            # The kernel clears the firmware's memory at each of its own looks, two seconds apart: what was
            # before this program is not known.
            self._seen |= bits | bits >> _EVER_SHIFT
            return _reasons(bits), _reasons(self._seen) or None
        if self._command and (bits := _hex(self._ask(self._command))) is not None:
            return _reasons(bits), _reasons(bits | bits >> _EVER_SHIFT)
        states = {name: _number(path) for path, name in self._alerts.items()}
        if any(state is not None for state in states.values()):
            parts = (name.removesuffix(_ALERT) for name, state in states.items() if state)
            return tuple(f"throttled ({part})" for part in parts), None
        low = self._alarm and _number(self._alarm)
        return (REASONS[:1], REASONS[:1]) if low else (None, None)

    def _ask(self, command: Callable[[], str]) -> str:
        if self._clock() - self._asked_s >= COMMAND_EVERY_S:
            self._asked_s, self._answer = self._clock(), command()
        return self._answer


class _Power:
    """Watts from a Jetson's INA3221 monitors, or from the counters of energy of x86 packages (RAPL)."""

    def __init__(self, root: Path, clock: Callable[[], float]) -> None:
        self._rails = _ina3221(root / "sys/bus/i2c/drivers/ina3221")
        packages = sorted((root / "sys/class/powercap").glob("intel-rapl:[0-9]/name"))
        self._packages = [name.parent for name in packages if _text(name).startswith("package")]
        self._clock = clock
        self._before: tuple[float, list[float]] | None = None

    def read(self) -> float | None:
        if self._rails:
            rails = [(_number(volts), _number(amperes)) for volts, amperes in self._rails]
            watts = [mv * ma / 1e6 for mv, ma in rails if mv is not None and ma is not None]
            return sum(watts) if len(watts) == len(rails) else None
        energies = [_number(package / "energy_uj") for package in self._packages]
        known = [energy for energy in energies if energy is not None]
        if not energies or len(known) < len(energies):  # no such CPU, or only root may read it
            return None
        now, before = (self._clock(), known), self._before
        self._before = now
        if before is None or now[0] <= before[0]:
            return None
        used_uj = 0.0
        for package, old, new in zip(self._packages, before[1], known, strict=True):
            wrapped = (_number(package / "max_energy_range_uj") or 0) if new < old else 0
            used_uj += new - old + wrapped
        return used_uj / 1e6 / (now[0] - before[0]) if used_uj >= 0 else None


def _zones(thermal: Path) -> list[list[Path]]:
    """The groups of zones to try in turn: the CPU's by their name, else the SoC's, else all of them."""
    names = {zone: _text(zone / "type").lower() for zone in sorted(thermal.glob("thermal_zone*"))}
    # Jetson's PMIC-Die zone reads 100 °C whatever happens.
    real = {zone / "temp": name for zone, name in names.items() if "pmic" not in name}
    groups = [[zone for zone, name in real.items() if part in name] for part in ("cpu", "x86_pkg", "soc")]
    return [*groups, list(real)]


def _ina3221(driver: Path) -> list[tuple[Path, Path]]:
    """Files of millivolts and of milliamperes whose products add up to the whole module's power."""
    rails: dict[str, tuple[Path, Path]] = {}
    for label in sorted(driver.glob("*/hwmon/hwmon*/in[123]_label")):
        channel = label.name[2]
        rails[_text(label)] = (label.with_name(f"in{channel}_input"), label.with_name(f"curr{channel}_input"))
    whole = next((names for names in _WHOLE if names <= rails.keys()), set[str]())
    return [rails[name] for name in whole]


def _vcgencmd() -> str:
    command = ("vcgencmd", "get_throttled")
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout


def _reasons(bits: int) -> tuple[str, ...]:
    return tuple(reason for bit, reason in enumerate(REASONS) if bits >> bit & 1)


def _hex(text: str) -> int | None:
    """`throttled=0x50005` of vcgencmd, and `50005` of the kernel."""
    found = re.fullmatch(r"(?:throttled=)?(?:0x)?([0-9a-fA-F]{1,8})", text.strip())
    return int(found[1], 16) if found else None


def _available_mb(meminfo: str) -> int | None:
    found = re.search(r"^MemAvailable:\s*([0-9]{1,15}) kB", meminfo, re.MULTILINE)
    return int(found[1]) // 1024 if found else None


def _highest(paths: Iterable[Path], below: float = float("inf")) -> float | None:
    """The largest plausible number: a zone that is switched off reads -256 °C or 0."""
    values = (_number(path) for path in paths)
    return max((value for value in values if value and 0 < value < below), default=None)


def _number(path: Path) -> float | None:
    """The first word of a file as a number."""
    try:
        return float(_text(path).split(maxsplit=1)[0])
    except (IndexError, ValueError):
        return None


def _text(path: Path) -> str:
    try:
        with open(path, "rb") as file:
            return file.read(1 << 16).decode("utf-8", errors="replace").strip()
    except OSError:  # absent on this kernel, or a sensor that refuses to answer
        return ""
