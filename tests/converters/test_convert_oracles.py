"""The graphs against the models' own frameworks where these are installed: keras.applications, PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

for module in ("onnx", "onnxruntime", "h5py"):
    pytest.importorskip(module, reason="a converting test: pip install edgecv[convert]")

from edgecv.converters.architecture import build_onnx
from edgecv.converters.graph import normalise
from edgecv.converters.models import get_model, read_weights
from edgecv.converters.verify import float_logits
from edgecv.data import load_pictures

pytestmark = pytest.mark.slow


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
def test_lite0_is_that_of_its_pytorch_authors(photos: Callable[[str], np.ndarray]) -> None:
    torch = pytest.importorskip("torch", reason="the PyTorch oracle needs torch")
    lite = pytest.importorskip(
        "efficientnet_lite_pytorch", reason="the PyTorch oracle: pip install efficientnet-lite-pytorch"
    )
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
