"""LiteRT's compiled model by its C interface, for what its Python does not offer: a profile of operations.

The functions are those of ai-edge-litert 2.1 to 2.3; one that is missing or fails is an EngineError.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
from pathlib import Path
from typing import Any, NamedTuple

import ai_edge_litert
import numpy as np
from numpy.typing import NDArray

from edgecv.errors import EngineError
from edgecv.quiet import quiet
from edgecv.runtime.engines import Options

NAME = f"LiteRT {ai_edge_litert.__version__}"

_CPU = ctypes.c_int(1)  # kLiteRtHwAcceleratorCpu
_READ, _WRITE = ctypes.c_int(0), ctypes.c_int(1)  # kLiteRtTensorBufferLockMode...
_BUILTIN = 2  # kLiteRtCpuKernelModeBuiltin
_XNNPACK_HALF = 0b111  # its flags for int8 and uint8, which are set by default, and for fp16 in any case
_TYPE_WORDS = 64  # of 8 bytes: more than the struct of a tensor's type takes
_FIRST, _ONE = ctypes.c_size_t(0), ctypes.c_size_t(1)  # one signature, one input, one output


class Event(ctypes.Structure):
    """ProfiledEventData: `tag` is the kernel; `index` the operation's in the file or the delegate."""

    _fields_ = (
        ("tag", ctypes.c_void_p),
        ("type", ctypes.c_int),
        ("start_us", ctypes.c_uint64),
        ("elapsed_us", ctypes.c_uint64),
        ("memory", ctypes.c_uint64 * 6),
        ("index", ctypes.c_uint64),
        ("more", ctypes.c_uint64),
        ("source", ctypes.c_int),
    )


_EVENT_TYPES = {1 << bit for bit in range(9)}
_OPERATION, _DELEGATED = 1 << 1, {1 << 2, 1 << 3}
_SPARE = 4  # room for structs several times as large, should a later version's be


class Kernel(NamedTuple):
    """One kernel that ran; index: of its operation in the file, or of itself in the delegate."""

    operator: str
    ms: float
    delegated: bool
    index: int


class FileOperation(NamedTuple):
    """An operation of the file: its operator's code, and its first output's name up to a semicolon."""

    code: int
    name: str


