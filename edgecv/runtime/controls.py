"""The knobs of a run that may be turned while it goes on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Controls:
    """Set from any thread, looked at once a frame. on, off: the thresholds of events, 0 < off <= on <= 1."""

    on: float
    off: float
    motion_gate: bool = False
