"""The published preprocessing: equal to its arithmetic written plainly, whatever the image and its storage."""

from __future__ import annotations

from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
import torch
from heads import ORDERS, affine_of, head, reorder, scan_of
from hypothesis import given, settings
from hypothesis import strategies as st

from brain3d.scans import PUBLISHED_SHAPE, mirrored_scan, published_volume
from brain3d.scans.percentiles import percentiles

SMALL = (12, 20, 24)
sizes = st.integers(2, 40)


def plain(data: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """The published arithmetic of a (z, y, x) array, in double precision."""
    data = data.astype(np.float64)
    low, high = np.percentile(data, [1, 99])
    if high == low:
        return np.zeros(shape)
    scaled = (np.clip(data, low, high) - low) / (high - low)
    resize = torch.nn.functional.interpolate
    volume = torch.from_numpy(scaled)[None, None]
    return resize(volume, size=shape, mode="trilinear", align_corners=False)[0, 0].numpy()


def canonical(data: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """(z, y, x) by nibabel's own reorientation, as published."""
    image = nib.as_closest_canonical(nib.Nifti1Image(np.asarray(data, np.float32), affine))
    return np.asarray(image.dataobj).transpose(2, 1, 0)


@settings(max_examples=40, deadline=None)
@given(
    size=st.tuples(sizes, sizes, sizes),
    shape=st.tuples(st.integers(1, 30), st.integers(1, 30), st.integers(1, 30)),
    scale=st.floats(1e-6, 1e6),
    offset=st.floats(-1e4, 1e4),
    zeros=st.floats(0, 1),
    outliers=st.integers(0, 3),
    dtype=st.sampled_from([np.float32, np.float64, np.int16, np.uint16, np.uint8, ">f4", ">i2"]),
    seed=st.integers(0, 1000),
)
def test_equal_to_the_plain_arithmetic(size, shape, scale, offset, zeros, outliers, dtype, seed):
    rng = np.random.default_rng(seed)
    data = (rng.standard_normal(size) + offset) * scale
    data[rng.random(size) < zeros] = 0
    data.flat[rng.integers(0, data.size, outliers)] = rng.choice([-1e30, 1e30], outliers)
    if np.dtype(dtype).kind in "iu":
        limits = np.iinfo(dtype)
        data = np.clip(data, limits.min, limits.max)
    scan = scan_of(data.astype(dtype), np.diag([1.0, 1.0, 1.0, 1.0]))
    found = published_volume(scan, shape).data
    assert found.dtype == np.float32
    assert found.shape == (1, *shape)
    expected = plain(np.asarray(scan.data, np.float32).transpose(2, 1, 0), shape)
    assert np.abs(found[0] - expected).max() < 1e-4


@pytest.mark.parametrize("size", [(240, 240, 155), (64, 64, 24)])
def test_equal_to_the_plain_arithmetic_at_the_published_size(size):
    affine = affine_of((1.0, 1.0, 1.0), size, centre_mm=(-119, 20, 3))
    data, affine = reorder(head(affine, size, noise=2), affine, (0, 1, 2), (-1, -1, 1))
    found = published_volume(scan_of(data, affine))
    assert np.abs(found.data[0] - plain(canonical(data, affine), PUBLISHED_SHAPE)).max() < 1e-4


@settings(max_examples=15, deadline=None)
@given(order=st.sampled_from(ORDERS), degrees=st.tuples(*[st.floats(-25, 25)] * 3))
def test_the_axes_are_those_of_the_published_reorientation(order, degrees):
    shape, spacing = (20, 26, 16), (9.0, 8.0, 10.0)
    affine = affine_of(spacing, shape, degrees)
    data, affine = reorder(head(affine, shape, noise=1), affine, *order)
    found = published_volume(scan_of(data, affine), SMALL).data[0]
    assert np.abs(found - plain(canonical(data, affine), SMALL)).max() < 1e-4


def test_all_48_orders_give_the_same_bits():
    shape = (30, 34, 28)
    affine = affine_of((6.0, 6.0, 6.0), shape)
    data = head(affine, shape, noise=3)
    expected = published_volume(scan_of(data, affine), SMALL)
    for order in ORDERS:
        found = published_volume(scan_of(*reorder(data, affine, *order)), SMALL)
        assert np.array_equal(found.data, expected.data), order
        assert np.allclose(found.affine, expected.affine)
        assert found.steps == expected.steps


def test_a_mirrored_scan_gives_the_mirrored_volume():
    shape = (30, 34, 28)
    scan = scan_of(head(affine_of((6.0, 6.0, 6.0), shape), shape, noise=3), affine_of((6.0, 6.0, 6.0), shape))
    found = published_volume(mirrored_scan(scan), SMALL).data
    assert np.allclose(found, published_volume(scan, SMALL).data[..., ::-1], atol=1e-5)


@pytest.mark.parametrize("value", [0.0, -3.0, 1e6])
def test_an_image_of_one_value_gives_zeros(value):
    scan = scan_of(np.full((8, 8, 8), value, np.float32), np.eye(4))
    assert not published_volume(scan, SMALL).data.any()


def test_what_is_no_number_is_read_as_zero():
    data = np.random.default_rng(0).uniform(-1, 1, (9, 10, 11)).astype(np.float32)
    data[:2] = np.nan
    data[2, 0, 0], data[3, 0, 0] = np.inf, -np.inf
    cleaned = np.nan_to_num(data, nan=0, posinf=0, neginf=0)
    found = published_volume(scan_of(data, np.eye(4)), SMALL)
    assert np.array_equal(found.data, published_volume(scan_of(cleaned, np.eye(4)), SMALL).data)
    assert np.isnan(data).any()  # the scan itself is left as it was


def test_the_affine_says_where_the_voxels_lie():
    shape = (40, 40, 40)
    affine = affine_of((5.0, 5.0, 5.0), shape, (3, -4, 5), (-100, 20, 7))
    data = np.stack(np.meshgrid(*[np.arange(n, dtype=np.float32) for n in shape], indexing="ij"), -1)
    world = data @ affine[:3, :3].T + affine[:3, 3]
    for axis in range(3):
        scan = replace(scan_of(world[..., axis].astype(np.float32), affine), axes="RAS")
        volume = published_volume(scan, (20, 10, 20))
        low, high = volume.steps[1]["low"], volume.steps[1]["high"]
        index = np.array([9, 4, 11])
        read = volume.data[0][tuple(index)] * (high - low) + low
        assert read == pytest.approx((volume.affine @ [*index, 1])[axis], abs=0.01)


@settings(max_examples=50, deadline=None)
@given(
    count=st.integers(1, 150_000),
    kind=st.sampled_from(["normal", "zeros", "two values", "sorted", "few"]),
    wanted=st.floats(0, 100),
    seed=st.integers(0, 1000),
)
def test_percentiles_are_exact(count, kind, wanted, seed):
    rng = np.random.default_rng(seed)
    data = rng.standard_normal(count).astype(np.float32)
    if kind == "zeros":
        data[rng.random(count) < 0.9] = 0
    elif kind == "two values":
        data = (data > 2).astype(np.float32)
    elif kind == "sorted":
        data = np.sort(data)
    elif kind == "few":
        data = np.round(data)
    found = percentiles(data, [wanted])[0]
    assert found == pytest.approx(float(np.percentile(data.astype(np.float64), wanted)), rel=1e-9, abs=1e-12)


def test_percentiles_are_exact_where_the_sample_misleads():
    data = np.random.default_rng(0).standard_normal(2**18).astype(np.float32)
    data[::4] = 1e6  # every value of the sample, and a quarter of all
    assert percentiles(data, [1, 60, 99]) == pytest.approx(list(np.percentile(data.astype(np.float64), [1, 60, 99])))


def test_an_empty_array_has_no_percentiles():
    with pytest.raises(ValueError, match="empty"):
        percentiles(np.zeros(0), [50])
