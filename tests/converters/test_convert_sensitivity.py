"""Which operation int8 hurts most: by hand on one convolution, and on a model that was made hard."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from convert_graphs import graph

from edgecv.bundle import Sensitivity
from edgecv.converters.sensitivity import operations, rank, round_activations, round_weights
from edgecv.spec import Preprocess
from edgecv.tasks import sqnr_db

# A residual block, then a projection without activation that only the head reads.
BODY = """
[stem] s = Conv <strides = [2, 2], pads = [1, 1, 1, 1]> (x, w_stem, b_stem) r = Clip(s, zero, six)
[block] t = Conv (r, w_block, b_block) [add] a = Add(t, r)
[project] p = Conv (a, w_project, b_project)
[head] h = Conv (p, w_head, b_head) c = Clip(h, zero, six)
[pool] g = GlobalAveragePool(c) [flatten] f = Flatten(g) [classifier] logits = Gemm <transB = 1> (f, w, b)
"""
SHAPES = {
    **{"w_stem": (8, 3, 3, 3), "w_block": (8, 8, 1, 1), "w_project": (12, 8, 1, 1), "w_head": (32, 12, 1, 1)},
    **{"b_stem": (8,), "b_block": (8,), "b_project": (12,), "b_head": (32,), "w": (10, 32), "b": (10,)},
}
RULE = Preprocess(size_hw=(32, 32), mean=(127.5,) * 3, std=(127.5,) * 3)


def classifier(**weights: np.ndarray) -> onnx.ModelProto:
    limits = {"zero": np.float32(0), "six": np.float32(6)}
    return graph("float[1,3,32,32] x", BODY, {**SHAPES, **weights, **limits}, outputs=("logits",))


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    """[6, 32, 32, 3] uint8: random colours with smooth passages between them."""
    import cv2

    small = np.random.default_rng(0).integers(0, 256, (6, 4, 5, 3), dtype=np.uint8)
    return np.stack([cv2.resize(picture, (32, 32), interpolation=cv2.INTER_CUBIC) for picture in small])


def ranked(model: onnx.ModelProto, images: np.ndarray, rule: Preprocess = RULE) -> tuple[Sensitivity, ...]:
    told: list[int] = []
    found = rank(model, rule, images, 1, told.append)
    assert sum(told) == len(operations(model)) == len(found)
    return found


def test_a_channel_a_thousand_times_larger_is_found(images: np.ndarray) -> None:
    """One output of `project` times 1000, the head's weights for it by 1000: the same answers in float."""
    model = classifier()
    easy = ranked(model, images)
    weights = {c.name: onnx.numpy_helper.to_array(c) for c in model.graph.initializer}
    factor = np.ones(12, np.float32)
    factor[3] = 1000
    weights["w_project"] = weights["w_project"] * factor[:, None, None, None]
    weights["b_project"] = weights["b_project"] * factor
    weights["w_head"] = weights["w_head"] / factor[None, :, None, None]
    hard = ranked(classifier(**weights), images)
    # The tensor between the two is what one scale cannot hold.
    assert {s.name for s in hard[:2]} == {"project", "head"}
    before = {s.name: s.sqnr_db for s in easy}
    for position, s in enumerate(hard):
        lost = before[s.name] - s.sqnr_db
        assert lost > 15 if position < 2 else abs(lost) < 0.5, (s, lost)


def test_the_worst_is_first_and_every_operation_is_there(images: np.ndarray) -> None:
    found = ranked(classifier(), images)
    values = [s.sqnr_db for s in found]
    assert values == sorted(values)
    assert all(15 < value < 80 for value in values)
    assert {s.name: s.operator for s in found} == {
        "stem": "Conv+Clip",
        "block": "Conv",
        "add": "Add",
        "project": "Conv",
        "head": "Conv+Clip",
        "pool": "GlobalAveragePool",
        "classifier": "Gemm",
    }


def test_one_convolution_by_hand() -> None:
    model = graph(
        "float[1,3,4,4] x",
        "[c] c = Conv (x, w, b) r = Relu (c) logits = Flatten (r)",
        {"w": (5, 3, 1, 1), "b": (5,)},
        outputs=("logits",),
    )
    w, b = (onnx.numpy_helper.to_array(constant) for constant in model.graph.initializer)
    rule = Preprocess(size_hw=(4, 4), mean=(100.0, 110.0, 120.0), std=(50.0, 60.0, 70.0))
    images = np.random.default_rng(1).integers(0, 256, (3, 4, 4, 3), dtype=np.uint8)
    x = ((images.astype(np.float64) - rule.mean) / rule.std).transpose(0, 3, 1, 2)

    def layer(x: np.ndarray, w: np.ndarray) -> np.ndarray:
        return np.maximum(np.einsum("ncij,oc->noij", x, w[:, :, 0, 0]) + b[None, :, None, None], 0)

    scale = np.abs(w).max(axis=(1, 2, 3), keepdims=True) / 127
    rounded = layer(_uint8(x), np.rint(w / scale) * scale)
    y = layer(x, w)
    step = y.max() / 255  # of the float answers over all pictures
    expected = sqnr_db(y, np.clip(np.rint(rounded / step), 0, 255) * step)
    (found,) = ranked(model, images, rule)
    assert (found.name, found.operator) == ("c", "Conv+Relu")
    assert found.sqnr_db == pytest.approx(expected, abs=0.1)


