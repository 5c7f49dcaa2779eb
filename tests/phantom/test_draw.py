"""Phantoms: deterministic, varied, and true to their own masks."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from brain3d.phantom.draw import HEAD_MM, TRAINING_GRID, Phantom, draw_phantom, head_grid
from brain3d.phantom.geometry import Grid
from brain3d.phantom.measure import count_foci, named_regions, signal_of
from brain3d.phantom.volume import AMOUNTS, PATCH, as_resampled, training_example
from brain3d.reports.findings import REGIONS
from brain3d.scans import VolumeSpec, side_of
from brain3d.scans.resample import resample


@pytest.fixture(scope="module")
def phantoms() -> list[Phantom]:
    return [draw_phantom(seed) for seed in range(100, 124)]


def test_the_same_seed_draws_the_same_patient() -> None:
    first, second = draw_phantom(5), draw_phantom(5)
    assert torch.equal(first.image, second.image)
    assert first.truth == second.truth


def test_the_number_of_threads_changes_nothing() -> None:
    before = torch.get_num_threads()
    drawn = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        drawn.append(draw_phantom(9, healthy=False))
        assert torch.get_num_threads() == threads
    torch.set_num_threads(before)
    assert torch.equal(drawn[0].image, drawn[1].image)
    assert drawn[0].truth == drawn[1].truth


def test_other_seeds_draw_other_patients(phantoms: list[Phantom]) -> None:
    images = {p.image.numpy().tobytes() for p in phantoms}
    assert len(images) == len(phantoms)


def test_healthy_and_ill_both_occur_and_share_one_path(phantoms: list[Phantom]) -> None:
    kinds = {p.truth.normal for p in phantoms}
    assert kinds == {True, False}
    assert all(float(p.masks.whole.sum()) == 0 for p in phantoms if p.truth.normal)


def test_side_and_volume_follow_from_the_mask(phantoms: list[Phantom]) -> None:
    for phantom in phantoms:
        if phantom.truth.normal:
            continue
        whole = phantom.masks.whole.double()
        left = float(whole[phantom.midline_mm < 0].sum() / whole.sum())
        offset = float((whole * phantom.midline_mm).sum() / whole.sum())
        assert phantom.truth.left_share == pytest.approx(left, abs=1e-4)
        assert phantom.truth.side == side_of(left, offset)
        assert phantom.truth.volume_ml == pytest.approx(float(whole.sum()) * 0.064, rel=1e-4)


def test_region_shares_partition_the_lesion(phantoms: list[Phantom]) -> None:
    for phantom in phantoms:
        if not phantom.truth.normal:
            shares = {k: v for k, v in phantom.truth.region_shares.items() if k != "periventricular"}
            assert 0.85 <= sum(shares.values()) <= 1.001


def test_core_lies_in_the_lesion_and_necrosis_in_the_core(phantoms: list[Phantom]) -> None:
    for phantom in phantoms:
        masks = phantom.masks
        assert bool((masks.core <= masks.whole + 1e-5).all())
        assert bool((masks.necrosis <= masks.core + 1e-5).all())


def test_conspicuous_lesions_really_stand_out(phantoms: list[Phantom]) -> None:
    """A reader who knows nothing but intensities sees the lesion where the truth says it is conspicuous."""
    checked = 0
    for phantom in phantoms:
        truth = phantom.truth
        if truth.normal or (truth.contrast_to_noise or 0) < 4:
            continue
        lesion = phantom.masks.whole > 0.8
        tissue = phantom.brain & (phantom.masks.whole < 0.02) & (phantom.tissue.csf < 0.2)
        centre, spread = phantom.image[tissue].median(), phantom.image[tissue].std()
        checked += 1
        assert float(((phantom.image[lesion] - centre).abs() / spread).max()) > 1.5
    assert checked > 3


def test_the_grid_changes_the_voxels_not_the_patient() -> None:
    fine = Grid(shape=(104, 116, 108), spacing_mm=(2.0, 2.0, 2.0))
    seeds = [s for s in range(100, 112) if not draw_phantom(s).truth.normal][:2]
    for seed in seeds:
        coarse_truth, fine_truth = draw_phantom(seed).truth, draw_phantom(seed, grid=fine).truth
        assert fine_truth.normal == coarse_truth.normal
        assert fine_truth.skull == coarse_truth.skull


def test_examples_are_centred_on_the_midline(phantoms: list[Phantom]) -> None:
    spec = VolumeSpec()
    for phantom in phantoms[:6]:
        example = training_example(phantom, spec, np.random.default_rng(0))
        assert example.image.shape == spec.shape
        assert example.image.min() == -1
        assert example.image.max() <= 1
        columns = np.flatnonzero((example.regions > 0).any((0, 1)))
        assert abs((columns[0] + columns[-1]) / 2 - 5.5) <= 1.0


def test_an_example_at_the_wrong_spacing_is_refused(phantoms: list[Phantom]) -> None:
    moved = replace(phantoms[0], grid=replace(TRAINING_GRID, spacing_mm=(3.0, 3.0, 3.0)))
    with pytest.raises(ValueError, match=r"3\.0.*4\.0"):
        training_example(moved, VolumeSpec(), np.random.default_rng(0))


@pytest.mark.parametrize("spacing", [4.0, 4.5, 1.7])
def test_a_head_grid_holds_the_whole_head(spacing: float) -> None:
    grid = head_grid(spacing)
    held = [n * mm for n, mm in zip(grid.shape, grid.spacing_mm, strict=True)]
    assert all(extent <= mm < extent + spacing for mm, extent in zip(held, HEAD_MM, strict=True))


def test_foci_are_counted_in_the_mask() -> None:
    grid = Grid(shape=(10, 10, 10), spacing_mm=(4.0, 4.0, 4.0))
    whole = torch.zeros(grid.shape)
    assert count_foci(whole, grid) == 1
    whole[1:3, 1:3, 1:3] = 1.0
    whole[3:5, 3:5, 3:5] = 1.0  # touches the first at a corner
    assert count_foci(whole, grid) == 1
    whole[7:9, 7:9, 7:9] = 1.0
    assert count_foci(whole, grid) == 2
    whole[0, 8, 0] = 1.0  # one voxel, 0.064 mL: too small to count
    assert count_foci(whole, grid) == 2


def test_islands_off_a_large_lesion_are_no_lesions_of_their_own() -> None:
    grid = Grid(shape=(30, 30, 30), spacing_mm=(4.0, 4.0, 4.0))
    whole = torch.zeros(grid.shape)
    whole[2:14, 2:14, 2:14] = 1.0  # 111 mL
    whole[20:22, 20:22, 20:22] = 1.0  # 0.5 mL
    assert count_foci(whole, grid) == 1
    whole[20:26, 20:26, 20:26] = 1.0  # 14 mL
    assert count_foci(whole, grid) == 2


def test_training_examples_have_the_noise_of_a_scan_read_from_a_file() -> None:
    rng = np.random.default_rng(0)
    fine, spacing, shape = 2.0, 4.5, (36, 40, 40)
    level = [(64.0 / mm**3) ** 0.5 for mm in (fine, spacing)]  # as render states noise, for voxels of 64 mm^3
    stored = rng.normal(0, level[0], (90, 96, 98)).astype(np.float32)
    middle = [(n - 1) / 2 for n in stored.shape]
    read = resample(stored, np.diag([fine] * 3), middle, shape, spacing)[4:-4, 4:-4, 4:-4]
    drawn = as_resampled(rng.normal(0, level[1], shape).astype(np.float32))[4:-4, 4:-4, 4:-4]
    assert drawn.std() == pytest.approx(read.std(), rel=0.1)
    alike = [float(np.corrcoef(x[..., 1:].ravel(), x[..., :-1].ravel())[0, 1]) for x in (read, drawn)]
    assert alike[1] == pytest.approx(alike[0], abs=0.1)


def tilt_of(phantom: Phantom) -> float:
    """Degrees between the phantom's midline and the plane between left and right of its grid."""
    distance = phantom.midline_mm.numpy()
    near = np.argwhere((np.abs(distance) < 6) & phantom.brain.numpy())
    design = np.column_stack([near * 4.0, np.ones(len(near))])
    gradient = np.linalg.lstsq(design, distance[tuple(near.T)], rcond=None)[0][:3]
    return float(np.degrees(np.arccos(gradient[2] / np.linalg.norm(gradient))))


