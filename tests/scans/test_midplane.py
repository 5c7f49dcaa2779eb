"""The mid-sagittal plane: found in tilted heads, past lesions, alike for mirror images, with its likeness."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brain3d.scans import Scan, VolumeSpec, mid_plane, mirrored_scan, prepare, upright_rotation
from brain3d.scans.midplane import normal_of
from brain3d.scans.preprocess import LEAST_LIKENESS
from brain3d.scans.resample import HALF, resample, resample_mask

STEP = 4.0
SHAPE = (48, 54, 50)


def tilted_head(roll: float, yaw: float, offset_mm: float, lesion_mm: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """A head (D, H, W) with two bright cores and a dark middle, its plane where stated; its mask."""
    index = np.stack(np.meshgrid(*[np.arange(n) for n in SHAPE], indexing="ij"))
    mm = (index - (np.array(SHAPE).reshape(3, 1, 1, 1) - 1) / 2) * STEP
    mm = mm - offset_mm * normal_of(roll, yaw).reshape(3, 1, 1, 1)
    s, a, r = np.einsum("ij,j...->i...", upright_rotation(roll, yaw), mm)
    mask = (s / 68) ** 2 + (a / 82) ** 2 + (r / 64) ** 2 < 1
    cores = np.exp(-(((s - 15) / 18) ** 2) - ((a + 10) / 25) ** 2 - ((np.abs(r) - 25) / 9) ** 2)
    image = 100 + 25 * np.cos(a / 20) + 20 * np.cos(s / 15) + 40 * cores - 50 * np.exp(-((r / 7) ** 2) - (s / 25) ** 2)
    if lesion_mm:
        image = image + 150 * ((s - 10) ** 2 + (a - 25) ** 2 + (r - 30) ** 2 < lesion_mm**2)
    return np.where(mask, image, 0.0), mask


@pytest.mark.parametrize("lesion_mm", [0.0, 22.0])
@pytest.mark.parametrize(("roll", "yaw", "offset"), [(0, 0, 0), (7, -5, 6), (-12, 9, -10), (20, 0, 3), (0, -20, -4)])
def test_the_plane_of_a_tilted_head_is_found(roll, yaw, offset, lesion_mm):
    plane = mid_plane(*tilted_head(roll, yaw, offset, lesion_mm), STEP)
    angle = np.degrees(np.arccos(np.clip(plane.normal @ normal_of(roll, yaw), -1, 1)))
    assert angle < 1.5
    assert plane.offset_mm == pytest.approx(offset, abs=1.5)
    assert plane.likeness > (0.9 if lesion_mm == 0 else LEAST_LIKENESS)


@settings(max_examples=5, deadline=None)
@given(st.floats(-10, 10), st.floats(-10, 10), st.floats(-8, 8))
def test_planes_of_mirror_images_mirror_each_other_to_the_last_bit(roll, yaw, offset):
    image, mask = tilted_head(roll, yaw, offset, 18.0)
    own, other = mid_plane(image, mask, STEP), mid_plane(image[..., ::-1], mask[..., ::-1], STEP)
    assert (own.offset_mm, own.roll_deg, own.yaw_deg) == (-other.offset_mm, -other.roll_deg, -other.yaw_deg)
    assert own.likeness == other.likeness


@given(st.floats(-40, 40), st.floats(-40, 40))
def test_upright_is_the_shortest_rotation_of_the_normal_to_the_right(roll, yaw):
    turn = upright_rotation(roll, yaw)
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(turn) == pytest.approx(1)
    np.testing.assert_allclose(turn @ normal_of(roll, yaw), [0, 0, 1], atol=1e-12)
    least = np.arccos(np.clip(normal_of(roll, yaw)[2], -1, 1))
    assert np.arccos(np.clip((np.trace(turn) - 1) / 2, -1, 1)) == pytest.approx(least, abs=1e-6)


@settings(max_examples=20, deadline=None)
@given(st.floats(-25, 25), st.floats(-25, 25), st.sampled_from([3.0, 4.0, 4.5, 6.0]), st.integers(20, 60))
def test_a_mask_on_a_turned_grid_is_where_reading_it_gives_a_half(roll, yaw, spacing, size):
    mask, shape = tilted_head(3, -4, 2)[1], (size, 50, 40)
    turn, centre = upright_rotation(roll, yaw) * STEP, (np.array(SHAPE) - 1) / 2 + (0.3, -2.0, 1.7)
    expected = resample(mask.astype(np.float32), turn, centre, shape, spacing) >= HALF
    assert expected.any()
    np.testing.assert_array_equal(resample_mask(mask, turn, centre, shape, spacing), expected)


@pytest.mark.parametrize("turn", [np.eye(3), upright_rotation(9, 4)])
def test_an_empty_mask_is_empty_on_any_grid(turn):
    assert not resample_mask(np.zeros(SHAPE, dtype=bool), turn * STEP, (20, 20, 20), (30, 30, 30), 4.0).any()


def scan_of(image: np.ndarray) -> Scan:
    """A canonical array as a scan, its middle at the world's origin."""
    affine = np.zeros((4, 4))
    affine[[2, 1, 0], [0, 1, 2]] = STEP
    affine[3, 3] = 1
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(image.shape) - 1) / 2)
    return Scan(image.astype(np.float32), affine, "SAR", (STEP,) * 3, "0" * 64)


def test_a_tilted_head_lies_straight_in_its_volume():
    spec = VolumeSpec(shape=(40, 48, 44), spacing_mm=4.0)
    straight = prepare(scan_of(tilted_head(0, 0, 0)[0]), spec)
    tilted = prepare(scan_of(tilted_head(9, -7, 5)[0]), spec)
    inside = (straight.data > -1) & (tilted.data > -1)
    assert inside.sum() > 0.88 * (straight.data > -1).sum()
    assert np.corrcoef(straight.data[inside], tilted.data[inside])[0, 1] > 0.9
    step = next(step for step in tilted.steps if step["name"] == "mid_plane")
    assert step["straightened"]
    assert step["roll_deg"] == pytest.approx(9, abs=1)
    across = tilted.affine[:3, 2][::-1] / 4.0
    np.testing.assert_allclose(across, normal_of(9, -7), atol=0.02)
    assert np.linalg.det(tilted.affine[:3, :3]) * np.linalg.det(straight.affine[:3, :3]) > 0


def test_a_tilted_patient_and_the_mirror_image_give_mirrored_volumes():
    scan = scan_of(tilted_head(6, 5, -7, 20.0)[0])
    own, other = prepare(scan).data, prepare(mirrored_scan(scan)).data
    np.testing.assert_array_equal(other, own[..., ::-1])


def test_a_head_unlike_its_mirror_image_is_not_turned():
    image, mask = tilted_head(8, 0, 0)
    rng = np.random.default_rng(1)
    noise = np.kron(rng.normal(0, 400, (8, 9, 10)), np.ones((6, 6, 5)))
    volume = prepare(scan_of(np.where(mask, np.clip(image + noise, 5, None), 0.0)))
    step = next(step for step in volume.steps if step["name"] == "mid_plane")
    assert step["likeness"] < LEAST_LIKENESS
    assert not step["straightened"]
    assert "midline_uncertain" in [flag.code for flag in volume.flags]
    np.testing.assert_allclose(volume.affine[:3, :3], np.eye(3)[:, ::-1] * 4.0, atol=1e-9)


def test_an_empty_mask_has_no_plane():
    with pytest.raises(ValueError, match="empty"):
        mid_plane(np.zeros((4, 4, 4)), np.zeros((4, 4, 4), dtype=bool), STEP)