def _uint8(x: np.ndarray) -> np.ndarray:
    step = (x.max() - x.min()) / 255
    zero = np.rint(-x.min() / step)
    return (np.clip(np.rint(x / step) + zero, 0, 255) - zero) * step


CONV = "[c] c = Conv (x, w) "


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        # the activation belongs to the convolution, in one step or more
        (CONV + "y = Relu(c)", [("c", "Conv+Relu", 1)]),
        (CONV + "s = Sigmoid(c) y = Mul(c, s)", [("c", "Conv+Sigmoid+Mul", 3)]),
        (CONV + "s = HardSigmoid(c) y = Mul(s, c)", [("c", "Conv+HardSigmoid+Mul", 3)]),
        (CONV + "y = HardSwish(c)", [("c", "Conv+HardSwish", 2)]),
        # a swish that is written behind another branch
        (
            CONV
            + "[p] p = MaxPool <kernel_shape = [1, 1]> (x) s = Sigmoid(c) m = Mul(c, s) [a] y = Add(m, p)",
            [("c", "Conv+Sigmoid+Mul", 3), ("p", "MaxPool", 1), ("a", "Add", 1)],
        ),
        # squeeze and excite: the gate multiplies something else than what it was made of
        (
            "[g] g = GlobalAveragePool(x) [c] c = Conv(g, w) s = Sigmoid(c) [m] y = Mul(x, s)",
            [("g", "GlobalAveragePool", 1), ("c", "Conv+Sigmoid", 2), ("m", "Mul", 1)],
        ),
        # a third reader needs the convolution's own value
        (
            CONV + "[s] s = Sigmoid(c) [m] m = Mul(c, s) [a] y = Add(m, c)",
            [("c", "Conv", 1), ("s", "Sigmoid", 1), ("m", "Mul", 1), ("a", "Add", 1)],
        ),
        # an addition with the ReLU behind it, as in a residual block
        (CONV + "[a] a = Add(c, x) y = Relu(a)", [("c", "Conv", 1), ("a", "Add+Relu", 1)]),
        # limits that are nodes, one of them written behind the convolution
        (
            "lo = Constant <value_float = 0.0> () " + CONV
            + "hi = Constant <value_float = 6.0> () y = Clip(c, lo, hi)",
            [("c", "Conv+Clip", 1)],
        ),
        # a node without a name goes by its output's; what only moves values is not ranked
        ("t = Transpose <perm = [0, 1, 3, 2]> (x) y = Relu(t)", [("y", "Relu", 1)]),
    ],
)  # fmt: skip
def test_operations(body: str, expected: list[tuple[str, str, int]]) -> None:
    model = graph("float[1,3,4,4] x", body, {"w": (3, 3, 1, 1)} if "w)" in body else None)
    found = operations(model)
    assert [(o.name, o.operator, len(o.steps)) for o in found] == expected
    images = np.random.default_rng(0).integers(0, 256, (2, 4, 4, 3), dtype=np.uint8)
    assert len(ranked(model, images, Preprocess(size_hw=(4, 4), std=(255.0,) * 3))) == len(expected)


def test_a_product_with_its_bias() -> None:
    model = graph(
        "float[1,3,4,4] x",
        "f = Flatten(x) [m] m = MatMul(f, w) b = Add(m, bias) r = Relu(b) [n] logits = MatMul(r, v)",
        {"w": (48, 8), "bias": (8,), "v": (8, 5)},
        outputs=("logits",),
    )
    assert [(o.name, o.operator) for o in operations(model)] == [("m", "MatMul+Add+Relu"), ("n", "MatMul")]
    images = np.random.default_rng(0).integers(0, 256, (2, 4, 4, 3), dtype=np.uint8)
    found = ranked(model, images, Preprocess(size_hw=(4, 4), std=(255.0,) * 3))
    assert all(20 < s.sqnr_db < 70 for s in found)


floats = st.floats(-1e4, 1e4, width=32)


@given(hnp.arrays(np.float32, hnp.array_shapes(max_dims=3, max_side=6), elements=floats))
def test_activations_are_half_a_step_away_at_most(values: np.ndarray) -> None:
    low, high = float(values.min()), float(values.max())
    rounded = round_activations(values, low, high)
    step = (max(high, 0) - min(low, 0)) / 255
    assert rounded.dtype == np.float32
    assert np.abs(rounded - values).max() <= step * 0.501 + 1e-3
    assert len(np.unique(rounded)) <= 256
    assert (rounded[values == 0] == 0).all()  # padding stays what it is


@given(hnp.arrays(np.float32, (4, 3, 2, 2), elements=floats), st.sampled_from([0, 1, -1]))
def test_weights_have_a_scale_a_channel(weights: np.ndarray, axis: int) -> None:
    rounded = round_weights(weights, axis)
    assert rounded.dtype == np.float32
    for channel, exact in zip(np.moveaxis(rounded, axis, 0), np.moveaxis(weights, axis, 0), strict=True):
        assert np.abs(channel - exact).max() <= np.abs(exact).max() / 254 * 1.001 + 1e-30
        assert len(np.unique(channel)) <= 255
