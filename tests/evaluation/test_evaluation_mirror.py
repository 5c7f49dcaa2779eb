"""The mirrored scan that evaluation reads: reversed in the file, it is the mirrored volume."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.scans.heads import ORDERS, affine_of, head, reorder, scan_of

from brain3d.scans import mirror, mirrored_scan, prepare

SHAPE = (50, 58, 44)


@pytest.mark.parametrize("order", [ORDERS[0], ORDERS[13], ORDERS[30], ORDERS[47]])
def test_the_volume_of_the_mirrored_scan_is_the_mirrored_volume(
    order: tuple[tuple[int, ...], tuple[int, ...]],
) -> None:
    affine = affine_of((4.0, 3.9, 4.2), SHAPE, centre_mm=(37.0, -12.0, 80.0))
    scan = scan_of(*reorder(head(affine, SHAPE, centre_mm=(41.0, -12.0, 80.0), noise=3), affine, *order))
    turned = mirrored_scan(scan)
    assert turned.axes == scan.axes
    assert np.array_equal(turned.affine, scan.affine)
    volume = prepare(scan)
    assert np.abs(prepare(turned).data - mirror(volume).data).max() < 1e-3
    assert np.abs(prepare(turned).data - volume.data).max() > 0.5


def test_only_the_left_right_axis_is_reversed_and_twice_is_the_scan() -> None:
    affine = affine_of((4.0, 4.0, 4.0), SHAPE)
    for order in ORDERS[::5]:
        scan = scan_of(*reorder(head(affine, SHAPE, noise=3), affine, *order))
        turned = mirrored_scan(scan)
        axis = next(index for index, letter in enumerate(scan.axes) if letter in "LR")
        assert np.array_equal(turned.data, np.flip(scan.data, axis))
        assert len({scan.sha256, turned.sha256, mirrored_scan(turned).sha256}) == 3
        assert np.array_equal(mirrored_scan(turned).data, scan.data)


def test_a_scan_whose_header_names_no_side_is_reversed_along_the_axis_it_is_read_by() -> None:
    affine = affine_of((4.0, 4.0, 4.0), SHAPE)
    scan = replace(scan_of(head(affine, SHAPE), affine), axes="unknown", side_known=False)
    assert np.array_equal(mirrored_scan(scan).data, scan.data[::-1])
