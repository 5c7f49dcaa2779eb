"""The joint reading of scan and mirror image, and the mirror check, with engines whose answers are known."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stand_in import HEALTHY, Rule, StandIn, Weight, lesion, seeing
from tiny_model import head

from brain3d.reading import Reader
from brain3d.reading.mirror_check import choose, compare
from brain3d.reports import SIDE_WITHHELD, Findings, mirror_text, parse_findings
from brain3d.scans import Scan


def scan_of(spot_x: float, side_known: bool = True) -> Scan:
    data, affine = head(spot_x)
    return Scan(data, affine, "RAS", (4.0, 4.0, 4.0), "0" * 64, side_known)


def read(rule: Rule, spot_x: float = -35.0, weight: Weight = lambda left, text: 0.0) -> Any:
    return Reader(StandIn(rule, weight)).report(scan_of(spot_x))


@pytest.mark.parametrize(("spot_x", "side"), [(-35.0, "left"), (35.0, "right")])
def test_a_reader_that_sees_keeps_its_side(spot_x: float, side: str) -> None:
    report = read(seeing, spot_x)
    assert [x.side for x in report.findings.lesions] == [side]
    assert report.text == lesion(side)
    assert report.flags == ()
    assert report.generation["mirror_check"] == {"done": True, "result": "agrees", "chosen": "both"}


def test_a_reader_that_always_says_left_says_nothing() -> None:
    report = read(lambda left: lesion("left"))
    assert [flag.code for flag in report.flags] == ["side_unstable"]
    assert [x.side for x in report.findings.lesions] == ["unknown"]
    assert report.findings.lesions[0].regions == ("frontal",)
    assert report.text.startswith(SIDE_WITHHELD)
    assert "left" not in report.text
    assert report.generation["mirror_check"]["result"] == "side_differs"


def seen_once(left: bool) -> str:
    return lesion("left") if left else HEALTHY


@pytest.mark.parametrize("spot_x", [-35.0, 35.0])
def test_a_lesion_in_only_one_of_the_two_is_flagged_and_has_no_side(spot_x: float) -> None:
    report = read(seen_once, spot_x, lambda left, text: float(lesion("left").startswith(text)))
    assert [flag.code for flag in report.flags] == ["findings_unstable"]
    assert [(x.side, x.regions) for x in report.findings.lesions] == [("unknown", ("frontal",))]
    assert report.text.startswith(SIDE_WITHHELD)
    assert "left" not in report.text
    assert report.generation["mirror_check"]["result"] == "findings_differ"


@pytest.mark.parametrize("spot_x", [-35.0, 35.0])
def test_a_lesion_that_is_unlikelier_in_the_two_together_is_not_reported_but_flagged(spot_x: float) -> None:
    report = read(seen_once, spot_x, lambda left, text: float(HEALTHY.startswith(text)))
    assert [flag.code for flag in report.flags] == ["findings_unstable"]
    assert report.text == HEALTHY
    assert report.findings.normal


def test_where_one_states_no_lesion_openings_are_weighed_and_not_whole_texts() -> None:
    scored = []

    def weight(left: bool, text: str) -> float:
        scored.append(text)
        return 0.0

    read(seen_once, weight=weight)
    assert set(scored) == {lesion("left").split()[0], HEALTHY.split()[0]}


def with_edema(side: str, degree: str) -> str:
    return f"There is a lesion in the {side} frontal lobe. {degree} edema surrounds the lesion."


@pytest.mark.parametrize(("spot_x", "side"), [(-35.0, "left"), (35.0, "right")])
@pytest.mark.parametrize("degree", ["Mild", "Severe"])
def test_the_likelier_text_for_both_images_is_reported_whichever_was_the_scan(
    spot_x: float, side: str, degree: str
) -> None:
    def rule(left: bool) -> str:
        return with_edema("left", "Mild") if left else with_edema("right", "Severe")

    report = read(rule, spot_x, lambda left, text: float(degree in text))
    assert report.text == with_edema(side, degree)
    assert report.flags == ()
    chosen = "scan" if (side == "left") == (degree == "Mild") else "mirror"
    assert report.generation["mirror_check"] == {"done": True, "result": "agrees", "chosen": chosen}


def test_each_text_is_scored_for_its_own_image() -> None:
    scored = []

    def weight(left: bool, text: str) -> float:
        scored.append((left, text))
        return 0.0

    read(lambda left: with_edema("left", "Mild") if left else with_edema("right", "Severe"), weight=weight)
    assert set(scored) == {
        (left, with_edema("left" if left else "right", degree))
        for left in (True, False)
        for degree in ("Mild", "Severe")
    }


def test_readings_that_are_the_same_need_no_scores() -> None:
    def weight(left: bool, text: str) -> float:
        raise AssertionError("scored")

    assert read(seeing, weight=weight).text == lesion("left")


@pytest.mark.parametrize("liked", ["Mild", "Severe"])
def test_only_a_text_that_is_reported_can_be_cut_short(liked: str) -> None:
    def rule(left: bool) -> str:
        return with_edema("left", "Severe") + ".." if left else with_edema("right", "Mild")

    report = read(rule, weight=lambda left, text: float(liked in text))
    assert ("cut_short" in [flag.code for flag in report.flags]) == (liked == "Severe")


TEXTS = [HEALTHY, "Brain.", lesion("left"), lesion("right"), lesion("left", "temporal"), "On the LeFt side."]
WORDS = list(
    dict.fromkeys(word for text in TEXTS for word in (text, mirror_text(text), mirror_text(mirror_text(text))))
)
weights = st.fixed_dictionaries({text: st.sampled_from([-3.5, -2.25, -0.1]) for text in WORDS})


@given(st.sampled_from(TEXTS), st.sampled_from(TEXTS), weights, weights)
def test_exchanging_the_images_exchanges_the_chosen_texts(
    text: str, mirrored: str, scan: dict[str, float], mirror: dict[str, float]
) -> None:
    def score(pair: tuple[str, str], beside: object) -> float:
        return scan[pair[0]] + mirror[pair[1]]

    def exchanged(pair: tuple[str, str], beside: object) -> float:
        return mirror[pair[0]] + scan[pair[1]]

    own, other = (text, mirror_text(text)), (mirror_text(mirrored), mirrored)
    first = own if choose(text, mirrored, score) != "mirror" else other
    second = other if choose(mirrored, text, exchanged) != "mirror" else own
    undecidable = own == other[::-1] and score(own, None) == score(other, None)
    assert first == second or undecidable


def test_the_same_text_for_both_images_without_a_likelier_one_is_the_scans_own() -> None:
    assert choose(lesion("left"), lesion("left"), lambda pair, beside: 0.0) == "scan"


def test_the_check_can_be_turned_off() -> None:
    engine = StandIn(lambda left: lesion("left"))
    report = Reader(engine).report(scan_of(-35.0), mirror_check=False)
    assert engine.shown == 1
    assert (report.flags, report.text) == ((), lesion("left"))
    assert report.generation["mirror_check"] == {"done": False}


def test_an_unknown_side_is_withheld_without_a_second_reading() -> None:
    engine = StandIn(seeing)
    report = Reader(engine).report(scan_of(-35.0, side_known=False))
    assert engine.shown == 1
    assert [x.side for x in report.findings.lesions] == ["unknown"]
    assert "side_not_in_header" in [flag.code for flag in report.flags]


def test_each_scan_of_a_batch_meets_its_own_mirror_image() -> None:
    scans = [scan_of(-35.0), scan_of(-35.0, side_known=False), scan_of(35.0)]
    reports = Reader(StandIn(seeing)).reports(scans, batch_size=3)
    assert [report.findings.lesions[0].side for report in reports] == ["left", "unknown", "right"]
    assert [len(report.flags) for report in reports] == [0, 1, 0]


def test_a_text_without_findings_is_flagged() -> None:
    report = read(lambda left: "Brain.")
    assert [flag.code for flag in report.flags] == ["findings_unclear"]


@pytest.mark.parametrize(
    ("own", "mirrored", "expected"),
    [
        (HEALTHY, HEALTHY, "agrees"),
        (HEALTHY, lesion("left"), "findings_differ"),
        (HEALTHY, "Brain.", "findings_differ"),
        (lesion("left"), lesion("right"), "agrees"),
        (lesion("left"), lesion("right", "temporal"), "agrees"),
        (lesion("left"), lesion("left"), "side_differs"),
        (lesion("left"), "There is a lesion in the frontal lobe.", "side_differs"),
        (
            f"{lesion('left')} {lesion('right', 'occipital')}",
            f"{lesion('left', 'occipital')} {lesion('right')}",
            "agrees",
        ),
        (
            f"{lesion('left')} {lesion('right', 'occipital')}",
            f"{lesion('left')} {lesion('right', 'occipital')}",
            "side_differs",
        ),
    ],
)
def test_compare(own: str, mirrored: str, expected: str) -> None:
    first, second = parse_findings(own), parse_findings(mirrored)
    assert isinstance(first, Findings)
    assert compare(first, second) == expected
