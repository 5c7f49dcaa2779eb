"""Whole reports in four parts, read as a person reads them (`whole_reports.yaml`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from brain3d.reports import mirror_findings, mirror_text, overall_side, parse_findings
from brain3d.reports.signs import stronger

SETS: dict[str, list[dict[str, Any]]] = yaml.safe_load(
    (Path(__file__).parent / "whole_reports.yaml").read_text(encoding="utf-8")
)
CASES = [pytest.param(case, id=f"{name} {i}") for name, cases in SETS.items() for i, case in enumerate(cases, start=1)]


@pytest.mark.parametrize("case", CASES)
def test_side_regions_and_signs(case: dict[str, Any]) -> None:
    findings = parse_findings(case["text"])
    regions = {name for lesion in findings.lesions for name in lesion.regions}
    assert overall_side(findings) == case["side"]
    assert regions - set(case.get("open", ())) == set(case["regions"])
    for sign, wanted in case["signs"].items():
        degree = "unknown"
        for lesion in findings.lesions:
            degree = stronger(degree, getattr(lesion, sign))
        assert wanted in (degree, "?"), sign


@pytest.mark.parametrize("case", CASES)
def test_mirrored_words_give_mirrored_findings(case: dict[str, Any]) -> None:
    assert parse_findings(mirror_text(case["text"])) == mirror_findings(parse_findings(case["text"]))


def test_there_are_many_and_none_twice() -> None:
    texts = [case["text"] for cases in SETS.values() for case in cases]
    assert len(set(texts)) == len(texts) >= 300
    assert len(SETS["first"]) >= 120
