"""Engines for the tests' own processes: a measured process imports them by name, as it would a real one."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgecv.errors import EngineError
from edgecv.runtime.engines import Options, Timed
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


class SpinningEngine(FakeEngine):
    """Takes 4 ms for an inference."""

    def infer(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        until_s = time.perf_counter() + 0.004
        while time.perf_counter() < until_s:
            pass
        return super().infer(image)


class BreakableEngine(FakeEngine):
    """Fails, or dies, from the moment on that a file beside the model says so."""

    def __init__(self, path: Path, options: Options) -> None:
        super().__init__(path, options)
        self._failing, self._dying = path.with_name("failing"), path.with_name("dying")

    def infer(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        if self._dying.exists():
            os.kill(os.getpid(), signal.SIGKILL)
        if self._failing.exists():
            raise RuntimeError("arena exhausted")
        return super().infer(image)


class OneStreamEngine(FakeEngine):
    """There may be no second one of it in a process."""

    opened = 0

    def __init__(self, path: Path, options: Options) -> None:
        super().__init__(path, options)
        OneStreamEngine.opened += 1
        if OneStreamEngine.opened > 1:
            raise EngineError(f"{path}: no memory for a second arena")


class SlowFloatEngine(FakeEngine):
    """Some milliseconds longer on a float file."""

    def __init__(self, path: Path, options: Options) -> None:
        super().__init__(path, options)
        self._size = 700 if "fp32" in path.name else 10

    def infer(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        square = np.ones((self._size, self._size), np.float32)
        np.dot(square, square)
        return super().infer(image)


class WrongInt8Engine(SlowFloatEngine):
    """Its int8 file is fast, and the first class whatever it is shown."""

    def infer(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        logits = super().infer(image)
        return logits if self._size == 700 else np.random.default_rng(0).random(logits.shape, np.float32)


def dying_profile(_path: Path, _options: Options, _image: NDArray[np.uint8], _runs: int) -> tuple[Timed, ...]:
    """An engine that answers, and ends its process when it is to time its operations."""
    os.kill(os.getpid(), signal.SIGILL)
    return ()


class SteadyEngine(FakeEngine):
    """Takes 50 ms however busy the machine is: who waits without a core gets one back at once."""

    def infer(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        until_s = time.perf_counter() + 0.05
        logits = super().infer(image)
        threading.Event().wait(until_s - time.perf_counter())
        return logits
