"""Boxes, profiles, borders, pieces and holes of masks, boolean arrays (D, H, W)."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

Box = tuple[slice, slice, slice]


def box_of(mask: np.ndarray, room: int = 0) -> Box:
    """The smallest box that holds all of a mask, with so much room around it as the array has.

    One voxel at the origin, and that room, where the mask is empty.
    """
    plane = np.asarray(mask.any(axis=0))
    profiles = mask.any(axis=(1, 2)), plane.any(axis=1), plane.any(axis=0)
    first, second, third = (span_of(np.asarray(profile)) for profile in profiles)
    d, h, w = mask.shape
    return _roomy(first, room, d), _roomy(second, room, h), _roomy(third, room, w)


def span_of(filled: np.ndarray) -> slice:
    """From the first to the last True of (N,) booleans; the first place where there is none."""
    places = np.flatnonzero(filled)
    return slice(int(places[0]), int(places[-1]) + 1) if places.size else slice(0, 1)


def _roomy(side: slice, room: int, size: int) -> slice:
    return slice(max(0, side.start - room), min(size, side.stop + room))


def counts(mask: np.ndarray, axis: int) -> np.ndarray:
    """How many voxels of a mask lie at each index of an axis: (N,)."""
    if axis == 0:
        return np.array([np.count_nonzero(rows) for rows in mask])
    plane = np.add.reduce(mask.view(np.uint8), axis=0, dtype=np.int32)
    return np.asarray(plane.sum(axis=2 - axis))


def dilated(mask: np.ndarray) -> np.ndarray:
    """The mask and its neighbours across a face."""
    result = mask.copy()
    for axis in range(3):
        grown, rows = np.moveaxis(result, axis, 0), np.moveaxis(mask, axis, 0)
        grown[1:] |= rows[:-1]
        grown[:-1] |= rows[1:]
    return result


def eroded(mask: np.ndarray, times: int = 1) -> np.ndarray:
    """What is left of the mask once its outermost layer has been taken off so many times; outside there is nothing."""
    for _ in range(times):
        mask = ~dilated(~np.pad(mask, 1))[1:-1, 1:-1, 1:-1]
    return mask


def largest_piece(mask: np.ndarray) -> np.ndarray:
    """The largest piece of a mask that is connected across faces, all False where there is none."""
    box = box_of(mask)
    labels, count = ndimage.label(mask[box])
    if count <= 1:
        return np.asarray(mask)
    result = np.zeros(mask.shape, dtype=bool)
    np.equal(labels, 1 + int(np.argmax(np.bincount(labels.ravel())[1:])), out=result[box])
    return result


def filled(mask: np.ndarray) -> np.ndarray:
    """The mask with the holes of each axial slice filled, which are those in three dimensions too."""
    in_plane = np.zeros((3, 3, 3), dtype=bool)
    in_plane[1] = ndimage.generate_binary_structure(2, 1)
    box = box_of(mask)
    labels, count = ndimage.label(~mask[box], structure=in_plane)
    open_ = np.zeros(count + 1, dtype=bool)
    for face in (labels[:, 0], labels[:, -1], labels[:, :, 0], labels[:, :, -1]):
        open_[face] = True
    open_[0] = False  # the mask itself
    result = np.zeros(mask.shape, dtype=bool)
    result[box] = ~open_[labels]
    return result
