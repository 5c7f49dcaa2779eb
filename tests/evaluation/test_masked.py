"""Scores against a mask: phantoms' own masks, whose truth is known; a mask that does not fit is told."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from brain3d.evaluation.masked import MaskTruth, mask_family, measure_mask
from brain3d.evaluation.measures import MISSING, Answers, Cases
from brain3d.evaluation.pairs import Pair
from brain3d.evaluation.score import accepted_sides
from brain3d.evaluation.scoring import Scores, score_pairs
from brain3d.evaluation.stated import read_all
from brain3d.phantom.cohort import write_cohort
from brain3d.phantom.truth import Truth
from brain3d.scans import InputError

LEFT = "A lesion is seen in the left frontal lobe. There is mild edema. There is no necrosis."
RIGHT = "A lesion is seen in the right temporal lobe. There is severe necrosis."
TEXTS = [LEFT, RIGHT, "No focal lesion is seen."]


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Path, Path, Truth, str]]:
    manifest = write_cohort(str(tmp_path_factory.mktemp("phantoms")), 5, 12, 2.0, workers=1, healthy_share=0.2)
    found = []
    for line in manifest.read_text().splitlines():
        study = json.loads(line)
        image, mask, truth, report = (manifest.parent / study[key] for key in ("image", "mask", "truth", "report"))
        found.append((image, mask, Truth.from_dict(json.loads(truth.read_text())), report.read_text()))
    return found


def test_a_mask_says_what_was_drawn(cohort: list[tuple[Path, Path, Truth, str]]) -> None:
    for image, mask, truth, _ in cohort:
        found = measure_mask(image, mask)
        assert found.empty == truth.normal
        if not truth.normal and truth.volume_ml > 3:
            assert found.side in accepted_sides(truth)
            assert found.point is not None
    assert any(not truth.normal and truth.volume_ml > 3 for _, _, truth, _ in cohort)


def scored(cohort: list[tuple[Path, Path, Truth, str]], *, other_mask: bool = False) -> Scores:
    masks = [mask for _, mask, _, _ in cohort]
    if other_mask:
        masks = [image.with_name("absent.nii.gz") for image, *_ in cohort]
    pairs = [
        Pair(f"p{index}", index + 1, None if index == 0 else report, report, image=image, mask=mask)
        for index, ((image, _, _, report), mask) in enumerate(zip(cohort, masks, strict=True))
    ]
    return score_pairs(pairs, resamples=100)


def test_reports_of_the_truth_are_true_of_the_mask(cohort: list[tuple[Path, Path, Truth, str]]) -> None:
    content = scored(cohort).content
    assert content["grounded"] == 5
    visible = sum(truth.visible and not truth.normal for _, _, truth, _ in cohort)
    ill = sum(not truth.normal for _, _, truth, _ in cohort)
    side = content["metrics"]["grounded/side"]
    assert side["n"] == ill
    assert side["value"] * ill >= visible - 1
    assert content["healthy"] == 5 - visible or content["healthy"] == 5 - ill


def test_a_mask_that_cannot_be_read_is_told_without_its_path(cohort: list[tuple[Path, Path, Truth, str]]) -> None:
    content = scored(cohort, other_mask=True).content
    assert content["problem_counts"] == {"not_grounded": 5}
    assert not any("absent.nii.gz" in problem["reason"] for problem in content["problems"])
    assert not any(name.startswith("grounded/") for name in content["metrics"])


def test_an_unreadable_image_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        measure_mask(tmp_path / "a.nii.gz", tmp_path / "b.nii.gz")


def values(masks: list[MaskTruth], said: list[int]) -> dict[str, float]:
    count = len(masks)
    cases = Cases(np.full(count, MISSING), np.full(count, MISSING), np.arange(count))
    family = mask_family(read_all(TEXTS), masks)
    rows = family.rows(cases, Answers(np.array(said), np.full(count, MISSING)))
    return {m.name.split("/")[1]: float(m.value(r.sum(axis=0))) for m, r in zip(family.measures, rows, strict=True)}


def test_lobes_edema_and_necrosis_by_hand() -> None:
    mask = MaskTruth(False, "left", (0.7, 0.02, 0.28, 0.0), edema=True, necrosis=False, point=None)
    right = values([mask], [0])
    assert (right["side"], right["lobes_supported"], right["lobes_owed"]) == (1.0, 1.0, 0.5)
    assert (right["edema"], right["necrosis"]) == (1.0, 1.0)
    wrong = values([mask], [1])
    assert (wrong["side"], wrong["lobes_supported"], wrong["lobes_owed"]) == (0.0, 1.0, 0.5)
    assert (wrong["edema"], wrong["necrosis"]) == (0.0, 0.0)


def test_a_failed_case_is_wrong_and_an_empty_mask_has_no_say() -> None:
    mask = MaskTruth(False, "left", (1.0, 0.0, 0.0, 0.0), edema=None, necrosis=None, point=None)
    empty = MaskTruth(True, "unknown", (0.0,) * 4, edema=False, necrosis=False, point=None)
    failed = values([mask, empty], [MISSING, 0])
    assert (failed["side"], failed["lobes_supported"], failed["lobes_owed"]) == (0.0, 0.0, 0.0)
    assert np.isnan(failed["edema"])
