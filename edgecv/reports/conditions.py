"""The conditions of a measurement: the machine, its software, its temperature and its clock."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import TYPE_CHECKING

from edgecv.reports.schema import Conditions, Moment

if TYPE_CHECKING:
    from edgecv.devices import Selected

SYSTEM = Path("/")


def moment(root: Path = SYSTEM) -> Moment:
    """Temperature, clock and load now, from the system below `root`."""
    return Moment(
        temperature_c=_temperature_c(root / "sys/class/thermal"),
        clock_mhz=_clock_mhz(root / "sys/devices/system/cpu"),
        load_1min=_number(root / "proc/loadavg"),
    )


def conditions(selected: Selected, before: Moment, after: Moment, root: Path = SYSTEM) -> Conditions:
    import cv2

    detected = selected.detected
    return Conditions(
        device=selected.profile.name,
        note=selected.note,
        model=detected.model,
        architecture=detected.architecture,
        arithmetic=detected.arithmetic,
        cpu_features=tuple(sorted(detected.cpu_features)),
        int8_saturates=selected.int8_saturates,
        cores=detected.cores,
        ram_mb=detected.ram_mb,
        threads=selected.threads,
        python=platform.python_version(),
        os=_os_name(),
        kernel=platform.release(),
        opencv=cv2.__version__,
        governor=_text(root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor") or None,
        before=before,
        after=after,
    )


def _os_name() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return platform.system() or "unknown"


def _temperature_c(zones: Path) -> float | None:
    """The CPU's zone by its name, else the SoC's, else the hottest zone that reads plausibly."""
    readings = {}
    for zone in sorted(zones.glob("thermal_zone*")):
        value = _number(zone / "temp")
        # Jetson's PMIC-Die zone reads 100 °C whatever happens, and idle zones read -256 or 0.
        if value is not None and 0 < value < 150_000 and "pmic" not in (name := _text(zone / "type").lower()):
            readings[f"{zone.name} {name}"] = value / 1000
    for part in ("cpu", "x86_pkg", "soc"):
        named = [value for name, value in readings.items() if part in name]
        if named:
            return max(named)
    return max(readings.values(), default=None)


def _clock_mhz(cpus: Path) -> float | None:
    """The fastest core's clock; sysfs counts in kHz."""
    clocks = [_number(path) for path in sorted(cpus.glob("cpu[0-9]*/cpufreq/scaling_cur_freq"))]
    khz = max((clock for clock in clocks if clock), default=None)
    return khz / 1000 if khz else None


def _number(path: Path) -> float | None:
    """The first word of a file as a number."""
    try:
        return float(_text(path).split()[0])
    except (IndexError, ValueError):
        return None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:  # absent on this kernel, or a sensor that refuses to answer
        return ""
