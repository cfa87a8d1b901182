"""Watts: a Jetson's power monitors, and the counters of energy of x86 packages (RAPL)."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from edgecv.devices.system import number, text

# What a Jetson's module takes: one rail of it, or the several that no single one holds.
_WHOLE = (
    ("VDD_IN",),  # Xavier NX, Orin Nano, Orin NX
    ("POM_5V_IN",),  # Nano
    ("VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0"),  # AGX Orin
    ("GPU", "CPU", "SOC", "CV", "VDDRQ", "SYS5V"),  # AGX Xavier
)
_THOR = "VDD_CPU_SOC_MSS"  # a rail that only Thor has: its INA238 measures what comes in


class _Rail(NamedTuple):
    """Watts are `scale` times the product of what the files say."""

    files: tuple[Path, ...]
    scale: float


class Power:
    """Finds this machine's sensor once. `source`: which it is, None where there is none."""

    def __init__(self, root: Path, clock: Callable[[], float]) -> None:
        self._rails, self.source = _jetson(root / "sys/bus/i2c/drivers")
        packages = sorted((root / "sys/class/powercap").glob("intel-rapl:[0-9]*/name"))
        named = {name.parent: text(name) for name in packages}
        self._packages = [folder for folder, name in named.items() if name.startswith("package")]
        if not self.source and self._packages:
            self.source = "RAPL: CPU packages"
        self._clock = clock
        self._before: tuple[float, list[float]] | None = None

    def read(self) -> float | None:
        """Watts now; of RAPL the mean since the reading before. None is unknown."""
        if self._rails:
            values = [[number(file) for file in rail.files] for rail in self._rails]
            if any(value is None for rail in values for value in rail):
                return None
            watts = zip(values, self._rails, strict=True)
            return sum(math.prod(value or 0.0 for value in rail) * scale for rail, (_, scale) in watts)
        return self._packages_w()

    def _packages_w(self) -> float | None:
        energies = [number(package / "energy_uj") for package in self._packages]
        known = [energy for energy in energies if energy is not None]
        if not energies or len(known) < len(energies):  # no such CPU, or only root may read it
            return None
        now, before = (self._clock(), known), self._before
        self._before = now
        if before is None or now[0] <= before[0]:
            return None
        used_uj = 0.0
        for package, old, new in zip(self._packages, before[1], known, strict=True):
            wrapped = (number(package / "max_energy_range_uj") or 0) if new < old else 0
            used_uj += new - old + wrapped
        return used_uj / 1e6 / (now[0] - before[0]) if used_uj >= 0 else None


def _jetson(drivers: Path) -> tuple[list[_Rail], str | None]:
    """The rails that add up to the whole module's power, and what they are called."""
    rails: dict[str, _Rail] = {}
    for label in sorted(drivers.glob("ina3221/*/hwmon/hwmon*/in[123]_label")):
        channel = label.name[2]
        millivolts, milliamperes = (label.with_name(f"{kind}{channel}_input") for kind in ("in", "curr"))
        rails[text(label)] = _Rail((millivolts, milliamperes), 1e-6)
    for label in sorted(drivers.glob("ina3221x/*/iio:device*/rail_name_[0-9]")):  # JetPack 4
        milliwatts = label.with_name(f"in_power{label.name[-1]}_input")
        rails[text(label)] = _Rail((milliwatts,), 1e-3)
    for names in _WHOLE:
        if rails.keys() >= set(names):
            return [rails[name] for name in names], f"INA3221: {' + '.join(names)}"
    inputs = sorted(drivers.glob("ina238/*/hwmon/hwmon*/power1_input"))
    if _THOR in rails and len(inputs) == 1:
        return [_Rail((inputs[0],), 1e-6)], "INA238: module input"
    return [], None
