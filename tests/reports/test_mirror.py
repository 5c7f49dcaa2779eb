"""Mirroring words, and taking the side out of them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brain3d.reports import SIDE_WITHHELD, mirror_text, parse_findings, withhold_side

PAIRS = [
    ("A lesion in the left frontal lobe.", "A lesion in the right frontal lobe."),
    ("Left-sided mass, LEFT hemisphere.", "Right-sided mass, RIGHT hemisphere."),
    ("Midline shifted leftward; Leftmost focus.", "Midline shifted rightward; Rightmost focus."),
    ("left/right, (left) left_sided", "right/left, (right) right_sided"),
    ("A left-handed patient.", "A right-handed patient."),
]
SAME = [
    "",
    "bright cleft upright theft copyright",
    "bilateral midline lesion",
    "leftover rightful alright",
    "LR",
]


@pytest.mark.parametrize(("text", "mirrored"), PAIRS)
def test_side_words_change_places_and_keep_their_case(text: str, mirrored: str) -> None:
    assert mirror_text(text) == mirrored
    assert mirror_text(mirrored) == text


@pytest.mark.parametrize("text", SAME)
def test_other_words_stay(text: str) -> None:
    assert mirror_text(text) == text


def test_odd_cases_still_change_sides() -> None:
    assert mirror_text("lEFt LeFT rIGHT") == "right Right left"


SIDE_WORDS = st.sampled_from(
    [
        "left",
        "Left",
        "LEFT",
        "right",
        "Right",
        "RIGHT",
        "leftward",
        "right-sided",
        "LEFTMOST",
        "r\u0131ght",
        "leften",
    ]
)
PIECES = st.one_of(SIDE_WORDS, st.sampled_from([" ", "-", "_", ".", "é", "9", "s"]), st.text(max_size=4))


@given(st.lists(PIECES).map("".join))
def test_mirroring_twice_gives_the_text_back(text: str) -> None:
    odd = re.search(r"left|right", re.sub(r"left|right|Left|Right|LEFT|RIGHT", "", text), re.IGNORECASE)
    if not odd:
        assert mirror_text(mirror_text(text)) == text


WITHHELD = [
    ("A lesion is seen in the left frontal lobe.", "A lesion is seen in the frontal lobe."),
    ("A left occipital lesion is seen.", "An occipital lesion is seen."),
    ("Left temporal mass.", "Temporal mass."),
    ("Bilateral frontal lesions are seen.", "Frontal lesions are seen."),
    (
        "A lesion lies in the left hemisphere, involving the insula.",
        "A lesion lies in the brain, involving the insula.",
    ),
    (
        "A lesion lies on the right side of the brain, in the insula.",
        "A lesion lies in the brain, in the insula.",
    ),
    ("A lesion is seen in the frontal lobes of both hemispheres.", "A lesion is seen in the frontal lobes."),
    ("A lesion is seen in the insula on the left.", "A lesion is seen in the insula."),
    (
        "A lesion is seen in the insula on the left, with high signal.",
        "A lesion is seen in the insula, with high signal.",
    ),
    ("A lesion in both frontal lobes.", "A lesion in the frontal lobes."),
    ("A lesion lies in the pons at the midline.", "A lesion lies in the pons."),
    (
        "A lesion in the pons. The midline is not shifted.",
        "A lesion in the pons. The midline is not shifted.",
    ),
    ("A lesion in the left and right insula.", "A lesion in the insula."),
    ("A bifrontal mass with both high and low signal.", "A frontal mass with both high and low signal."),
]


@pytest.mark.parametrize(("text", "without"), WITHHELD)
def test_the_side_is_taken_out_and_said_to_be_unknown(text: str, without: str) -> None:
    assert withhold_side(text) == f"{SIDE_WITHHELD} {without}"


@pytest.mark.parametrize("text", [text for text, _ in WITHHELD])
def test_a_report_without_its_side_keeps_its_regions(text: str) -> None:
    (before,) = parse_findings(text).lesions
    (after,) = parse_findings(withhold_side(text)).lesions
    assert (after.side, after.regions, after.signal) == ("unknown", before.regions, before.signal)


@pytest.mark.parametrize("text", ["", " ", "No lesion is seen on the left or the right.", "The brain is normal."])
def test_a_report_without_a_lesion_is_left_alone(text: str) -> None:
    assert withhold_side(text) == text


def test_withholding_twice_changes_nothing_more() -> None:
    once = withhold_side("A left frontal lesion.")
    assert withhold_side(once) == once


WORDS = [
    "a",
    "left",
    "right",
    "the",
    "LEFT",
    "leftward",
    "lesion",
    "of",
    "side",
    "frontal",
    ",",
    ".",
    "on",
    "in",
]


@given(st.lists(st.sampled_from(WORDS)))
def test_no_side_word_is_left_over(words: list[str]) -> None:
    text = "A mass is seen. " + " ".join(words)
    assert not re.search(r"\b(left|right)", withhold_side(text), re.IGNORECASE)
