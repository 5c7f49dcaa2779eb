"""What the search for the midline stands on: reading between voxels, and the simplex method."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage, optimize

from brain3d.scans.simplex import least_point
from brain3d.scans.trilinear import Trilinear

SHAPE = (5, 6, 7)


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.booleans(), st.booleans())
def test_reading_gives_what_scipy_gives(seed: int, shelled: bool, whole: bool) -> None:
    """Inside, outside, on voxels and on the edge; `shelled` images have nothing in their outermost voxels."""
    rng = np.random.default_rng(seed)
    image = rng.normal(size=SHAPE).astype(np.float32)
    if shelled:
        inner = image[1:-1, 1:-1, 1:-1].copy()
        image[:] = -3.0
        image[1:-1, 1:-1, 1:-1] = inner
    index = rng.uniform(-3, 9, size=(3, 400))
    index = np.rint(index) if whole else index
    expected = ndimage.map_coordinates(image, index, order=1, mode="constant", cval=-3.0)
    reader = Trilinear(image, -3.0)
    for part in (slice(0, 250), slice(250, 400), slice(0, 150)):
        found = reader.read(index[:, part].copy())
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected[part], rtol=2e-7, atol=1e-7)


@pytest.mark.parametrize("start", [(2.0, -1.0, 0.5), (-4.0, 3.0, 9.0)])
def test_the_least_point_is_the_one_that_scipy_finds(start: tuple[float, float, float]) -> None:
    def function(point: tuple[float, ...]) -> float:
        x, y, z = (float(value) for value in point)
        return (x - 1) ** 2 + 3 * abs(y + 2) + (z - x * y / 4) ** 2 + 0.3 * float(np.cos(5 * z))

    simplex = [start, *(tuple(x + 4.0 * (k == n) for k, x in enumerate(start)) for n in range(3))]
    options = {"initial_simplex": simplex, "xatol": 0.05, "fatol": 1e-5}
    expected = optimize.minimize(function, start, method="Nelder-Mead", options=options).x
    assert least_point(function, simplex, near=0.05, alike=1e-5) == pytest.approx(tuple(expected), abs=1e-12)


def test_a_search_without_a_least_value_ends() -> None:
    assert least_point(lambda point: -sum(point), [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0)], 1e-9, 1e-9)[0] > 1e6
