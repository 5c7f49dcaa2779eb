import numpy as np
import pytest
from heads import ORDERS, affine_of, reorder
from hypothesis import given, settings
from hypothesis import strategies as st

from brain3d.scans import (
    InputError,
    Volume,
    affine_from_axes,
    axis_codes,
    check_axes,
    mirror,
    side_of,
    to_canonical,
)


@pytest.mark.parametrize(
    ("share", "offset", "side"),
    [
        (1.0, -40, "left"),
        (0.70, -10, "left"),
        (0.6999, -10, "bilateral"),
        (0.30, 10, "right"),
        (0.3001, 10, "bilateral"),
        (0.0, 40, "right"),
        (0.5, 0, "midline"),
        (0.35, 5.0, "midline"),
        (0.65, -5.0, "midline"),
        (0.5, 5.01, "bilateral"),
        (0.34, 1, "bilateral"),
        (0.66, 1, "bilateral"),
        (float("nan"), 0, "unknown"),
        (0.5, float("nan"), "unknown"),
    ],
)
def test_side_follows_the_house_rule(share, offset, side):
    assert side_of(share, offset) == side


def test_left_and_right_are_symmetric():
    swapped = {"left": "right", "right": "left"}
    for percent in range(101):
        side = side_of(percent / 100, 3.0)
        assert side_of(1 - percent / 100, -3.0) == swapped.get(side, side)


@pytest.mark.parametrize("axes", ["LPS", "RAS", "SAR", "ILP"])
def test_axes_string_and_affine_agree(axes):
    assert axis_codes(affine_from_axes(axes, (1, 2, 3))) == axes
    assert axis_codes(affine_from_axes(axes.lower(), (1, 2, 3))) == axes


@pytest.mark.parametrize("axes", ["", "LP", "LRS", "LPSS", "LPX", "left"])
def test_bad_axes_are_refused(axes):
    with pytest.raises(InputError, match="three letters"):
        check_axes(axes)


def test_canonical_array_grows_superior_anterior_right():
    affine = affine_from_axes("LPS", (1, 1, 1))
    data = np.zeros((4, 5, 6), dtype=np.float32)
    data[0, 1, 5] = 7  # far right, near the front, at the top
    array, canonical = to_canonical(data, affine)
    assert array.shape == (6, 5, 4)
    assert array[5, 3, 3] == 7
    assert np.allclose(canonical @ [5, 3, 3, 1], affine @ [0, 1, 5, 1])
    assert np.allclose(canonical[:3, :3], np.eye(3)[::-1])


angles = st.sampled_from([0.0, 2.5, -12.0, 30.0, 45.0, 90.0])


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(ORDERS),
    st.tuples(angles, angles, angles),
    st.tuples(*[st.sampled_from([1.0, 0.7, 4.0])] * 3),
)
def test_canonical_is_the_same_for_every_stored_order(order, degrees, spacing):
    shape = (3, 4, 5)
    data = np.arange(60, dtype=np.float32).reshape(shape)
    affine = affine_of(spacing, shape, degrees)
    expected, expected_affine = to_canonical(data, affine)
    array, canonical = to_canonical(*reorder(data, affine, *order))
    assert np.array_equal(array, expected)
    assert np.array_equal(canonical[:3, :3], expected_affine[:3, :3])
    assert np.allclose(canonical, expected_affine, atol=1e-9)


def test_mirror_reverses_the_right_axis_about_the_same_grid():
    data = np.random.default_rng(0).random((1, 3, 4, 6)).astype(np.float32)
    volume = Volume(data, np.diag([4.0, 4.0, 4.0, 1.0]))
    mirrored = mirror(volume)
    assert np.array_equal(mirrored.data, data[..., ::-1])
    assert np.array_equal(mirrored.affine, volume.affine)
    assert np.array_equal(mirror(mirrored).data, data)
    assert mirrored.steps[-1]["name"] == "mirror"
