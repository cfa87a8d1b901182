"""Intervals: by hand, as properties, and by counting how often they hold the truth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecv.spec import Drop
from edgecv.statistics import (
    accuracy_drop,
    describe_drop,
    disagreement,
    guessing,
    paired_interval,
    pictures_needed,
    rank_interval,
    resolved,
    share_interval,
)


@st.composite
def outcomes(draw: st.DrawFn) -> tuple[int, int, int]:
    """(lost, won, n) with lost + won <= n."""
    n = draw(st.integers(1, 5000))
    lost = draw(st.integers(0, n))
    return lost, draw(st.integers(0, n - lost)), n


def test_by_hand() -> None:
    # Bonett and Price: (30 + 1) / 1002 - (22 + 1) / 1002 = 0.0079840, and its standard error
    # sqrt((54 / 1002 - 0.0079840^2) / 1002) = 0.0073294
    low, high = paired_interval(30, 22, 1000)
    half = 1.959964 * 0.0073294
    assert (low, high) == pytest.approx((0.0079840 - half, 0.0079840 + half), rel=1e-4)


@given(outcomes())
def test_an_interval_holds_its_point_and_is_symmetric(counts: tuple[int, int, int]) -> None:
    lost, won, n = counts
    low, high = paired_interval(lost, won, n)
    assert -1 <= low <= (lost - won) / n <= high <= 1
    assert low < high
    # The models change places: what one loses the other wins.
    assert paired_interval(won, lost, n) == pytest.approx((-high, -low))


@given(outcomes(), st.integers(2, 50))
def test_more_pictures_say_more(counts: tuple[int, int, int], times: int) -> None:
    lost, won, n = counts
    few, many = paired_interval(lost, won, n), paired_interval(lost * times, won * times, n * times)
    assert many[1] - many[0] < few[1] - few[0]


@given(st.lists(st.booleans(), min_size=1, max_size=300), st.integers(2, 20))
def test_disagreement_holds_its_point(same: list[bool], times: int) -> None:
    few, many = disagreement(np.array(same)), disagreement(np.array(same * times))
    assert few.points == pytest.approx(100 * same.count(False) / len(same))
    assert 0 <= few.low <= few.points + 1e-9
    assert few.points - 1e-9 <= few.high <= 100
    assert many.high - many.low < few.high - few.low
    # The other way round it is the agreement's.
    other = disagreement(~np.array(same))
    assert (other.low, other.high) == pytest.approx((100 - few.high, 100 - few.low))


def test_wilson_by_hand() -> None:
    # 10 of 100: Wilson (1927), as tabulated: 5.52 % to 17.44 %
    drop = disagreement(np.arange(100) >= 10)
    assert (drop.points, drop.images, drop.basis) == (pytest.approx(10), 100, "float")
    assert (drop.low, drop.high) == pytest.approx((5.52, 17.44), abs=0.01)


@pytest.mark.parametrize(
    ("n", "p_lost", "p_won"),
    [
        (1000, 0.025, 0.015),  # int8 as it is: a point lost, 96 % agreement
        (1000, 0.010, 0.010),  # nothing lost
        (128, 0.030, 0.020),  # the default calibration set
        (50, 0.200, 0.050),  # few pictures, a bad artifact
        (100, 0.0, 0.0),  # two equal models
    ],
)
def test_ninety_five_of_a_hundred_hold_the_truth(n: int, p_lost: float, p_won: float) -> None:
    draws = np.random.default_rng(0).multinomial(n, (p_lost, p_won, 1 - p_lost - p_won), 4000)
    held = [low <= p_lost - p_won <= high for low, high in (paired_interval(a, b, n) for a, b, _ in draws)]
    assert 0.94 < np.mean(held) <= 1


@pytest.mark.parametrize(("n", "p"), [(1000, 0.03), (128, 0.05), (30, 0.1)])
def test_wilson_holds_the_truth(n: int, p: float) -> None:
    changed = np.random.default_rng(0).binomial(n, p, 4000)
    drops = {k: disagreement(np.arange(n) >= k) for k in set(changed.tolist())}
    held = [drops[k].low <= 100 * p <= drops[k].high for k in changed.tolist()]
    assert 0.93 < np.mean(held) < 0.985


def test_accuracy_drop() -> None:
    # right in both, lost, lost, won, wrong in both
    reference = np.array([True, True, True, False, False] * 20)
    other = np.array([True, False, False, True, False] * 20)
    drop = accuracy_drop(reference, other)
    assert drop.points == pytest.approx(100 * (reference.mean() - other.mean())) == pytest.approx(20)
    assert (drop.images, drop.basis) == (100, "labels")
    assert (drop.low / 100, drop.high / 100) == pytest.approx(paired_interval(40, 20, 100))
    swapped = accuracy_drop(other, reference)
    assert (swapped.points, swapped.low, swapped.high) == pytest.approx((-20, -drop.high, -drop.low))


@pytest.mark.parametrize(
    ("hits", "n", "classes", "expected"),
    [
        (0, 100, 1000, True),  # nothing right
        (1, 1, 1000, False),  # one of one, of a thousand classes
        (1, 1, 2, True),  # one of one, of two
        (60, 100, 2, False),  # a tail of 2.8 %
        (58, 100, 2, True),  # a tail of 6.7 %
        (3, 1000, 1000, True),  # a tail of 8.0 %
        (4, 1000, 1000, False),  # a tail of 1.9 %
        (900, 1000, 1000, False),  # a model
        (5, 5, 1, True),  # one class says nothing
    ],
)
def test_guessing(hits: int, n: int, classes: int, expected: bool) -> None:
    assert guessing(np.arange(n) < hits, classes) is expected


def drop_of(points: float, low: float, high: float, images: int = 1000, basis: str = "labels") -> Drop:
    return Drop(points=points, low=low, high=high, images=images, basis=basis)


@pytest.mark.parametrize(
    ("drop", "bound", "expected"),
    [
        # one picture has one noun
        (drop_of(0, -95, 95, 1), None, "+0.0 points (95 % interval -95.0 to +95.0, 1 picture)"),
        # below the bound, above it, and neither
        (drop_of(0.2, -0.2, 0.6), 1, "+0.2 points (95 % interval -0.2 to +0.6, 1,000 pictures)"),
        (drop_of(-2, -3, -1), 1, "-2.0 points (95 % interval -3.0 to -1.0, 1,000 pictures)"),
        (drop_of(3, 2, 4), 1, "+3.0 points (95 % interval +2.0 to +4.0, 1,000 pictures)"),
        # half an interval of 1.0 at 1,000 pictures has to become 0.4
        (
            drop_of(0.6, -0.4, 1.6),
            1,
            "+0.6 points (95 % interval -0.4 to +1.6, 1,000 pictures); so few cannot tell it from 1, "
            "about 6,300 could",
        ),
        # no number of pictures tells a bound from itself
        (
            drop_of(1, 0, 2),
            1,
            "+1.0 points (95 % interval +0.0 to +2.0, 1,000 pictures); so few cannot tell it from 1",
        ),
        # without labels
        (
            drop_of(3.125, 1.2, 7.8, 128, "float"),
            1,
            "3.1 % of answers changed (95 % interval 1.2 to 7.8, 128 pictures)",
        ),
    ],
)
def test_in_words(drop: Drop, bound: float | None, expected: str) -> None:
    assert describe_drop(drop, bound) == expected


def test_at_the_bound() -> None:
    """Up to the bound is within it; beyond begins behind it."""
    assert resolved(drop_of(0.5, 0, 1), 1)
    assert resolved(drop_of(2, 1.1, 3), 1)
    assert not resolved(drop_of(2, 1, 3), 1)
    assert not resolved(drop_of(0.4, -0.1, 1))
    assert resolved(drop_of(0.4, 0.1, 1))


@pytest.mark.parametrize(
    ("lost", "won", "bound", "expected"),
    [
        # 0.2 points lost of 1,000 pictures: half the interval is 1.237, the bound 0.3 or 0.8 away
        (20, 18, 0.5, 18_000),
        (20, 18, 1.0, 2_400),
        # two points lost, when one was allowed: half is 1.767
        (50, 30, 1.0, 3_200),
    ],
)
def test_as_many_pictures_as_are_needed_do(lost: int, won: int, bound: float, expected: int) -> None:
    def drop(n: int) -> Drop:
        low, high = paired_interval(round(lost * n / 1000), round(won * n / 1000), n)
        return drop_of((lost - won) / 10, 100 * low, 100 * high, n)

    assert pictures_needed(drop(1000), bound) == expected
    assert not resolved(drop(expected // 2), bound)
    assert resolved(drop(expected + expected // 10), bound)


def test_no_number_of_pictures_is_enough() -> None:
    assert pictures_needed(drop_of(1, 0, 2), 1) is None
    assert pictures_needed(drop_of(1, 0, 2), 1.001) is None


@pytest.mark.parametrize(
    ("n", "percent", "ranks"),
    [
        (5, 50, None),  # all five on one side of the median: 2 / 2^5 = 6.3 % of all cases
        (6, 50, (1, 6)),  # 2 / 2^6 = 3.1 %
        (10, 50, (2, 9)),  # the sign test's table: 1 of 10 on either side, 2.1 %
        (20, 50, (6, 15)),  # the same table: 5 of 20, 4.1 %
        (367, 99, None),  # 0.99^367 = 2.502 %: nothing bounds it from above
        (368, 99, (360, 368)),  # 0.99^368 = 2.477 %
    ],
)
def test_ranks_around_a_percentile(n: int, percent: float, ranks: tuple[int, int] | None) -> None:
    values = np.random.default_rng(n).permutation(np.arange(1, n + 1))
    found = rank_interval(values, percent)
    assert (found and (found.low, found.high)) == ranks
    assert rank_interval([], percent) is None


def test_ranks_hold_the_median_as_often_as_they_say() -> None:
    random = np.random.default_rng(5)
    held = 0
    for _ in range(2000):
        found = rank_interval(random.lognormal(0.0, 0.7, 20), 50)  # its median is 1
        assert found is not None
        held += found.low <= 1.0 <= found.high
    assert 0.94 < held / 2000 < 0.98  # 95.9 % by the binomial distribution


@given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_interval_of_a_share(outcome: tuple[int, int]) -> None:
    hits, n = outcome
    found = share_interval(hits, n)
    assert 0 <= found.low <= hits / n <= found.high <= 1
    other = share_interval(n - hits, n)
    assert found.low == pytest.approx(1 - other.high, abs=1e-9)
