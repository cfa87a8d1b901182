"""tflite-runtime, for boards that its successor has no wheel for (32-bit Arm). Needs numpy < 2."""

from __future__ import annotations

import importlib.metadata

from tflite_runtime.interpreter import Interpreter, OpResolverType

from edgecv.runtime.engines._interpreter import InterpreterEngine


class TFLiteRuntimeEngine(InterpreterEngine):
    interpreter_class = Interpreter
    resolvers = OpResolverType
    name = f"tflite-runtime {importlib.metadata.version('tflite-runtime')}"
