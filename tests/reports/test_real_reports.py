"""Real TextBraTS reports, read by a person first. They stay outside the repository."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from brain3d.reports import Lesion, mirror_findings, mirror_text, parse_findings, withhold_side

FOLDER = os.environ.get("BRAIN3D_REAL_DATA", "")
READ = {
    "158": Lesion("left", ("temporal", "occipital"), "mixed", "severe", "present", "unknown"),
    "163": Lesion("left", ("frontal", "parietal"), "mixed", "severe", "present", "present"),
    "198": Lesion("right", ("frontal", "temporal"), "mixed", "severe", "present", "present"),
    "316": Lesion("right", ("frontal", "parietal"), "mixed", "severe", "severe", "present"),
}


@pytest.mark.real_data
@pytest.mark.parametrize("number", sorted(READ))
def test_real_reports(number: str) -> None:
    found = sorted(Path(FOLDER).rglob(f"BraTS20_Training_{number}_flair_text.txt")) if FOLDER else []
    if not found:
        pytest.skip("BRAIN3D_REAL_DATA does not hold this report")
    text = found[0].read_text(encoding="utf-8")
    findings = parse_findings(text)
    assert findings.lesions == (READ[number],)
    assert parse_findings(mirror_text(text)) == mirror_findings(findings)
    (withheld,) = parse_findings(withhold_side(text)).lesions
    assert (withheld.side, withheld.regions) == ("unknown", READ[number].regions)
