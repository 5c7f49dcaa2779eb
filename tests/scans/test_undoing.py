"""Points and maps of the volume, carried back to the scan's own voxels."""

from __future__ import annotations

import numpy as np
import pytest
from heads import affine_of, head
from hypothesis import given, settings
from hypothesis import strategies as st

from brain3d.scans import Scan, VolumeSpec, axis_codes, map_to_scan, prepare, to_scan, to_volume

SHAPE, SPACING = (84, 70, 60), (2.0, 2.6, 3.1)
SPEC = VolumeSpec(shape=(36, 40, 40), spacing_mm=4.5)


def scan_at(degrees: tuple[float, float, float], centre: tuple[float, float, float]) -> Scan:
    affine = affine_of(SPACING, SHAPE, degrees, centre)
    data = head(affine, SHAPE, centre_mm=centre)
    return Scan(data.astype(np.float32), affine, axis_codes(affine), SPACING, "0" * 64)


@settings(max_examples=6, deadline=None)
@given(*[st.floats(-30, 30)] * 3, st.floats(-150, 150))
def test_points_come_back_to_their_voxels(about_x, about_y, about_z, shift):
    scan = scan_at((about_x, about_y, about_z), (shift, -shift / 2, 11.0))
    volume = prepare(scan, SPEC)
    points = np.random.default_rng(0).uniform(0, np.array(SPEC.shape) - 1, (50, 3))
    np.testing.assert_allclose(to_volume(to_scan(points, volume, scan), scan, volume), points, atol=1e-6)


@pytest.mark.parametrize("degrees", [(0, 0, 0), (14, -8, 21), (0, 0, 180)])
def test_a_bright_spot_lies_at_the_same_place_in_both(degrees):
    scan = scan_at(degrees, (-70.0, 20.0, 5.0))
    volume = prepare(scan, SPEC)
    bright = np.argwhere(scan.data > 200)
    expected = np.argwhere(volume.data[0] > 0.5).mean(0)
    np.testing.assert_allclose(to_volume(bright.mean(0), scan, volume), expected, atol=0.5)
    carried = map_to_scan((volume.data[0] > 0.5).astype(float), volume, scan)
    assert carried.shape == scan.data.shape
    overlap = 2 * ((carried > 0.5) & (scan.data > 200)).sum() / ((carried > 0.5).sum() + len(bright))
    assert overlap > 0.8
    np.testing.assert_allclose(np.argwhere(carried > 0.5).mean(0), bright.mean(0), atol=0.5)


def test_what_lies_beyond_the_volume_is_outside():
    scan = scan_at((0, 0, 0), (0, 0, 0))
    volume = prepare(scan, VolumeSpec(shape=(16, 16, 16), spacing_mm=4.0))
    carried = map_to_scan(np.ones((16, 16, 16)), volume, scan, outside=-1.0)
    assert carried.min() == -1
    assert carried[tuple(n // 2 for n in carried.shape)] == 1


def test_a_map_on_another_grid_is_refused():
    scan = scan_at((0, 0, 0), (0, 0, 0))
    with pytest.raises(ValueError, match="map"):
        map_to_scan(np.zeros((2, 2, 2)), prepare(scan, SPEC), scan)
