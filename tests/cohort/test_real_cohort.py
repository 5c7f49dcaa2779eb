"""A cohort of the real tumour subjects, with phantoms in the place of healthy scans."""

from __future__ import annotations

from pathlib import Path

import pytest

from brain3d.cohort import open_volumes, study_volume
from brain3d.cohort.prepare import Settings, prepare_cohort
from brain3d.cohort.textbrats import find_textbrats
from brain3d.phantom.cohort import write_cohort
from brain3d.scans import VolumeSpec

SPEC = VolumeSpec((36, 40, 40), 4.5)


@pytest.mark.real_data
def test_brats_subjects_and_phantoms(tmp_path: Path, real_data: Path) -> None:
    sample = real_data / "brats20-sample"
    write_cohort(tmp_path / "healthy", 3, seed=4, spacing_mm=6.0, workers=1, healthy_share=1.0)
    found = find_textbrats(sample / "images", sample / "reports", [tmp_path / "healthy"])
    assert found.problems == ()
    prepared = prepare_cohort(found, Settings(tmp_path / "out", "brats-textbrats", spec=SPEC), print)
    studies = prepared.cohort.studies
    assert [study.healthy for study in studies] == [False] * 4 + [True] * 3
    assert [len(study.sequences) for study in studies[:4]] == [1, 4, 1, 4]
    assert all(study.mask is not None for study in studies[:4])
    assert {study.split for study in studies} == {"train", "validation", "test"}
    assert prepared.problems == ()
    assert (prepared.audit.warnings, prepared.audit.files.verdict) == (0, "too few")
    cache = open_volumes(prepared.cohort, SPEC)
    assert len(cache) == 7
    assert study_volume(studies[0], cache).data.max() > -1
