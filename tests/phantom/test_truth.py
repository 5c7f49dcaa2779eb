"""The truth about a phantom."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from brain3d.phantom.truth import Truth
from brain3d.reports import Findings, Lesion, mirror_findings

TRUTH = Truth(
    normal=False,
    visible=True,
    side="left",
    left_share=0.875,
    centroid_offset_mm=-21.5,
    regions=("frontal", "insula"),
    region_shares={"frontal": 0.75, "insula": 0.25},
    signal="high",
    edema="moderate",
    necrosis="none",
    ventricular_compression="mild",
    midline_shift_mm=2.5,
    volume_ml=31.0,
    contrast_to_noise=4.0,
    lesion_count=1,
    skull=False,
)


def test_findings_describe_the_whole_burden_in_one_entry() -> None:
    lesion = Lesion("left", ("frontal", "insula"), "high", "moderate", "none", "mild")
    assert replace(TRUTH, lesion_count=3).findings() == Findings(False, (lesion,))


@pytest.mark.parametrize("change", [{"normal": True}, {"visible": False}])
def test_what_cannot_be_seen_is_normal(change: dict[str, bool]) -> None:
    assert replace(TRUTH, **change).findings() == Findings(True)


def test_the_mirrored_truth() -> None:
    other = TRUTH.mirrored()
    assert (other.side, other.left_share, other.centroid_offset_mm) == ("right", 0.125, 21.5)
    assert replace(other, side="left", left_share=0.875, centroid_offset_mm=-21.5) == TRUTH
    assert other.mirrored() == TRUTH
    assert other.findings() == mirror_findings(TRUTH.findings())


def test_a_healthy_truth_mirrors_into_itself() -> None:
    healthy = replace(TRUTH, normal=True, side="unknown", left_share=None, centroid_offset_mm=None)
    assert healthy.mirrored() == healthy


def test_a_truth_survives_json() -> None:
    assert Truth.from_dict(json.loads(json.dumps(TRUTH.to_dict()))) == TRUTH


def test_foreign_keys_are_refused() -> None:
    values = TRUTH.to_dict()
    with pytest.raises(ValueError, match="colour"):
        Truth.from_dict({**values, "colour": "red"})
    del values["side"]
    with pytest.raises(ValueError, match="side"):
        Truth.from_dict(values)
