"""The words that findings were read from."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from brain3d.reports import Findings, parse_findings, read_report

TEXT = (
    "A mass in the LEFT frontal  lobe\u2014bright\u2014with marked edema. "
    "No necrosis is seen; the ventricles are normal."
)
SENTENCES = [
    case["text"] for case in yaml.safe_load((Path(__file__).parent / "hard_sentences.yaml").read_text(encoding="utf-8"))
]


def test_each_finding_has_the_words_it_came_from() -> None:
    (lesion,) = read_report(TEXT).lesions
    words = {key: [span.text for span in spans] for key, spans in lesion.words.items()}
    assert words == {
        "lesion": ["mass"],
        "side": ["LEFT"],
        "frontal": ["frontal"],
        "signal": ["bright"],
        "edema": ["marked edema"],
        "necrosis": ["No necrosis"],
        "ventricular_compression": ["ventricles are normal"],
    }


@pytest.mark.parametrize("text", SENTENCES)
def test_spans_are_those_of_the_text(text: str) -> None:
    reading = read_report(text)
    assert len(reading.lesions) == len(reading.findings.lesions)
    for lesion, evidence in zip(reading.findings.lesions, reading.lesions, strict=True):
        for spans in evidence.words.values():
            assert all(span.text and text[span.start : span.end] == span.text for span in spans)
        known = {
            name for name in ("edema", "necrosis", "ventricular_compression") if getattr(lesion, name) != "unknown"
        }
        told = {*lesion.regions, *known} | ({"side"} if lesion.side != "unknown" else set())
        assert told <= set(evidence.words)
        assert {region for _, region in evidence.places} == set(lesion.regions)
    assert bool(reading.normal) == reading.findings.normal


def test_what_is_said_twice_has_both_its_places() -> None:
    text = "FINDINGS: A mass in the left frontal lobe. IMPRESSION: Left frontal mass."
    (lesion,) = read_report(text).lesions
    assert [span.start for span in lesion.words["side"]] == [text.index("left"), text.index("Left")]


def test_each_region_has_its_side() -> None:
    reading = read_report("A lesion in the left frontal and temporal and the right parietal lobes.")
    assert reading.lesions[0].places == (("left", "frontal"), ("left", "temporal"), ("right", "parietal"))
    assert reading.places() == {(0, "left", "frontal"), (0, "left", "temporal"), (0, "right", "parietal")}
    assert reading.findings.lesions[0].side == "bilateral"


def test_the_regions_of_a_withheld_side_have_none() -> None:
    reading = read_report("A left temporal lesion is seen. The side is uncertain.")
    assert reading.lesions[0].places == (("unknown", "temporal"),)


def test_a_normal_brain_has_the_words_that_say_so() -> None:
    reading = read_report("The scan was done today. No focal lesion is seen.")
    assert [span.text for span in reading.normal] == ["No focal lesion is seen"]
    assert reading.to_dict() == {
        "normal": True,
        "lesions": [],
        "evidence": {"normal": [{"start": 25, "end": 48, "text": "No focal lesion is seen"}], "lesions": []},
    }


def test_the_plain_values_hold_the_findings_of_a_report() -> None:
    values = read_report(TEXT).to_dict()
    assert Findings.from_dict(values) == parse_findings(TEXT)
    assert set(values["evidence"]["lesions"][0]["words"]["regions"]) == {"frontal"}


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=80), st.sampled_from(SENTENCES), st.text(max_size=80))
def test_offsets_hold_in_any_surroundings(before: str, sentence: str, after: str) -> None:
    text = f"{before}\n\n{sentence}\n\n{after}"
    reading = read_report(text)
    for evidence in reading.lesions:
        for spans in evidence.words.values():
            assert all(text[span.start : span.end] == span.text for span in spans)


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(SENTENCES), st.integers(0, 2**32))
def test_capitals_and_line_breaks_change_nothing(sentence: str, seed: int) -> None:
    if "\n" not in sentence and "1)" not in sentence:
        rng = random.Random(seed)
        broken = "".join(
            "\n" if c == " " and n.islower() and rng.random() < 0.3 else c
            for c, n in zip(sentence, sentence[1:] + " ", strict=True)
        )
        assert parse_findings(broken) == parse_findings(sentence)
        assert parse_findings(sentence.upper()) == parse_findings(sentence)
