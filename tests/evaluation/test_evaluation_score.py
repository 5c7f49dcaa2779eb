"""The metrics, one case at a time."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brain3d.evaluation.score import (
    METRICS,
    Answer,
    Reference,
    accepted_sides,
    lobes_owed,
    lobes_supported,
    mirror_consistency,
    overall_attribute,
    readings_agree,
    regions_f1,
    same_degree,
    sensitivity,
    side,
    side_mirrored,
    side_seen,
    specificity,
)
from brain3d.phantom.truth import Truth
from brain3d.reports.findings import DEGREES, REGIONS, SIDES, SIGNALS, Findings, Lesion, mirror_findings, overall_side

NORMAL = Findings(normal=True)
VAGUE = Findings(normal=False)


def ill(side: str = "left", *regions: str, **attributes: str) -> Findings:
    return Findings(False, (Lesion(side, regions or ("frontal",), **attributes),))


def answer(findings: Findings) -> Answer:
    return Answer(findings, mirror_findings(findings))


lesions = st.builds(
    Lesion,
    side=st.sampled_from(SIDES),
    regions=st.sets(st.sampled_from(REGIONS)).map(lambda s: tuple(r for r in REGIONS if r in s)),
    signal=st.sampled_from(SIGNALS),
    edema=st.sampled_from(DEGREES),
    necrosis=st.sampled_from(DEGREES),
    ventricular_compression=st.sampled_from(DEGREES),
)
findings = st.one_of(st.just(NORMAL), st.lists(lesions, max_size=3).map(lambda items: Findings(False, tuple(items))))


def truth(**changes: object) -> Truth:
    base = Truth(
        normal=False,
        visible=True,
        side="left",
        left_share=0.9,
        centroid_offset_mm=-30.0,
        regions=("frontal",),
        region_shares={"frontal": 1.0},
        signal="high",
        edema="mild",
        necrosis="none",
        ventricular_compression="none",
        midline_shift_mm=0.0,
        volume_ml=10.0,
        contrast_to_noise=3.0,
        lesion_count=1,
        skull=False,
    )
    return replace(base, **changes)


def test_a_vague_text_is_neither_ill_nor_healthy() -> None:
    assert sensitivity(Reference(ill()), answer(VAGUE)) == (0, 1)
    assert specificity(Reference(NORMAL), answer(VAGUE)) == (0, 1)
    assert sensitivity(Reference(NORMAL), answer(VAGUE)) == (0, 0)


@pytest.mark.parametrize(
    ("share", "name", "accepted"),
    [
        (0.9, "left", {"left"}),
        (0.75, "left", {"left", "bilateral"}),
        (0.66, "bilateral", {"left", "bilateral"}),
        (0.65, "midline", {"left", "bilateral", "midline"}),
        (0.64, "midline", {"midline"}),
        (0.5, "bilateral", {"bilateral"}),
        (0.35, "bilateral", {"right", "bilateral"}),
        (0.25, "right", {"right", "bilateral"}),
        (0.24, "right", {"right"}),
    ],
)
def test_either_neighbour_is_accepted_near_the_edges(share: float, name: str, accepted: set[str]) -> None:
    assert accepted_sides(truth(left_share=share, side=name)) == accepted


def test_mirrored_truths_accept_mirrored_sides() -> None:
    for share in (0.26, 0.34, 0.66, 0.74, 0.5, 0.1):
        one = truth(left_share=share, side="bilateral")
        swapped = {"left": "right", "right": "left"}
        assert accepted_sides(one.mirrored()) == {swapped.get(s, s) for s in accepted_sides(one)}


def test_side_is_exact_and_unknown_is_wrong() -> None:
    reference = Reference(ill("left"), frozenset({"left"}))
    assert side(reference, answer(ill("left"))) == (1, 1)
    assert side(reference, answer(ill("unknown"))) == (0, 1)
    assert side(reference, None) == (0, 1)
    assert side_mirrored(reference, answer(ill("left"))) == (1, 1)
    assert side_mirrored(reference, Answer(ill("left"), ill("left"))) == (0, 1)


def test_the_side_of_what_was_seen_leaves_out_what_was_not() -> None:
    reference = Reference(ill("left"), frozenset({"left"}))
    assert side_seen(reference, answer(ill("left"))) == (1, 1)
    assert side_seen(reference, answer(ill("right"))) == side_seen(reference, answer(ill("unknown"))) == (0, 1)
    for unseen in (answer(NORMAL), answer(VAGUE), None):
        assert side_seen(reference, unseen) == (0, 0)
    assert side_seen(Reference(NORMAL, frozenset({"left"})), answer(ill("left"))) == (0, 0)
    assert side_seen(Reference(ill(), unplaced=True), answer(ill("left"))) == (0, 0)


def test_readings_agree_where_both_see_the_lesion_on_one_side() -> None:
    reference = Reference(ill("left"), frozenset({"left"}))
    assert readings_agree(reference, answer(ill("right"))) == (1, 1)
    assert readings_agree(reference, Answer(ill("left"), ill("left"))) == (0, 1)
    assert readings_agree(reference, Answer(ill("left"), NORMAL)) == (0, 1)
    assert readings_agree(reference, Answer(NORMAL, ill("left"))) == (0, 1)
    assert readings_agree(reference, answer(NORMAL)) == readings_agree(reference, None) == (0, 0)
    assert readings_agree(Reference(NORMAL), answer(ill())) == (0, 0)
    withheld = Answer(ill("unknown"), ill("unknown"), unstable=True)
    assert readings_agree(reference, withheld) == (0, 1)
    assert readings_agree(reference, Answer(NORMAL, NORMAL, unstable=True)) == (0, 1)


def test_lesions_together_have_one_side() -> None:
    def together(*names: str) -> str:
        return overall_side(Findings(False, tuple(Lesion(name) for name in names)))

    assert together("left", "right") == together("bilateral", "left") == "bilateral"
    assert together("left", "midline") == together("left", "unknown") == "left"
    assert together("midline") == "midline"
    assert together() == together("unknown") == "unknown"


def test_lesions_together_have_one_value_of_each_attribute() -> None:
    both = Findings(False, (Lesion(signal="high", edema="mild"), Lesion(signal="low", edema="severe")))
    assert overall_attribute(both, "signal") == "mixed"
    assert overall_attribute(both, "edema") == "severe"
    assert overall_attribute(both, "necrosis") == "unknown"


def test_present_agrees_with_any_degree_but_none() -> None:
    assert same_degree("present", "severe")
    assert same_degree("mild", "present")
    assert not same_degree("none", "present")
    assert not same_degree("present", "unknown")
    assert not same_degree("mild", "moderate")


def test_region_f1_adds_up_to_micro_f1() -> None:
    reference = Reference(ill("left", "frontal", "parietal"))
    assert regions_f1(reference, answer(ill("left", "parietal", "occipital"))) == (2, 4)
    assert regions_f1(reference, None) == (0, 2)
    assert regions_f1(Reference(NORMAL), answer(ill())) == (0, 0)


def test_lobes_are_judged_by_the_mask() -> None:
    shares = dict.fromkeys(REGIONS, 0.0) | {"frontal": 0.7, "temporal": 0.2, "parietal": 0.04, "insula": 0.06}
    reference = Reference(ill(), frozenset({"left"}), shares)
    said = answer(ill("left", "frontal", "parietal", "insula"))
    assert lobes_supported(reference, said) == (1, 2)
    assert lobes_owed(reference, said) == (1, 2)
    assert lobes_owed(Reference(ill()), said) == (0, 0)


@given(findings)
def test_a_reader_that_mirrors_is_consistent(one: Findings) -> None:
    assert mirror_consistency(Reference(VAGUE), Answer(one, mirror_findings(one))) == (1, 1)


def test_consistency_sees_any_change_but_the_order() -> None:
    two = Findings(False, (Lesion("left", ("frontal",)), Lesion("right", ("parietal",))))
    swapped = mirror_findings(Findings(False, two.lesions[::-1]))
    assert mirror_consistency(Reference(VAGUE), Answer(two, swapped)) == (1, 1)
    assert mirror_consistency(Reference(VAGUE), Answer(two, two)) == (0, 1)
    assert mirror_consistency(Reference(VAGUE), Answer(ill(edema="mild"), mirror_findings(ill()))) == (0, 1)


@given(reference=findings, said=findings, sides=st.sets(st.sampled_from(SIDES[:4]), max_size=2))
def test_no_case_scores_above_one_and_a_failure_never_scores(
    reference: Findings, said: Findings, sides: set[str]
) -> None:
    item = Reference(reference, frozenset(sides), dict.fromkeys(REGIONS, 0.25))
    for metric in METRICS:
        top, bottom = metric.contribution(item, answer(said))
        assert 0 <= top <= bottom
        assert metric.contribution(item, None)[0] == 0


@given(findings)
def test_a_perfect_answer_scores_one(one: Findings) -> None:
    name = overall_side(one)
    item = Reference(one, frozenset() if name == "unknown" else frozenset({name}))
    for metric in METRICS:
        top, bottom = metric.contribution(item, answer(one))
        assert top == bottom, metric.name


@pytest.mark.parametrize("given", [None, answer(ill("left", "frontal"))])
def test_a_lesion_that_could_not_be_placed_is_a_miss_wherever_its_mask_would_have_answered(
    given: Answer | None,
) -> None:
    reference = Reference(Findings(False, (Lesion(),)), unplaced=True)
    for metric in (side, side_mirrored, regions_f1, lobes_supported, lobes_owed):
        assert metric(reference, given) == (0.0, 1.0)
    assert sensitivity(reference, given) == (float(given is not None), 1.0)
    assert specificity(reference, given) == (0.0, 0.0)
