"""Keras weight files of both layouts, and files that are neither."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

h5py = pytest.importorskip("h5py", reason="a converting test: pip install edgecv[convert]")

from edgecv.converters.architecture import Architecture, layers, parameters
from edgecv.converters.keras_weights import read_layers
from edgecv.converters.models import get_model, load, read_weights
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
    assert {name for name, arrays in found.items() if arrays} == LAYERS.keys()
    assert len(found) > len(LAYERS)  # those without weights are there, by a name at least
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
@pytest.mark.parametrize("model", ["mobilenetv2", "efficientnet-lite0", "efficientnet-b0"])
def test_weights_of_something_else_are_refused(
    tmp_path: Path, write: Callable[[Path], None], model: str
) -> None:
    write(tmp_path / "w.h5")
    with pytest.raises(ModelError, match=r"w\.h5"):
        read_weights(get_model(model), tmp_path / "w.h5")


def keras_name(model: str, layer: str) -> tuple[str, str]:
    """What keras.applications calls a layer and its batch norm: block3.expand of B0 is in block 3a, ..."""
    block, _, part = layer.partition(".")
    if model.startswith("mobilenet"):
        fixed = {"stem": ("Conv1", "bn_Conv1"), "head": ("Conv_1", "Conv_1_bn")}
        prefix = "expanded_conv_" if block == "block0" else f"block_{block.removeprefix('block')}_"
        return fixed.get(layer, (prefix + part, f"{prefix}{part}_BN"))
    fixed = {"stem": ("stem_conv", "stem_bn"), "head": ("top_conv", "top_bn")}
    parts = {
        "depthwise": ("dwconv", "bn"),
        "se.reduce": ("se_reduce", ""),
        "se.expand": ("se_expand", ""),
        "": ("", ""),
    }
    names = parts.get(part, (f"{part}_conv", f"{part}_bn"))
    letters = [
        "1a",
        "2a",
        "2b",
        "3a",
        "3b",
        "4a",
        "4b",
        "4c",
        "5a",
        "5b",
        "5c",
        "6a",
        "6b",
        "6c",
        "6d",
        "7a",
    ]  # of EfficientNet-B0
    prefix = f"block{letters[int(block.removeprefix('block'))]}_" if layer not in fixed and part else ""
    return fixed.get(layer, (prefix + names[0], prefix + names[1]))


def keras_layers(model: str, architecture: Architecture) -> dict[str, list[np.ndarray]]:
    """Random weights as Keras lays them out: [k, k, in, out], depthwise [k, k, in, 1], [in, out]."""
    rng = np.random.default_rng(0)
    found = {}
    for layer in layers(architecture):
        shape = layer.weight_shape
        weight = rng.standard_normal(shape, np.float32)
        bias = rng.standard_normal(layer.outputs, np.float32)
        if not layer.kernel:
            found["predictions"] = [weight.T, bias]
            continue
        name, norm = keras_name(model, layer.name)
        kernel = weight.transpose((2, 3, 0, 1) if layer.groups > 1 else (2, 3, 1, 0))
        found[name] = [kernel] if layer.batch_norm else [kernel, bias]
        if layer.batch_norm:
            found[norm] = [1 + bias**2, bias, -bias, 1 + bias**2]
    return found


def as_published(found: dict[str, list[np.ndarray]]) -> dict[str, list[np.ndarray]]:
    """MobileNetV2 by the names of the files on keras.applications' server, which are of 2018."""
    renamed = {}
    for name, arrays in found.items():
        name = name.replace("expanded_conv_", "block_0_")
        if name.startswith("block_"):
            _, number, part, *norm = name.split("_")
            name = f"{'bn' if norm else 'mobl'}{number}_conv_{number}_{'bn_' if norm else ''}{part}"
        renamed[name.replace("predictions", "Logits")] = arrays
    return renamed


@pytest.fixture(scope="module")
def mobilenet() -> dict[str, list[np.ndarray]]:
    return keras_layers("mobilenetv2-0.35-96", get_model("mobilenetv2-0.35-96").architecture)


@pytest.fixture(scope="module")
def efficientnet() -> dict[str, list[np.ndarray]]:
    return keras_layers("efficientnet-b0", get_model("efficientnet-b0").architecture)


