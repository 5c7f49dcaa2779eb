"""Masks: boxes, profiles, borders, pieces and holes, against SciPy's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from brain3d.scans.masks import box_of, counts, dilated, eroded, filled, largest_piece

SHAPES = st.tuples(st.integers(1, 6), st.integers(1, 7), st.integers(1, 8))
MASKS = hnp.arrays(bool, SHAPES)


@given(MASKS, st.integers(0, 2))
def test_the_box_of_a_mask_holds_all_of_it_and_no_more(mask: np.ndarray, room: int) -> None:
    found = ndimage.find_objects(mask.view(np.uint8))
    expected = found[0] if found else (slice(0, 1),) * 3
    for side, tight, size in zip(box_of(mask, room), expected, mask.shape, strict=True):
        assert side == slice(max(0, tight.start - room), min(size, tight.stop + room))


@given(MASKS, st.sampled_from([0, 1, 2]))
def test_profiles_are_sums(mask: np.ndarray, axis: int) -> None:
    mirrored = mask[..., ::-1]
    others = tuple(k for k in range(3) if k != axis)
    np.testing.assert_array_equal(counts(mirrored, axis), mirrored.sum(axis=others))


@given(MASKS, st.integers(0, 3))
def test_layers_are_added_and_taken_off_as_by_scipy(mask: np.ndarray, times: int) -> None:
    np.testing.assert_array_equal(dilated(mask), ndimage.binary_dilation(mask))
    expected = ndimage.binary_erosion(mask, iterations=times) if times else mask
    np.testing.assert_array_equal(eroded(mask, times), expected)


@settings(max_examples=60)
@given(hnp.arrays(bool, (4, 6, 7)))
def test_holes_are_filled_slice_by_slice_and_one_piece_is_kept(mask: np.ndarray) -> None:
    np.testing.assert_array_equal(filled(mask), [ndimage.binary_fill_holes(rows) for rows in mask])
    labels, count = ndimage.label(mask)
    sizes = np.bincount(labels.ravel(), minlength=2)[1:]
    expected = labels == 1 + int(np.argmax(sizes)) if count else mask
    np.testing.assert_array_equal(largest_piece(mask), expected)


def test_a_mask_is_left_as_it_was() -> None:
    mask = np.zeros((4, 4, 4), dtype=bool)
    mask[1:3, 1:3, 1:3] = True
    before = mask.copy()
    for change in (dilated, eroded, filled, largest_piece):
        change(mask)
        np.testing.assert_array_equal(mask, before)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_an_empty_mask_has_an_empty_profile(axis: int) -> None:
    assert counts(np.zeros((3, 4, 5), dtype=bool), axis).tolist() == [0] * (3, 4, 5)[axis]
