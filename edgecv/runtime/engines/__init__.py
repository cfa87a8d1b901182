"""Inference engines: one protocol, one file each, imported when chosen."""

from __future__ import annotations

import importlib
import importlib.util
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from edgecv.bundle import Artifact
from edgecv.errors import EngineError, EngineMissing
from edgecv.spec import Format, Precision, Struct

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


WARMUP_RUNS = 3  # inferences of a profile that do not count


class Options(NamedTuple):
    """How an engine is to run: CPU threads, and exact int8 sums where this CPU would saturate.

    variant: one of the engine's other ways to run, by the name in its Entry's `variants`; "" is its default.
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


class Variant(NamedTuple):
    """Another way to run an engine, worth trying where `why` may hold.

    changes_answers: its accuracy has to be measured apart. only: the precisions it differs for; () for all.
    """

    name: str
    why: str
    changes_answers: bool = False
    only: tuple[Precision, ...] = ()


class Timed(Struct):
    """One operation of a profiled inference, in the order they run; `ms` is the median over the runs.

    name: the operation's in the file where the engine keeps it, or else the engine's own. operator: the
    engine's word for what runs it, `Convolution (NHWC, F32) IGEMM`.
    """

    name: str
    operator: str
    ms: float


class Entry(NamedTuple):
    """An engine as data: what it reads, the modules that must be importable, and where its class is.

    profiler: "module:function" of `(path, options, image, runs) -> tuple[Timed, ...]`; "" where the engine
    tells no times of its operations.
    """

    name: str
    format: Format
    needs: str
    target: str
    install: str
    profiler: str = ""
    variants: tuple[Variant, ...] = ()


_FLOAT = (Precision.FP32, Precision.FP16)
_NO_XNNPACK = Variant(
    "no-xnnpack",
    "TensorFlow Lite's own kernels: less memory, since weights are not packed a second time, and a way round "
    "XNNPACK on old 32-bit Arm; slower elsewhere",
    changes_answers=True,  # int8 sums are rounded by another rule
)
ENGINES: list[Entry] = [
    Entry(
        "litert",
        Format.TFLITE,
        "ai_edge_litert",
        "edgecv.runtime.engines.litert:LiteRTEngine",
        "tflite",
        "edgecv.runtime.engines.litert_profile:profile",
        (
            Variant("half", "fp16 arithmetic where the CPU has it: Armv8.2, AVX512-FP16", True, _FLOAT),
            _NO_XNNPACK,
        ),
    ),
    Entry(
        "tflite-runtime",
        Format.TFLITE,
        "tflite_runtime",
        "edgecv.runtime.engines.tflite_runtime:TFLiteRuntimeEngine",
        "tflite",
        variants=(_NO_XNNPACK,),
    ),
    Entry(
        "onnxruntime",
        Format.ONNX,
        "onnxruntime",
        "edgecv.runtime.engines.onnx:OnnxEngine",
        "onnx",
        "edgecv.runtime.engines.onnx:profile",
        (
            Variant(
                "no-spinning",
                "threads sleep between operations, where spinning takes cores that others need, or power",
            ),
        ),
    ),
    Entry(
        "openvino",
        Format.OPENVINO,
        "openvino",
        "edgecv.runtime.engines.openvino:OpenVinoEngine",
        "openvino",
        "edgecv.runtime.engines.openvino:profile",
        (
            Variant("half", "fp16 or bf16 arithmetic where the CPU has it: Armv8.2, AMX", True, _FLOAT),
            Variant("no-pinning", "threads may move to idle cores, where others use this one"),
        ),
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
    """Load `artifact` with the engine of `entry`, for a process whose ENGINES is not the caller's.

    Raises EngineError, also for a variant that the engine does not have.
    """
    options = _checked(entry, artifact, options)
    return _import(entry.target)(path, options)


def profile_operations(
    entry: Entry, path: Path, artifact: Artifact, options: Options, image: NDArray[np.uint8], runs: int
) -> tuple[Timed, ...]:
    """Time each operation of the artifact in `runs` inferences of `image`, after some that do not count.

    Raises EngineError, also when the engine tells no times of its operations.
    """
    if not entry.profiler:
        raise EngineError(f"{entry.name} tells no times of its operations")
    options = _checked(entry, artifact, options)
    return _import(entry.profiler)(path, options, image, runs)


def medians(runs: Sequence[Sequence[Timed]]) -> tuple[Timed, ...]:
    """The median of each operation's times: one inference that others disturbed does not show in it.

    Raises EngineError unless every run has the same operations, and there is one.
    """
    if not runs or not runs[0] or any([t.name for t in run] != [t.name for t in runs[0]] for run in runs):
        raise EngineError("the engine's profile is not the same operations in every inference")
    return tuple(
        Timed(name=same[0].name, operator=same[0].operator, ms=statistics.median(t.ms for t in same))
        for same in zip(*runs)  # noqa: B905  `strict` was checked above, by name
    )


def _import(target: str) -> Any:
    module, _, attribute = target.partition(":")
    return getattr(importlib.import_module(module), attribute)


def _checked(entry: Entry, artifact: Artifact, options: Options) -> Options:
    names = [variant.name for variant in entry.variants]
    if options.variant and options.variant not in names:
        has = f"it has {', '.join(names)}" if names else "it has none"
        raise EngineError(f"{entry.name} has no variant {options.variant!r}; {has}")
    precise = options.precise and artifact.precise_if_saturating
    return options._replace(threads=max(1, options.threads), precise=precise)


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
