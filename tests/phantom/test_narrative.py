"""Phrasing a truth: complete, never contradicting it, mirrored with it, and read back exactly."""

from __future__ import annotations

import random
import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brain3d.phantom.narrative import narrate
from brain3d.phantom.truth import Truth
from brain3d.reports import REGIONS, canonical_regions, mirror_text, parse_findings, withhold_side

DEGREES = ("none", "mild", "moderate", "severe")


def make_truth(
    side: str, regions: tuple[str, ...], signal: str, degrees: tuple[str, str, str], count: int, visible: bool
) -> Truth:
    return Truth(
        normal=False,
        visible=visible,
        side=side,
        left_share=0.5,
        centroid_offset_mm=0.0,
        regions=canonical_regions(regions),
        region_shares={},
        signal=signal,
        edema=degrees[0],
        necrosis=degrees[1],
        ventricular_compression=degrees[2],
        midline_shift_mm=0.0,
        volume_ml=10.0,
        contrast_to_noise=3.0,
        lesion_count=count,
        skull=False,
    )


DEGREE = st.sampled_from(DEGREES)
TRUTHS = st.builds(
    make_truth,
    side=st.sampled_from(("left", "right", "bilateral", "midline")),
    regions=st.lists(st.sampled_from(REGIONS), min_size=1, max_size=6, unique=True).map(tuple),
    signal=st.sampled_from(("high", "low", "mixed", "iso")),
    degrees=st.tuples(DEGREE, DEGREE, DEGREE),
    count=st.integers(1, 4),
    visible=st.booleans() | st.just(True),
)
SEEDS = st.integers(0, 2**32)


def some_truths(count: int) -> list[Truth]:
    rng = random.Random(7)
    return [
        make_truth(
            rng.choice(("left", "right", "bilateral", "midline")),
            tuple(rng.sample(REGIONS, rng.randint(1, 4))),
            rng.choice(("high", "low", "mixed", "iso")),
            (rng.choice(DEGREES), rng.choice(DEGREES), rng.choice(DEGREES)),
            rng.choice((1, 1, 1, 2, 3)),
            True,
        )
        for _ in range(count)
    ]


@settings(max_examples=500, deadline=None)
@given(TRUTHS, SEEDS)
def test_a_narrative_is_read_back_exactly(truth: Truth, seed: int) -> None:
    assert parse_findings(narrate(truth, random.Random(seed))) == truth.findings()


@settings(max_examples=200, deadline=None)
@given(TRUTHS, SEEDS)
def test_the_mirrored_truth_is_told_in_mirrored_words(truth: Truth, seed: int) -> None:
    told = narrate(truth, random.Random(seed))
    assert narrate(truth.mirrored(), random.Random(seed)) == mirror_text(told)


@settings(max_examples=200, deadline=None)
@given(TRUTHS, SEEDS)
def test_a_narrative_without_its_side_keeps_everything_else(truth: Truth, seed: int) -> None:
    findings = truth.findings()
    lesions = tuple(replace(lesion, side="unknown") for lesion in findings.lesions)
    withheld = withhold_side(narrate(truth, random.Random(seed)))
    assert parse_findings(withheld) == replace(findings, lesions=lesions)
    if lesions:
        assert not re.search(r"\b(left|right|bilateral|both (hemi|sides|halves)|midline)", withheld, re.IGNORECASE)
        assert not re.search(r"  | [.,]|,,|\b(in|on|of|at|the)[.,]|^[a-z]", withheld)


def test_only_the_truths_own_side_is_named() -> None:
    """Checked on the words themselves, not by the parser."""
    pattern = {
        "left": r"\bleft\b",
        "right": r"\bright\b",
        "bilateral": r"\bbilateral\b|\bboth (?:sides|hemispheres|halves)\b",
        "midline": r"\bmidline\b",
    }
    for seed, truth in enumerate(some_truths(500)):
        text = narrate(truth, random.Random(seed)).lower()
        named = {side for side, words in pattern.items() if re.search(words, text)}
        assert named == {truth.side}, text


def test_every_degree_word_is_one_of_the_truths() -> None:
    """Checked on the words themselves, not by the parser."""
    words = {
        "mild": r"\b(?:mild|slight)",
        "moderate": r"\bmoderate",
        "severe": r"\b(?:severe|marked|extensive)",
        "none": r"\b(?:no|not|without|absent)\b",
    }
    for seed, truth in enumerate(some_truths(500)):
        text = narrate(truth, random.Random(seed)).lower()
        used = {degree for degree, pattern in words.items() if re.search(pattern, text)}
        assert used == {truth.edema, truth.necrosis, truth.ventricular_compression}, text


def test_a_healthy_report_names_no_side_of_a_lesion_and_is_normal() -> None:
    hidden = replace(some_truths(1)[0], visible=False)
    told = {narrate(hidden, random.Random(seed)) for seed in range(500)}
    assert len(told) >= 20
    for text in told:
        assert parse_findings(text).normal, text
        assert 1 <= text.count(".") <= 3
        assert not re.search(r"\b(left|right|mild|moderate|severe|multiple)\b", text.lower())


def test_the_same_truth_is_told_in_many_ways() -> None:
    truth = some_truths(1)[0]
    told = [narrate(truth, random.Random(seed)) for seed in range(400)]
    assert len(set(told)) > 390


def test_narratives_are_short_and_of_few_words() -> None:
    told = [narrate(truth, random.Random(seed)) for seed, truth in enumerate(some_truths(1500))]
    lengths = [len(text.split()) for text in told]
    assert 35 <= sum(lengths) / len(lengths) <= 60
    assert max(lengths) <= 80
    assert len({word for text in told for word in re.findall(r"[a-z]+", text.lower())}) < 500


@pytest.mark.parametrize("count", [1, 3])
def test_several_lesions_are_told_in_the_plural(count: int) -> None:
    for seed, truth in enumerate(some_truths(200)):
        text = narrate(replace(truth, lesion_count=count), random.Random(seed)).lower()
        assert ("multiple" in text) == (count > 1), text
        assert ("lesions" in text) == (count > 1), text
        assert not re.search(r"\blesions (?:is|shows|causes|lies)\b|\blesion (?:are|show|cause|lie)\b", text), text


def test_sentences_are_well_formed() -> None:
    for seed, truth in enumerate(some_truths(500)):
        text = narrate(truth, random.Random(seed))
        assert not re.search(r"[{}]|  | [.,]|,,|\.\.", text), text
        assert all(sentence[0].isupper() for sentence in text.split(". ")), text
        assert text.endswith("."), text
