"""What is no FLAIR of a head: labels, CT, bodies, empty heads are refused, other sequences flagged, heads are not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from heads import affine_of, head, scan_of
from scipy import ndimage

from brain3d.phantom.cohort import canonical_affine, phantom_scan
from brain3d.phantom.draw import Phantom, draw_phantom
from brain3d.phantom.priors import tissue_priors
from brain3d.scans import InputError, Scan, VolumeSpec, prepare
from brain3d.scans.contrast import PRIORS, _priors
from brain3d.scans.preprocess import find_head, head_contrast

SHAPE, SPACING = (72, 84, 70), (3.0, 3.0, 3.0)
AFFINE = affine_of(SPACING, SHAPE)
RNG = np.random.default_rng(0)
NOISE = RNG.normal(size=SHAPE)


def radius(more_mm: float = 0.0) -> np.ndarray:
    """1 on the surface of an ellipsoid so much larger than a brain of 130 x 170 x 140 mm."""
    index = np.stack(np.meshgrid(*[np.arange(n) for n in SHAPE], indexing="ij"), axis=-1)
    world = index @ AFFINE[:3, :3].T + AFFINE[:3, 3]
    return np.sqrt(((world / (np.array([65.0, 85.0, 70.0]) + more_mm)) ** 2).sum(axis=-1))


BRAIN, INNER, DEEP = radius() < 1, radius(-6) < 1, radius(-30) < 1
SKULL, SCALP = (radius(8) < 1) & ~BRAIN, (radius(14) < 1) & (radius(8) >= 1)


def hounsfield() -> np.ndarray:
    values = np.where(BRAIN, np.where(INNER & ~DEEP, 29.0, 38.0), -1000.0) + 5 * NOISE
    return np.where(SKULL, 1000 + 150 * NOISE, np.where(SCALP, 40 + 20 * NOISE, values))


CT = hounsfield()
LABELS = np.where(DEEP, 3, np.where(INNER, 2, np.where(BRAIN, 1, 0)))
CELLS = np.where(BRAIN, 1 + sum(np.indices(SHAPE)[k] // 9 * 12**k for k in range(3)) % 1000, 0)
CASES = {
    "a mask": (BRAIN * 1.0, "one value throughout"),
    "a mask in halves": (BRAIN * 0.5, "one value throughout"),
    "a segmentation": (LABELS, "segmentation .3 labels."),
    "an atlas": (CELLS, "atlas of labels"),
    "a shell": (np.where(SCALP | SKULL, 200, 0.0), "mask or an empty|empty head"),
    "a noisy shell": (np.abs(np.where(SCALP | SKULL, 200, 0) + 5 * NOISE), "empty head, nothing within"),
    "a bottle": (np.where(BRAIN, 300 + 6 * NOISE, 0), "empty head, the same all through"),
    "a shaded bottle": (np.where(BRAIN, 300 + 15 * NOISE, 0), "empty head, the same all through"),
    "CT": (CT, "a CT, not an MR"),
    "CT from 0": (np.maximum(CT, -1024) + 1024, "a CT, not an MR"),
    "CT with padding": (np.where(radius(30) < 1, CT, -3024), "a CT, not an MR"),
    "CT in a wide window": (np.clip(CT, -100, 300), "a CT, not an MR"),
    "CT in a brain window": (np.rint(np.clip(CT, 0, 80) * 255 / 80), "a CT, not an MR"),
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_no_scan_of_a_head_is_refused_by_its_name(name: str) -> None:
    data, words = CASES[name]
    scan = replace(scan_of(data.astype(np.float32), AFFINE), given="some/file.nii")
    with pytest.raises(InputError, match=words) as caught:
        prepare(scan)
    assert str(caught.value).startswith("some/file.nii: ")
    assert "give" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("size", "refused"), [(3.5, False), (7.0, True)])
def test_a_body_is_too_large(size: float, refused: bool) -> None:
    scan = scan_of(head(AFFINE, SHAPE, noise=3.0), np.diag([size, size, size, 1.0]))
    if not refused:
        assert prepare(scan).data.max() > -1
        return
    with pytest.raises(InputError, match=r"too large for a head \([0-9]+ mm from left to right, [0-9]+ mm from front"):
        prepare(scan)


@pytest.mark.parametrize("levels", [4000, 255, 40])
def test_coarse_grey_values_make_no_segmentation_of_a_scan(levels: int) -> None:
    data = np.abs(head(AFFINE, SHAPE) + np.where(BRAIN, 8 * NOISE, 0))
    prepare(scan_of(np.rint(data * (levels / data.max())).astype(np.float32), AFFINE))


@pytest.mark.parametrize("levels", [20, 14, 9])
def test_few_grey_levels_make_no_segmentation_of_a_brain(levels: int, phantom: Phantom) -> None:
    scan = phantom_scan(phantom)
    few = np.rint(np.minimum(scan.data / np.percentile(scan.data[scan.data > 0], 99.5), 1) * levels)
    prepare(replace(scan, data=few.astype(np.float32)))


def enlarged(data: np.ndarray, times: int) -> Scan:
    """Every so many voxels of it, each repeated so often along every axis, from some place within a block on."""
    large = np.rint(data[::times, ::times, ::times])
    for axis in range(3):
        large = large.repeat(times, axis)
    return scan_of(large[:, 1 : SHAPE[1] - 2].astype(np.float32), AFFINE)


@pytest.mark.parametrize("times", [2, 3, 4])
def test_a_scan_enlarged_without_interpolation_is_no_atlas(times: int) -> None:
    prepare(enlarged(head(AFFINE, SHAPE) + np.where(BRAIN, 8 * NOISE, 0), times))


@pytest.mark.parametrize(("labels", "words"), [(LABELS, "segmentation"), (BRAIN, "mask"), (CELLS, "atlas")])
def test_enlarged_labels_are_labels(labels: np.ndarray, words: str) -> None:
    with pytest.raises(InputError, match=words):
        prepare(enlarged(labels, 2))


@pytest.mark.parametrize("count", [9, 15, 40])
def test_numbers_of_regions_are_no_grey_values(count: int) -> None:
    regions = np.where(BRAIN, 1 + CELLS * 7 % count, 0)
    with pytest.raises(InputError, match=r"segmentation|atlas"):
        prepare(scan_of(regions.astype(np.float32), AFFINE))


@pytest.fixture(scope="module")
def phantom() -> Phantom:
    return draw_phantom(11, healthy=True, skull=False)


def recoloured(phantom: Phantom, grey: float, fluid: float) -> Scan:
    """A phantom's tissues with these levels beside white matter, a bias, a blur and noise."""
    tissue = phantom.tissue
    white, grey_share, fluid_share = (part.numpy() for part in (tissue.white, tissue.grey, tissue.csf))
    image = white + grey * grey_share + fluid * fluid_share
    image = image * np.exp(0.1 * np.linspace(-1, 1, image.shape[2]))
    image = ndimage.gaussian_filter(image, 0.4) + 0.02 * np.random.default_rng(1).normal(size=image.shape)
    image = np.where(phantom.brain.numpy(), np.maximum(500 * image, 1), 0).astype(np.float32)
    return scan_of(image, canonical_affine(phantom.grid))


