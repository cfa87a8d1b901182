"""EdgeCV: vision models on small computers."""

from __future__ import annotations

import os
from typing import Any

__version__ = "0.1.0"
__all__ = ["Bundle", "EdgecvError", "convert", "open_bundle", "stream"]

# ONNX Runtime reports home unless it is told not to before it is loaded. Nothing here does.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

_HOMES = {
    "Bundle": "edgecv.bundle",
    "EdgecvError": "edgecv.errors",
    "convert": "edgecv.api",
    "open_bundle": "edgecv.api",
    "stream": "edgecv.api",
}


def __getattr__(name: str) -> Any:
    """Public names load when they are used, so that `import edgecv` costs nothing."""
    if name in _HOMES:
        import importlib

        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'edgecv' has no attribute {name!r}")
