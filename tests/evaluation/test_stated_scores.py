"""Scores of keywords and of findings, on texts whose right answer can be counted by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brain3d.evaluation.contradictions import contradicts_itself, contradicts_side
from brain3d.evaluation.degrees import DEGREES, credit, farthest, kappa_rows, said_level, wanted_level, weighted_kappa
from brain3d.evaluation.keywords import keyword_family, keyword_sets, names_pathology, specificity_family
from brain3d.evaluation.measures import FAILED, MISSING, Answers, Cases, Family
from brain3d.evaluation.stated import families, read_all, side_outcomes

LEFT = "A lesion is seen in the left frontal lobe. There is mild edema. There is no necrosis."
RIGHT = "A lesion is seen in the right frontal lobe. There is severe edema. There is no necrosis."
BOTH = "A lesion is seen in the left frontal lobe. The right frontal lesion shows necrosis."
OPEN = "A lesion is seen in the frontal lobe. There is edema."
NORMAL = "No focal lesion is seen. The brain appears normal."
TEXTS = [LEFT, RIGHT, BOTH, OPEN, NORMAL]


def values(
    wanted: list[int], said: list[int], healthy: list[int] | None = None, mirrored: list[int] | None = None
) -> dict[str, float]:
    count = len(wanted)
    cases = Cases(np.array(wanted), np.array(healthy or [MISSING] * count), np.full(count, MISSING))
    answers = Answers(np.array(said), np.array(mirrored or [MISSING] * count))
    made: list[Family] = [keyword_family(TEXTS), specificity_family(TEXTS), *families(read_all(TEXTS))]
    found = {}
    for family in made:
        for measure, rows in zip(family.measures, family.rows(cases, answers), strict=True):
            found[measure.name] = float(measure.value(rows.sum(axis=0)))
    return found


def test_keywords_are_whole_words() -> None:
    found = keyword_sets("Left-sided lesions; (edema), Frontal. lesion!")
    assert found["laterality"] == frozenset()
    assert found["anatomy"] == {"frontal"}
    assert found["pathology"] == {"edema", "lesion"}


def test_keyword_f1_is_one_of_two_empty_sets_and_zero_of_one() -> None:
    assert values([4], [4])["published/anatomy_f1"] == 1.0
    assert values([4], [0])["published/anatomy_f1"] == 0.0
    assert values([0], [4])["published/laterality_f1"] == 0.0
    # left, frontal, lesion edema necrosis against right, frontal, the same
    found = values([0], [1])
    assert [found[f"published/{name}_f1"] for name in ("laterality", "anatomy", "pathology")] == [0.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("No lesion, edema or necrosis.", False),
        ("There is no lesion. There is edema.", True),
        ("Edema is absent, a mass is not seen.", False),
        ("No edema but a mass.", True),
        ("There is no mass, and there is edema.", True),
        ("There is no mass and there is no edema.", False),
        ("The lesion is not necrotic.", True),
        ("The brain is normal.", False),
        ("lesions", False),
    ],
)
def test_pathology_that_nothing_denies(text: str, named: bool) -> None:
    assert names_pathology(text) == named


def test_healthy_specificity_is_of_the_healthy_alone() -> None:
    found = values([4, 4, 0], [4, 0, 0], healthy=[1, 1, 0])
    assert found["published/healthy_specificity"] == 0.5
    assert found["findings/specificity"] == 0.5
    assert found["findings/sensitivity"] == 1.0
    assert found["findings/balanced_accuracy"] == 0.75


def test_the_four_outcomes_of_a_side() -> None:
    said = [0, 1, 3, 4, 2, MISSING]
    cases = Cases(np.zeros(6, int), np.zeros(6, int), np.full(6, MISSING))
    outcome = side_outcomes(read_all(TEXTS), cases, Answers(np.array(said), np.full(6, MISSING)))
    assert outcome.tolist() == [0, 1, 2, 2, 3, 2]
    found = values([0] * 6, said)
    parts = [found[f"findings/side{end}"] for end in ("", "_wrong", "_missing", "_contradictory")]
    assert parts == pytest.approx([1 / 6, 1 / 6, 3 / 6, 1 / 6])


def test_regions_and_tuples() -> None:
    found = values([0, 0], [1, MISSING])
    assert found["findings/regions_f1"] == pytest.approx(2 / 3)
    assert found["findings/regions_f1_mean"] == 0.5
    assert found["findings/regions_jaccard"] == 0.5
    assert found["findings/lesion_tuples_f1"] == 0.0
    assert values([0], [0])["findings/lesion_tuples_f1"] == 1.0


def test_an_invented_region_costs_where_none_was_wanted() -> None:
    assert values([4, 0], [0, 0])["findings/regions_f1"] == pytest.approx(2 / 3)


def test_degrees_and_absence() -> None:
    found = values([0, 0, 0], [0, 1, MISSING])
    assert found["findings/edema"] == pytest.approx(1 / 3)
    assert found["findings/necrosis"] == pytest.approx(2 / 3)
    assert values([3], [1])["findings/edema"] == 1.0  # the reference gives no degree: severe edema is right
    assert values([1], [3])["findings/edema"] == 0.5  # it says severe, and edema without a degree says less


@pytest.mark.parametrize(
    ("wanted", "said", "right"),
    [
        ("mild", "mild", 1.0),
        ("mild", "severe", 0.0),
        ("mild", "present", 0.5),
        ("mild", "none", 0.0),
        ("mild", "unknown", 0.0),
        ("present", "mild", 1.0),
        ("present", "present", 1.0),
        ("present", "none", 0.0),
        ("present", "unknown", 0.0),
        ("none", "none", 1.0),
        ("none", "present", 0.0),
        ("none", "unknown", 0.0),
    ],
)
def test_the_credit_of_a_sign(wanted: str, said: str, right: float) -> None:
    assert credit(wanted, said) == right


def test_the_degree_is_compared_where_both_give_one() -> None:
    """Mild against mild and severe; "edema" alone, no edema said, and a failed case have no say."""
    found = values([0, 0, 0, 3, 0, 0], [0, 1, 3, 0, 4, MISSING])
    assert found["findings/edema_degree"] == 0.5
    assert np.isnan(values([0], [3])["findings/edema_degree"])
    assert np.isnan(values([0], [0])["findings/necrosis_degree"])  # both say that there is none: no degree


def test_mirrored_findings() -> None:
    assert values([0], [0], mirrored=[0])["mirror/consistency"] == 0.0
    assert values([0, 0], [4, 4], mirrored=[4, FAILED])["mirror/consistency"] == 0.5
    assert np.isnan(values([0], [0])["mirror/consistency"])


@pytest.mark.parametrize(
    ("text", "itself", "side"),
    [
        (LEFT, False, False),
        (BOTH, True, True),
        (NORMAL, False, False),
        ("There is no lesion in the brain. A lesion is seen in the left insula.", True, False),
        ("A lesion is seen in the left insula. There is no other lesion.", False, False),
        ("A lesion is seen in the left insula. There is no edema. There is marked edema.", True, False),
        ("Two lesions are seen in the left insula and the right insula. There is edema.", False, False),
        ("A lesion is seen in the left insula. A lesion is seen in the right thalamus.", False, False),
        ("", False, False),
    ],
)
def test_contradictions(text: str, itself: bool, side: bool) -> None:
    assert contradicts_itself(text) == itself
    assert contradicts_side(text) == side


def kappa(wanted: list[str], said: list[str]) -> float:
    rows = kappa_rows(np.array([wanted_level(x) for x in wanted]), np.array([said_level(x) for x in said]))
    return float(weighted_kappa(rows.sum(axis=0)))


def test_kappa_of_agreement_and_of_chance() -> None:
    assert kappa(list(DEGREES), list(DEGREES)) == 1.0
    assert kappa(list(DEGREES), ["mild"] * 4) == pytest.approx(0.0)
    assert kappa(list(DEGREES), list(reversed(DEGREES))) == pytest.approx(-1.0)
    assert np.isnan(kappa(["mild"], ["mild"]))


def test_kappa_by_hand() -> None:
    """Wanted none, none, severe, severe; said none, mild, severe, moderate.

    Squared steps seen: 0 + 1 + 0 + 1 = 2 of 4; expected by chance over all 16 pairs: (0 + 1 + 9 + 4) x 2 +
    (9 + 4 + 0 + 1) x 2 = 56 of 16; kappa = 1 - (2 / 4) / (56 / 16).
    """
    found = kappa(["none", "none", "severe", "severe"], ["none", "mild", "severe", "moderate"])
    assert found == pytest.approx(1 - 0.5 / 3.5)


def test_signs_without_a_degree_and_failed_cases() -> None:
    assert wanted_level("present") == wanted_level("unknown") == -1
    assert said_level("present") == DEGREES.index("moderate")
    assert said_level("unknown") == DEGREES.index("none")
    assert farthest(np.arange(4)).tolist() == [3, 3, 0, 0]


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(DEGREES), st.sampled_from(DEGREES)), min_size=2, max_size=30))
def test_kappa_is_symmetric_and_at_most_one(pairs: list[tuple[str, str]]) -> None:
    wanted, said = [a for a, _ in pairs], [b for _, b in pairs]
    first, second = kappa(wanted, said), kappa(said, wanted)
    assert np.isnan(first) == np.isnan(second)
    assert np.isnan(first) or (first == pytest.approx(second) and first <= 1)


def test_each_region_counts_with_the_side_of_its_own_words() -> None:
    crossed = read_all(
        [
            "Lesions in the left frontal and right parietal lobes.",
            "Lesions in the right frontal and left parietal lobes.",
            "A lesion in the left frontal lobe. Another lesion in the right parietal lobe.",
        ]
    ).placed
    assert not (crossed[0] & crossed[1]).any()
    assert np.array_equal(crossed[0], crossed[2])
