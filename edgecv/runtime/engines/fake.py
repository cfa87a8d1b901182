"""An engine without a model: for tests, and as the shortest example of the protocol."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgecv.errors import EngineError
from edgecv.runtime.engines import Options


class FakeEngine:
    """Scores class c by how near the picture's mean brightness is to c's share of 0..255.

    A black picture is class 0, a white one the last class: an answer that a test can predict.
    `fails_at` makes that call (0-based) raise EngineError.
    """

    name = "fake"

    def __init__(
        self,
        path: Path | None = None,
        options: Options | None = None,
        classes: int = 10,
        fails_at: int | None = None,
    ) -> None:
        del path, options
        self._levels = np.linspace(0.0, 255.0, classes, dtype=np.float32)[None]
        self._fails_at = fails_at
        self.calls = 0

    def infer(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        if self.calls == self._fails_at:
            raise EngineError(f"fake engine: told to fail at call {self.calls}")
        self.calls += 1
        return -np.abs(self._levels - np.float32(image.mean())) / 8

    def close(self) -> None: ...
