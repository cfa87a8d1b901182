from __future__ import annotations

import math
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecv.tasks import best, classify, softmax, top_indices
from edgecv.timing import Latency, nearest_rank


@pytest.mark.parametrize(
    ("percent", "expected"),
    [
        (5, 15),  # ceil(0.25) = 1st; the worked example of the nearest-rank rule in Wikipedia, "Percentile"
        (30, 20),  # ceil(1.5) = 2nd
        (40, 20),  # exactly the 2nd
        (50, 35),  # ceil(2.5) = 3rd
        (100, 50),  # the largest
    ],
)
def test_nearest_rank(percent: float, expected: int) -> None:
    assert nearest_rank([15, 20, 35, 40, 50], percent) == expected


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=50), st.floats(0.1, 100))
def test_a_percentile_is_a_sample_with_enough_samples_at_or_below_it(
    samples: list[float], percent: float
) -> None:
    value = nearest_rank(sorted(samples), percent)
    assert value in samples
    assert sum(sample <= value for sample in samples) >= percent / 100 * len(samples) - 1e-9
    assert sum(sample < value for sample in samples) < percent / 100 * len(samples) + 1e-9


def test_summary_of_known_latencies() -> None:
    summary = Latency.of([float(i) for i in range(1, 101)])
    assert (summary.samples, summary.p50_ms, summary.p90_ms, summary.p99_ms, summary.max_ms) == (
        100,
        50,
        90,
        99,
        100,
    )
    assert summary.mean_ms == 50.5
    with pytest.raises(ValueError, match="no latency samples"):
        Latency.of([])


def test_softmax_of_known_logits_and_of_huge_ones() -> None:
    scores = softmax(np.float32([0, math.log(3)]))
    assert scores == pytest.approx([0.25, 0.75])
    assert softmax(np.float32([[1e4, 0], [-1e4, 0]])) == pytest.approx(np.float32([[1, 0], [0, 1]]))


VALUES = st.one_of(st.sampled_from([0.0, -0.0, 1.0, 2.0, math.nan, math.inf]), st.floats(0, 10, width=32))


@given(st.lists(VALUES, min_size=1, max_size=40), st.integers(1, 45), st.randoms(use_true_random=False))
def test_the_best_are_the_first_of_all_that_are_sorted(values: list[float], k: int, random: Random) -> None:
    scores, labels = np.float32(values), [str(i) for i in range(len(values))]
    assert [p.index for p in best(scores, labels, k)] == top_indices(scores, k).tolist()
    shown = np.array([random.random() < 0.5 for _ in values])
    expected = [i for i in top_indices(scores, len(values)).tolist() if shown[i]][:k]
    assert [p.index for p in best(scores, labels, k, shown)] == expected


def test_ties_go_to_the_lower_index() -> None:
    assert top_indices(np.float32([1, 3, 3, 0]), 3).tolist() == [1, 2, 0]


def test_classify_names_the_best() -> None:
    top = classify(np.float32([[0, 2, 1]]), ("a", "b", "c"), 2)
    assert [(p.index, p.label) for p in top] == [(1, "b"), (2, "c")]
    assert top[0].score == pytest.approx(math.exp(2) / (1 + math.exp(1) + math.exp(2)), rel=1e-5)
    assert len(classify(np.float32([1, 2]), ("a", "b"), 5)) == 2
