"""Intervals and baselines."""

from __future__ import annotations

import numpy as np
import pytest

from brain3d.evaluation.baselines import (
    best_constant,
    compare,
    constant_pool,
    nearest_reports,
    rows,
    shelve,
    shuffled_answers,
)
from brain3d.evaluation.score import METRICS, Answer, Reference
from brain3d.evaluation.statistics import estimate, resample_counts
from brain3d.reports.findings import Findings, Lesion, mirror_findings

NORMAL = Findings(normal=True)
LEFT = Findings(False, (Lesion("left", ("frontal",), "high"),))
RIGHT = Findings(False, (Lesion("right", ("parietal",), "low"),))


def test_interval_has_the_width_that_binomial_theory_gives() -> None:
    hits = np.repeat([1.0, 0.0], [160, 40])
    found = estimate(np.stack([hits, np.ones(200)], axis=1), resample_counts(200))
    assert found is not None
    assert found.value == pytest.approx(0.8)
    half = 1.96 * np.sqrt(0.8 * 0.2 / 200)
    assert found.low == pytest.approx(0.8 - half, abs=0.012)
    assert found.high == pytest.approx(0.8 + half, abs=0.012)
    assert found.n == 200


def test_interval_is_the_same_every_time_and_counts_whole_subjects() -> None:
    data = np.array([[2.0, 4.0], [0.0, 3.0], [1.0, 1.0], [0.0, 0.0]])
    first, second = (estimate(data, resample_counts(4, seed=5)) for _ in range(2))
    assert first == second
    assert first is not None
    assert first.value == pytest.approx(3 / 8)
    assert first.n == 3


def test_nothing_to_count_gives_no_estimate() -> None:
    assert estimate(np.zeros((3, 2)), resample_counts(3)) is None


def test_shuffling_keeps_every_answer_once() -> None:
    answers = [Answer(NORMAL, LEFT), Answer(LEFT, RIGHT), Answer(RIGHT, NORMAL)]
    for seed in range(5):
        mixed = [item for item in shuffled_answers(answers, seed) if item is not None]
        assert sorted(map(repr, (item.findings for item in mixed))) == sorted(map(repr, [NORMAL, LEFT, RIGHT]))
        assert sorted(map(repr, (item.mirrored for item in mixed))) == sorted(map(repr, [NORMAL, LEFT, RIGHT]))


def test_the_best_constant_is_chosen_for_each_metric_on_the_same_cases() -> None:
    pool = np.array([[[1.0, 1.0], [0.0, 1.0], [0.0, 1.0]], [[0.0, 1.0], [1.0, 1.0], [1.0, 1.0]]])
    assert best_constant(pool).tolist() == pool[1].tolist()
    assert best_constant(pool[:, :1]).tolist() == pool[0, :1].tolist()


def test_constant_pool_is_capped_and_seeded() -> None:
    many = [Findings(False, tuple(Lesion("left", ("frontal",)) for _ in range(count))) for count in range(1, 260)]
    assert 200 <= len(constant_pool(many + many)) <= 220
    assert constant_pool(many, 3) == constant_pool(many, 3)
    assert constant_pool([LEFT, NORMAL, LEFT])[:2] == [NORMAL, LEFT]


def test_constants_name_what_is_common_even_where_no_reference_does() -> None:
    truths = [LEFT, RIGHT] * 3
    both = ("frontal", "parietal")
    assert any(item.lesions and item.lesions[0].regions == both for item in constant_pool(truths))
    references = [_reference(item) for item in truths]
    systems = compare(METRICS, references, [None] * 6, constant_pool(truths), None)
    found = {row.name: row for row in rows(systems, METRICS, np.arange(6))}
    assert found["regions_f1"].constant is not None
    assert found["regions_f1"].constant.value == pytest.approx(2 / 3)
    assert found["regions_f1"].model.value == 0.0


def test_nearest_never_looks_at_its_own_subject() -> None:
    scans = np.array([[1.0, 0.0], [0.9, 0.1], [-1.0, 0.2]])
    mirrors = scans * [1, -1]
    shelf = shelve(["a", "b", "c"], scans, mirrors, [LEFT, RIGHT, NORMAL], ["on the left", "on the right", None])
    assert shelf.texts == ["on the left", "on the right", None, "on the right", "on the left", None]
    assert nearest_reports(scans, ["a", "b", "c"], shelf)[:2] == [RIGHT, LEFT]
    with pytest.raises(ValueError, match="another subject"):
        nearest_reports(scans[:1], ["a"], shelve(["a"], scans[:1], mirrors[:1], [LEFT], [None]))


def _reference(findings: Findings) -> Reference:
    side = findings.lesions[0].side if findings.lesions else None
    return Reference(findings, frozenset({side} if side else set()))


def test_a_perfect_model_stands_out_and_a_constant_one_does_not() -> None:
    truths = [LEFT, RIGHT, NORMAL, LEFT, RIGHT, NORMAL] * 5
    references = [_reference(item) for item in truths]
    everything = np.arange(len(truths))
    perfect = [Answer(item, mirror_findings(item)) for item in truths]
    systems = compare(METRICS, references, perfect, constant_pool(truths), perfect)
    found = {row.name: row for row in rows(systems, METRICS, everything)}
    for name in ("sensitivity", "specificity", "side", "side_mirrored", "regions_f1", "mirror_consistency"):
        assert found[name].model.value == 1.0
    assert found["side"].constant is not None
    assert found["side"].constant.value == pytest.approx(0.5)
    assert found["side"].shuffled is not None
    assert found["side"].shuffled.value == pytest.approx(1 / 3, abs=0.1)
    assert found["mirror_consistency"].constant is not None
    # A report that never changes and names no side is consistent: this metric alone proves nothing.
    assert found["mirror_consistency"].constant.value == 1.0

    constant = [Answer(LEFT, LEFT)] * len(truths)
    systems = compare(METRICS, references, constant, constant_pool(truths), None)
    found = {row.name: row for row in rows(systems, METRICS, everything)}
    assert found["sensitivity"].model.value == 1.0
    assert found["specificity"].model.value == 0.0
    assert found["side"].model == found["side"].shuffled
    assert found["side"].nearest is None
