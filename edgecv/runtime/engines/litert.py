"""LiteRT (ai-edge-litert), the successor of TensorFlow Lite."""

from __future__ import annotations

import ai_edge_litert
from ai_edge_litert.interpreter import Interpreter

from edgecv.runtime.engines._interpreter import InterpreterEngine


class LiteRTEngine(InterpreterEngine):
    interpreter_class = Interpreter
    name = f"LiteRT {ai_edge_litert.__version__}"
