"""The graphs against the models' own frameworks where these are installed: keras.applications, PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest

for module in ("onnx", "onnxruntime", "h5py"):
    pytest.importorskip(module, reason="a converting test: pip install edgecv[convert]")

import onnxruntime

from edgecv.converters.architecture import macs
from edgecv.converters.graph import normalise
from edgecv.converters.models import get_model, load
from edgecv.converters.weights_sources import Download
from edgecv.data import load_pictures

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # the frameworks' own warnings


@pytest.fixture(scope="module")
def photos(shared: Path) -> Callable[[str], np.ndarray]:
    folder = shared / "data" / "nips17"
    return lambda name: load_pictures(folder, get_model(name).preprocess, 8).images


def noise(size_hw: tuple[int, int]) -> np.ndarray:
    """[2, H, W, 3] uint8: one of all levels, one darker, since the mean over a picture evens noise out."""
    return np.random.default_rng(7).integers(0, [[[[256]]], [[[64]]]], (2, *size_hw, 3), dtype=np.uint8)


def assert_logits_match(ours: np.ndarray, theirs: np.ndarray) -> None:
    """To 1e-4 of the largest logit: what is left is the order of float32 sums."""
    assert np.ptp(theirs, axis=0).max() > 0.01 * np.abs(theirs).max()  # the pictures matter
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-4 * np.abs(theirs).max())


def our_logits(name: str, path: Path | None, images: np.ndarray) -> np.ndarray:
    """images: [N, H, W, 3] uint8, of any size: the model is rebuilt for it."""
    model = get_model(name)
    size_hw = images.shape[1:3]
    model = model._replace(preprocess=msgspec.structs.replace(model.preprocess, size_hw=size_hw))
    loaded = load(model, path)
    settings = onnxruntime.SessionOptions()
    settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(
        loaded.graph.SerializeToString(), settings, providers=["CPUExecutionProvider"]
    )
    pictures = normalise(images, loaded.preprocess)
    return np.concatenate([session.run(None, {"input": picture[None]})[0] for picture in pictures])


# -- Keras -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def keras() -> Iterator[object]:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TensorFlow's own
        yield pytest.importorskip("tensorflow", reason="the Keras oracle: pip install edgecv[keras]").keras


def randomise(model, images: np.ndarray) -> None:
    """Weights that are not their defaults, and batch statistics as these pictures give them.

    Statistics drawn at random either silence the pictures or make a hundred layers so chaotic that float32
    is 1e-4 away from float64. Nothing but the layout is shared with the reader: Keras itself saves these.
    images: [N, H, W, 3] as the model takes them.
    """
    rng = np.random.default_rng(0)
    for layer in model.layers:
        kind = type(layer).__name__
        if kind == "BatchNormalization":
            gamma, beta, *statistics = layer.get_weights()
            scale, shift = rng.uniform(0.5, 1.5, gamma.shape), rng.normal(0, 0.2, beta.shape)
            layer.set_weights([scale, shift, *statistics])
            layer.momentum = 0.0
        elif kind in ("Conv2D", "Dense") and layer.use_bias:
            kernel, bias = layer.get_weights()
            layer.set_weights([kernel, rng.normal(0, 0.2, bias.shape)])
        elif kind == "Dropout":
            layer.rate = 0.0  # so that the statistics are those of inference
    model(np.float32(images), training=True)


def save(model, folder: Path, suffix: str) -> Path:
    path = folder / f"model{suffix}"
    (model.save_weights if suffix == ".weights.h5" else model.save)(path)
    return path


def mobilenet_input(images: np.ndarray) -> np.ndarray:
    normalised = normalise(images, get_model("mobilenetv2").preprocess)
    return np.ascontiguousarray(normalised.transpose(0, 2, 3, 1))


@pytest.mark.parametrize(
    ("name", "width", "size_hw", "suffix"),
    [
        ("mobilenetv2", 1.0, (224, 224), ".weights.h5"),
        ("mobilenetv2", 1.0, (224, 224), ".h5"),
        ("mobilenetv2-0.35-96", 0.35, (96, 96), ".weights.h5"),
        # odd sizes, not square: each stride pads by another rule
        ("mobilenetv2-0.35-224", 0.35, (97, 131), ".h5"),
        ("mobilenetv2-0.5-128", 0.5, (128, 128), ".weights.h5"),
        ("mobilenetv2-0.75-160", 0.75, (75, 50), ".weights.h5"),
        # wider than 1.0: the head grows too
        ("mobilenetv2-1.3-224", 1.3, (33, 96), ".weights.h5"),
        ("mobilenetv2-1.4-192", 1.4, (192, 192), ".h5"),
    ],
)
def test_mobilenet_is_that_of_keras_applications(
    name: str, width: float, size_hw: tuple[int, int], suffix: str, keras, tmp_path: Path
) -> None:
    model = keras.applications.MobileNetV2(
        input_shape=(*size_hw, 3), alpha=width, weights=None, classifier_activation=None
    )
    images = noise(size_hw)
    randomise(model, mobilenet_input(images))
    path = save(model, tmp_path, suffix)
    assert_logits_match(our_logits(name, path, images), np.asarray(model(mobilenet_input(images))))


def test_the_shared_mobilenet_is_that_of_keras_applications(
    keras, shared: Path, photos: Callable[[str], np.ndarray]
) -> None:
    path = shared / "models" / "mobilenetv2_1.0_224.weights.h5"
    model = keras.applications.MobileNetV2(weights=None, classifier_activation=None)
    model.load_weights(path)
    images = photos("mobilenetv2")
    assert_logits_match(our_logits("mobilenetv2", path, images), np.asarray(model(mobilenet_input(images))))


def efficientnet(keras, number: int, size_hw: tuple[int, int]):
    return getattr(keras.applications, f"EfficientNetB{number}")(
        input_shape=(*size_hw, 3), weights=None, classifier_activation=None
    )


def set_normalisation(model, mean: tuple[float, ...], variance: tuple[float, ...]) -> None:
    layer = next(layer for layer in model.layers if layer.name.startswith("normalization"))
    layer.set_weights([np.float32(mean), np.float32(variance), np.int32(0)])
    layer.finalize_state()


@pytest.mark.parametrize(
    ("number", "size_hw", "suffix"),
    [
        (0, (224, 224), ".weights.h5"),
        (0, (97, 131), ".h5"),
        (1, (75, 240), ".weights.h5"),
        (2, (130, 98), ".weights.h5"),
        (3, (130, 99), ".h5"),
    ],
)
def test_efficientnet_is_that_of_keras_applications(
    number: int, size_hw: tuple[int, int], suffix: str, keras, tmp_path: Path
) -> None:
    """Pixels of 0..255 into theirs, which normalises them; the rule of ours is read from their file."""
    model = efficientnet(keras, number, size_hw)
    set_normalisation(model, (0.4, 0.5, 0.6), (0.04, 0.05, 0.06))
    images = noise(size_hw)
    randomise(model, images)
    path = save(model, tmp_path, suffix)
    theirs = np.asarray(model(images.astype(np.float32)))
    assert_logits_match(our_logits(f"efficientnet-b{number}", path, images), theirs)


@pytest.mark.parametrize("suffix", [".weights.h5", ".h5"])
def test_the_correction_of_imagenet_weights_is_taken_from_the_file(
    suffix: str, keras, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """weights="imagenet" adds a Rescaling to the graph; the weights are ours, since there is no download."""
    size_hw = (224, 224)  # Keras takes no other with these weights
    made = efficientnet(keras, 0, size_hw)
    images = noise(size_hw)
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    set_normalisation(made, mean, tuple(s * s for s in std))
    randomise(made, images)
    set_normalisation(made, mean, std)  # as it is published
    published = save(made, tmp_path, ".h5")
    weights = tmp_path / "published.weights.h5"
    made.save_weights(weights)

    from keras.src.applications import efficientnet as module

    monkeypatch.setattr(module.file_utils, "get_file", lambda *_, **__: str(weights))
    model = keras.applications.EfficientNetB0(classifier_activation=None)
    theirs = np.asarray(model(images.astype(np.float32)))
    # as the server has it, without the second Rescaling; and as it is saved again, with it
    assert_logits_match(our_logits("efficientnet-b0", published, images), theirs)
    path = tmp_path / f"again{suffix}"
    (model.save_weights if suffix == ".weights.h5" else model.save)(path)
    assert_logits_match(our_logits("efficientnet-b0", path, images), theirs)
    loaded = load(get_model("efficientnet-b0"), path)
    assert loaded.preprocess == get_model("efficientnet-b0").preprocess  # the published rule, to the digit
    assert loaded.notes == ()


def test_the_hashes_are_those_in_the_source_of_keras_applications(keras) -> None:
    from keras.src.applications import efficientnet as module

    assert keras
    for number in range(8):
        url = f"{module.BASE_WEIGHTS_PATH}efficientnetb{number}.h5"
        published = Download(url, module.WEIGHTS_HASHES[f"b{number}"][0], "md5")
        assert get_model(f"efficientnet-b{number}").weights == published


# -- PyTorch ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch", reason="the PyTorch oracle needs torch")


@pytest.fixture(scope="module")
def lite():
    return pytest.importorskip(
        "efficientnet_lite_pytorch", reason="the PyTorch oracle: pip install efficientnet-lite-pytorch"
    ).EfficientNet.from_name


def torch_logits(torch, model, name: str, images: np.ndarray) -> np.ndarray:
    model.eval()
    with torch.no_grad():
        return model(torch.from_numpy(normalise(images, get_model(name).preprocess))).numpy()


@pytest.mark.parametrize("number", range(5))
def test_lite_is_that_of_its_pytorch_authors(number: int, torch, lite, tmp_path: Path) -> None:
    """Random weights and statistics, saved by PyTorch itself; its own count of multiplications, too."""
    from torch.utils.flop_counter import FlopCounterMode

    torch.manual_seed(0)
    name = f"efficientnet-lite{number}"
    model = lite(name)
    size_hw = get_model(name).preprocess.size_hw
    images = noise(size_hw)
    for module in model.modules():  # as in randomise
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, 0, 0.2)
            module.momentum = 1.0
    with torch.no_grad():
        model.train()(torch.from_numpy(normalise(images, get_model(name).preprocess)))
    path = tmp_path / "lite.pth"
    torch.save(model.state_dict(), path, _use_new_zipfile_serialization=False)
    with FlopCounterMode(display=False) as counter:
        theirs = torch_logits(torch, model, name, images)
    assert_logits_match(our_logits(name, path, images), theirs)
    assert counter.get_total_flops() == 2 * len(images) * macs(get_model(name).architecture, size_hw)


@pytest.mark.parametrize("number", range(3))
def test_real_lite_is_that_of_its_pytorch_authors(
    number: int, torch, lite, photos: Callable[[str], np.ndarray]
) -> None:
    name = f"efficientnet-lite{number}"
    weights = get_model(name).weights
    pytest.importorskip(weights.distribution.replace("-", "_"), reason=f"pip install {weights.distribution}")
    model = lite(name)
    model.load_state_dict(torch.load(weights.locate(), weights_only=True))
    images = photos(name)
    assert_logits_match(our_logits(name, None, images), torch_logits(torch, model, name, images))
