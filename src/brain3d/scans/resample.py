"""Anti-aliased resampling of a canonical array onto a grid along the world's axes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage, sparse

from brain3d.scans.orientation import direction_cosines


def rounded_geometry(affine: np.ndarray) -> np.ndarray:
    """The (3, 3) matrix from canonical (d, h, w) index steps to millimetres superior, anterior, right.

    Direction cosines are rounded to 1e-3 and spacings to 1e-4 mm, so that the rounding of a header's
    quaternion or float32 matrix, which differs between stored orders, does not reach the volume.
    """
    cosines = np.round(direction_cosines(affine), 3)[::-1]
    spacing = np.round(np.sqrt((np.asarray(affine, dtype=np.float64)[:3, :3] ** 2).sum(axis=0)), 4)
    return np.asarray(cosines * spacing + 0.0)


def triangle_weights(
    n_in: int, positions: np.ndarray, step: float, dtype: type[np.floating] = np.float32
) -> sparse.csr_matrix:
    """Sparse (n_out, n_in) weights that read an axis of `n_in` voxels at fractional `positions`.

    The kernel is a triangle as wide as the larger of the input and the output step (`step`, in input voxels):
    linear interpolation upwards, averaging downwards. What falls outside the axis counts as zero.
    """
    half = max(1.0, step)
    taps = np.floor(positions)[:, None] + np.arange(-np.ceil(half), np.ceil(half) + 1)
    weights = np.maximum(0.0, 1.0 - np.abs(taps - positions[:, None]) / half)
    weights /= weights.sum(axis=1, keepdims=True)
    rows = np.broadcast_to(np.arange(len(positions))[:, None], taps.shape)
    keep = (taps >= 0) & (taps < n_in) & (weights > 0)
    entries = (weights[keep].astype(dtype), (rows[keep], taps[keep].astype(np.int64)))
    return sparse.csr_matrix(entries, shape=(len(positions), n_in))


def _apply(data: np.ndarray, matrices: Sequence[sparse.csr_matrix]) -> np.ndarray:
    """Each matrix along its own axis of a 3-D array, rolling the axes so that each in turn comes first.

    The zeros around what the array holds, the air around a head without its skull, are left out: they change no bit.
    """
    box = _occupied(data)
    data = data[box]
    for matrix, kept in zip(matrices, box, strict=True):
        rest = data.shape[1:]
        flat = matrix[:, kept] @ data.reshape(data.shape[0], -1)
        data = np.ascontiguousarray(np.moveaxis(flat.reshape(-1, *rest), 0, -1))
    return data


def _occupied(data: np.ndarray) -> tuple[slice, slice, slice]:
    """The smallest box of a 3-D array outside of which all is zero; one voxel where there is nothing else."""
    filled = data != 0
    plane = filled.any(axis=0)
    first, second, third = map(_span, (filled.any(axis=(1, 2)), plane.any(axis=1), plane.any(axis=0)))
    return first, second, third


def _span(filled: np.ndarray) -> slice:
    places = np.flatnonzero(filled)
    return slice(int(places[0]), int(places[-1]) + 1) if places.size else slice(0, 1)


def resample(
    data: np.ndarray,
    geometry: np.ndarray,
    centre: Sequence[float] | np.ndarray,
    shape: Sequence[int],
    spacing_mm: float,
    background: float = 0.0,
) -> np.ndarray:
    """A canonical (D, H, W) array read on a grid of `shape` along superior, anterior, right.

    `geometry` is `rounded_geometry`'s matrix; `centre` the (d, h, w) index, in `data`, of the new grid's
    centre (index shape / 2 - 0.5); `background` the value outside the field of view. Returns float32.
    """
    shifted = data - np.float32(background) if background else np.asarray(data, dtype=np.float32)
    off_diagonal = geometry - np.diag(np.diag(geometry))
    read = _resample_oblique if np.any(off_diagonal) else _resample_aligned
    result = read(shifted, geometry, np.asarray(centre, dtype=np.float64), tuple(shape), spacing_mm)
    return np.asarray(result + np.float32(background), dtype=np.float32)


def _resample_aligned(
    data: np.ndarray, geometry: np.ndarray, centre: np.ndarray, shape: tuple[int, ...], spacing_mm: float
) -> np.ndarray:
    matrices = []
    for axis in range(3):
        step = spacing_mm / geometry[axis, axis]
        positions = centre[axis] + (np.arange(shape[axis]) - (shape[axis] - 1) / 2) * step
        matrices.append(triangle_weights(data.shape[axis], positions, step))
    return _apply(data, matrices)


def _resample_oblique(
    data: np.ndarray, geometry: np.ndarray, centre: np.ndarray, shape: tuple[int, ...], spacing_mm: float
) -> np.ndarray:
    """Average along the scan's own axes onto a grid twice as fine as the target, then read trilinearly."""
    matrices, inner_steps, inner_sizes = [], np.empty(3), np.empty(3, dtype=np.int64)
    for axis in range(3):
        step = spacing_mm / float(np.sqrt((geometry[:, axis] ** 2).sum()))
        inner_steps[axis] = max(1.0, step / 2)
        n = data.shape[axis]
        inner_sizes[axis] = 2 * int(np.ceil(((n - 1) / 2 + step) / inner_steps[axis])) + 1
        offsets = (np.arange(inner_sizes[axis]) - (inner_sizes[axis] - 1) / 2) * inner_steps[axis]
        matrices.append(triangle_weights(n, (n - 1) / 2 + offsets, step))
    inner = _apply(data, matrices)

    inverse = np.linalg.inv(geometry)
    grid = [(np.arange(n) - (n - 1) / 2) * spacing_mm for n in shape]
    coordinates = np.empty((3, *shape))
    for axis in range(3):
        index = sum(
            inverse[axis, world] * grid[world].reshape([-1 if k == world else 1 for k in range(3)])
            for world in range(3)
        )
        from_middle = (index + (centre[axis] - (data.shape[axis] - 1) / 2)) / inner_steps[axis]
        coordinates[axis] = from_middle + (inner_sizes[axis] - 1) / 2
    return np.asarray(ndimage.map_coordinates(inner, coordinates, order=1, mode="constant", cval=0.0))
