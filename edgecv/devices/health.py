"""Is this board fit to run: power, heat, clock, CPU. Pure checks of what its files and telemetry say.

Not run on hardware: tested on trees of files as the boards have them.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Sequence
from pathlib import Path

from edgecv.devices.cpu import X86
from edgecv.devices.detect import Detected
from edgecv.devices.profile import Family, Profile
from edgecv.devices.system import number, printable, text
from edgecv.devices.telemetry import Reading, throttle_c
from edgecv.spec import Struct


class State(str, enum.Enum):
    OK = "ok"
    WARNING = "warning"  # it runs, but slowly, wrongly now and then, or not for long
    PROBLEM = "problem"  # it would stop `edgecv run`
    UNKNOWN = "unknown"  # the machine does not say, which is never "fine"


class Finding(Struct):
    """One thing that was looked at: what it is, in one line, and what to do about it ("" when ok)."""

    subject: str
    state: State
    what: str
    remedy: str = ""


def ok(subject: str, what: str) -> Finding:
    return Finding(subject=subject, state=State.OK, what=what)


def warning(subject: str, what: str, remedy: str) -> Finding:
    return Finding(subject=subject, state=State.WARNING, what=what, remedy=remedy)


def problem(subject: str, what: str, remedy: str) -> Finding:
    return Finding(subject=subject, state=State.PROBLEM, what=what, remedy=remedy)


def unknown(subject: str, what: str, remedy: str = "") -> Finding:
    return Finding(subject=subject, state=State.UNKNOWN, what=what, remedy=remedy)


LOW_VOLTAGE = "under-voltage"  # as telemetry names it
# What the boards are sold with. (raspberrypi/documentation, power supplies)
SUPPLIES = {"rpi5": "5 V 5 A", "rpi4b": "5 V 3 A", "rpi3b+": "5 V 2.5 A", "rpi-zero2w": "5 V 2.5 A"}
PI5_MA = 5000
NEAR_C = 10.0  # nearer than this to throttling while nothing runs, work takes it there
_LIMITS = ("throttle_soft_c", "throttle_range_c", "throttle_c")  # facts of profiles, the lowest first
_FOLLOW_LOAD = ("intel_pstate", "amd-pstate-epp", "amd_pstate_epp")  # drivers whose powersave is no brake


def power_supply(root: Path, detected: Detected, reading: Reading, kernel_log: str) -> Finding | None:
    """Under-voltage of a Raspberry Pi, now and since boot; None on boards that do not measure it.

    kernel_log: since boot, "" when it cannot be read; the kernel writes a line at each under-voltage.
    """
    if detected.profile is None or detected.profile.family is not Family.RPI:
        return None
    name = "power supply"
    remedy = f"use a {SUPPLIES.get(detected.profile.name, 'stronger')} supply and a short, thick cable"
    if reading.throttled is not None and LOW_VOLTAGE in reading.throttled:
        return warning(name, "under-voltage now: speed is not to be relied on", remedy)
    logged = len(re.findall("under-?voltage detected", kernel_log, re.IGNORECASE))
    if logged or LOW_VOLTAGE in (reading.throttled_since_boot or ()):
        often = f", {logged}x by the kernel's log" if logged else ""
        return warning(name, f"under-voltage since boot{often}", remedy)
    offered = _offered_ma(root)
    if offered and offered < PI5_MA and detected.profile.name == "rpi5":
        what = f"it offers {offered / 1000:g} A; this board may take 5 A under load"
        return warning(name, what, remedy)
    if reading.throttled is None:
        return unknown(
            name,
            "neither the kernel nor vcgencmd says whether the voltage holds",
            "`sudo apt install raspi-utils` (Ubuntu: libraspberrypi-bin) for vcgencmd; it takes group video",
        )
    if reading.throttled_since_boot is None and not kernel_log:
        return unknown(
            name,
            "no under-voltage now; since boot is not known",
            "`sudo journalctl -k -b | grep -i voltage` shows what there was",
        )
    return ok(name, "no under-voltage now, none since boot")


def throttling(reading: Reading) -> Finding:
    """Whether the board was slowed down for other reasons than its supply."""
    name, remedy = (
        "throttling",
        "cool it (heat sink, fan, air); `edgecv bench` says when it spoils a measurement",
    )
    if reading.throttled is None:
        return unknown(name, "the machine does not say whether it is slowed down")
    now = [reason for reason in reading.throttled if reason != LOW_VOLTAGE]
    if now:
        return warning(name, f"slowed down now: {', '.join(now)}", remedy)
    before = [reason for reason in reading.throttled_since_boot or () if reason != LOW_VOLTAGE]
    if before:
        what = f"slowed down since boot: {', '.join(before)}"
        return warning(name, what, remedy)
    known = "nor since boot" if reading.throttled_since_boot is not None else "since boot is not known"
    return ok(name, f"not slowed down now, {known}")


def governor(root: Path, reading: Reading) -> Finding:
    """Whether the kernel lets the clock rise."""
    driver = text(root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_driver")
    if reading.governor is None:
        return unknown("governor", "the kernel does not say how it sets the clock")
    shown = printable(reading.governor)
    if shown == "powersave" and driver not in _FOLLOW_LOAD:
        return warning(
            "governor",
            "powersave: the clock stays at its lowest",
            "`echo performance | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor`",
        )
    held = "the clock is at its highest" if shown == "performance" else "the clock follows the load"
    return ok("governor", f"{shown}: {held}")


def power_saving(mode: str | None) -> Finding | None:
    """The power mode by its own name (`telemetry.power_mode`); None where there is none."""
    if mode is None:
        return None
    if mode in ("low-power", "quiet"):
        return warning(
            "power mode", f"{mode}: the firmware saves power", "`powerprofilesctl set performance`"
        )
    return ok("power mode", mode)


def cooling(root: Path, profiles: Sequence[Profile], reading: Reading) -> Finding:
    """The temperature against the point where this board begins to slow down, and its fan.

    profiles: of this board; the first that knows that point is believed.
    """
    degrees = reading.temperature_c
    if degrees is None:
        return unknown("cooling", "no sensor of the CPU's temperature can be read")
    limit = throttle_c(root) or next(filter(None, map(_known_limit, profiles)), None)
    fan = _fan(root)
    if limit is None:
        return unknown("cooling", f"{degrees:.0f} °C{fan}; where it begins to slow down is not known")
    what = f"{degrees:.0f} °C{fan}; it slows down from {limit:g} °C"
    if degrees > limit - NEAR_C:
        remedy = (
            "fit a heat sink or a fan, free its air; then `edgecv bench --mode sustained` shows what it holds"
        )
        return warning("cooling", what, remedy)
    return ok("cooling", what)


def cpu(detected: Detected, target: str, holds: bool) -> Finding:
    """Whether int8 is fast and right here.

    target: what `edgecv convert --target` is to be given. holds: the bundle at hand was made for a CPU whose
    int8 sums saturate.
    """
    shown, features = detected.arithmetic, detected.cpu_features
    if not features:
        return unknown("CPU", f"{shown}: whether int8 is fast is not known")
    if detected.int8_saturates:
        if holds:
            return ok("CPU", f"{shown}: this bundle's recipes hold here; float may be as fast")
        remedy = (
            f"`edgecv convert --int8 --target {target}` takes recipes that hold; `edgecv tune` measures them"
        )
        return warning("CPU", f"{shown}: int8 may lose accuracy, and be no faster than float", remedy)
    if detected.architecture in X86 or features & {"dotprod", "i8mm"}:
        return ok("CPU", f"{shown}: int8 is fast and sums exactly")
    if "neon" in features:
        return ok("CPU", f"{shown}, no dotprod: int8 sums exactly, and gains less than on newer cores")
    remedy = "use a board with NEON: a Raspberry Pi 3, Zero 2 W or newer"
    return warning("CPU", f"{shown}, no NEON: everything is slow, and engines have no wheels", remedy)


def _offered_ma(root: Path) -> int | None:
    """What a Raspberry Pi 5 and its supply agreed on, mA: a big-endian number of the device tree."""
    try:
        raw = (root / "proc/device-tree/chosen/power/max_current").read_bytes()
    except OSError:
        return None
    return int.from_bytes(raw, "big") if len(raw) == 4 else None


def _known_limit(profile: Profile) -> float | None:
    facts = {fact.name: fact.value for fact in profile.facts}
    value = next((facts[name] for name in _LIMITS if name in facts), None)
    if isinstance(value, tuple):
        value = min(value)
    return float(value) if isinstance(value, (int, float)) else None


def _fan(root: Path) -> str:
    """Its turns, "" where none can be read: a fan on the 5 V pins has no sensor."""
    turns = [number(path) for path in sorted((root / "sys/class/hwmon").glob("hwmon*/fan[0-9]*_input"))]
    known = [value for value in turns if value is not None]
    return f", fan {max(known):.0f} rpm" if known else ""
