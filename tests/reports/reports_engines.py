"""Engines for the tests' own processes: a measured process imports them by name, as it would a real one."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgecv.errors import EngineError
from edgecv.runtime.engines import Options
from edgecv.runtime.engines.fake import FakeEngine


class DoublingEngine(FakeEngine):
    """Sees int8 files' pictures at twice their brightness, so that int8 differs from float as computed."""

    name = "doubling 1.0"

    def __init__(self, path: Path, options: Options) -> None:
        super().__init__(path, options)
        self._gain = 2 if "int8" in path.name else 1

    def infer(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        return super().infer(np.minimum(image.astype(np.uint16) * self._gain, 255).astype(np.uint8))


class ChattyEngine(FakeEngine):
    """Prints on stdout, as native libraries do."""

    def __init__(self, path: Path, options: Options) -> None:
        super().__init__(path, options)
        print("an engine's banner", flush=True)
        os.write(1, b"written past Python\n")


class UnloadableEngine(FakeEngine):
    def __init__(self, path: Path, options: Options) -> None:
        del options
        raise EngineError(f"{path}: not a model")


class RaisingEngine(FakeEngine):
    """Fails in the middle of a run with an exception that is not ours."""

    def infer(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        if self.calls == 15:
            raise RuntimeError("arena exhausted")
        return super().infer(image)


class DyingEngine(FakeEngine):
    """Ends its process, as an abort in native code does."""

    def infer(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        del image
        print("terminate called after throwing an instance of 'std::bad_alloc'", file=sys.stderr, flush=True)
        os.abort()


class HangingEngine(FakeEngine):
    def infer(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        threading.Event().wait()
        return super().infer(image)


class FewClassesEngine(FakeEngine):
    def __init__(self, path: Path, options: Options) -> None:
        super().__init__(path, options, classes=3)
