"""Keras models and SavedModels of one's own, where tensorflow is installed: pip install edgecv[keras]."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

for module in ("onnx", "onnxruntime", "h5py", "tensorflow", "tf2onnx"):
    # Found, and not imported as importorskip would: TensorFlow stays out of this process.
    if importlib.util.find_spec(module) is None:
        pytest.skip("Keras models: pip install edgecv[convert,keras]", allow_module_level=True)

from edgecv import api
from edgecv.converters import importers
from edgecv.converters.importers import ImportOptions
from edgecv.converters.models import get_model, load
from edgecv.converters.preprocess_rules import Wanted, from_flags
from edgecv.converters.tflite_writer import BY_TENSORFLOW
from edgecv.converters.verify import float_logits
from edgecv.errors import ModelError, UsageError
from edgecv.spec import Format, Precision

pytestmark = pytest.mark.slow

_SAVE = """
import sys, keras
weights, folder = sys.argv[1:]
model = keras.applications.MobileNetV2(weights=None)
model.load_weights(weights)
model.save(folder + "/own.keras")
model.save(folder + "/own.h5")
model.export(folder + "/own_saved_model")
given = keras.Input((224, 224, 3))
scaled = keras.layers.Rescaling(1 / 127.5, offset=-1)(given)
keras.Model(given, model(scaled)).save(folder + "/scaled.keras")
small = keras.Sequential([
    keras.Input((None, None, 3)), keras.layers.Conv2D(4, 3), keras.layers.GlobalAveragePooling2D(),
    keras.layers.Dense(5, activation="softmax"),
])
small.save(folder + "/open.keras")
small.save_weights(folder + "/only.weights.h5")
"""


def keras(code: str, *arguments: str) -> None:
    subprocess.run([sys.executable, "-c", code, *arguments], check=True, capture_output=True)


@pytest.fixture(scope="module")
def saved(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keras")
    keras(_SAVE, str(shared / "models" / "mobilenetv2_1.0_224.weights.h5"), str(folder))
    return folder


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("own.keras", from_flags(range="-1..1")),
        ("own.h5", from_flags(range="-1..1")),
        ("own_saved_model", from_flags(range="-1..1")),
        ("scaled.keras", Wanted()),  # its Rescaling layer says it
    ],
)
def test_each_format_gives_the_logits_of_our_own_graph(
    name: str, said: Wanted, saved: Path, shared: Path
) -> None:
    ours = load(get_model("mobilenetv2"), shared / "models" / "mobilenetv2_1.0_224.weights.h5")
    model = importers.load(str(saved / name), ImportOptions(labels="imagenet", preprocess=said))
    assert model.preprocess.mean == model.preprocess.std == (127.5,) * 3
    assert model.labels == ours.labels
    assert any("Softmax" in note for note in model.notes)
    images = np.random.default_rng(0).integers(0, 256, (3, 224, 224, 3), dtype=np.uint8)
    expected = float_logits(ours.graph, ours.preprocess, images, 2, lambda _: None)
    got = float_logits(model.graph, model.preprocess, images, 2, lambda _: None)
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-4 * np.abs(expected).max())


def test_an_open_size_is_asked_for(saved: Path) -> None:
    where = str(saved / "open.keras")
    with pytest.raises(UsageError, match="give --size HxW"):
        importers.load(where, ImportOptions(preprocess=from_flags(range="0..1")))
    model = importers.load(where, ImportOptions(preprocess=from_flags(range="0..1", size="32x48")))
    assert model.preprocess.size_hw == (32, 48)
    with pytest.raises(UsageError, match="holds weights only"):
        importers.load(str(saved / "only.weights.h5"), ImportOptions())


def test_a_saved_model_that_calls_python_or_files_is_refused(tmp_path: Path) -> None:
    code = (
        "import sys, tensorflow as tf\n"
        "class Reads(tf.Module):\n"
        "    @tf.function(input_signature=[tf.TensorSpec([1, 8, 8, 3], tf.float32)])\n"
        "    def __call__(self, x):\n"
        "        tf.io.write_file('/nowhere', 'x')\n"
        "        return tf.reduce_mean(x, [1, 2])\n"
        "tf.saved_model.save(Reads(), sys.argv[1])\n"
    )
    keras(code, str(tmp_path / "reads"))
    with pytest.raises(ModelError, match="holds WriteFile.*code is not run"):
        importers.load(str(tmp_path / "reads"), ImportOptions())


# -- what the emitter cannot write -------------------------------------------------------------------

_BEYOND = """
import sys, keras
folder = sys.argv[1]
keras.utils.set_random_seed(1)
layers = keras.layers
given = keras.Input((32, 32, 3))
x = layers.Rescaling(1 / 127.5, offset=-1)(given)
x = layers.Conv2D(8, 3, strides=2, activation="relu6")(x)
x = layers.Conv3D(4, 3, activation="relu")(layers.Reshape((15, 15, 8, 1))(x))
x = layers.Dense(10, activation="softmax")(layers.GlobalAveragePooling3D()(x))
keras.Model(given, x).save(folder + "/volume.keras")
"""


@pytest.fixture(scope="module")
def beyond(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("beyond")
    keras(_BEYOND, str(folder))
    return folder


def test_tensorflow_writes_what_the_emitter_cannot_and_it_is_said(beyond: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for index in range(24):
        cv2.imwrite(str(tmp_path / f"{index}.png"), rng.integers(0, 256, (40, 40, 3), dtype=np.uint8))
    done = api.convert(
        str(beyond / "volume.keras"),
        int8=True,
        fp16=True,
        formats=[Format.TFLITE],
        calibration=tmp_path,
        check_pictures=False,
        out=tmp_path / "bundle",
    )
    assert any("written by TensorFlow's converter, since" in note and "Conv" in note for note in done.notes)
    by_precision = {artifact.precision: artifact for artifact in done.bundle.manifest.artifacts}
    for artifact in by_precision.values():
        assert BY_TENSORFLOW in artifact.recipe
    # against the ONNX graph of the same file, in LiteRT
    assert by_precision[Precision.FP32].verified.sqnr_db > 90
    assert by_precision[Precision.FP16].verified.sqnr_db > 50
    assert by_precision[Precision.INT8].verified.sqnr_db > 20
    assert all(row.passed for row in api.verify(done.bundle.root))
