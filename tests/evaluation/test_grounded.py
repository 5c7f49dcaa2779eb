"""Masks measured about the brain's midline: against phantoms, whose truth is known, and real subjects."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from brain3d.evaluation.grounded import Grounding, ground, read_mask
from brain3d.evaluation.score import LOBES, accepted_sides
from brain3d.phantom.draw import Phantom, draw_phantom
from brain3d.reports.findings import REGIONS, mirror_side
from brain3d.scans import InputError, Scan, affine_from_axes, prepare, read_scan, write_scan

FLAIR, MASK = "{0}_flair.nii.gz", "{0}_seg.nii.gz"


def as_scan(phantom: Phantom, *, mirrored: bool = False) -> tuple[Scan, np.ndarray]:
    """The phantom as an RAS scan with its mask, right first; the origin far from the brain."""
    affine = affine_from_axes("RAS", phantom.grid.spacing_mm[::-1])
    affine[:3, 3] = (-239.0, 17.0, 400.0)
    data, mask = (np.ascontiguousarray(part.numpy().T) for part in (phantom.image, phantom.masks.whole > 0.5))
    if mirrored:
        data, mask = data[::-1].copy(), mask[::-1].copy()
    spacing = phantom.grid.spacing_mm[::-1]
    return Scan(data.astype(np.float32), affine, "RAS", spacing, "0" * 64), mask


def measured(phantom: Phantom, *, mirrored: bool = False) -> Grounding:
    scan, mask = as_scan(phantom, mirrored=mirrored)
    return ground(scan, mask, prepare(scan))


@pytest.fixture(scope="module")
def phantoms() -> list[Phantom]:
    torch.set_num_threads(1)
    drawn = (draw_phantom(seed, healthy=False, skull=False) for seed in range(900_001, 900_031))
    return [item for item in drawn if item.truth.volume_ml > 3]


def test_side_of_the_mask_is_the_side_that_was_drawn(phantoms: list[Phantom]) -> None:
    right = [measured(item).side in accepted_sides(item.truth) for item in phantoms]
    assert len(right) >= 20
    assert np.mean(right) >= 0.9


def test_the_mirrored_mask_has_the_mirrored_side(phantoms: list[Phantom]) -> None:
    for item in phantoms[:4]:
        one, other = measured(item), measured(item, mirrored=True)
        assert other.side == mirror_side(one.side)
        assert other.left_share == pytest.approx(1 - one.left_share, abs=0.02)
        for name in REGIONS:
            assert other.shares[name] == pytest.approx(one.shares[name], abs=0.06)


def test_volume_is_counted_and_lobes_are_near_the_truth(phantoms: list[Phantom]) -> None:
    errors = []
    for item in phantoms:
        found = measured(item)
        counted = int((item.masks.whole > 0.5).sum()) * item.grid.voxel_ml
        assert found.volume_ml == pytest.approx(counted)
        errors += [abs(found.shares[name] - item.truth.region_shares[name]) for name in LOBES]
    assert np.mean(errors) < 0.12


def test_an_empty_mask_has_no_side(phantoms: list[Phantom]) -> None:
    scan, mask = as_scan(phantoms[0])
    found = ground(scan, np.zeros_like(mask), prepare(scan))
    assert (found.side, found.volume_ml) == ("unknown", 0.0)


def test_a_mask_on_another_grid_is_refused(phantoms: list[Phantom], tmp_path: Path) -> None:
    scan, mask = as_scan(phantoms[0])
    write_scan(tmp_path / "mask.nii.gz", mask.astype(np.float32), scan.affine)
    assert (read_mask(tmp_path / "mask.nii.gz", scan) == mask).all()
    moved = scan.affine.copy()
    moved[0, 3] += 3
    write_scan(tmp_path / "moved.nii.gz", mask.astype(np.float32), moved)
    with pytest.raises(InputError, match="grid"):
        read_mask(tmp_path / "moved.nii.gz", scan)


@pytest.mark.real_data
def test_real_masks_have_the_side_that_is_known(brats_subjects: list[Path], real_data: Path) -> None:
    known = json.loads((real_data / "brats20-sample" / "subjects.json").read_text())
    by_name = {item["subject"]: item for item in known}
    for folder in brats_subjects:
        scan = read_scan(folder / FLAIR.format(folder.name))
        found = ground(scan, read_mask(folder / MASK.format(folder.name), scan), prepare(scan))
        item = by_name[folder.name]
        assert found.side == item["lesion_side"]
        assert found.left_share * 100 == pytest.approx(item["lesion_left_percent"], abs=4)
        assert found.volume_ml * 1000 == pytest.approx(sum(item["label_voxels"].values()), rel=1e-3)
        # The atlas is laid on by its box alone: most of a tumour must still fall on brain.
        assert sum(found.shares[name] for name in REGIONS if name != "periventricular") > 0.85
