"""Real models on real photographs: calibrated on coco128, judged on the 1,000 of nips17."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

for module in ("onnx", "onnxruntime", "ai_edge_litert", "litert_quantizer", "openvino", "nncf", "h5py"):
    pytest.importorskip(module, reason="a converting test: pip install edgecv[convert]")

from edgecv import api
from edgecv.bundle import Bundle
from edgecv.converters.architecture import build_onnx
from edgecv.converters.graph import normalise
from edgecv.converters.models import get_model, read_weights
from edgecv.converters.verify import float_logits
from edgecv.data import load_labelled, load_pictures
from edgecv.devices import select
from edgecv.errors import ModelError
from edgecv.runtime.engines import Options, open_engine
from edgecv.spec import Format, Precision

pytestmark = pytest.mark.slow

JUDGED = 1000
LEAST_AGREEMENT = {
    # Measured with VNNI: 0.968, 0.969, 0.968; OpenVINO without it 0.948.
    ("efficientnet-lite0", Format.TFLITE): 0.96,
    ("efficientnet-lite0", Format.ONNX): 0.96,
    ("efficientnet-lite0", Format.OPENVINO): 0.94,
    # Measured with VNNI: 0.966, 0.963, 0.947; OpenVINO without it 0.897.
    ("mobilenetv2", Format.TFLITE): 0.94,
    ("mobilenetv2", Format.ONNX): 0.94,
    ("mobilenetv2", Format.OPENVINO): 0.88,
}
LEAST_TOP1 = {"efficientnet-lite0": 0.85, "mobilenetv2": 0.70}  # float: 0.899 and 0.791 over 1,000


def weights_of(name: str, shared: Path) -> Path | None:
    if name == "mobilenetv2":
        return shared / "models" / "mobilenetv2_1.0_224.weights.h5"
    try:
        get_model(name).weights.locate()
    except ModelError as error:
        pytest.skip(str(error))
    return None


@pytest.fixture(scope="module", params=["efficientnet-lite0", "mobilenetv2"])
def bundle(request: pytest.FixtureRequest, shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp(request.param)
    photos = shared / "data" / "nips17"
    with (photos / "labels.csv").open(newline="") as table:
        rows = [f"{photos / row['file']},{row['label']}" for row in csv.DictReader(table)][:JUDGED]
    (folder / "labels.csv").write_text("\n".join(["file,label", *rows]))
    return api.convert(
        request.param,
        int8=True,
        weights=weights_of(request.param, shared),
        calibration=shared / "data" / "coco128" / "images",
        data=folder / "labels.csv",
        out=folder / "bundle",
    ).bundle


def test_int8_agrees_with_float(bundle: Bundle) -> None:
    name = bundle.manifest.name
    measured = {
        a.format: a.verified.top1_agreement
        for a in bundle.manifest.artifacts
        if a.precision is Precision.INT8
    }
    assert measured.keys() == set(Format)
    for format, agreement in measured.items():
        assert agreement >= LEAST_AGREEMENT[name, format], f"{name} {format.value}: {agreement}"


def test_accuracy_is_that_of_the_model(bundle: Bundle) -> None:
    for artifact in bundle.manifest.artifacts:
        assert artifact.verified.labelled == JUDGED
        slack = 0.0 if artifact.precision is Precision.FP32 else 0.08
        assert artifact.verified.top1 >= LEAST_TOP1[bundle.manifest.name] - slack, str(artifact.kind)


def test_int8_files_are_less_than_a_third(bundle: Bundle) -> None:
    for format in Format:
        (float_one,) = bundle.select(format, Precision.FP32)
        (int8,) = bundle.select(format, Precision.INT8)
        assert int8.bytes < float_one.bytes / 3, format


def test_float_artifacts_name_the_same_class(bundle: Bundle, shared: Path) -> None:
    """Wherever the two best logits are further apart than the formats may differ."""
    labelled = load_labelled(shared / "data" / "nips17", bundle.labels)
    images = [load_pictures(path, bundle.manifest.preprocess, 1).images for path in labelled.paths[:JUDGED]]
    options = Options(select().threads)
    rows = []
    for artifact in bundle.select(precision=Precision.FP32):
        engine = open_engine(bundle.path(artifact), artifact, options)
        rows.append(np.concatenate([engine.infer(image).copy() for image in images]))
        engine.close()
    first, *others = rows
    second_best, best = np.sort(first, axis=1)[:, -2:].T
    clear = best - second_best > 1e-3
    assert clear.sum() >= JUDGED - 2
    for other in others:
        np.testing.assert_array_equal(other.argmax(1)[clear], first.argmax(1)[clear])


def test_replay_passes_here(bundle: Bundle) -> None:
    assert all(replayed.passed for replayed in api.verify(bundle.root)), api.verify(bundle.root)


# -- other people's implementations of the same models ---------------------------------------------


@pytest.fixture(scope="module")
def photos(shared: Path) -> Callable[[str], np.ndarray]:
    folder = shared / "data" / "nips17"
    return lambda name: load_pictures(folder, get_model(name).preprocess, 8).images


def assert_logits_match(ours: np.ndarray, theirs: np.ndarray) -> None:
    """To 1e-4 of the largest logit: what is left is the order of float32 sums."""
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-4 * np.abs(theirs).max())


def our_logits(name: str, path: Path, images: np.ndarray) -> np.ndarray:
    model = get_model(name)
    graph = build_onnx(name, model.architecture, read_weights(model, path), model.preprocess.size_hw)
    return float_logits(graph, model.preprocess, images, 2, lambda _: None)


@pytest.fixture(scope="module")
def keras() -> Iterator[object]:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TensorFlow's own
        yield pytest.importorskip("tensorflow", reason="the Keras oracle: pip install edgecv[keras]").keras


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("suffix", [".weights.h5", "legacy .h5"])
def test_mobilenet_is_that_of_keras_applications(
    suffix: str, keras, photos: Callable[[str], np.ndarray], tmp_path: Path
) -> None:
    """Random weights and statistics, saved by Keras 3 itself, so that nothing but the layout is shared."""
    keras.utils.set_random_seed(0)
    model = keras.applications.MobileNetV2(weights=None, classifier_activation=None)
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if type(layer).__name__ == "BatchNormalization":
            n = layer.gamma.shape[0]
            drawn = (rng.uniform(0.5, 1.5, n), rng.normal(0, 0.2, n), rng.normal(0, 0.2, n))
            layer.set_weights([*drawn, rng.uniform(0.5, 1.5, n)])
    if suffix == ".weights.h5":
        path = tmp_path / f"mobilenet{suffix}"
        model.save_weights(path)
    else:
        path = tmp_path / "mobilenet.h5"
        model.save(path)
    images = photos("mobilenetv2")
    theirs = model(
        np.ascontiguousarray(normalise(images, get_model("mobilenetv2").preprocess).transpose(0, 2, 3, 1))
    )
    assert np.std(theirs) > 0.01
    assert_logits_match(our_logits("mobilenetv2", path, images), np.asarray(theirs))


@pytest.mark.filterwarnings("ignore")
def test_the_shared_mobilenet_is_that_of_keras_applications(
    keras, shared: Path, photos: Callable[[str], np.ndarray]
) -> None:
    path = shared / "models" / "mobilenetv2_1.0_224.weights.h5"
    model = keras.applications.MobileNetV2(weights=None, classifier_activation=None)
    model.load_weights(path)
    images = photos("mobilenetv2")
    theirs = model(
        np.ascontiguousarray(normalise(images, get_model("mobilenetv2").preprocess).transpose(0, 2, 3, 1))
    )
    assert_logits_match(our_logits("mobilenetv2", path, images), np.asarray(theirs))


@pytest.mark.filterwarnings("ignore")
def test_lite0_is_that_of_its_pytorch_authors(photos: Callable[[str], np.ndarray], shared: Path) -> None:
    torch = pytest.importorskip("torch", reason="the PyTorch oracle needs torch")
    lite = pytest.importorskip(
        "efficientnet_lite_pytorch", reason="the PyTorch oracle: pip install efficientnet-lite-pytorch"
    )
    weights_of("efficientnet-lite0", shared)
    path = get_model("efficientnet-lite0").weights.locate()
    model = lite.EfficientNet.from_name("efficientnet-lite0")
    model.load_state_dict(torch.load(path, weights_only=True))
    model.eval()
    images = photos("efficientnet-lite0")
    with torch.no_grad():
        theirs = model(
            torch.from_numpy(normalise(images, get_model("efficientnet-lite0").preprocess))
        ).numpy()
    assert_logits_match(our_logits("efficientnet-lite0", path, images), theirs)
