"""Keras files and SavedModels in the process that has TensorFlow: read as ONNX, or written as TFLite."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgecv.converters.canonical_ends import Front
from edgecv.converters.importers.onnx_file import load
from edgecv.converters.importers.process import require, run
from edgecv.errors import ConversionError, ModelError
from edgecv.spec import Preprocess

if TYPE_CHECKING:
    import onnx

_HERE = "edgecv.converters.importers"


@dataclass(frozen=True)
class TensorFlowModel:
    """A model that TensorFlow opens. kind: `keras` or `saved_model`; size_hw: asked for by the user, if.

    check: raises ModelError for a file that would run code; called each time before TensorFlow opens it.
    """

    kind: str
    where: str
    size_hw: tuple[int, int] | None
    check: Callable[[], object]

    def to_onnx(self) -> onnx.ModelProto:
        """Raises ModelError for a damaged file, ConversionError without TensorFlow."""
        self.check()
        require("keras", "tensorflow", "tf2onnx")
        with tempfile.TemporaryDirectory(prefix="edgecv-") as folder:
            run(f"{_HERE}.tensorflow_side:export", self._job(), Path(folder), self.where)
            return load(Path(folder) / "model.onnx")[0]

    def to_tflite(self, front: Front, rule: Preprocess, given: Preprocess | None) -> bytes:
        """What FloatModel.tflite is, for a file whose canonical graph lies behind `front` and takes `rule`.

        Raises ConversionError with TensorFlow's reason.
        """
        scale, shift = own_input(front, rule, given)
        feed = {"pixels": given is None, "scale": scale, "shift": shift, "reversed": front.reversed}
        with tempfile.TemporaryDirectory(prefix="edgecv-") as folder:
            try:
                self.check()
                run(f"{_HERE}.tflite_side:write", {**self._job(), **feed}, Path(folder), self.where)
            except ModelError as error:
                raise ConversionError(str(error)) from error
            return (Path(folder) / "model.tflite").read_bytes()

    def _job(self) -> dict[str, object]:
        return {"kind": self.kind, "path": str(Path(self.where).resolve()), "size_hw": self.size_hw}


def own_input(front: Front, rule: Preprocess, given: Preprocess | None) -> tuple[list[float], list[float]]:
    """(scale, shift) a channel, in the rule's colour order, from pictures to the file's own input.

    given: how the pictures come, (x - mean) / std by it, or as plain pixels of 0..255 (None). They become
    pixels, then what `rule` makes of them, and last the front's inverse: (x - shift) / scale. Rules are
    rounded to 6 digits, so what is within that of a pixel itself is the pixel.
    """
    std, mean = (
        (np.ones(3), np.zeros(3)) if given is None else (np.float64(given.std), np.float64(given.mean))
    )
    per_std = np.float64(rule.std) * front.scale
    scale, shift = std / per_std, (mean - rule.mean) / per_std - front.shift / front.scale
    scale = np.where(np.abs(scale - 1) < 1e-5, 1.0, scale)
    shift = np.where(np.abs(shift) < 1e-5 * 255 / per_std, 0.0, shift)
    return scale.tolist(), shift.tolist()
