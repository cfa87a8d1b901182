"""The blocks as data, the float graph built from them, and the edits that put an image in front of it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecv.converters.architecture import (
    EFFICIENTNET_LITE0,
    MOBILENET_V2,
    Architecture,
    Blocks,
    Weights,
    build_onnx,
    fold_batch_norm,
    layers,
    same_padding,
)
from edgecv.converters.graph import normalise, with_image_input, with_integer_mean, with_nhwc_input
from edgecv.errors import ConversionError, ModelError
from edgecv.spec import Preprocess

TINY = Architecture(stem=4, stages=(Blocks(1, 3, 1, 1, 4), Blocks(2, 5, 2, 2, 6)), head=8, classes=5)
SIZE = (12, 10)

IMAGENET = Preprocess(size_hw=SIZE, mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375))
KERAS = Preprocess(size_hw=SIZE, mean=(127.5,) * 3, std=(127.5,) * 3)
WHOLE = Preprocess(size_hw=SIZE, mean=(127.0,) * 3, std=(128.0,) * 3)


def weights_of(architecture: Architecture, seed: int = 0) -> dict[str, Weights]:
    rng = np.random.default_rng(seed)
    return {
        layer.name: Weights(
            (rng.standard_normal(layer.weight_shape) / np.sqrt(np.prod(layer.weight_shape[1:]))).astype("f4"),
            rng.standard_normal(layer.outputs).astype("f4"),
        )
        for layer in layers(architecture)
    }


def pictures(count: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, *SIZE, 3), dtype=np.uint8)


def answer(model, array: np.ndarray) -> np.ndarray:
    onnxruntime = pytest.importorskip("onnxruntime", reason="an engine to run the graph")
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: array})[0]


@pytest.fixture
def tiny():
    pytest.importorskip("onnx", reason="a converting test: pip install edgecv[convert]")
    return build_onnx("tiny", TINY, weights_of(TINY), SIZE)


# -- the description -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("architecture", "convolutions", "published", "counted_of_a_batch_norm"),
    [
        # keras.applications.MobileNetV2 counts gamma, beta and both moving statistics of a batch norm
        (MOBILENET_V2, 52, 3_538_984, 4),
        # timm and the EfficientNet-Lite0 paper count gamma and beta: statistics are not parameters there
        (EFFICIENTNET_LITE0, 49, 4_652_008, 2),
    ],
)
def test_parameter_count_is_the_published_one(
    architecture: Architecture, convolutions: int, published: int, counted_of_a_batch_norm: int
) -> None:
    """Folding turns the parameters of a batch norm into one bias a channel."""
    every = list(layers(architecture))
    normalised = [layer for layer in every if layer.kernel]
    folded = sum(int(np.prod(layer.weight_shape)) + layer.outputs for layer in every)
    channels = sum(layer.outputs for layer in normalised)
    assert len(normalised) == convolutions
    assert folded + (counted_of_a_batch_norm - 1) * channels == published


def test_layers_of_a_tiny_architecture() -> None:
    assert [layer.name for layer in layers(TINY)] == [
        "stem",
        "block0.depthwise",  # expand 1: nothing to expand
        "block0.project",
        "block1.expand",
        "block1.depthwise",
        "block1.project",
        "block2.expand",
        "block2.depthwise",
        "block2.project",
        "head",
        "classifier",
    ]
    # block 1 changes the width and the size: only the others can skip
    assert [layer.name for layer in layers(TINY) if layer.skip] == ["block0.project", "block2.project"]


@given(size=st.integers(1, 64), kernel=st.integers(1, 9), stride=st.integers(1, 5))
def test_same_padding_is_the_least_that_gives_the_output_size(size: int, kernel: int, stride: int) -> None:
    wanted = -(-size // stride)
    least = next(p for p in range(kernel + stride) if size + p >= (wanted - 1) * stride + kernel)
    before, after = same_padding(size, kernel, stride)
    assert before + after == least
    assert after - before in (0, 1)  # the odd pixel goes to the end
    if before + after:
        assert (size + before + after - kernel) // stride + 1 == wanted


def test_fold_batch_norm_by_hand() -> None:
    # gamma 3, beta 1, mean 2, variance 3 + epsilon 1: scale 3 / 2, so y = 1.5 * w * x + 1 - 1.5 * 2
    one = [np.full(1, v, np.float32) for v in (3, 1, 2, 3)]
    folded = fold_batch_norm(np.full((1, 1, 1, 1), 4, np.float32), *one, epsilon=1.0)
    assert folded.weight.item() == 6
    assert folded.bias.item() == -2
    assert folded.weight.dtype == folded.bias.dtype == np.float32


# -- the graph -------------------------------------------------------------------------------------


def test_graph_is_what_the_blocks_say(tiny) -> None:
    """Against the blocks written out by hand, convolution by convolution."""
    weights = weights_of(TINY)
    picture = normalise(pictures(1), WHOLE)

    def conv(x: np.ndarray, name: str, stride: int = 1, relu6: bool = True) -> np.ndarray:
        weight, bias = weights[name]
        outputs, per_group, k, _ = weight.shape
        top, bottom = same_padding(x.shape[2], k, stride)
        left, right = same_padding(x.shape[3], k, stride)
        x = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))
        windows = np.lib.stride_tricks.sliding_window_view(x, (k, k), (2, 3))[:, :, ::stride, ::stride]
        if per_group == 1 and outputs == x.shape[1]:
            y = np.einsum("nchwij,cij->nchw", windows, weight[:, 0])
        else:
            y = np.einsum("nchwij,ocij->nohw", windows, weight)
        y = y + bias[:, None, None]
        return np.clip(y, 0, 6) if relu6 else y

    x = conv(picture, "stem", 2)
    x = x + conv(conv(x, "block0.depthwise"), "block0.project", relu6=False)
    x = conv(conv(conv(x, "block1.expand"), "block1.depthwise", 2), "block1.project", relu6=False)
    x = x + conv(conv(conv(x, "block2.expand"), "block2.depthwise"), "block2.project", relu6=False)
    x = conv(x, "head").mean((2, 3))
    expected = x @ weights["classifier"].weight.T + weights["classifier"].bias
    np.testing.assert_allclose(answer(tiny, picture), expected, rtol=1e-4, atol=1e-5)


def nan_bias(weights: dict[str, Weights]) -> None:
    weights["block1.expand"].bias[2] = np.nan


def infinite_weight(weights: dict[str, Weights]) -> None:
    weights["head"].weight[0, 0] = -np.inf


def no_layer(weights: dict[str, Weights]) -> None:
    del weights["block2.project"]


def other_width(weights: dict[str, Weights]) -> None:
    weights["stem"] = Weights(np.zeros((8, 3, 3, 3), np.float32), np.zeros(8, np.float32))


def other_bias(weights: dict[str, Weights]) -> None:
    weights["stem"] = weights["stem"]._replace(bias=np.zeros(3, np.float32))


def other_classes(weights: dict[str, Weights]) -> None:
    weights["classifier"] = Weights(np.zeros((6, 8), np.float32), np.zeros(6, np.float32))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (no_layer, r"no layer block2.project: they belong to another model"),
        (other_width, r"layer stem: weight has shape \(8, 3, 3, 3\), this model's is \(4, 3, 3, 3\)"),
        (other_bias, r"layer stem: bias has shape \(3,\), this model's is \(4,\)"),
        (other_classes, r"layer classifier: weight has shape \(6, 8\), this model's is \(5, 8\)"),
        (nan_bias, r"layer block1.expand: bias holds NaN or infinite values"),
        (infinite_weight, r"layer head: weight holds NaN or infinite values"),
    ],
)
def test_weights_that_do_not_fit_are_named(damage, message: str) -> None:
    pytest.importorskip("onnx", reason="a converting test: pip install edgecv[convert]")
    weights = weights_of(TINY)
    damage(weights)
    with pytest.raises(ModelError, match=message):
        build_onnx("tiny", TINY, weights, SIZE)


# -- the image in front ----------------------------------------------------------------------------


def test_normalise_by_hand() -> None:
    rule = Preprocess(size_hw=(1, 2), mean=(1.0, 2.0, 3.0), std=(2.0, 4.0, 8.0))
    image = np.array([[[[1, 2, 3], [5, 10, 19]]]], np.uint8)  # two pixels, RGB
    assert normalise(image, rule).tolist() == [[[[0.0, 2.0]], [[0.0, 2.0]], [[0.0, 2.0]]]]


@pytest.mark.parametrize("rule", [IMAGENET, KERAS, WHOLE], ids=["ImageNet", "127.5", "127 and 128"])
def test_image_input_equals_normalising_first(tiny, rule: Preprocess) -> None:
    for image in pictures():
        expected = answer(tiny, normalise(image[None], rule))
        got = answer(with_image_input(tiny, rule), image[None])
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)


def test_nhwc_input_equals_transposing_first(tiny) -> None:
    array = normalise(pictures(1), WHOLE)
    got = answer(with_nhwc_input(tiny, WHOLE), np.ascontiguousarray(array.transpose(0, 2, 3, 1)))
    np.testing.assert_array_equal(got, answer(tiny, array))


@pytest.mark.parametrize(
    ("rule", "mean", "std"),
    [
        (KERAS, 128.0, 127.5),  # 127.5 to the even neighbour
        (IMAGENET, 114.0, 57.63),  # the mean of the channels, rounded; the mean of the deviations
    ],
    ids=["127.5", "ImageNet"],
)
def test_integer_mean_is_exact_inside_the_border(tiny, rule: Preprocess, mean: float, std: float) -> None:
    """The first convolution of both graphs, where its kernel does not reach into the padding."""
    edited, whole = with_integer_mean(tiny, rule)
    assert whole.mean == (mean,) * 3
    assert whole.std == pytest.approx((std,) * 3)
    assert whole.size_hw == rule.size_hw

    def stem(model, rule: Preprocess) -> np.ndarray:
        import onnx

        inner = onnx.utils.Extractor(onnx.shape_inference.infer_shapes(model))
        graph = inner.extract_model(["input"], ["stem.out"])
        return answer(graph, normalise(pictures(1), rule))[:, :, :-1, :-1]  # SAME at stride 2 pads the end

    np.testing.assert_allclose(stem(edited, whole), stem(tiny, rule), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("rule", "tolerance"),
    # The border stands for the whole mean instead of the true one. ImageNet's channels have means 10
    # levels (0.2 std) either side of theirs, and this picture is mostly border.
    [(KERAS, 0.01), (IMAGENET, 0.25)],
    ids=["127.5", "ImageNet"],
)
def test_integer_mean_hardly_changes_the_answer(tiny, rule: Preprocess, tolerance: float) -> None:
    edited, whole = with_integer_mean(tiny, rule)
    for image in pictures():
        before, after = (
            answer(tiny, normalise(image[None], rule)),
            answer(edited, normalise(image[None], whole)),
        )
        np.testing.assert_allclose(after, before, atol=tolerance)


def test_integer_mean_leaves_a_whole_rule_alone(tiny) -> None:
    assert with_integer_mean(tiny, WHOLE) == (tiny, WHOLE)


def test_integer_mean_needs_one_convolution_first(tiny) -> None:
    tiny.graph.node[0].op_type = "MaxPool"
    tiny.graph.node[0].name = "first"
    with pytest.raises(ConversionError, match=r"node first: int8 needs an input feeding one convolution"):
        with_integer_mean(tiny, KERAS)
