"""What LiteRT and tflite-runtime share: the same Interpreter class under two package names."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from edgecv.errors import EngineError
from edgecv.quiet import quiet
from edgecv.runtime.engines import Options, check_shapes, one_line


class InterpreterEngine:
    interpreter_class: ClassVar[Any]
    resolvers: ClassVar[Any]  # its package's OpResolverType
    name: str

    def __init__(self, path: Path, options: Options) -> None:
        plain = options.variant == "no-xnnpack"
        resolver = self.resolvers.BUILTIN_WITHOUT_DEFAULT_DELEGATES if plain else self.resolvers.AUTO
        try:
            with quiet(stdout=False):  # "INFO: Created TensorFlow Lite XNNPACK delegate for CPU."
                self._interpreter = self.interpreter_class(
                    str(path), num_threads=options.threads, experimental_op_resolver_type=resolver
                )
                self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise EngineError(f"{path}: {self.name} cannot load it: {one_line(error)}") from error
        inputs = self._interpreter.get_input_details()
        outputs = self._interpreter.get_output_details()
        check_shapes(path, [i["shape"].tolist() for i in inputs], [o["shape"].tolist() for o in outputs])
        self._input_index, self._output_index = inputs[0]["index"], outputs[0]["index"]

    def infer(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        # Copied in and out: a view into the interpreter's memory that outlives a call makes the next
        # invoke() fail, and 150 KB costs a few microseconds.
        self._interpreter.set_tensor(self._input_index, image)
        self._interpreter.invoke()
        return self._interpreter.get_tensor(self._output_index)

    def close(self) -> None:
        self._interpreter = None