@pytest.mark.parametrize("names", [lambda found: found, as_published], ids=["today's", "of 2018"])
def test_mobilenet_is_read_by_both_names(mobilenet, names, tmp_path: Path) -> None:
    write_keras3(tmp_path / "w.h5", names(mobilenet))
    found = read_weights(get_model("mobilenetv2-0.35-96"), tmp_path / "w.h5").layers
    gamma, beta, mean, variance = mobilenet["block_3_depthwise_BN"]
    scale = gamma / np.sqrt(variance + 1e-3)
    (kernel,) = mobilenet["block_3_depthwise"]
    np.testing.assert_allclose(
        found["block3.depthwise"].weight[:, 0], (kernel[..., 0] * scale).transpose(2, 0, 1), rtol=1e-5
    )
    np.testing.assert_allclose(found["block3.depthwise"].bias, beta - mean * scale, rtol=1e-5)
    np.testing.assert_array_equal(found["classifier"].weight, mobilenet["predictions"][0].T)


def test_efficientnet_is_read(efficientnet, tmp_path: Path) -> None:
    write_keras3(tmp_path / "w.h5", efficientnet)
    model = get_model("efficientnet-b0")
    found, mean_std = read_weights(model, tmp_path / "w.h5")
    assert mean_std is None
    assert sum(w.size + b.size for w, b in found.values()) == parameters(model.architecture, of_batch_norm=1)
    kernel, bias = efficientnet["block2b_se_expand"]
    np.testing.assert_array_equal(found["block2.se.expand"].weight[:, :, 0, 0], kernel[0, 0].T)
    np.testing.assert_array_equal(found["block2.se.expand"].bias, bias)


IMAGENET = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


@pytest.mark.parametrize(
    ("normalisation", "rescalings", "mean", "std"),
    [
        # keras.applications without weights: pixels / 255
        ([[0, 0, 0], [1, 1, 1]], 1, (0, 0, 0), (255, 255, 255)),
        # adapted to a data set: a mean and a variance on 0..1
        ([[0.5, 0.25, 0.1], [0.04, 0.09, 0.16]], 1, (127.5, 63.75, 25.5), (51, 76.5, 102)),
        # the published weights: standard deviations where variances belong, from the server ...
        (
            [[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]],
            1,
            (123.675, 116.28, 103.53),
            (58.395, 57.12, 57.375),
        ),
        # ... and saved again by a Keras that corrects them in its graph
        (
            [[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]],
            2,
            (123.675, 116.28, 103.53),
            (58.395, 57.12, 57.375),
        ),
        # that graph, adapted: the correction is multiplied into another variance
        ([[0, 0, 0], [1, 1, 1]], 2, (0, 0, 0), 255 * np.sqrt((0.229, 0.224, 0.225))),
    ],
)
def test_the_normalisation_of_the_file_is_the_models(
    efficientnet, normalisation, rescalings: int, mean, std, tmp_path: Path
) -> None:
    path = tmp_path / "w.h5"
    write_keras3(path, efficientnet | {"normalization_3": [*map(np.float32, normalisation), np.int32(0)]})
    with h5py.File(path, "a") as file:
        for i in range(rescalings):
            file.create_group("layers/rescaling" + f"_{i}" * bool(i))
    got = read_weights(get_model("efficientnet-b0"), path).mean_std
    assert got is not None
    np.testing.assert_allclose(got, (mean, std), rtol=1e-6)


def test_a_normalisation_of_its_own_is_in_the_model_and_said(efficientnet, tmp_path: Path) -> None:
    pytest.importorskip("onnx", reason="a converting test: pip install edgecv[convert]")
    path, model = tmp_path / "w.h5", get_model("efficientnet-b0")
    statistics = [np.zeros(3, np.float32), np.ones(3, np.float32), np.int32(0)]
    write_keras3(path, efficientnet | {"normalization": statistics})
    loaded = load(model, path)
    assert loaded.preprocess.std == (255.0, 255.0, 255.0)
    assert loaded.preprocess.size_hw == model.preprocess.size_hw
    (note,) = loaded.notes
    assert "w.h5 normalises its input" in note


