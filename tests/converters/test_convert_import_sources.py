"""Which source a name means, and model files that carry code: refused before any framework sees them."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from pathlib import Path
from typing import Any

import pytest

for module in ("onnx", "onnxruntime", "h5py"):
    pytest.importorskip(module, reason="a converting test: pip install edgecv[convert]")

import h5py

from edgecv.converters import importers
from edgecv.converters.importers import ImportOptions, keras_file, model_name, process, torch_export
from edgecv.errors import ConversionError, EdgecvError, ModelError, UsageError


@pytest.mark.parametrize(
    ("model", "path"),
    [
        ("model.onnx", True),
        ("MODEL.ONNX", True),
        ("folder/model.keras", True),
        ("./saved", True),
        ("my_package.models:make", True),
        ("model.pth", True),  # recognised, to be refused with what to do
        ("mobilenetv2", False),
        ("efficientnet-lite0", False),
        ("mobilnetv2", False),  # a slip: the list of known models helps more
        ("tflite:", False),
    ],
)
def test_files_and_factories_are_told_from_known_models(model: str, path: bool) -> None:
    assert importers.is_path(model) is path


def test_a_saved_model_in_this_folder_needs_no_slash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("mine", "mobilenetv2"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "saved_model.pb").touch()
    assert importers.is_path("mine")
    assert not importers.is_path("mobilenetv2")  # a known model's name stays that


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("whole.pt", "a PyTorch pickle can run code when it is read"),
        ("weights.pth", "package.module:factory --weights STATE_DICT"),
        ("model.weights.h5", "holds weights only"),
        ("model.safetensors", "package.module:factory --weights FILE"),
        ("model.tflite", "give the float model it came from"),
        ("frozen.pb", "give the SavedModel folder"),
        ("absent.onnx", "no such file"),
        ("folder", "a folder without saved_model.pb"),
        (
            "./what",
            "give a .onnx, .keras, .h5, .hdf5, .pt2 file, a SavedModel folder or package.module:factory",
        ),
    ],
)
def test_what_is_no_model_says_what_to_give(
    name: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    with pytest.raises(UsageError) as caught:
        importers.load(name, ImportOptions())
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "name"), [("my model (2)", "my-model-2"), ("--", "model"), ("a.b:c", "a.b-c"), ("ü", "model")]
)
def test_names_of_bundles_are_file_names(text: str, name: str) -> None:
    assert model_name(text) == name


# -- Keras ----------------------------------------------------------------------------------------------


def layer(name: str, module: str | None = "keras.layers", **more: Any) -> dict[str, Any]:
    return {"module": module, "class_name": name, "config": {"name": "a"}, "registered_name": None, **more}


def keras_config(*layers: dict[str, Any]) -> dict[str, Any]:
    return {
        "module": "keras",
        "class_name": "Sequential",
        "config": {"layers": list(layers)},
        "registered_name": "Sequential",
        # How it was trained is not read, so that functions there do no harm.
        "compile_config": {"loss": layer("function", "builtins")},
    }


def write_keras(path: Path, config: Any) -> Path:
    if path.suffix == ".keras":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("config.json", json.dumps(config))
    else:
        with h5py.File(path, "w") as file:
            file.attrs["model_config"] = json.dumps(config)
    return path


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_keras_s_own_layers_pass(suffix: str, tmp_path: Path) -> None:
    config = keras_config(
        layer("Conv2D", kernel=layer("GlorotUniform", "keras.initializers")), layer("Dense", None)
    )
    keras_file.check(write_keras(tmp_path / f"model{suffix}", config))


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (layer("Lambda"), "has a Lambda layer, which is Python code"),
        (layer("Lambda", None), "has a Lambda layer"),  # as .h5 has it
        (layer("Dense", activation={"class_name": "__lambda__", "config": {}}), "has a __lambda__"),
        (layer("Mine", "my.layers"), "needs my.layers.Mine, which is not Keras's own"),
        (layer("Mine", None, registered_name="Custom>Mine"), "which is not Keras's own"),
        (layer("system", "os"), "needs os.system"),  # a class by name only
        (layer("get_file", "keras.utils"), "needs keras.utils.get_file"),  # of Keras, and fetches files
        (layer("enable_unsafe_deserialization", "keras.config"), "needs keras.config."),
        (layer("f", "kerasevil.layers"), "needs kerasevil.layers.f"),
        ({"class_name": ["x"], "module": "os"}, "needs os."),  # not even a name
    ],
)
def test_keras_files_that_carry_or_ask_for_code_are_refused(
    suffix: str, bad: dict[str, Any], says: str, tmp_path: Path
) -> None:
    path = write_keras(tmp_path / f"model{suffix}", keras_config(layer("Conv2D"), {"deeper": [bad]}))
    with pytest.raises(ModelError) as caught:
        importers.load(str(path), ImportOptions())
    assert says in str(caught.value)
    assert "is not run" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_damaged_keras_files_are_one_line(tmp_path: Path) -> None:
    for name, content in (("a.keras", b"PK\x03\x04 no"), ("b.h5", b"\x89HDF\r\n\x1a\n no"), ("c.keras", b"")):
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(ModelError, match="damaged, or no") as caught:
            keras_file.check(path)
        assert "\n" not in str(caught.value)
    with h5py.File(tmp_path / "weights.h5", "w") as file:
        file["kernel"] = [1.0]
    with pytest.raises(ModelError, match="holds weights only"):
        keras_file.check(tmp_path / "weights.h5")
    with zipfile.ZipFile(tmp_path / "out.keras", "w") as archive:
        archive.writestr("../../out", "x")
    with pytest.raises(ModelError, match="leads out of it"):
        keras_file.check(tmp_path / "out.keras")


# -- PyTorch exports ------------------------------------------------------------------------------------


def write_pt2(path: Path, graph: dict[str, Any], weights: dict[str, Any], extra: dict[str, bytes]) -> Path:
    files = {
        "archive_format": b"pt2",
        "models/model.json": json.dumps(graph).encode(),
        "data/weights/model_weights_config.json": json.dumps({"config": weights}).encode(),
        "data/weights/weight_0": bytes(8),
        "data/sample_inputs/model.pt": b"",
        **extra,
    }
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(f"own/{name}", content)
    return path


SYMBOL = "Symbol('s77', positive=True, integer=True)"
NODES = {
    "nodes": [{"target": "torch.ops.aten.conv2d.default"}, {"target": "_operator.getitem"}],
    "sizes": [{"as_expr": {"expr_str": f"2*{SYMBOL} + FloorDiv({SYMBOL}, 2)"}}],
}
WEIGHT = {"w": {"path_name": "weight_0", "use_pickle": False}}


def test_a_graph_of_aten_operators_and_sizes_passes(tmp_path: Path) -> None:
    torch_export.check(write_pt2(tmp_path / "m.pt2", NODES, WEIGHT, {}))


@pytest.mark.parametrize(
    ("graph", "weights", "extra", "says"),
    [
        ({"nodes": [{"target": "torch.os.system"}]}, WEIGHT, {}, "asks for 'torch.os.system'"),
        ({"nodes": [{"target": "torch.hub.load"}]}, WEIGHT, {}, "asks for 'torch.hub.load'"),
        ({"nodes": [{"target": "_operator.methodcaller"}]}, WEIGHT, {}, "asks for '_operator.methodcaller'"),
        ({"x": {"expr_str": "__import__('os').system('x')"}}, WEIGHT, {}, 'asks for "__import__'),
        ({"x": {"expr_str": "().__class__"}}, WEIGHT, {}, "asks for '().__class__'"),
        ({"spec": '[1, {"__enum__": true, "fqn": "os:x"}]'}, WEIGHT, {}, "asks for '__enum__'"),
        (NODES, {"w": {"path_name": "weight_0", "use_pickle": True}}, {}, "holds pickled objects"),
        (NODES, {"w": {"path_name": "../weight_0", "use_pickle": False}}, {}, "holds pickled objects"),
        (NODES, WEIGHT, {"data/constants/opaque_obj_0": b""}, "'own/data/constants/opaque_obj_0'"),
        (NODES, WEIGHT, {"data/weights/model.pt": b""}, "an old format, or code"),
        (NODES, WEIGHT, {"data/aotinductor/model/x.so": b""}, "an old format, or code"),
        (NODES, WEIGHT, {"models/other.json": b"{}"}, "holds 2 models"),
    ],
)
def test_exports_that_carry_or_ask_for_code_are_refused(
    graph: dict[str, Any], weights: dict[str, Any], extra: dict[str, bytes], says: str, tmp_path: Path
) -> None:
    path = write_pt2(tmp_path / "m.pt2", graph, weights, extra)
    with pytest.raises(ModelError) as caught:
        importers.load(str(path), ImportOptions())
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_long_expression_is_refused_at_once() -> None:
    assert not torch_export._EXPRESSION.fullmatch("1" * 100_000 + "!")


def test_a_pickle_called_pt2_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.pt2"
    path.write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(ModelError, match="damaged, or no file of torch.export.save"):
        importers.load(str(path), ImportOptions())
    buffer = io.BytesIO()
    zipfile.ZipFile(buffer, "w").close()
    path.write_bytes(buffer.getvalue())
    with pytest.raises(ModelError, match="holds 0 models"):
        importers.load(str(path), ImportOptions())


# -- the process beside -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("do", "kind", "says"),
    [
        ("refuse", UsageError, "m: say --size"),
        ("fail", ModelError, "m: RuntimeError: two lines"),
        (
            "die",
            ModelError,
            "m: reading it was ended by SIGKILL (the system does that when memory runs out) (hundreds",
        ),
    ],
)
def test_whatever_happens_in_the_other_process_is_one_line(
    do: str, kind: type[EdgecvError], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    with pytest.raises(kind) as caught:
        process.run("convert_child:answer", {"do": do}, tmp_path, "m")
    assert str(caught.value).startswith(says)
    assert "\n" not in str(caught.value)


def test_an_answer_comes_back_and_nothing_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    assert process.run("convert_child:answer", {"do": "answer"}, tmp_path, "m") == {"said": "answer"}
    assert capfd.readouterr() == ("", "")


def test_a_missing_framework_names_the_extra() -> None:
    with pytest.raises(ConversionError, match=r'no_such_framework: pip install "edgecv\[keras\]"'):
        process.require("keras", "no_such_framework")
