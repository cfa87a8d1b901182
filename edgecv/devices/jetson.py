"""What only a Jetson says: its L4T release, and the JetPack that goes with it."""

from __future__ import annotations

import re
from pathlib import Path

from edgecv.devices.system import SYSTEM, text

# By L4T release, a trailing ".0" left out. (jetson-stats 7.2.2)
_JETPACKS = {
    "35.4.1": "5.1.2",
    "36.3": "6.0",
    "36.4": "6.1",
    "36.4.3": "6.2",
    "36.4.7": "6.2.1",
    "38.2": "7.0",
    "38.4": "7.1",
}
_JETPACK_4_6 = "32.7"  # every 32.7.x is some 4.6.x


def l4t_release(root: Path = SYSTEM) -> str | None:
    """The release of the board's Linux, "36.4.7"; None when there is no such file, as on no Jetson."""
    found = re.match(r"# R([0-9]+) \(release\), REVISION: ([0-9.]+)", text(root / "etc/nv_tegra_release"))
    return ".".join(found.groups()) if found else None


def jetpack(l4t: str) -> str | None:
    """The JetPack an L4T release belongs to: "36.4.7" is "6.2.1"; None for one that is not in the table."""
    if l4t == _JETPACK_4_6 or l4t.startswith(_JETPACK_4_6 + "."):
        return "4.6"
    return _JETPACKS.get(l4t.removesuffix(".0"))
