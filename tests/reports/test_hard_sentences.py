"""Hard sentences, each with what a radiologist reads from it (`hard_sentences.yaml`, `more_sentences.yaml`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from brain3d.reports import Findings, Lesion, canonical_regions, mirror_findings, mirror_text, read_report
from brain3d.reports.evidence import mirror_places

FILES = ("hard_sentences.yaml", "more_sentences.yaml")
CASES = [case for name in FILES for case in yaml.safe_load((Path(__file__).parent / name).read_text(encoding="utf-8"))]
# Known limits, in docs/findings.md: what is said only by comparing or pointing, and degrees in a chain of denials.
NOT_READ = {
    "The right frontal lesion is larger than the left parietal lesion.",
    "The left parietal lesion is as bright as the right parietal white matter is dark.",
    "There is no enhancement of the left frontal lesion.",
    "A right frontal lesion. Compression of the left lateral ventricle is absent, that of the right is marked.",
    "A left frontal lesion. Edema is neither extensive nor mild but moderate.",
}


def wanted(values: dict[str, Any]) -> Lesion:
    """The lesion of a case; what is not given is unknown."""
    return Lesion(
        side=values.get("side", "unknown"),
        regions=canonical_regions(values.get("regions", ())),
        signal=values.get("signal", "unknown"),
        edema=values.get("edema", "unknown"),
        necrosis=values.get("necrosis", "unknown"),
        ventricular_compression=values.get("compression", "unknown"),
    )


def places(values: dict[str, Any]) -> set[tuple[str, str]]:
    """Each region of a case with its side: the lesion's, where no other is given."""
    given = values.get("places", [(values.get("side", "unknown"), name) for name in values.get("regions", ())])
    return {(side, name) for side, name in given}


@pytest.mark.parametrize("case", [pytest.param(case, id=case["text"][:60]) for case in CASES])
def test_a_sentence_is_read_as_a_radiologist_reads_it(case: dict[str, Any], request: pytest.FixtureRequest) -> None:
    if case["text"] in NOT_READ:
        request.applymarker(pytest.mark.xfail(reason="a known limit", strict=True))
    reading = read_report(case["text"])
    lesions = case.get("lesions", [])
    assert reading.findings == Findings(case.get("normal", False), tuple(wanted(values) for values in lesions))
    assert [one.certainty for one in reading.lesions] == [one.get("certainty", "stated") for one in lesions]
    assert [set(one.places) for one in reading.lesions] == [places(one) for one in lesions]


@pytest.mark.parametrize("case", [pytest.param(case, id=case["text"][:60]) for case in CASES])
def test_mirrored_words_give_mirrored_findings(case: dict[str, Any]) -> None:
    reading, mirrored = read_report(case["text"]), read_report(mirror_text(case["text"]))
    assert mirrored.findings == mirror_findings(reading.findings)
    assert [one.places for one in mirrored.lesions] == [mirror_places(one.places) for one in reading.lesions]
    assert [one.certainty for one in mirrored.lesions] == [one.certainty for one in reading.lesions]


def test_there_are_many_and_none_twice() -> None:
    texts = [case["text"] for case in CASES]
    assert len(set(texts)) == len(texts) >= 400
    assert set(texts) >= NOT_READ
