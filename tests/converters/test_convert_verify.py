"""The numbers that compare an artifact with its float source, by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecv.converters.verify import agreement, float_logits
from edgecv.spec import Preprocess
from edgecv.tasks import sqnr_db


def rows(*values: list[float]) -> np.ndarray:
    return np.array(values, np.float32)


@pytest.mark.parametrize(
    ("reference", "other", "db"),
    [
        # signal 3^2 + 4^2 = 25, noise 0.5^2 = 0.25: a hundredth
        ([3, 4], [3, 4.5], 20.0),
        # over all rows together, not the mean of each: 100 + 1 to 1
        ([10, 1], [10, 0], 10 * np.log10(101)),
        # as much noise as signal
        ([2, 0], [0, 0], 0.0),
        # noise is larger: the sign turned
        ([1, 1], [-1, -1], -10 * np.log10(4)),
        # equal: no noise to compare with
        ([1, 2], [1, 2], None),
    ],
)
def test_sqnr(reference: list[float], other: list[float], db: float | None) -> None:
    assert sqnr_db(rows(reference), rows(other)) == (None if db is None else pytest.approx(db))


@given(bits=st.integers(2, 10), seed=st.integers(0, 1000))
def test_sqnr_gains_six_db_a_bit(bits: int, seed: int) -> None:
    """Rounding a full-range uniform signal to b bits: 6.02 b dB."""
    signal = np.random.default_rng(seed).uniform(-1, 1, (100, 100)).astype(np.float32)
    step = 2 / 2**bits
    assert sqnr_db(signal, (np.floor(signal / step) + 0.5) * step) == pytest.approx(6.02 * bits, abs=0.3)


def test_agreement_by_hand() -> None:
    reference = rows([5, 4, 3, 2, 1, 0], [0, 1, 2, 3, 4, 5], [0, 9, 0, 0, 0, 1], [1, 0, 0, 0, 0, 0])
    other = rows(
        [5, 4, 3, 2, 1, 0],  # the same; its class is the top
        [0, 1, 2, 3, 4.5, 4],  # the first two have changed places
        [0, 9, 0, 0, 0, 1],  # the same; its class is the last of six: not in the top 5
        [1, 1, 0, 0, 0, 0],  # a tie goes to the lower index, as in the reference
    )
    result = agreement(reference, other, "four rows", labels=(0, 5, 4, 3))
    assert (result.images, result.pictures, result.labelled) == (4, "four rows", 4)
    assert result.top1_agreement == 0.75
    assert result.max_abs_error == 1.0
    assert result.top1 == 0.25
    assert result.top5 == 0.75
    assert result.sqnr_db == pytest.approx(10 * np.log10((55 + 55 + 82 + 1) / (0.25 + 1 + 1)))


def test_agreement_without_labels_says_nothing_of_accuracy() -> None:
    result = agreement(rows([1, 2, 3]), rows([1, 2, 3]), "one row")
    assert (result.labelled, result.top1, result.top5, result.sqnr_db) == (0, None, None, None)
    assert result.top1_agreement == 1.0


def test_float_logits_normalises_and_counts() -> None:
    pytest.importorskip("onnx", reason="a converting test: pip install edgecv[convert]")
    pytest.importorskip("onnxruntime", reason="an engine to run the graph")
    from convert_graphs import graph

    model = graph("float[1,3,2,2] input", "m = GlobalAveragePool(input) y = Flatten(m)")
    rule = Preprocess(size_hw=(2, 2), mean=(10.0, 20.0, 30.0), std=(1.0, 2.0, 5.0))
    images = np.zeros((2, 2, 2, 3), np.uint8)
    images[1] = [[[11, 22, 35], [13, 22, 35]], [[11, 22, 35], [13, 22, 45]]]
    seen: list[int] = []
    got = float_logits(model, rule, images, 1, seen.append)
    np.testing.assert_allclose(got, [[-10, -10, -6], [2, 1, 1.5]])
    assert seen == [1, 1]
