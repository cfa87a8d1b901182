"""Inference engines: one protocol, one file each, imported when chosen."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from edgecv.bundle import Artifact
from edgecv.errors import EngineError, EngineMissing
from edgecv.spec import Format

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Options(NamedTuple):
    """How an engine is to run: CPU threads, and exact int8 sums where this CPU would saturate.

    variant: one of the engine's own ways to run that may be faster on some board, by the name in its Entry's
    `variants`; "" is the default way. An engine raises EngineError for a name it does not know.
    """

    threads: int = 1
    precise: bool = False
    variant: str = ""


class Engine(Protocol):
    """A model file, loaded and ready. Constructed as `Engine(path, options)`; raises EngineError."""

    name: str  # with its version: "LiteRT 2.3.0"

    def infer(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """[1, H, W, 3] uint8 RGB -> [1, classes] float32 logits, valid until the next call."""
        ...

    def close(self) -> None: ...


class Entry(NamedTuple):
    """An engine as data: what it reads, the modules that must be importable, and where its class is.

    profiler: where its function is that times each operation, in the module of the class; "" for none.
    variants: the names that `Options.variant` may have.
    """

    name: str
    format: Format
    needs: str
    target: str
    install: str
    profiler: str = ""
    variants: tuple[str, ...] = ()


ENGINES: list[Entry] = [
    Entry("litert", Format.TFLITE, "ai_edge_litert", "edgecv.runtime.engines.litert:LiteRTEngine", "tflite"),
    Entry(
        "tflite-runtime",
        Format.TFLITE,
        "tflite_runtime",
        "edgecv.runtime.engines.tflite_runtime:TFLiteRuntimeEngine",
        "tflite",
    ),
    Entry("onnxruntime", Format.ONNX, "onnxruntime", "edgecv.runtime.engines.onnx:OnnxEngine", "onnx"),
    Entry(
        "openvino", Format.OPENVINO, "openvino", "edgecv.runtime.engines.openvino:OpenVinoEngine", "openvino"
    ),
]


def register(entry: Entry) -> None:
    """Put an engine of your own before the built-in ones of its format."""
    ENGINES.insert(0, entry)


def installed(format: Format) -> Entry | None:
    """The first engine for `format` that can be imported here, without importing it."""
    return next((e for e in ENGINES if e.format is format and importlib.util.find_spec(e.needs)), None)


def open_engine(path: Path, artifact: Artifact, options: Options) -> Engine:
    """Load `artifact` from `path`.

    Raises EngineMissing when no engine for the format is installed, EngineError when loading fails.
    """
    entry = installed(artifact.format)
    if entry is None:
        raise EngineMissing(missing_message(artifact.format))
    return load(entry, path, artifact, options)


def load(entry: Entry, path: Path, artifact: Artifact, options: Options) -> Engine:
    """Load `artifact` with the engine of `entry`, for a process whose ENGINES is not the caller's."""
    module, _, attribute = entry.target.partition(":")
    engine_class = getattr(importlib.import_module(module), attribute)
    precise = options.precise and artifact.precise_if_saturating
    return engine_class(path, options._replace(threads=max(1, options.threads), precise=precise))


def missing_message(format: Format) -> str:
    extra = next((entry.install for entry in ENGINES if entry.format is format), format.value)
    return f'no engine for {format.value} files is installed: pip install "edgecv[{extra}]"'


def one_line(error: Exception) -> str:
    """What a framework says went wrong, without its line breaks and the places in its own source."""
    lines = (line.strip() for line in str(error).splitlines())
    return " ".join(line for line in lines if line and not line.startswith("Exception from"))


def check_shapes(path: Path, inputs: Sequence[Sequence[object]], outputs: Sequence[Sequence[object]]) -> None:
    """Raise EngineError unless the file takes one [1, H, W, 3] image and gives one [1, classes] row."""
    if len(inputs) != 1 or len(inputs[0]) != 4 or inputs[0][0] != 1 or inputs[0][3] != 3:
        raise EngineError(f"{path}: takes inputs of shape {[list(i) for i in inputs]}, not one [1, H, W, 3]")
    if len(outputs) != 1 or len(outputs[0]) != 2 or outputs[0][0] != 1:
        raise EngineError(
            f"{path}: gives outputs of shape {[list(o) for o in outputs]}, not one [1, classes]"
        )
