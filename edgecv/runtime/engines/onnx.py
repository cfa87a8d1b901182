"""ONNX Runtime on the CPU."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnxruntime
from numpy.typing import NDArray

from edgecv.errors import EngineError
from edgecv.runtime.engines import WARMUP_RUNS, Options, Timed, check_shapes, medians, one_line

_KERNEL = "_kernel_time"


class OnnxEngine:
    name = f"ONNX Runtime {onnxruntime.__version__}"

    def __init__(self, path: Path, options: Options, profile_prefix: str = "") -> None:
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = options.threads
        settings.log_severity_level = 4  # one clear line is ours to write
        if options.precise:
            # x86 without VNNI adds pairs of int8 products in 16 bits, which saturates; this avoids it.
            settings.add_session_config_entry("session.x64quantprecision", "1")
        if options.variant == "no-spinning":
            settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
        if profile_prefix:
            settings.enable_profiling = True
            settings.profile_file_prefix = profile_prefix
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

    def end_profile(self) -> Path:
        return Path(self._session.end_profiling())

    def close(self) -> None:
        self._session = None


def profile(path: Path, options: Options, image: NDArray[np.uint8], runs: int) -> tuple[Timed, ...]:
    """Each kernel's time, as ONNX Runtime writes it into a file of its own, here a temporary one."""
    with tempfile.TemporaryDirectory(prefix="edgecv-profile-") as folder:
        engine = OnnxEngine(path, options, profile_prefix=str(Path(folder) / "profile"))
        try:
            for _ in range(WARMUP_RUNS + runs):
                engine.infer(image)
            events: list[dict[str, Any]] = msgspec.json.decode(engine.end_profile().read_bytes())
        finally:
            engine.close()
    inferences: list[list[Timed]] = []
    kernels: list[Timed] = []
    for event in events:  # a run's own event follows those of its kernels
        name = event["name"]
        if event["cat"] == "Node" and name.endswith(_KERNEL):
            operator = event["args"]["op_name"]
            kernels.append(Timed(name=name[: -len(_KERNEL)], operator=operator, ms=event["dur"] / 1000))
        elif name == "model_run":
            inferences.append(kernels)
            kernels = []
    return medians(inferences[WARMUP_RUNS:])
