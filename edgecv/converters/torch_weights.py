"""PyTorch state dicts in the legacy (pre-1.6, not zip) format, read without torch and without running code.

The format is five pickles (magic number, protocol, system, the dict, storage keys) and then each storage
as an int64 element count and raw little-endian data. Unpickling is restricted to the four names a plain
state dict needs; anything else in the stream is refused by name.
"""

from __future__ import annotations

import collections
import io
import math
import pickle
import struct
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgecv.errors import ModelError

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_STORAGES = {
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ByteStorage": "u1",
}


_DAMAGE = (
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    RecursionError,
    MemoryError,
    struct.error,
)


class _StorageType(NamedTuple):
    dtype: np.dtype


class _Tensor(NamedTuple):
    """A tensor as the stream describes it: a strided window on a storage whose data comes later."""

    storage: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def _tensor(
    storage: str, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: object
) -> _Tensor:
    return _Tensor(storage, offset, tuple(shape), tuple(strides))


class _Restricted(pickle._Unpickler):
    """The unpickler in Python, not the one in C, which allocates whatever a damaged memo index says."""

    def __init__(self, file: BinaryIO, storages: dict[str, tuple[np.dtype, int]]) -> None:
        super().__init__(file)
        self._storages = storages

    def find_class(self, module: str, name: str) -> object:
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _tensor
        if module == "torch" and name in _STORAGES:
            return _StorageType(np.dtype(_STORAGES[name]))
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, and code in a weights file is not run")

    def persistent_load(self, pid: tuple) -> str:
        kind, storage, key, _location, elements, view = pid
        if kind != "storage" or view is not None or not isinstance(storage, _StorageType):
            raise pickle.UnpicklingError("unexpected storage record")
        self._storages[key] = (storage.dtype, int(elements))
        return key


def read_state_dict(path: Path) -> dict[str, NDArray]:
    """Every tensor of the state dict by name.

    Raises ModelError when the file is not such a state dict, is truncated, or holds code.
    """
    try:
        content = path.read_bytes()
        if content.startswith(b"PK"):
            raise ModelError(
                f"{path}: PyTorch's zip format; save the state dict again with "
                "torch.save(state, path, _use_new_zipfile_serialization=False)"
            )
        return _read(io.BytesIO(content))
    except OSError as error:
        raise ModelError(f"cannot read weights {path}: {error.strerror}") from error
    except (pickle.UnpicklingError, EOFError) as error:
        raise ModelError(f"{path}: not a readable PyTorch state dict: {error}") from error
    except _DAMAGE as error:
        # A damaged pickle stream fails in as many ways as it has opcodes.
        raise ModelError(f"{path}: damaged PyTorch state dict ({error})") from error


def _read(file: BinaryIO) -> dict[str, NDArray]:
    storages: dict[str, tuple[np.dtype, int]] = {}
    magic, protocol, system, tensors, keys = (_Restricted(file, storages).load() for _ in range(5))
    if magic != _MAGIC or protocol != _PROTOCOL or not system.get("little_endian"):
        raise ValueError("not the legacy PyTorch format")
    data: dict[str, NDArray] = {}
    for key in keys:
        dtype, elements = storages[key]
        header = file.read(8)
        raw = file.read(elements * dtype.itemsize)
        if len(header) != 8 or int.from_bytes(header, "little") != elements:
            raise ValueError(f"storage {key} is cut off or has the wrong length")
        if len(raw) != elements * dtype.itemsize:
            raise ValueError(f"the file ends inside storage {key}")
        data[key] = np.frombuffer(raw, dtype)
    return {name: _view(tensor, data) for name, tensor in tensors.items() if isinstance(tensor, _Tensor)}


def _view(tensor: _Tensor, data: dict[str, NDArray]) -> NDArray:
    storage = data[tensor.storage]
    last = tensor.offset + sum((n - 1) * s for n, s in zip(tensor.shape, tensor.strides, strict=True))
    if min((*tensor.shape, *tensor.strides, tensor.offset), default=0) < 0 or (
        0 not in tensor.shape and last >= storage.size
    ):
        raise ValueError("a tensor reaches outside its storage")
    if math.prod(tensor.shape) > storage.size:  # strides of 0 could make terabytes of one number
        raise ValueError("a tensor is larger than its storage")
    return np.lib.stride_tricks.as_strided(
        storage[tensor.offset :], tensor.shape, [stride * storage.itemsize for stride in tensor.strides]
    ).copy()