@pytest.mark.parametrize(
    ("grey", "fluid", "like"), [(1.2, 0.2, "FLAIR"), (1.05, 0.4, "FLAIR"), (0.65, 0.2, "T1"), (1.4, 2.5, "T2")]
)
def test_other_sequences_are_flagged(phantom: Phantom, grey: float, fluid: float, like: str) -> None:
    scan = recoloured(phantom, grey, fluid)
    flags = [flag for flag in prepare(scan, VolumeSpec()).flags if flag.code == "not_flair_like"]
    assert [like in flag.message for flag in flags] == ([] if like == "FLAIR" else [True])
    found = find_head(scan)
    assert head_contrast(found).like == like
    turned_about = replace(scan, data=scan.data[:, :, ::-1].copy())
    assert head_contrast(find_head(turned_about)) == pytest.approx(head_contrast(found), abs=1e-6)


def test_a_phantom_is_a_flair(phantom: Phantom) -> None:
    assert prepare(phantom_scan(phantom)).flags == ()


def test_an_image_without_tissues_is_of_unknown_contrast() -> None:
    data = np.where(BRAIN, 100 + 30 * ndimage.gaussian_filter(NOISE, 2) / 0.05, 0).astype(np.float32)
    assert head_contrast(find_head(scan_of(data, AFFINE))).like == "unknown"


def test_the_template_that_is_shipped_is_the_one_that_is_made() -> None:
    made = tissue_priors()
    with np.load(PRIORS) as shipped:
        assert np.array_equal(shipped["places"], made["places"])
        assert np.abs(shipped["shares"].astype(int) - made["shares"]).max() <= 1
        assert shipped["spread_mm"] == pytest.approx(made["spread_mm"], abs=0.02)
    priors = _priors()
    assert np.array_equal(priors.places_mm[:, priors.opposite], priors.places_mm * [[1], [1], [-1]])
    assert np.abs(priors.shares[priors.opposite] - priors.shares).max() < 0.01


def test_a_small_segmentation_is_told_by_its_name() -> None:
    labels = np.where(radius() < 0.4, 2.0, 0.0)
    labels[radius() < 0.2] = 4.0
    with pytest.raises(InputError, match="segmentation"):
        prepare(scan_of(labels.astype(np.float32), AFFINE))


def test_a_head_that_is_mostly_fluid_is_no_empty_one() -> None:
    data = np.where(radius() < 1, 100 + 20 * radius(), 0.0)
    data[radius() < 0.75] = 4.0
    assert prepare(scan_of(data.astype(np.float32), AFFINE)).data.max() > -1
