"""Edits of the float graph before int8: equalisation changes nothing, both bring int8 nearer to float."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("onnxruntime", reason="the preparations run the float graph")

import convert_tiny
import onnx
from onnx import helper, numpy_helper

from edgecv.converters import preparation
from edgecv.converters.float_graph import build_onnx
from edgecv.converters.verify import float_logits
from edgecv.spec import Preprocess
from edgecv.tasks import sqnr_db

HARD = 1000.0  # what one channel is scaled by
CHANNEL = 3


def nothing(_: int) -> None:
    pass


def pictures(count: int, seed: int = 0, size: int = 32) -> np.ndarray:
    """[N, size, size, 3] uint8: smooth noise."""
    import cv2

    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (count, 4, 4, 3), dtype=np.uint8)
    return np.stack([cv2.resize(image, (size, size), interpolation=cv2.INTER_CUBIC) for image in small])


def tiny_graph(tmp_path, seed: int = 0) -> onnx.ModelProto:
    path = convert_tiny.write_weights(tmp_path / "tiny.npz", seed)
    weights = convert_tiny.read_npz(path, convert_tiny.ARCHITECTURE).layers
    return build_onnx("tiny", convert_tiny.ARCHITECTURE, weights, convert_tiny.RULE.size_hw)


def made_hard(model: onnx.ModelProto) -> onnx.ModelProto:
    """An equal graph: one channel behind block1.project times HARD, taken back where it is read."""
    hard = onnx.ModelProto()
    hard.CopyFrom(model)
    constants = {constant.name: constant for constant in hard.graph.initializer}
    # block2 has a skip: the sum of both projections is what the head reads.
    for name, where, factor in (
        ("block1.project.weight", np.s_[CHANNEL], HARD),
        ("block1.project.bias", np.s_[CHANNEL], HARD),
        ("block2.expand.weight", np.s_[:, CHANNEL], 1 / HARD),
        ("block2.project.weight", np.s_[CHANNEL], HARD),
        ("block2.project.bias", np.s_[CHANNEL], HARD),
        ("head.weight", np.s_[:, CHANNEL], 1 / HARD),
    ):
        array = numpy_helper.to_array(constants[name]).copy()
        array[where] *= factor
        constants[name].CopyFrom(numpy_helper.from_array(array, name))
    return hard


def logits(model: onnx.ModelProto, images: np.ndarray) -> np.ndarray:
    return float_logits(model, convert_tiny.RULE, images, 1, nothing)


def int8_db(model: onnx.ModelProto, images: np.ndarray, reference: np.ndarray) -> float:
    answers = preparation._int8_logits(model, convert_tiny.RULE, images, images, 1)
    return sqnr_db(reference, answers)


def test_equalisation_leaves_the_function_as_it_is(tmp_path) -> None:
    model, images = tiny_graph(tmp_path), pictures(8)
    edited = preparation.equalised(model, convert_tiny.RULE, images, 1, nothing)
    assert edited != model
    expected = logits(model, images)
    np.testing.assert_allclose(logits(edited, images), expected, atol=1e-5 * np.abs(expected).max())


def test_equalisation_undoes_a_channel_that_was_scaled(tmp_path) -> None:
    """int8 collapses on the hard model, and is as good as on the plain one once its channels are equal."""
    plain, images = tiny_graph(tmp_path), pictures(16)
    hard = made_hard(plain)
    reference = logits(plain, images)
    np.testing.assert_allclose(logits(hard, images), reference, atol=1e-4)  # the same function
    eased = preparation.equalised(hard, convert_tiny.RULE, images, 1, nothing)
    before, after = int8_db(hard, images, reference), int8_db(eased, images, reference)
    assert before < 15
    assert after > int8_db(plain, images, reference) - 1
    assert after > 20


def test_bias_correction_centres_the_error_of_the_weights(tmp_path) -> None:
    """With int8 weights and float values the mean of a layer is nearer with the correction than without."""
    model, images = tiny_graph(tmp_path), pictures(16)
    edited = preparation.bias_corrected(model, convert_tiny.RULE, images, 1, nothing)

    def stem(graph: onnx.ModelProto, rounded: bool) -> np.ndarray:
        """[8] means of the stem's sums over the pictures, with int8 weights or float ones."""
        from edgecv.converters.graph import normalise

        constants = {c.name: numpy_helper.to_array(c) for c in graph.graph.initializer}
        weight, bias = constants["stem.weight"], constants["stem.bias"]
        if rounded:
            scale = np.abs(weight).max(axis=(1, 2, 3), keepdims=True) / 127
            weight = np.round(weight / scale) * scale
        x = normalise(images, convert_tiny.RULE)
        inner = x[:, :, 1:-1, 1:-1].mean(axis=(0, 2, 3))
        return (weight.sum(axis=(2, 3)) * inner).sum(axis=1) + bias

    exact = stem(model, rounded=False)
    assert np.abs(stem(edited, True) - exact).mean() < 0.5 * np.abs(stem(model, True) - exact).mean()


@pytest.mark.parametrize(
    ("operator", "attributes"),
    [
        ("Sigmoid", {}),  # not homogeneous: a scale cannot pass
        ("Clip", {}),  # its bounds are numbers
        ("Softmax", {"axis": 1}),  # mixes the channels
    ],
)
def test_a_value_that_a_curve_reads_is_left_alone(operator: str, attributes: dict) -> None:
    rng = np.random.default_rng(0)
    bounds = ["low", "high"] if operator == "Clip" else []
    constants = {
        "w1": rng.standard_normal((4, 3, 1, 1)),
        "b1": rng.standard_normal(4),
        "w2": rng.standard_normal((5, 4, 1, 1)),
        "b2": rng.standard_normal(5),
        **({"low": np.float32(0), "high": np.float32(1)} if bounds else {}),
    }
    model = helper.make_model(
        helper.make_graph(
            [
                helper.make_node("Conv", ["input", "w1", "b1"], ["a"]),
                helper.make_node(operator, ["a", *bounds], ["b"], **attributes),
                helper.make_node("Conv", ["b", "w2", "b2"], ["c"]),
                helper.make_node("GlobalAveragePool", ["c"], ["d"]),
                helper.make_node("Flatten", ["d"], ["logits"]),
            ],
            "curve",
            [helper.make_tensor_value_info("input", onnx.TensorProto.FLOAT, [1, 3, 8, 8])],
            [helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, [1, 5])],
            [numpy_helper.from_array(np.float32(array), name) for name, array in constants.items()],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    rule = Preprocess(size_hw=(8, 8))
    assert preparation.equalised(model, rule, pictures(2, size=8), 1, nothing) == model


def test_each_step_is_used_only_when_it_was_measured_to_help(tmp_path) -> None:
    hard, images = made_hard(tiny_graph(tmp_path)), pictures(32)
    graph, exact, steps = preparation.choose(hard, convert_tiny.RULE, images, 1, nothing)
    equal, correct = steps
    assert equal.step == "channels equalised"
    assert equal.used
    assert equal.sqnr_db > equal.without_db + 5
    assert correct.without_db == equal.sqnr_db
    assert correct.used == (correct.sqnr_db > correct.without_db + 0.1)
    assert exact != made_hard(tiny_graph(tmp_path))
    assert (graph == exact) == (not correct.used)


def test_too_few_pictures_measure_nothing(tmp_path) -> None:
    model = tiny_graph(tmp_path)
    assert preparation.choose(model, convert_tiny.RULE, pictures(15), 1, nothing) == (model, model, ())
