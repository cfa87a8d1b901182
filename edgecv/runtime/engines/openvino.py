"""OpenVINO on the CPU."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import openvino
from numpy.typing import NDArray

from edgecv.errors import EngineError
from edgecv.runtime.engines import WARMUP_RUNS, Options, Timed, check_shapes, medians, one_line


class OpenVinoEngine:
    name = f"OpenVINO {openvino.__version__.split('-')[0]}"

    def __init__(self, path: Path, options: Options, profiled: bool = False) -> None:
        settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": options.threads}
        if options.variant != "half":
            settings["INFERENCE_PRECISION_HINT"] = "f32"  # else fp16 or bf16 is chosen on CPUs that have it
        if options.variant == "no-pinning":
            settings["ENABLE_CPU_PINNING"] = False
        if profiled:
            settings["PERF_COUNT"] = True
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

    def times(self) -> list[Timed]:
        """Of the last inference, of an engine that is profiled; what was fused into another is left out."""
        return [
            Timed(
                name=node.node_name,
                operator=f"{node.node_type} {node.exec_type}",
                ms=node.real_time.total_seconds() * 1000,
            )
            for node in self._request.profiling_info
            if node.status == openvino.ProfilingInfo.Status.EXECUTED
        ]

    def close(self) -> None:
        self._request = None


def profile(path: Path, options: Options, image: NDArray[np.uint8], runs: int) -> tuple[Timed, ...]:
    """Each node's time, as OpenVINO counts it."""
    engine = OpenVinoEngine(path, options, profiled=True)
    try:
        for _ in range(WARMUP_RUNS):
            engine.infer(image)
        inferences = []
        for _ in range(runs):
            engine.infer(image)
            inferences.append(engine.times())
        return medians(inferences)
    finally:
        engine.close()
