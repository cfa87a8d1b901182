"""Add an inference engine of your own: OpenCV's dnn module, reading the ONNX artifacts.

python examples/add_engine.py [BUNDLE]
"""

import sys
from pathlib import Path

import cv2
import numpy as np

import edgecv
from edgecv.runtime.engines import Entry, Options, register
from edgecv.spec import Format, Precision


class OpenCvEngine:
    name = f"OpenCV dnn {cv2.__version__}"

    def __init__(self, path: Path, options: Options) -> None:
        cv2.setNumThreads(options.threads)
        self._net = cv2.dnn.readNetFromONNX(str(path))

    def infer(self, image: np.ndarray) -> np.ndarray:
        """[1, H, W, 3] uint8 RGB -> [1, classes] float32 logits."""
        self._net.setInput(image)
        return self._net.forward()

    def close(self) -> None: ...


if __name__ == "__main__":
    # What it reads, what must be importable, and where its class is: an engine is data until it is chosen.
    register(Entry("opencv", Format.ONNX, needs="cv2", target=f"{__name__}:OpenCvEngine", install="opencv"))
    bundle = sys.argv[1] if len(sys.argv) > 1 else None
    for result in edgecv.stream(bundle, "sample:photos", format=Format.ONNX, precision=Precision.FP32):
        print(result.frame, f"{result.latency_ms:.1f} ms", result.top[0].label)
