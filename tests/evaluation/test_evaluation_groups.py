"""Which phantoms are held to the targets, and which go into the curve."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from brain3d.evaluation.references import Source, curve_bins, groups, in_target, reference_of
from brain3d.phantom.truth import Truth

SEEN = Truth(
    normal=False,
    visible=True,
    side="left",
    left_share=1.0,
    centroid_offset_mm=-20.0,
    regions=("frontal",),
    region_shares={"frontal": 1.0},
    signal="high",
    edema="mild",
    necrosis="none",
    ventricular_compression="none",
    midline_shift_mm=0.0,
    volume_ml=1.0,
    contrast_to_noise=1.5,
    lesion_count=1,
    skull=False,
)
FAINT = replace(SEEN, contrast_to_noise=0.6, visible=False)
SMALL = replace(SEEN, volume_ml=0.9)
HEALTHY = replace(SEEN, normal=True, visible=False, volume_ml=0.0, contrast_to_noise=None, left_share=None)


def test_targets_are_healthy_or_conspicuous() -> None:
    found = [in_target(item) for item in (SEEN, FAINT, SMALL, HEALTHY, None)]
    assert found == [True, False, False, True, False]


def test_groups_hold_what_they_say() -> None:
    truths = (SEEN, FAINT, SMALL, HEALTHY, replace(SEEN, skull=True))
    found = {
        name.split(" (")[0]: members.tolist() for name, members in groups([Source(t, None) for t in truths]).items()
    }
    assert found == {
        "all cases": [0, 1, 2, 3, 4],
        "target phantoms": [0, 3, 4],
        "target phantoms without skull": [0, 3],
        "phantoms with skull": [4],
    }
    assert list(groups([Source(None, "No lesion.")])) == ["all cases"]


def test_every_lesion_is_in_exactly_one_bin() -> None:
    rng = np.random.default_rng(0)
    truths = [
        replace(SEEN, volume_ml=float(v), contrast_to_noise=float(c))
        for v, c in zip(rng.uniform(0, 100, 50), rng.uniform(0, 8, 50), strict=True)
    ]
    bins = curve_bins([Source(t, None) for t in (*truths, HEALTHY)])
    members = np.concatenate([indices for _, indices in bins])
    assert sorted(members.tolist()) == list(range(50))
    assert curve_bins([Source(HEALTHY, None)]) == []


def test_what_cannot_be_seen_is_no_lesion_for_the_report_but_has_a_side_for_the_curve() -> None:
    found = reference_of(Source(FAINT, None))
    assert found.findings.normal
    assert found.sides == {"left"}


def test_a_report_alone_is_a_reference() -> None:
    found = reference_of(Source(None, "There is a lesion in the right parietal lobe."))
    assert found.sides == {"right"}
    assert found.lobe_shares is None
