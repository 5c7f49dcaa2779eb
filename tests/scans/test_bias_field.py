"""The slope of a coil's field is found and divided out, the same for a scan and its mirror image."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from brain3d.scans import levelled
from brain3d.scans.bias_field import slope_of, without_slope

SHAPE = (18, 20, 20)


def a_head(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Values inside a ball of two tissues with noise and a bright spot, and the ball."""
    rng = np.random.default_rng(seed)
    places = np.stack(np.meshgrid(*[np.linspace(-1, 1, n) for n in SHAPE], indexing="ij"))
    radius = np.sqrt((places**2).sum(0))
    image = np.where(radius < 0.6, 100.0, 130.0) + rng.normal(0, 4, SHAPE)
    image[10:13, 4:8, 12:16] = 260.0
    inside = radius < 0.95
    return image[inside], inside


def a_field(slope: tuple[float, float, float], inside: np.ndarray) -> np.ndarray:
    places = np.meshgrid(*[np.linspace(-1, 1, n) for n in SHAPE], indexing="ij")
    return np.exp(sum(s * place for s, place in zip(slope, places, strict=True)))[inside]


slopes = st.tuples(*[st.floats(-0.3, 0.3)] * 3)


@given(slopes, st.integers(0, 9))
def test_a_field_that_is_a_plane_leaves_no_trace(slope: tuple[float, float, float], seed: int) -> None:
    values, inside = a_head(seed)
    own = slope_of(values, inside)
    found = slope_of(values * a_field(slope, inside), inside)
    assert found - own == pytest.approx(slope, abs=0.02)


def test_an_even_head_has_hardly_any_slope() -> None:
    values, inside = a_head()
    assert np.abs(slope_of(values, inside)).max() < 0.03


@given(slopes, st.integers(0, 9))
def test_the_mirror_image_is_mirrored_to_the_last_bit(slope: tuple[float, float, float], seed: int) -> None:
    values, inside = a_head(seed)
    image = np.zeros(SHAPE)
    image[inside] = values * a_field(slope, inside)
    mirrored, there = image[..., ::-1].copy(), inside[..., ::-1].copy()
    assert (slope_of(mirrored[there], there) == slope_of(image[inside], inside) * [1, 1, -1]).all()
    assert np.array_equal(levelled(mirrored, there)[..., ::-1], levelled(image, inside))


@given(st.floats(1e-3, 1e3))
def test_the_scale_does_not_matter(factor: float) -> None:
    values, inside = a_head()
    assert slope_of(values * factor, inside) == pytest.approx(slope_of(values, inside), abs=1e-9)


def test_brightness_that_lies_about_the_background_is_left_alone() -> None:
    values, inside = a_head()
    standardised = (values - values.mean()) / values.std()
    assert (slope_of(standardised, inside) == 0).all()
    assert np.array_equal(without_slope(standardised, inside, np.zeros(3)), standardised)


@pytest.mark.parametrize("count", [0, 1, 50])
def test_too_little_tissue_has_no_slope(count: int) -> None:
    inside = np.zeros(SHAPE, dtype=bool)
    inside.reshape(-1)[:count] = True
    assert (slope_of(np.full(count, 5.0), inside) == 0).all()


def test_tissue_in_one_slice_and_of_one_value_is_no_trouble() -> None:
    inside = np.zeros(SHAPE, dtype=bool)
    inside[8] = True
    slope = slope_of(np.full(400, 5.0), inside)
    assert np.abs(slope).max() < 1e-6