class CompiledModel:
    """A model of one image and one row of float32 on the CPU; `profiled` ones have a profiler."""

    name = NAME

    def __init__(self, path: Path, options: Options, profiled: bool = False) -> None:
        self._library, self._stack = _Library(path), contextlib.ExitStack()
        try:
            with quiet(stdout=False):  # says of every accelerator that is not there that it is not
                self._open(path, _settings(options, profiled))
        except BaseException:
            self.close()
            raise

    def _open(self, path: Path, settings: list[tuple[str, str]]) -> None:
        call, new = self._library.call, self._library.new
        owned = functools.partial(self._library.owned, self._stack)
        environment = owned("Environment", "LiteRtCreateEnvironment", ctypes.c_int(0), None)
        self._model = owned("Model", "LiteRtCreateModelFromFile", environment, str(path).encode())
        options = owned("Options", "LiteRtCreateOptions")
        call("LiteRtSetOptionsHardwareAccelerators", options, _CPU)
        for group, text in settings:
            call("LiteRtAddOpaqueOptions", options, self._library.settings(group, text))
        compile_model = "LiteRtCreateCompiledModel"
        self._compiled = owned("CompiledModel", compile_model, environment, self._model, options)
        signature = new("LiteRtGetModelSignature", self._model, _FIRST)
        buffers = []
        for side in ("Input", "Output"):
            tensor = new(f"LiteRtGetSignature{side}TensorByIndex", signature, _FIRST)
            kind = (ctypes.c_uint64 * _TYPE_WORDS)()
            call("LiteRtGetRankedTensorType", tensor, kind)
            needs = new(f"LiteRtGetCompiledModel{side}BufferRequirements", self._compiled, _FIRST, _FIRST)
            create = "LiteRtCreateManagedTensorBufferFromRequirements"
            buffers.append(owned("TensorBuffer", create, environment, kind, needs))
        self._input, self._output = buffers

    def infer(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        image = np.ascontiguousarray(image)
        if (takes := self._bytes(self._input)) != image.nbytes:
            raise EngineError(f"{NAME}: the model takes {takes:,} bytes, the picture has {image.nbytes:,}")
        self._copy(self._input, image, into=True)
        taken, given = ctypes.byref(self._input), ctypes.byref(self._output)
        self._library.call("LiteRtRunCompiledModel", self._compiled, _FIRST, _ONE, taken, _ONE, given)
        row = np.empty((1, self._bytes(self._output) // 4), np.float32)
        self._copy(self._output, row, into=False)
        return row

    def _bytes(self, buffer: ctypes.c_void_p) -> int:
        size = ctypes.c_size_t()
        self._library.call("LiteRtGetTensorBufferPackedSize", buffer, ctypes.byref(size))
        return size.value

    def _copy(self, buffer: ctypes.c_void_p, array: NDArray[Any], into: bool) -> None:
        place = ctypes.c_void_p()
        self._library.call("LiteRtLockTensorBuffer", buffer, ctypes.byref(place), _WRITE if into else _READ)
        here = array.ctypes.data
        ctypes.memmove(*((place, here) if into else (here, place)), array.nbytes)
        self._library.call("LiteRtUnlockTensorBuffer", buffer)

    def profile(self, image: NDArray[np.uint8]) -> list[Kernel]:
        """The kernels of one inference, in order."""
        call = self._library.call
        profiler = self._library.new("LiteRtCompiledModelGetProfiler", self._compiled)
        call("LiteRtStartProfiler", profiler)
        self.infer(image)
        call("LiteRtStopProfiler", profiler)
        count = ctypes.c_int()
        call("LiteRtGetNumProfilerEvents", profiler, ctypes.byref(count))
        memory = ctypes.create_string_buffer(_SPARE * ctypes.sizeof(Event) * (count.value + 1))
        call("LiteRtGetProfilerEvents", profiler, count, memory)
        events = (Event * count.value).from_buffer(memory)
        if any(event.type not in _EVENT_TYPES or event.source not in range(3) for event in events):
            raise EngineError(f"{NAME} gives its profile in a form that is not known here")
        kernels = [
            Kernel(_text(event.tag), event.elapsed_us / 1000, event.type in _DELEGATED, event.index)
            for event in events
            if event.type == _OPERATION or event.type in _DELEGATED
        ]
        call("LiteRtResetProfiler", profiler)
        return kernels

    def operations(self) -> list[FileOperation]:
        """The file's operations, in order."""
        graph = self._library.new("LiteRtGetModelSubgraph", self._model, _FIRST)
        count = ctypes.c_size_t()
        self._library.call("LiteRtGetNumSubgraphOps", graph, ctypes.byref(count))
        return [self._operation(graph, index) for index in range(count.value)]

    def _operation(self, graph: ctypes.c_void_p, index: int) -> FileOperation:
        operation = self._library.new("LiteRtGetSubgraphOp", graph, ctypes.c_size_t(index))
        code = ctypes.c_int()
        self._library.call("LiteRtGetOpCode", operation, ctypes.byref(code))
        tensor = self._library.new("LiteRtGetOpOutput", operation, _FIRST)
        name = self._library.new("LiteRtGetTensorName", tensor)
        return FileOperation(code.value, _text(name.value).split(";")[0])

    def close(self) -> None:
        with quiet(stdout=False):
            self._stack.close()


def _text(address: int | None) -> str:
    return ctypes.string_at(address).decode("utf-8", "replace") if address else ""


def _settings(options: Options, profiled: bool) -> list[tuple[str, str]]:
    """LiteRT's groups of settings: each a name and lines of TOML."""
    cpu = f"num_threads = {options.threads}\n"
    if options.variant == "half":
        cpu += f"flags = {_XNNPACK_HALF}\n"
    if options.variant == "no-xnnpack":
        cpu += f"kernel_mode = {_BUILTIN}\n"
    runtime = [("runtime_options_string", "enable_profiling = true\n")] if profiled else []
    return [("xnnpack", cpu), *runtime]


class _Library:
    """libLiteRt.so, whose functions give a status."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._library = ctypes.CDLL(str(Path(ai_edge_litert.__file__).parent / "libLiteRt.so"))
        except OSError as error:
            needs = "for its profile and for fp16, install ai-edge-litert 2.1 or newer"
            raise EngineError(f"{NAME} has no C library: {needs}") from error
        self._system = ctypes.CDLL(None)
        self._system.strdup.restype = ctypes.c_void_p

    def call(self, function: str, *arguments: Any) -> None:
        """Raises EngineError for a function that is not there, or whose status is not 0."""
        try:
            status = getattr(self._library, function)(*arguments)
        except AttributeError as error:
            raise EngineError(f"{NAME} has no {function}") from error
        if status:
            raise EngineError(f"{self._path}: {NAME} cannot load or run it: {function} gives status {status}")

    def new(self, function: str, *arguments: Any) -> ctypes.c_void_p:
        """What the function puts where its last argument points."""
        made = ctypes.c_void_p()
        self.call(function, *arguments, ctypes.byref(made))
        return made

    def owned(self, stack: contextlib.ExitStack, noun: str, function: str, *args: Any) -> ctypes.c_void_p:
        """`new`, given back when the stack ends."""
        made = self.new(function, *args)
        destroy = getattr(self._library, f"LiteRtDestroy{noun}")
        destroy.restype = None
        stack.callback(destroy, made)
        return made

    def settings(self, group: str, text: str) -> ctypes.c_void_p:
        """A group of settings, for LiteRtAddOpaqueOptions, which becomes its owner."""
        payload = ctypes.c_void_p(self._system.strdup(text.encode()))
        return self.new("LiteRtCreateOpaqueOptions", group.encode(), payload, self._system.free)
