"""The blocks as data, what they count, the float graph built from them, and the image put in front of it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecv.converters.architecture import (
    Activation,
    Architecture,
    Blocks,
    Weights,
    fold_batch_norm,
    layers,
    macs,
    parameters,
    same_padding,
)
from edgecv.converters.families import (
    LITE_SCALES,
    MOBILENET_V2_SIZES,
    SCALES,
    efficientnet,
    efficientnet_lite,
    mobilenet_v2,
    round_channels,
)
from edgecv.converters.float_graph import build_onnx
from edgecv.converters.graph import normalise, with_image_input, with_integer_mean, with_nhwc_input
from edgecv.errors import ModelError
from edgecv.spec import Preprocess

TINY = Architecture(stem=4, stages=(Blocks(1, 3, 1, 1, 4), Blocks(2, 5, 2, 2, 6)), head=8, classes=5)
SQUEEZED = Architecture(
    stem=4,
    stages=(Blocks(1, 3, 1, 1, 4, squeeze=0.25), Blocks(2, 5, 2, 2, 8, squeeze=0.25)),
    head=8,
    classes=5,
    activation=Activation.SWISH,
)
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


def build(architecture: Architecture):
    pytest.importorskip("onnx", reason="a converting test: pip install edgecv[convert]")
    return build_onnx("tiny", architecture, weights_of(architecture), SIZE)


@pytest.fixture
def tiny():
    return build(TINY)


# -- the description -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("channels", "rounded"),
    [
        (32 * 0.35, 16),  # 11.2: the nearest is 8, which is more than 10 % less
        (96 * 0.35, 32),  # 33.6: 32 is less by 5 % only
        (5.6, 8),  # never less than 8
        (24 * 1.1, 24),
        (28, 32),  # the middle goes up
    ],
)
def test_channels_are_rounded_to_eights(channels: float, rounded: int) -> None:
    assert round_channels(channels) == rounded


@pytest.mark.parametrize(
    ("architecture", "counted"),
    [
        # keras.applications' count_params, which has all four numbers of a batch norm's channel
        (mobilenet_v2(0.35), 1_691_208),
        (mobilenet_v2(0.5), 1_987_224),
        (mobilenet_v2(0.75), 2_663_064),
        (mobilenet_v2(1.0), 3_538_984),
        (mobilenet_v2(1.3), 5_431_048),
        (mobilenet_v2(1.4), 6_156_712),
        # the same; its Normalization layer holds 7 numbers more: mean, variance and a count
        (efficientnet(SCALES[0]), 5_330_571 - 7),
        (efficientnet(SCALES[1]), 7_856_239 - 7),
        (efficientnet(SCALES[2]), 9_177_569 - 7),
        (efficientnet(SCALES[3]), 12_320_535 - 7),
        (efficientnet(SCALES[4]), 19_466_823 - 7),
        (efficientnet(SCALES[5]), 30_562_527 - 7),
        (efficientnet(SCALES[6]), 43_265_143 - 7),
        (efficientnet(SCALES[7]), 66_658_687 - 7),
    ],
)
def test_parameters_are_those_keras_counts(architecture: Architecture, counted: int) -> None:
    assert parameters(architecture, of_batch_norm=4) == counted


@pytest.mark.parametrize(
    ("width", "millions", "multiplications"),
    [
        # tensorflow/models, research/slim/nets/mobilenet/README: parameters without batch norms, and MACs
        # in millions at 96, 128, 160, 192 and 224 pixels; of 1.3 and 1.4 it has 224 only
        (1.4, 6.06, (None, None, None, None, 582)),
        (1.3, 5.34, (None, None, None, None, 509)),
        (1.0, 3.47, (56, 99, 154, 221, 300)),
        (0.75, 2.61, (39, 69, 107, 153, 209)),
        (0.5, 1.95, (18, 32, 50, 71, 97)),
        (0.35, 1.66, (11, 20, 30, 43, 59)),
    ],
)
def test_mobilenet_is_as_large_as_published(width: float, millions: float, multiplications) -> None:
    architecture = mobilenet_v2(width)
    assert round(parameters(architecture, of_batch_norm=0) / 1e6, 2) == millions
    for size, published in zip(MOBILENET_V2_SIZES, multiplications, strict=True):
        if published:  # cut, not rounded, there
            assert int(macs(architecture, (size, size)) / 1e6) == published


@pytest.mark.parametrize(
    ("number", "millions", "multiplications"),
    # tensorflow/tpu, models/official/efficientnet/lite/README.md
    [(0, 4.7, 407), (1, 5.4, 631), (2, 6.1, 899), (3, 8.2, 1440), (4, 13.0, 2640)],
)
def test_lite_is_as_large_as_published(number: int, millions: float, multiplications: int) -> None:
    """Parameters with gamma and beta. Its MAdds count more than convolutions, 3 to 6 % in all: 3 for every
    number that a convolution puts out, as batch norms and activations that are not folded would take.
    """
    scale = LITE_SCALES[number]
    architecture = efficientnet_lite(scale)
    assert round(parameters(architecture) / 1e6, 1) == millions
    side, outputs = scale.lite_size, 0
    for layer in layers(architecture):
        side = -(-side // layer.stride)
        outputs += layer.outputs * side**2 if layer.batch_norm else 0
    counted = macs(architecture, (scale.lite_size,) * 2) + 3 * outputs
    assert counted / 1e6 == pytest.approx(multiplications, rel=0.005)


@pytest.mark.parametrize(
    ("number", "millions", "billions"),
    # Tan and Le, 2019, table 2: parameters and "FLOPs", which are MACs; of the larger ones, roughly
    [
        (0, 5.3, 0.39),
        (1, 7.8, 0.70),
        (2, 9.2, 1.0),
        (3, 12, 1.8),
        (4, 19, 4.2),
        (5, 30, 9.9),
        (6, 43, 19),
        (7, 66, 37),
    ],
)
def test_efficientnet_is_as_large_as_published(number: int, millions: float, billions: float) -> None:
    architecture = efficientnet(SCALES[number])
    assert parameters(architecture) / 1e6 == pytest.approx(millions, rel=0.02)
    assert macs(architecture, (SCALES[number].size,) * 2) / 1e9 == pytest.approx(billions, rel=0.05)


def test_counts_of_a_tiny_architecture_by_hand() -> None:
    # stem 6x5: 3 to 4, 3x3 | depthwise 3x3, squeeze 4-1-4, project 4 to 4 | expand 8, depthwise 5x5 to 3x3,
    # squeeze 8-1-8, project 8 | expand 16, depthwise 5x5, squeeze 16-2-16, project 8 | head 8 | classifier 5
    at_stem = 108 + 36 + 16 + 32
    at_end = 200 + 64 + 128 + 400 + 128 + 64
    means = (4 + 4) + (8 + 8) + (32 + 32) + 40
    assert macs(SQUEEZED, SIZE) == 30 * at_stem + 9 * at_end + means
    biases = (1 + 4) + (1 + 8) + (2 + 16) + 5
    channels = 4 + 4 + 4 + 8 + 8 + 8 + 16 + 16 + 8 + 8
    assert parameters(SQUEEZED, of_batch_norm=0) == at_stem + at_end + means + biases
    assert parameters(SQUEEZED) == at_stem + at_end + means + biases + 2 * channels


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


def test_statistics_that_are_none_fold_to_no_number() -> None:
    # a negative variance under the root, and one that epsilon makes zero
    one = np.ones(2, np.float32)
    variance = np.float32([-2, -1])
    folded = fold_batch_norm(np.ones((2, 1, 1, 1), np.float32), one, one, one, variance, epsilon=1.0)
    assert not np.isfinite(folded.weight).any()


# -- the graph -------------------------------------------------------------------------------------


def convolve(weights: dict[str, Weights]):
    """A convolution by its definition, without an activation."""

    def conv(x: np.ndarray, name: str, stride: int = 1) -> np.ndarray:
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
        return y + bias[:, None, None]

    return conv


def test_graph_is_what_the_blocks_say(tiny) -> None:
    """Against the blocks written out by hand, convolution by convolution."""
    weights = weights_of(TINY)
    picture = normalise(pictures(1), WHOLE)
    linear = convolve(weights)

    def conv(x: np.ndarray, name: str, stride: int = 1) -> np.ndarray:
        return np.clip(linear(x, name, stride), 0, 6)

    x = conv(picture, "stem", 2)
    x = x + linear(conv(x, "block0.depthwise"), "block0.project")
    x = linear(conv(conv(x, "block1.expand"), "block1.depthwise", 2), "block1.project")
    x = x + linear(conv(conv(x, "block2.expand"), "block2.depthwise"), "block2.project")
    x = conv(x, "head").mean((2, 3))
    expected = x @ weights["classifier"].weight.T + weights["classifier"].bias
    np.testing.assert_allclose(answer(tiny, picture), expected, rtol=1e-4, atol=1e-5)


def test_graph_with_squeeze_and_excite_is_what_the_blocks_say() -> None:
    weights = weights_of(SQUEEZED)
    picture = normalise(pictures(1), WHOLE)
    linear = convolve(weights)

    def sigmoid(x: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-x))

    def conv(x: np.ndarray, name: str, stride: int = 1) -> np.ndarray:
        y = linear(x, name, stride)
        return y * sigmoid(y)

    def excite(x: np.ndarray, block: str) -> np.ndarray:
        mean = x.mean((2, 3), keepdims=True)
        return x * sigmoid(linear(conv(mean, f"{block}.se.reduce"), f"{block}.se.expand"))

    x = conv(picture, "stem", 2)
    x = x + linear(excite(conv(x, "block0.depthwise"), "block0"), "block0.project")
    x = conv(conv(x, "block1.expand"), "block1.depthwise", 2)
    x = linear(excite(x, "block1"), "block1.project")
    y = conv(conv(x, "block2.expand"), "block2.depthwise")
    x = x + linear(excite(y, "block2"), "block2.project")
    x = conv(x, "head").mean((2, 3))
    expected = x @ weights["classifier"].weight.T + weights["classifier"].bias
    np.testing.assert_allclose(answer(build(SQUEEZED), picture), expected, rtol=1e-4, atol=1e-5)


def test_every_node_is_named_after_its_layer() -> None:
    names = [node.name for node in build(SQUEEZED).graph.node]
    assert len({*names}) == len(names)
    assert [name for name in names if name.startswith("block1.")] == [
        "block1.expand",
        "block1.expand.sigmoid",
        "block1.expand.swish",
        "block1.depthwise",
        "block1.depthwise.sigmoid",
        "block1.depthwise.swish",
        "block1.se.squeeze",
        "block1.se.reduce",
        "block1.se.reduce.sigmoid",
        "block1.se.reduce.swish",
        "block1.se.expand",
        "block1.se.expand.sigmoid",
        "block1.se.excite",
        "block1.project",
    ]


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


def test_integer_mean_is_a_product_and_a_sum_where_no_convolution_is_first(tiny) -> None:
    from onnx import helper

    tiny.graph.node[0].input[0] = "shrunk"
    tiny.graph.node.insert(0, helper.make_node("Tanh", ["input"], ["shrunk"], name="first"))
    edited, whole = with_integer_mean(tiny, IMAGENET)
    assert whole.mean == (114.0,) * 3
    for image in pictures():
        before = answer(tiny, normalise(image[None], IMAGENET))
        np.testing.assert_allclose(answer(edited, normalise(image[None], whole)), before, atol=1e-5)
