"""Cohorts of phantoms on disk, and the picture of one."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch

from brain3d.cohort import read_manifest
from brain3d.phantom.cohort import (
    AXES,
    canonical_affine,
    grid_at,
    label_masks,
    phantom_scan,
    reorder,
    stored_image,
    study_seed,
    write_cohort,
)
from brain3d.phantom.draw import TRAINING_GRID, Phantom, draw_phantom
from brain3d.phantom.picture import Reading, compare_findings, draw_picture
from brain3d.phantom.truth import Truth
from brain3d.reports import Findings, Lesion, Report, mirror_findings, overall_side, parse_findings
from brain3d.scans import InputError, axis_codes, prepare, read_scan, to_canonical

COUNT = 4
COARSE = 5.0


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("phantoms") / "cohort"
    write_cohort(folder, COUNT, seed=7, spacing_mm=COARSE, workers=1, healthy_share=0.25)
    return folder


@pytest.fixture(scope="module")
def phantom() -> Phantom:
    return draw_phantom(3, grid=grid_at(COARSE), healthy=False, skull=False)


def test_the_manifest_names_complete_studies(cohort: Path) -> None:
    studies = read_manifest(cohort / "manifest.jsonl")
    assert [study.id for study in studies] == [f"phantom-00000{i}" for i in range(COUNT)]
    for study in studies:
        assert study.report is not None
        assert study.truth is not None
        truth = Truth.from_dict(json.loads(study.truth.read_text()))
        said = parse_findings(study.report.read_text())
        assert said.normal == truth.findings().normal
        assert [lesion.side for lesion in said.lesions] == [x.side for x in truth.findings().lesions]


def test_image_and_mask_share_a_grid_and_an_honest_affine(cohort: Path) -> None:
    axes = set()
    for study in read_manifest(cohort / "manifest.jsonl"):
        assert study.mask is not None
        image, mask = nib.load(study.image), nib.load(study.mask)
        assert image.get_data_dtype() == np.int16
        assert set(np.unique(mask.dataobj)) <= {0, 1, 2, 4}
        np.testing.assert_array_equal(image.affine, mask.affine)
        scan = read_scan(study.image)
        axes.add(scan.axes)
        data, affine = to_canonical(scan.data, scan.affine)
        assert data.shape == grid_at(COARSE).shape
        np.testing.assert_allclose(affine[:3, :3], canonical_affine(grid_at(COARSE))[:3, :3], atol=1e-5)
    assert len(axes) > 1


def test_the_mask_lies_on_the_side_that_the_truth_names(tmp_path: Path, phantom: Phantom) -> None:
    share = float(
        (label_masks(phantom)[:, :, : phantom.grid.shape[2] // 2] > 0).sum() / (label_masks(phantom) > 0).sum()
    )
    assert phantom.truth.left_share == pytest.approx(share, abs=0.2)


@pytest.mark.parametrize("axes", AXES)
def test_reordering_is_undone_by_the_affine(phantom: Phantom, axes: str) -> None:
    affine = canonical_affine(phantom.grid)
    stored, stored_affine = reorder(stored_image(phantom), affine, axes)
    assert axis_codes(stored_affine) == axes
    data, back = to_canonical(stored, stored_affine)
    np.testing.assert_array_equal(data, stored_image(phantom))
    np.testing.assert_allclose(back, affine, atol=1e-9)


def test_the_grid_covers_what_training_covers() -> None:
    fine = grid_at(2.0)
    assert fine.shape == tuple(2 * n for n in TRAINING_GRID.shape)
    assert fine.spacing_mm == (2.0, 2.0, 2.0)


def test_no_seed_is_a_training_seed() -> None:
    seeds = {study_seed(seed, index) for seed in range(20) for index in range(50)}
    assert len(seeds) == 1000
    assert min(seeds) >= 2**31
    assert max(seeds) < 2**32


def test_no_bit_that_tells_a_cohort_from_training_is_lost_in_the_generator() -> None:
    def drawn(seed: int) -> list[float]:
        return torch.rand(4, generator=torch.Generator().manual_seed(seed)).tolist()

    seed = study_seed(7, 0)
    assert drawn(seed + (1 << 62)) == drawn(seed)  # why the bit must be one of the low 32
    assert drawn(seed) != drawn(seed - 2**31)


def test_a_cohort_of_another_version_is_refused(cohort: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(cohort, tmp_path / "copy"))
    settings = json.loads((folder / "cohort.json").read_text())
    assert settings["version"] == 4
    (folder / "cohort.json").write_text(json.dumps({**settings, "version": 1}))
    with pytest.raises(InputError, match="version"):
        write_cohort(folder, COUNT, seed=7, spacing_mm=COARSE, workers=1, healthy_share=0.25)


def test_an_interruption_leaves_no_partial_study(
    tmp_path: Path, phantom: Phantom, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr("brain3d.phantom.cohort.draw_phantom", lambda *_, **__: phantom)
    with monkeypatch.context() as patch:
        patch.setattr("brain3d.phantom.cohort.narrate", interrupted)
        with pytest.raises(KeyboardInterrupt):
            write_cohort(tmp_path / "c", 1, seed=7, spacing_mm=COARSE, workers=1)
    assert [entry.name for entry in (tmp_path / "c").iterdir()] == ["cohort.json"]


def test_what_a_kill_left_is_swept_when_the_cohort_is_claimed_again(
    tmp_path: Path, phantom: Phantom, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("brain3d.phantom.cohort.draw_phantom", lambda *_, **__: phantom)
    write_cohort(tmp_path / "c", 1, seed=7, spacing_mm=COARSE, workers=1)
    (tmp_path / "c" / ".phantom-000001.123.part").mkdir()
    (tmp_path / "c" / ".phantom-000001.123.part" / "flair.nii.gz").write_bytes(b"x")
    (tmp_path / "c" / ".0123.part").write_text("x")
    with pytest.raises(InputError, match="another seed"):
        write_cohort(tmp_path / "c", 1, seed=8, spacing_mm=COARSE, workers=1)
    assert len(list((tmp_path / "c").glob(".*.part"))) == 2
    write_cohort(tmp_path / "c", 1, seed=7, spacing_mm=COARSE, workers=1)
    assert not list((tmp_path / "c").glob(".*"))


def test_what_was_interrupted_is_continued(cohort: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(cohort, tmp_path / "copy"))
    (folder / "manifest.jsonl").unlink()
    shutil.rmtree(folder / "phantom-000002")
    kept = (folder / "phantom-000001" / "flair.nii.gz").stat().st_mtime_ns
    write_cohort(folder, COUNT, seed=7, spacing_mm=COARSE, workers=1, healthy_share=0.25)
    assert (folder / "phantom-000001" / "flair.nii.gz").stat().st_mtime_ns == kept
    for study in ("phantom-000001", "phantom-000002"):
        for name in ("flair.nii.gz", "lesion.nii.gz", "report.txt", "truth.json"):
            assert (folder / study / name).read_bytes() == (cohort / study / name).read_bytes()
    assert (folder / "manifest.jsonl").read_bytes() == (cohort / "manifest.jsonl").read_bytes()
    assert not list(folder.glob(".*"))


def test_a_folder_of_something_else_is_refused(cohort: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="another seed"):
        write_cohort(cohort, COUNT, seed=8, spacing_mm=COARSE)
    (tmp_path / "letter.txt").write_text("x")
    with pytest.raises(InputError, match="something else"):
        write_cohort(tmp_path, 1, seed=0)
    with pytest.raises(InputError, match="cannot hold"):
        write_cohort(tmp_path / "letter.txt", 1, seed=0)
    assert [entry.name for entry in tmp_path.iterdir()] == ["letter.txt"]


@pytest.mark.parametrize(
    "numbers",
    [
        {"count": 0},
        {"seed": -1},
        {"spacing_mm": 0.1},
        {"spacing_mm": float("nan")},
        {"healthy_share": 1.5},
        {"workers": 0},
    ],
)
def test_numbers_outside_their_range(tmp_path: Path, numbers: dict[str, float]) -> None:
    settings = {"count": 1, "seed": 0, **numbers}
    with pytest.raises(InputError):
        write_cohort(tmp_path / "c", **settings)  # type: ignore[arg-type]
    assert not (tmp_path / "c").exists()


def reading_of(phantom: Phantom, text: str) -> Reading:
    volume = prepare(phantom_scan(phantom))
    evidence = np.zeros(volume.data.shape[1:], np.float32)
    evidence[20:25, 20:25, 10:15] = 1
    model = {"name": "stand-in", "version": "0", "hash": "0" * 64}
    return Reading(Report(text, parse_findings(text), (), {}, [], model, {}), volume, (22.0, 22.0, 12.0), evidence)


def test_the_picture_of_an_ill_and_of_a_healthy_patient(phantom: Phantom) -> None:
    long = "There is a lesion in the left frontal and parietal lobes. " + "It is described at length. " * 40
    picture = draw_picture(phantom, long, reading_of(phantom, long), "seed 3")
    assert picture.size == (1400, 800)
    assert len(picture.getcolors(2**24) or []) > 500
    healthy = draw_phantom(3, grid=grid_at(COARSE), healthy=True, skull=False)
    reading = replace(reading_of(healthy, "No lesion is seen."), point=None, evidence=None)
    assert draw_picture(healthy, "No lesion is seen.", reading).size == (1400, 800)


def test_several_lesions_have_the_side_that_evaluation_gives_them() -> None:
    both = Findings(False, (Lesion("left", ("frontal",)), Lesion("midline", ("corpus callosum",))))
    rows = {row.name: row for row in compare_findings(both, Findings(False, (Lesion("left"),)))}
    assert (rows["side"].truth, rows["side"].verdict) == (overall_side(both), "agrees")


def test_findings_are_set_against_the_truth() -> None:
    truth = Findings(False, (Lesion("left", ("frontal",), "high", "mild", "none", "unknown"),))
    same = {row.name: row.verdict for row in compare_findings(truth, truth)}
    assert same == {**dict.fromkeys(same, "agrees"), "compression": "open"}
    mirrored = {row.name: row.verdict for row in compare_findings(truth, mirror_findings(truth))}
    assert mirrored["side"] == "differs"
    missed = compare_findings(truth, Findings(normal=True))
    assert (missed[0].name, missed[0].verdict) == ("lesion", "differs")
    assert [row.verdict for row in compare_findings(Findings(True), Findings(True))] == ["agrees"]