def changed(name: str, index: int, change: Callable[[np.ndarray], np.ndarray]):
    def damage(found: dict[str, list[np.ndarray]]) -> None:
        found[name] = list(found[name])
        found[name][index] = change(found[name][index])

    return damage


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        # a wider network's block
        (
            changed("block_1_expand", 0, lambda a: np.tile(a, (2, 2))),
            r"layer block1.expand: weight has shape \(96, 16, 1, 1\), this model's is \(48, 8, 1, 1\)",
        ),
        # a batch norm of another layer
        (
            changed("bn_Conv1", 2, lambda a: a[:-1]),
            r"layer stem: batch norm mean has shape \(15,\), this model's is \(16,\)",
        ),
        # another number of classes
        (
            changed("predictions", 0, lambda a: a[:, :10]),
            r"layer classifier: weight has shape \(10, 1280\), this model's is \(1000, 1280\)",
        ),
        (changed("predictions", 1, lambda a: a[:10]), r"layer classifier: bias has shape \(10,\)"),
        # a kernel that is no kernel
        (changed("Conv1", 0, lambda a: a[0]), r"layer stem: weight has shape \(3, 3, 16\)"),
        (lambda found: found.pop("block_2_project_BN"), "no weights of a layer block_2_project_BN"),
        (lambda found: found["bn_Conv1"].pop(), "layer bn_Conv1 has 3 arrays, 4 expected"),
        (
            lambda found: found.update(block_17_expand=found["Conv1"]),
            "layer block_17_expand has no place in this model",
        ),
    ],
)
def test_weights_that_do_not_fit_are_named(mobilenet, damage, message: str, tmp_path: Path) -> None:
    found = {name: list(arrays) for name, arrays in mobilenet.items()}
    damage(found)
    write_keras3(tmp_path / "w.h5", found)
    with pytest.raises(ModelError, match=message) as caught:
        read_weights(get_model("mobilenetv2-0.35-96"), tmp_path / "w.h5")
    assert str(caught.value).startswith(str(tmp_path / "w.h5"))
    assert "another model" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("array", "value"),
    [
        (0, np.nan),  # gamma
        (3, np.nan),  # the moving variance
        (3, -1.0),  # no variance: its root is no number
        (2, np.inf),
    ],
)
def test_weights_that_are_not_numbers_are_refused(
    mobilenet, array: int, value: float, tmp_path: Path
) -> None:
    pytest.importorskip("onnx", reason="a converting test: pip install edgecv[convert]")
    found = dict(mobilenet)
    changed("block_5_depthwise_BN", array, lambda a: np.where(np.arange(a.size) == 3, value, a))(found)
    write_keras3(tmp_path / "w.h5", found)
    with pytest.raises(ModelError, match=r"layer block5.depthwise: \w+ holds NaN or infinite values"):
        load(get_model("mobilenetv2-0.35-96"), tmp_path / "w.h5")


@pytest.mark.parametrize("name", ["mobilenetv2-0.5-96", "mobilenetv2-1.4-224", "mobilenetv2"])
def test_another_width_is_refused(mobilenet, name: str, tmp_path: Path) -> None:
    write_keras3(tmp_path / "w.h5", mobilenet)
    with pytest.raises(ModelError, match=r"has shape .*, this model's is .*another model or width"):
        read_weights(get_model(name), tmp_path / "w.h5")


def test_another_depth_is_refused(efficientnet, tmp_path: Path) -> None:
    """B1 is B0 with more blocks: all of B0's layers are there, in the right shapes, and it is not B0."""
    deeper = efficientnet | {"block1b_dwconv": efficientnet["block1a_dwconv"]}
    write_keras3(tmp_path / "w.h5", deeper)
    with pytest.raises(ModelError, match="layer block1b_dwconv has no place in this model"):
        read_weights(get_model("efficientnet-b0"), tmp_path / "w.h5")
    write_keras3(tmp_path / "w.h5", efficientnet)
    with pytest.raises(ModelError, match="no weights of a layer block1b_dwconv"):
        read_weights(get_model("efficientnet-b1"), tmp_path / "w.h5")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ([np.zeros(1), np.ones(1)], "no mean and variance of three channels"),
        ([np.zeros(3)], "no mean and variance of three channels"),
        ([np.zeros(3), np.float32([1, np.nan, 1])], "a mean or variance that is none"),
        ([np.zeros(3), np.float32([1, -1, 1])], "a mean or variance that is none"),
        ([np.zeros(3), np.float32([1, 0, 1])], "a mean or variance that is none"),
    ],
)
def test_a_normalisation_that_is_none_is_refused(efficientnet, arrays, message: str, tmp_path: Path) -> None:
    write_keras3(tmp_path / "w.h5", efficientnet | {"normalization": arrays})
    with pytest.raises(ModelError, match=rf"w\.h5: .*{message}"):
        read_weights(get_model("efficientnet-b0"), tmp_path / "w.h5")


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
    weights = read_weights(model, shared / "models" / "mobilenetv2_1.0_224.weights.h5").layers
    assert sum(weight.size + bias.size for weight, bias in weights.values()) == 3_487_816  # folded
    assert len(weights) == 53
