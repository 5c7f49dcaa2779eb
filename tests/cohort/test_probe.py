"""The probe for shortcuts: it finds a planted one, and is silent about chance."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brain3d.cohort.probe import LEAST_SUBJECTS, probe, told


def chance(seed: int, n: int) -> dict[str, list[float] | list[str]]:
    """Features that know nothing of who is healthy."""
    rng = np.random.default_rng(seed)
    return {
        "shape": [str(word) for word in rng.choice(["a", "b", "c"], n)],
        "zeros": [float(value) for value in rng.random(n)],
        "highest": [float(value) for value in rng.lognormal(5, 2, n)],
        "same": [1.0] * n,
    }


def labels(seed: int, n: int, share: float = 0.4) -> list[bool]:
    drawn = np.random.default_rng(seed + 10**6).permutation(n) < round(share * n)
    return [bool(value) for value in drawn]


def test_a_planted_word_is_found() -> None:
    healthy = labels(0, 40)
    values = {**chance(0, 40), "axes": ["LPS" if ill else "RAS" for ill in np.logical_not(healthy)]}
    result = probe(values, healthy)
    assert (result.verdict, result.best_auc) == ("strong", 1.0)
    assert result.best_feature in ("axes LPS", "axes RAS")
    assert result.auc == pytest.approx(1.0, abs=0.02)
    assert result.balanced_accuracy == pytest.approx(1.0, abs=0.05)
    assert result.p_value <= 0.01
    assert "no evidence" in told(result, "x")[-1]


def test_a_number_that_shifts_is_found_whatever_its_scale() -> None:
    healthy = labels(1, 120)
    rng = np.random.default_rng(5)
    values = {**chance(1, 120), "level": [float(np.exp(6 * (rng.random() + 0.6 * one))) for one in healthy]}
    result = probe(values, healthy)
    assert result.verdict in ("some", "strong")
    assert result.best_feature == "level"
    assert result.interval[0] <= result.auc <= result.interval[1]


def test_what_no_single_feature_shows_is_found_together() -> None:
    healthy = labels(2, 200)
    rng = np.random.default_rng(6)
    one = rng.standard_normal(200)
    other = one + 0.15 * rng.standard_normal(200) + 0.5 * np.array(healthy)
    result = probe({"one": one.tolist(), "other": other.tolist()}, healthy)
    assert result.verdict in ("some", "strong")
    assert result.auc > result.best_auc


def test_it_is_silent_about_chance() -> None:
    found = [probe(chance(seed, 30), labels(seed, 30)).verdict for seed in range(40)]
    assert found.count("nothing found") >= 38  # each has a chance of one in a hundred, at most, to be wrong


@pytest.mark.parametrize("n", [0, 1, 8, 40])
def test_too_few_of_one_kind(n: int) -> None:
    healthy = [True] * (LEAST_SUBJECTS - 1) + [False] * n
    result = probe(chance(0, len(healthy)), healthy)
    assert (result.verdict, result.auc, result.healthy, result.ill) == ("too few", None, LEAST_SUBJECTS - 1, n)
    assert "too few to know" in told(result, "x")[0]


def test_features_that_are_all_alike() -> None:
    result = probe({"shape": ["a"] * 20, "zeros": [0.5] * 20}, labels(0, 20))
    assert (result.verdict, result.auc, result.best_feature) == ("nothing found", 0.5, None)
    assert len(told(result, "x")) == 2


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1000))
def test_the_same_input_gives_the_same_result(seed: int) -> None:
    assert probe(chance(seed, 24), labels(seed, 24)) == probe(chance(seed, 24), labels(seed, 24))
