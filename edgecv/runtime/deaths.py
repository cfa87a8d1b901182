"""What a process died of: native code does not raise, it ends."""

from __future__ import annotations

import signal

# A signal's name: what it usually means when an engine's process ends by it.
HINTS = {
    "SIGILL": "it was built for CPU instructions that this machine lacks",
    "SIGKILL": "the system does that when memory runs out",
}


def death(returncode: int) -> str:
    """The name of the signal that a process ended by (`subprocess`'s negative return code); "" for none."""
    if returncode >= 0:
        return ""
    try:
        return signal.Signals(-returncode).name
    except ValueError:  # a real-time signal has no name
        return f"signal {-returncode}"


def cause(returncode: int) -> str:
    """In words: `exit status 1`, `SIGKILL; the system does that when memory runs out`."""
    name = death(returncode)
    return "; ".join(filter(None, (name, HINTS.get(name)))) if name else f"exit status {returncode}"
