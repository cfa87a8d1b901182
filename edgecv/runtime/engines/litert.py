"""LiteRT (ai-edge-litert), the successor of TensorFlow Lite."""

from __future__ import annotations

from pathlib import Path

import ai_edge_litert
import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from numpy.typing import NDArray

from edgecv.runtime.engines import Engine, Options
from edgecv.runtime.engines._interpreter import InterpreterEngine
from edgecv.runtime.engines._litert import CompiledModel


class LiteRTEngine:
    """The interpreter; for the variant `half` the compiled model, which alone takes XNNPACK's flags."""

    name = f"LiteRT {ai_edge_litert.__version__}"

    def __init__(self, path: Path, options: Options) -> None:
        half = options.variant == "half"
        self._engine: Engine = CompiledModel(path, options) if half else _Interpreter(path, options)

    def infer(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        return self._engine.infer(image)

    def close(self) -> None:
        self._engine.close()


class _Interpreter(InterpreterEngine):
    interpreter_class = Interpreter
    resolvers = OpResolverType
    name = LiteRTEngine.name
