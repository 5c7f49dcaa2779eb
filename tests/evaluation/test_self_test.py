"""Changes made on purpose, and how far metrics move with them."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brain3d.evaluation.pairs import Pair
from brain3d.evaluation.perturbing import (
    HEALTHY,
    delete_lesion,
    exaggerate,
    invent_lesion,
    negate_signs,
    paraphrase,
    replace_lobe,
    swap_sides,
)
from brain3d.evaluation.score import overall_attribute, overall_regions
from brain3d.evaluation.self_test import self_test
from brain3d.phantom.narrative import narrate
from brain3d.phantom.truth import Truth
from brain3d.reports import parse_findings
from brain3d.scans import InputError

LESION = "A lesion is seen in the left frontal lobe with high signal. There is mild edema. The core is not necrotic."
DEGREES = ("none", "mild", "moderate", "severe")


def truth(rng: random.Random) -> Truth:
    lobes = tuple(name for name in ("frontal", "parietal", "temporal", "occipital") if rng.random() < 0.4)
    return Truth(
        normal=False,
        visible=True,
        side=rng.choice(("left", "right", "bilateral", "midline")),
        left_share=None,
        centroid_offset_mm=None,
        regions=lobes or ("insula",),
        region_shares={},
        signal=rng.choice(("high", "low", "mixed", "iso")),
        edema=rng.choice(DEGREES),
        necrosis=rng.choice(DEGREES),
        ventricular_compression=rng.choice(DEGREES),
        midline_shift_mm=0.0,
        volume_ml=9.0,
        contrast_to_noise=3.0,
        lesion_count=1,
        skull=False,
    )


def test_each_change_by_example() -> None:
    assert "right frontal" in swap_sides(LESION)
    assert "There is no edema" in negate_signs(LESION)
    assert "severe edema" in exaggerate(LESION)
    assert "left occipital" in replace_lobe(LESION)
    assert delete_lesion(LESION) == HEALTHY
    assert parse_findings(invent_lesion(HEALTHY)).lesions
    assert invent_lesion(LESION) == LESION
    assert paraphrase(LESION) != LESION


def test_the_last_of_several_lesions_is_left_out() -> None:
    two = "A lesion is seen in the left frontal lobe. Another lesion is seen in the right insula. There is edema."
    assert delete_lesion(two) == "A lesion is seen in the left frontal lobe. There is edema."


@settings(deadline=None)
@given(st.integers(0, 10_000))
def test_on_narratives_each_change_does_what_it_says(seed: int) -> None:
    rng = random.Random(seed)
    text = narrate(truth(rng), rng)
    before = parse_findings(text)
    negated = parse_findings(negate_signs(text))
    for name in ("edema", "necrosis", "ventricular_compression"):
        assert overall_attribute(negated, name) == "none"
    lobe = replace_lobe(text)
    assert (lobe == text) or overall_regions(parse_findings(lobe)) != overall_regions(before)
    worse = exaggerate(text)
    degrees = [overall_attribute(before, name) for name in ("edema", "necrosis", "ventricular_compression")]
    assert (worse != text) == any(degree in ("mild", "moderate") for degree in degrees)
    assert parse_findings(paraphrase(text)) == before


def test_a_metric_moves_with_what_it_sees_alone() -> None:
    rng = random.Random(3)
    pairs = []
    for index in range(30):
        said = truth(rng)
        pairs.append(Pair(str(index), index, narrate(said, rng), None, paraphrase=narrate(said, rng)))
    result = self_test(pairs)
    moved = {name: item["moved"] for name, item in result["metrics"].items()}
    assert moved["findings/side"]["sides swapped"] == -1.0
    assert moved["findings/side"]["reworded"] == 0.0
    assert moved["findings/regions_f1"]["sides swapped"] == 0.0
    assert moved["text/bleu_4"]["reworded"] < moved["text/bleu_4"]["sides swapped"] < 0
    assert moved["published/pathology_f1"]["signs negated"] == 0.0
    assert result["changed"]["lesion invented"] == 0
    assert moved["findings/side"]["lesion invented"] is None


def test_without_references_there_is_nothing_to_change() -> None:
    with pytest.raises(InputError, match="no pair has a reference"):
        self_test([Pair("a", 1, None, "x")])
