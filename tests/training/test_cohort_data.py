"""Studies become volumes and reports, mirrored together; what cannot be trained on is named."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from brain3d.cohort import Cohort, open_volumes, study_volume
from brain3d.reports import mirror_fault, mirror_findings, mirror_text, parse_findings
from brain3d.scans import InputError, VolumeSpec
from brain3d.scans.cache import CacheError
from brain3d.training.augment import augmented
from brain3d.training.batches import View
from brain3d.training.cohort_data import (
    CohortData,
    ContradictoryReport,
    NoReport,
    StudyError,
    UnreadableScan,
    load_data,
)

from .small_parts import COUNT, SHAPE, SPACING_MM, small_cohort

SPEC = VolumeSpec(SHAPE, SPACING_MM)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return small_cohort(tmp_path_factory.mktemp("cohort") / "c")


@pytest.fixture(scope="module")
def data(cohort: Cohort) -> CohortData:
    return load_data(cohort.studies, open_volumes(cohort, SPEC))


def test_volumes_are_those_of_the_cohort_and_reports_their_text(cohort: Cohort, data: CohortData) -> None:
    assert len(data) == COUNT
    for row, study in enumerate(cohort.studies):
        assert np.array_equal(data.volume(View(row)), study_volume(study, open_volumes(cohort, SPEC)).data)
        assert study.report is not None
        assert data.report(View(row)) == study.report.read_text(encoding="utf-8").strip()


def test_a_mirrored_view_mirrors_image_and_words(data: CohortData) -> None:
    for row in range(COUNT):
        view = View(row, mirrored=True)
        assert np.array_equal(data.volume(view), data.volume(View(row))[..., ::-1])
        assert data.report(view) == mirror_text(data.report(View(row)))
        assert parse_findings(data.report(view)) == mirror_findings(data.items[row].findings)


def test_a_second_loading_reads_the_volumes_that_were_prepared(cohort: Cohort, data: CohortData) -> None:
    volumes = open_volumes(cohort, SPEC)
    before = len(volumes)
    again = load_data(cohort.studies, volumes)
    assert len(volumes) == before == COUNT
    assert [item.content for item in again.items] == [item.content for item in data.items]
    assert len({item.content for item in data.items}) == COUNT


def test_healthy_studies_and_sides_are_counted(data: CohortData) -> None:
    summary = data.summary()
    assert summary["studies"] == COUNT
    assert summary["healthy"] == sum(item.findings.normal for item in data.items)
    assert sum(count for name, count in summary.items() if name not in ("studies", "healthy")) == COUNT


def test_content_tells_views_apart_and_not_studies_of_equal_volumes(data: CohortData) -> None:
    views = [View(row, mirrored, number) for row in range(2) for mirrored in (False, True) for number in (0, 1)]
    assert len({data.content(view) for view in views}) == len(views)
    twin = CohortData([replace(data.items[0], study=replace(data.items[0].study, id="other"))], data.volumes)
    assert twin.content(View(0)) == data.content(View(0))
    assert CohortData(data.items, data.volumes, seed=1).content(View(0, False, 1)) != data.content(View(0, False, 1))


def test_each_fault_has_its_class_and_names_the_study(cohort: Cohort, tmp_path: Path) -> None:
    good = cohort.studies[0]
    texts = {"empty": " \n", "mixed": "A lesion in the LeFt lobe.", "short": "A mass (Lt frontal)."}
    reports = {name: tmp_path / f"{name}.txt" for name in texts}
    for name, text in texts.items():
        reports[name].write_text(text, encoding="utf-8")
    scan = tmp_path / "scan.nii.gz"
    scan.write_bytes(good.image.read_bytes()[:500])
    cases = [
        (replace(good, id="a", image=scan), UnreadableScan, "its scan cannot be used"),
        (replace(good, id="b", report=None), NoReport, "names no report"),
        (replace(good, id="c", report=reports["empty"]), NoReport, "is empty"),
        (replace(good, id="d", report=tmp_path / "gone.txt"), NoReport, "cannot be read"),
        (replace(good, id="e", report=reports["mixed"]), ContradictoryReport, "mixture of capitals"),
        (replace(good, id="f", report=reports["short"]), ContradictoryReport, "abbreviates a side"),
    ]
    volumes = open_volumes(cohort, SPEC)
    for study, kind, why in cases:
        with pytest.raises(kind, match=f"^study {study.id}: .*{why}"):
            load_data([good, study], volumes)
    left_out: list[StudyError] = []
    kept = load_data([good, *(study for study, _, _ in cases)], volumes, left_out=left_out)
    assert len(kept) == 1
    assert [(error.study, type(error)) for error in left_out] == [(study.id, kind) for study, kind, _ in cases]
    with pytest.raises(InputError, match=r"none of 1 studies .* study a:"):
        load_data([cases[0][0]], volumes, left_out=[])


def test_a_byte_order_mark_is_no_word_of_a_report(cohort: Cohort, tmp_path: Path) -> None:
    text = "A lesion is seen in the left frontal lobe."
    (tmp_path / "report.txt").write_text(text, encoding="utf-8-sig")
    study = replace(cohort.studies[0], report=tmp_path / "report.txt", healthy=None)
    assert load_data([study], open_volumes(cohort, SPEC)).items[0].report == text


def test_a_healthy_study_whose_report_states_a_lesion_is_contradictory(cohort: Cohort, tmp_path: Path) -> None:
    report = tmp_path / "report.txt"
    report.write_text("There is a lesion in the left frontal lobe.", encoding="utf-8")
    study = replace(cohort.studies[0], report=report, healthy=True)
    with pytest.raises(ContradictoryReport, match="counts the study as healthy"):
        load_data([study], open_volumes(cohort, SPEC))


def test_a_damaged_volume_cache_is_no_fault_of_the_study(cohort: Cohort, tmp_path: Path) -> None:
    copy = small_cohort(tmp_path / "copy")
    load_data(copy.studies[:1], open_volumes(copy, SPEC))
    (kept,) = copy.folder.glob("volumes/*/volumes.f32")
    kept.write_bytes(b"\1" + kept.read_bytes()[1:])
    with pytest.raises(CacheError, match="damaged cache"):
        load_data(copy.studies[:1], open_volumes(copy, SPEC), left_out=[])


@given(st.integers(0, 5), st.integers(1, 5))
def test_augmentation_is_a_pure_function_that_leaves_background_and_shape(seed: int, number: int) -> None:
    volume = np.full((1, 6, 8, 8), -1, np.float32)
    volume[:, 1:5, 2:6, 1:7] = np.random.default_rng(0).uniform(-0.9, 1, (1, 4, 4, 6))
    first = augmented(volume, "content", seed, number)
    assert np.array_equal(first, augmented(volume.copy(), "content", seed, number))
    assert np.array_equal(first == -1, volume == -1)
    assert first.dtype == np.float32
    assert -1 <= first.min() <= first.max() <= 1
    assert not np.array_equal(first, augmented(volume, "content", seed, number + 1))
    assert not np.array_equal(first, augmented(volume, "other", seed, number))
    tissue = volume > -1
    assert np.corrcoef(first[tissue], volume[tissue])[0, 1] > 0.97
    assert augmented(volume, "content", seed, 0) is volume


def test_plain_reports_have_no_mirror_fault() -> None:
    for text in (
        "A lesion in the left frontal lobe with mild edema.",
        "No focal abnormality.",
        "Bilateral lesions.",
        "Status after RT; a lesion in the right temporal lobe.",
    ):
        assert mirror_fault(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "A lesion in the L frontal lobe.",
        "LT frontal lesion.",
        "RT parietal mass.",
        "An R-sided lesion.",
        "A lesion of the R. temporal lobe.",
        "Edema, L > R.",
        "A lesion of the RHS.",
        "Edema is on the L.",
        "Lt. frontal lesion.",
    ],
)
def test_a_side_that_would_not_be_mirrored_is_found(text: str) -> None:
    assert "abbreviates a side" in str(mirror_fault(text))


@pytest.mark.parametrize(
    "text",
    [
        "A lesion in the left frontal lobe, after RT. No lesion on the right.",
        "LEFT FRONTAL LESION at the level of L4; R2 mapping was not done.",
        "No lesion is seen after RT and temozolomide.",
    ],
)
def test_other_short_words_are_no_sides(text: str) -> None:
    assert mirror_fault(text) is None
