"""Scores of classes and of calibration, against values worked out by hand."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecv.errors import UsageError
from edgecv.reports.classes import Bin, ClassScore, Confusion, confusions, ece, per_class, reliability

LABELS = ("cat", "dog", "owl", "fox")
TRUTH = (0, 0, 0, 0, 1, 1, 2, 2)
BEST = (0, 0, 1, 3, 1, 0, 1, 1)


def test_per_class() -> None:
    pytest.importorskip("sklearn")
    third, half, two_fifths = 1 / 3, 1 / 2, 2 / 5
    assert per_class(TRUTH, BEST, LABELS) == (
        # of three answered cat two are, of four cats two were found
        ClassScore(label="cat", n=4, precision=2 * third, recall=half, f1=pytest.approx(4 / 7)),
        # of four answered dog one is, of two dogs one was found
        ClassScore(label="dog", n=2, precision=1 / 4, recall=half, f1=pytest.approx(third)),
        # never answered
        ClassScore(label="owl", n=2, precision=0.0, recall=0.0, f1=0.0),
    )  # and no picture is a fox
    (one,) = per_class(np.array([3] * 5), np.array([3, 3, 0, 1, 2]), LABELS)
    assert (one.label, one.precision, one.recall) == ("fox", 1.0, two_fifths)
    assert per_class((), (), LABELS) == ()


def test_without_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.metrics", None)
    with pytest.raises(UsageError, match=r'need scikit-learn: pip install "edgecv\[report\]"$'):
        per_class(TRUTH, BEST, LABELS)


def test_confusions() -> None:
    found = confusions(TRUTH, BEST, LABELS, 3)
    assert found == (
        Confusion(truth="owl", answer="dog", count=2),  # the commonest
        Confusion(truth="cat", answer="dog", count=1),  # then by class
        Confusion(truth="cat", answer="fox", count=1),
    )
    assert confusions(TRUTH, BEST, LABELS, 9)[3:] == (Confusion(truth="dog", answer="cat", count=1),)
    assert confusions(TRUTH, TRUTH, LABELS, 9) == confusions((), (), LABELS, 9) == ()


@pytest.mark.parametrize(
    ("right", "score", "expected"),
    [
        # always right and certain of it
        ((1, 1), (1.0, 1.0), 0.0),
        # always wrong and certain to be right
        ((0, 0), (1.0, 1.0), 1.0),
        # 0.9 said, half of them right
        ((1, 0), (0.9, 0.9), 0.4),
        # two of four bins: (2 * |1 - 0.7| + 1 * |0 - 0.4|) / 3
        ((1, 1, 0), (0.7, 0.7, 0.4), 1 / 3),
        # one bin: |1/2 - (0.6 + 0.7) / 2|, where each alone would be 0.4 and 0.7
        ((1, 0), (0.6, 0.7), 0.15),
        # an edge belongs to the bin below it: 0.5 is with 0.3, not with 0.7
        ((0, 1, 1), (0.3, 0.5, 0.7), (2 * abs(0.5 - 0.4) + 0.3) / 3),
        # nothing said at all is in the lowest bin
        ((0,), (0.0,), 0.0),
    ],
)
def test_ece_by_hand(right: tuple[int, ...], score: tuple[float, ...], expected: float) -> None:
    assert ece([1] * len(right), right, score, bins=4) == pytest.approx(expected)


def test_reliability() -> None:
    assert reliability((0, 0, 0), (0, 1, 0), (0.5, 0.25, 1.0), 2) == (
        Bin(low=0.0, high=0.5, n=2, score=0.375, accuracy=0.5),
        Bin(low=0.5, high=1.0, n=1, score=1.0, accuracy=1.0),
    )
    with pytest.raises(ValueError, match="no answers"):
        ece((), (), ())


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 1)), min_size=1, max_size=40), st.integers(1, 20))
def test_calibration_holds_for_any_scores(answers: list[tuple[bool, float]], bins: int) -> None:
    right, score = zip(*answers, strict=True)
    found = reliability([True] * len(right), right, score, bins)
    assert sum(each.n for each in found) == len(right)
    assert all(each.low - 1e-9 <= each.score <= each.high + 1e-9 for each in found)
    overall = abs(np.mean(right) - np.mean(score))  # what one bin sees, and more bins cannot hide
    assert overall - 1e-9 <= ece([True] * len(right), right, score, bins) <= 1
