"""The conditions of a measurement: the machine, its software, its temperature and its clock."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import TYPE_CHECKING

from edgecv.devices.telemetry import SYSTEM, Telemetry
from edgecv.reports.schema import Conditions, Moment

if TYPE_CHECKING:
    from edgecv.devices import Selected


def moment(root: Path = SYSTEM) -> Moment:
    """Temperature, clock and load now, from the system below `root`."""
    now = Telemetry(root).read()
    return Moment(temperature_c=now.temperature_c, clock_mhz=now.clock_mhz, load_1min=now.load_1min)


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
        governor=Telemetry(root).read().governor,
        before=before,
        after=after,
    )


def _os_name() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return platform.system() or "unknown"
