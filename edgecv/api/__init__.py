"""What EdgeCV does, one function a job: the CLI calls these, and so can you.

Imports of converters, engines and OpenCV happen inside, when a job needs them.
"""

from __future__ import annotations

import importlib
from typing import Any

_HOMES = {
    "bundles": ("Inspected", "inspect", "open_bundle", "select_device", "verify"),
    "calibration": ("Checked", "calibration_pictures", "check_calibration", "collect_calibration"),
    "converting": ("convert", "converting_host"),
    "boards": ("new_device", "pack", "bench_at"),
    "measuring": ("bench", "compare", "evaluate", "forget_tuned", "merge", "render", "tune"),
    "running": ("open_run", "stream"),
}
__all__ = sorted(name for names in _HOMES.values() for name in names)


def __getattr__(name: str) -> Any:
    """The names load when they are used: a run on a board needs no converting."""
    for module, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(f"edgecv.api.{module}"), name)
    raise AttributeError(f"module 'edgecv.api' has no attribute {name!r}")
