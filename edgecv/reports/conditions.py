"""The conditions of a measurement: the machine, its software, and what a Monitor saw of it."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform
from pathlib import Path
from typing import TYPE_CHECKING

from edgecv.devices.telemetry import SYSTEM, Telemetry, power_mode
from edgecv.reports.monitor import Monitor, supply, thinned
from edgecv.reports.schema import Conditions, Moment, Peaks
from edgecv.runtime.engines import ENGINES

if TYPE_CHECKING:
    from edgecv.devices import Selected


def conditions(
    selected: Selected,
    monitor: Monitor,
    before: Moment,
    after: Moment,
    *,
    peaks: Peaks | None = None,
    command: str | None = None,
    root: Path = SYSTEM,
) -> Conditions:
    """What the monitor took since `before` and up to `after`, and the state of the system now."""
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
        tools=tools(),
        governor=Telemetry(root).read().governor,
        before=before,
        after=after,
        during=thinned([m for m in monitor.moments if m is not before and m is not after]),
        swapped_pages=monitor.swapped_pages(),
        supply=supply(root),
        power_mode=power_mode(root),
        power_source=monitor.power_source,
        peaks=peaks,
        command=command,
    )


def tools() -> dict[str, str]:
    """The versions of the engines that are installed, by their package, and NumPy's; nothing is imported."""
    modules = [entry.needs for entry in ENGINES if importlib.util.find_spec(entry.needs)]
    found = {}
    for module in sorted({*modules, "numpy"}):
        try:
            found[module.replace("_", "-")] = importlib.metadata.version(module)
        except importlib.metadata.PackageNotFoundError:  # onnxruntime is in onnxruntime-gpu, too
            for package in importlib.metadata.packages_distributions().get(module, ()):
                found[package] = importlib.metadata.version(package)
    return found


def _os_name() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return platform.system() or "unknown"
