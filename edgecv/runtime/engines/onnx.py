"""ONNX Runtime on the CPU."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from edgecv.errors import EngineError
from edgecv.runtime.engines import Options, check_shapes, one_line


class OnnxEngine:
    name = f"ONNX Runtime {onnxruntime.__version__}"

    def __init__(self, path: Path, options: Options) -> None:
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = options.threads
        settings.log_severity_level = 4  # one clear line is ours to write
        if options.precise:
            # x86 without VNNI adds pairs of int8 products in 16 bits, which saturates; this avoids it.
            settings.add_session_config_entry("session.x64quantprecision", "1")
        try:
            self._session = onnxruntime.InferenceSession(
                str(path), settings, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime raises many unrelated C++ exception classes
            raise EngineError(f"{path}: {self.name} cannot load it: {one_line(error)}") from error
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        check_shapes(path, [i.shape for i in inputs], [o.shape for o in outputs])
        self._input, self._outputs = inputs[0].name, [outputs[0].name]

    def infer(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        return self._session.run(self._outputs, {self._input: image})[0]

    def close(self) -> None:
        self._session = None
