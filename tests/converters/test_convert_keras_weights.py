"""Keras weight files of both layouts, and files that are neither."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

h5py = pytest.importorskip("h5py", reason="a converting test: pip install edgecv[convert]")

from edgecv.converters.keras_weights import read_layers
from edgecv.converters.models import get_model, read_weights
from edgecv.errors import ModelError

KERNEL = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
MANY = [np.full(2, i, np.float32) for i in range(12)]
LAYERS = {"Conv1": [KERNEL], "bn_Conv1": MANY, "predictions": [KERNEL[0], KERNEL[1, 1]]}


def write_keras3(path: Path, layers: dict[str, list[np.ndarray]] = LAYERS) -> None:
    """layers/<class>_<n>/vars/<i>, the layer's name on `vars`; a layer without weights is there too."""
    with h5py.File(path, "w") as file:
        file.create_group("layers/re_lu/vars")
        file.create_group("layers/input_layer")
        for number, (name, arrays) in enumerate(layers.items()):
            variables = file.create_group(f"layers/conv2d_{number}/vars")
            variables.attrs["name"] = name
            for i, array in enumerate(arrays):
                variables[str(i)] = array


def write_keras2(path: Path, inside: str = "/", text: Callable[[str], object] = str.encode) -> None:
    """<layer>/<weight name>, with the names as attributes; in a saved model below model_weights."""
    with h5py.File(path, "w") as file:
        root = file.require_group(inside)
        root.attrs["layer_names"] = [text(name) for name in ("input_1", *LAYERS)]
        root.create_group("input_1").attrs["weight_names"] = np.array([], "S1")
        for name, arrays in LAYERS.items():
            group = root.create_group(name)
            names = [f"{name}/weight_{chr(ord('z') - i)}:0" for i in range(len(arrays))]  # not sorted
            group.attrs["weight_names"] = [text(n) for n in names]
            for weight, array in zip(names, arrays, strict=True):
                group[weight] = array


@pytest.mark.parametrize(
    "write",
    [
        # Keras 3; twelve variables, so that "10" would sort before "2"
        write_keras3,
        # Keras 2 weights, as on keras.applications' server
        write_keras2,
        # the same inside a whole saved model
        lambda path: write_keras2(path, "model_weights"),
        # written by an h5py that stores names as text
        lambda path: write_keras2(path, text=str),
    ],
)
def test_every_layout_gives_the_same_layers(tmp_path: Path, write: Callable[[Path], None]) -> None:
    write(tmp_path / "w.h5")
    found = read_layers(tmp_path / "w.h5")
    assert found.keys() == LAYERS.keys()
    for name, arrays in LAYERS.items():
        assert len(found[name]) == len(arrays)
        for got, expected in zip(found[name], arrays, strict=True):
            np.testing.assert_array_equal(got, expected)


def not_hdf5(path: Path) -> None:
    path.write_bytes(b"PK\x03\x04 a zip, perhaps")


def empty(path: Path) -> None:
    path.write_bytes(b"")


def no_layers(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["temperatures"] = [1.0, 2.0]


def no_weights(path: Path) -> None:
    write_keras3(path, {})


def layers_are_numbers(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["layers"] = [1.0, 2.0]


def a_layer_is_a_number(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["layers/conv"] = 1.0


def no_name(path: Path) -> None:
    write_keras3(path)
    with h5py.File(path, "a") as file:
        del file["layers/conv2d_0/vars"].attrs["name"]


def a_missing_variable(path: Path) -> None:
    write_keras3(path)
    with h5py.File(path, "a") as file:
        del file["layers/conv2d_1/vars/3"]


def a_missing_layer(path: Path) -> None:
    write_keras2(path)
    with h5py.File(path, "a") as file:
        del file["predictions"]


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (not_hdf5, "not a readable HDF5 file"),
        (empty, "not a readable HDF5 file"),
        (no_layers, "without Keras layers"),
        (no_weights, "without Keras layers"),
        (layers_are_numbers, "damaged Keras weights"),
        (a_layer_is_a_number, "damaged Keras weights"),
        (no_name, "damaged Keras weights"),
        (a_missing_variable, "damaged Keras weights"),
        (a_missing_layer, "damaged Keras weights"),
    ],
)
def test_other_files_are_refused_in_one_line(
    tmp_path: Path, write: Callable[[Path], None], message: str
) -> None:
    path = tmp_path / "w.h5"
    write(path)
    with pytest.raises(ModelError, match=message) as caught:
        read_layers(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"gone\.h5"):
        read_layers(tmp_path / "gone.h5")


@pytest.fixture(scope="module", params=[write_keras3, write_keras2])
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keras") / "whole.h5"
    request.param(path)
    return path


@given(share=st.floats(0, 1, exclude_max=True))
def test_a_truncated_file_is_refused(whole: Path, share: float) -> None:
    path, content = whole.with_name("w.h5"), whole.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ModelError, match=r"w\.h5"):
        read_layers(path)


@given(share=st.floats(0, 1, exclude_max=True), value=st.integers(0, 255))
def test_a_changed_byte_is_refused_or_read(whole: Path, share: float, value: int) -> None:
    path, content = whole.with_name("w.h5"), whole.read_bytes()
    at = int(share * len(content))
    path.write_bytes(content[:at] + bytes([value]) + content[at + 1 :])
    try:
        layers = read_layers(path)
    except ModelError:
        return
    assert all(isinstance(array, np.ndarray) for arrays in layers.values() for array in arrays)


# -- the models that read them ---------------------------------------------------------------------


@pytest.mark.parametrize("write", [write_keras3, not_hdf5, no_layers])
@pytest.mark.parametrize("model", ["mobilenetv2", "efficientnet-lite0"])
def test_weights_of_something_else_are_refused(
    tmp_path: Path, write: Callable[[Path], None], model: str
) -> None:
    write(tmp_path / "w.h5")
    with pytest.raises(ModelError, match=r"w\.h5"):
        read_weights(get_model(model), tmp_path / "w.h5")


def test_a_width_other_than_the_models_is_refused(tmp_path: Path) -> None:
    """Names of MobileNetV2, but a kernel that no batch norm of the file fits."""
    write_keras3(tmp_path / "w.h5", {"Conv1": [np.zeros((3, 3, 3, 16))], "bn_Conv1": [np.ones(24)] * 4})
    with pytest.raises(ModelError, match="the weights of another model"):
        read_weights(get_model("mobilenetv2"), tmp_path / "w.h5")


def test_each_model_refuses_the_others_file(shared: Path) -> None:
    keras = shared / "models" / "mobilenetv2_1.0_224.weights.h5"
    with pytest.raises(ModelError, match="PyTorch state dict"):
        read_weights(get_model("efficientnet-lite0"), keras)
    try:
        torch = get_model("efficientnet-lite0").weights.locate()
    except ModelError as error:
        pytest.skip(str(error))
    with pytest.raises(ModelError, match="not a readable HDF5 file"):
        read_weights(get_model("mobilenetv2"), torch)


def test_the_real_file_is_mobilenet_v2(shared: Path) -> None:
    model = get_model("mobilenetv2")
    weights = read_weights(model, shared / "models" / "mobilenetv2_1.0_224.weights.h5")
    assert sum(weight.size + bias.size for weight, bias in weights.values()) == 3_487_816  # folded
    assert len(weights) == 53
