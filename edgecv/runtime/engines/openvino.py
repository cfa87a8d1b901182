"""OpenVINO on the CPU."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import openvino
from numpy.typing import NDArray

from edgecv.errors import EngineError
from edgecv.runtime.engines import Options, check_shapes, one_line


class OpenVinoEngine:
    name = f"OpenVINO {openvino.__version__.split('-')[0]}"

    def __init__(self, path: Path, options: Options) -> None:
        settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": options.threads,
            "INFERENCE_PRECISION_HINT": "f32",  # else bf16 is chosen on CPUs that have it
        }
        try:
            compiled = openvino.Core().compile_model(str(path), "CPU", settings)
        except RuntimeError as error:
            raise EngineError(f"{path}: {self.name} cannot load it: {one_line(error)}") from error
        check_shapes(
            path, [list(i.shape) for i in compiled.inputs], [list(o.shape) for o in compiled.outputs]
        )
        self._request = compiled.create_infer_request()

    def infer(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        return self._request.infer([image], share_inputs=True, share_outputs=True)[0]

    def close(self) -> None:
        self._request = None
