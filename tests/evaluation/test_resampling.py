"""Resampling: the same draws for all, intervals that hold what they should, p values of known cases."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brain3d.evaluation.measures import counted, mean_rows, ratio
from brain3d.evaluation.resampling import bootstrap_sums, holm, interval, p_value, split, swap_sums


def test_every_resample_draws_as_many_cases_as_there_are() -> None:
    sums = bootstrap_sums(np.ones((37, 2)), resamples=300)
    assert sums.shape == (300, 2)
    assert (sums == 37).all()


def test_draws_follow_from_seed_and_cases_alone() -> None:
    rows = np.random.default_rng(0).random((50, 3))
    first = bootstrap_sums(rows, seed=4, resamples=200)
    assert np.array_equal(first, bootstrap_sums(rows, seed=4, resamples=200))
    assert np.allclose(first[:, :1], bootstrap_sums(rows[:, :1], seed=4, resamples=200))
    assert not np.allclose(first, bootstrap_sums(rows, seed=5, resamples=200))


def test_the_interval_of_a_mean_is_the_textbooks() -> None:
    values = np.random.default_rng(1).normal(3, 2, 400)
    rows = mean_rows(values, np.ones(400, bool))
    found = interval(ratio(bootstrap_sums(rows, resamples=4000)))
    assert found is not None
    error = 1.96 * values.std() / 20
    assert found == pytest.approx((values.mean() - error, values.mean() + error), abs=0.03)


def test_resamples_in_which_nothing_counts_are_left_out() -> None:
    assert interval(np.array([np.nan, 0.5, 0.5])) == (0.5, 0.5)
    assert interval(np.array([np.nan, np.nan])) is None


def test_swapping_keeps_the_total_of_both() -> None:
    rng = np.random.default_rng(2)
    first, second = rng.random((30, 4)), rng.random((30, 4))
    one, two = swap_sums(first, second, permutations=100)
    assert np.allclose(one + two, first.sum(axis=0) + second.sum(axis=0), atol=1e-4)


def test_p_is_small_where_one_is_always_better_and_one_where_they_are_the_same() -> None:
    better = mean_rows(np.ones(40), np.ones(40, bool))
    worse = mean_rows(np.zeros(40), np.ones(40, bool))
    one, two = swap_sums(better, worse, permutations=999)
    assert p_value(1.0, ratio(one) - ratio(two)) == pytest.approx(1 / 1000)
    same, again = swap_sums(better, better, permutations=99)
    assert p_value(0.0, ratio(same) - ratio(again)) == 1.0


def test_p_is_that_of_all_swaps() -> None:
    """Three cases, eight swaps: differences of means (2, 1, 1)/3 up to signs; two of eight are as large."""
    first = mean_rows(np.array([2.0, 1.0, 1.0]), np.ones(3, bool))
    second = mean_rows(np.zeros(3), np.ones(3, bool))
    one, two = swap_sums(first, second, permutations=8000)
    assert p_value(4 / 3, ratio(one) - ratio(two)) == pytest.approx(0.25, abs=0.02)


def test_p_values_are_uniform_where_nothing_differs() -> None:
    rng = np.random.default_rng(3)
    found = []
    for _ in range(200):
        rows = [mean_rows(rng.random(20), np.ones(20, bool)) for _ in range(2)]
        one, two = swap_sums(*rows, permutations=199, seed=int(rng.integers(1 << 30)))
        seen = float(ratio(rows[0].sum(axis=0)) - ratio(rows[1].sum(axis=0)))
        found.append(p_value(seen, ratio(one) - ratio(two)))
    assert np.mean(np.array(found) <= 0.1) < 0.2


def test_holm() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]) == []


@settings(deadline=None)
@given(st.lists(st.floats(0.001, 1), min_size=1, max_size=20))
def test_holm_lies_between_p_and_bonferroni_and_keeps_the_order(ps: list[float]) -> None:
    corrected = holm(ps)
    assert all(p <= q + 1e-12 and q <= min(1, p * len(ps)) + 1e-12 for p, q in zip(ps, corrected, strict=True))
    order = np.argsort(ps, kind="stable")
    assert (np.diff(np.array(corrected)[order]) >= 0).all()


def test_split_and_counted() -> None:
    parts = split(np.arange(10).reshape(2, 5), [2, 3])
    assert [part.shape for part in parts] == [(2, 2), (2, 3)]
    assert counted(np.array([[0.0, 1.0], [0.0, 0.0], [1.0, 1.0]])) == 2
