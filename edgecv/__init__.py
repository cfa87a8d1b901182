"""EdgeCV: vision models on small computers."""

from __future__ import annotations

__version__ = "0.1.0"