def test_straightened_phantoms_lie_as_straightened_scans_do() -> None:
    seeds = (101, 102, 103, 107)
    lying = [tilt_of(draw_phantom(seed)) for seed in seeds]
    straight = [tilt_of(draw_phantom(seed, straightened=0.0)) for seed in seeds]
    assert min(lying) > 4.5
    assert max(straight) < 3.0  # what remains is the bend of the midline itself
    assert max(tilt_of(draw_phantom(seed, straightened=6.0)) for seed in seeds) > 4.0
    assert torch.equal(draw_phantom(101, straightened=1.5).image, draw_phantom(101, straightened=1.5).image)


def test_amounts_add_up_to_what_the_truth_says(phantoms: list[Phantom]) -> None:
    seen = 0
    for phantom in phantoms:
        truth = phantom.truth
        roomy = VolumeSpec(shape=(48, 56, 52), spacing_mm=4.0)
        example = training_example(phantom, roomy, np.random.default_rng(0))
        totals = example.amounts.reshape(len(AMOUNTS), -1).sum(1) / 255 * PATCH**3 * phantom.grid.voxel_ml
        ml = dict(zip(AMOUNTS, totals, strict=True))
        whole = ml["left"] + ml["right"]
        if truth.normal:
            assert whole == sum(ml[name] for name in (*REGIONS, "bright", "dark", "necrosis")) == 0
        if truth.volume_ml < 3:
            continue
        seen += 1
        assert whole == pytest.approx(truth.volume_ml, rel=0.03)
        assert ml["left"] / whole == pytest.approx(truth.left_share, abs=0.03)
        assert ml["edema"] + ml["core"] + ml["necrosis"] == pytest.approx(whole, rel=0.03)
        for name, share in truth.region_shares.items():
            assert ml[name] / whole == pytest.approx(share, abs=0.03)
        lost = max(
            ml[f"lost_{side}"] / (ml[f"lost_{side}"] + ml[f"ventricle_{side}"] + 1e-6) for side in ("left", "right")
        )
        assert (lost >= 0.12) >= (truth.ventricular_compression in ("moderate", "severe"))
    assert seen >= 8


def test_named_regions_always_name_the_largest() -> None:
    shares = dict.fromkeys(("frontal", "parietal", "temporal", "occipital", "insula", "deep grey matter"), 0.02) | {
        "corpus callosum": 0.0,
        "periventricular": 0.9,
        "cerebellum": 0.0,
        "brainstem": 0.06,
    }
    assert named_regions(shares) == ("periventricular", "brainstem")


@pytest.mark.parametrize(
    ("bright", "dark", "signal"),
    [(0.9, 0.0, "high"), (0.0, 0.9, "low"), (0.5, 0.3, "mixed"), (0.1, 0.1, "iso"), (0.31, 0.14, "high")],
)
def test_signal_by_bright_and_dark_shares(bright: float, dark: float, signal: str) -> None:
    assert signal_of(bright, dark) == signal
