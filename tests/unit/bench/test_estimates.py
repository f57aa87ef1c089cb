"""The benchmark's statistics equal published values and values counted by hand."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from l2mac.bench.estimates import Estimate, estimate, pass_at, proportion, t_quantile, t_within

# Two-sided 95 % points of Student's t, as tables print them.
TABLE = {
    1: 12.706,
    2: 4.303,
    3: 3.182,
    4: 2.776,
    5: 2.571,
    9: 2.262,
    10: 2.228,
    19: 2.093,
    30: 2.042,
    120: 1.980,
}


@pytest.mark.parametrize("freedom", TABLE)
def test_the_points_of_student_are_those_of_the_tables(freedom: int) -> None:
    assert t_quantile(freedom) == pytest.approx(TABLE[freedom], abs=6e-4)


def test_student_quantiles_match_the_tables_at_other_levels() -> None:
    assert t_quantile(10, level=0.99) == pytest.approx(3.169, abs=6e-4)
    assert t_within(2.228, 10) == pytest.approx(0.95, abs=1e-4)


def test_a_mean_has_the_interval_that_a_textbook_gives() -> None:
    # 1 to 5: standard deviation 1.5811, standard error 0.7071, t(4) = 2.7764.
    found = estimate([1, 2, 3, 4, 5])
    assert found is not None
    assert (found.mean, found.n) == (3, 5)
    assert found.half_width == pytest.approx(1.9632, abs=1e-4)


def test_one_value_has_no_interval_and_none_has_no_mean() -> None:
    assert estimate([7]) == Estimate(7, None, 1)
    assert estimate([]) is None


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=30))
def test_the_mean_lies_between_the_values(values: list[float]) -> None:
    found = estimate(values)
    assert found is not None
    assert min(values) - 1e-6 <= found.mean <= max(values) + 1e-6


@pytest.mark.parametrize(
    ("samples", "passed", "k"), [(5, 2, 1), (5, 2, 3), (6, 0, 2), (6, 6, 4), (4, 1, 4)]
)
def test_pass_at_k_is_the_share_of_the_draws_of_k_that_hold_a_pass(
    samples: int, passed: int, k: int
) -> None:
    draws = list(itertools.combinations([True] * passed + [False] * (samples - passed), k))
    assert pass_at(k, samples, passed) == pytest.approx(sum(map(any, draws)) / len(draws))


@pytest.mark.parametrize("k", [0, 4])
def test_pass_at_k_needs_k_samples(k: int) -> None:
    with pytest.raises(ValueError, match="k is between 1 and"):
        pass_at(k, 3, 1)


def test_wilsons_interval_is_that_of_the_literature() -> None:
    # Where all are alike it has one end at z² / (n + z²) from them: 3.8415 / 13.8415 for n = 10.
    nothing, everything, some = (
        proportion([0] * 10),
        proportion([1] * 10),
        proportion([1] * 81 + [0] * 182),
    )
    assert nothing is not None
    assert everything is not None
    assert some is not None
    assert nothing.low == pytest.approx(0)
    assert nothing.high == pytest.approx(0.2775, abs=1e-4)
    assert everything.low == pytest.approx(0.7225, abs=1e-4)
    assert everything.high == pytest.approx(1)
    # 81 of 263 in Newcombe (1998), table I: 0.2553 to 0.3662.
    assert (some.low, some.high) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert proportion([]) is None
