"""Anti-aliased resampling of a canonical array onto a grid along the world's axes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

import numpy as np
from scipy import ndimage, sparse

from brain3d.scans.masks import box_of, span_of
from brain3d.scans.orientation import direction_cosines

HALF = 0.5 - 1e-6
INSIDE, SURFACE = 1, 2
DOUBT = 1e-3


def rounded_geometry(affine: np.ndarray) -> np.ndarray:
    """The (3, 3) matrix from canonical (d, h, w) index steps to millimetres superior, anterior, right.

    Direction cosines are rounded to 1e-3 and spacings to 1e-4 mm, so that the rounding of a header's
    quaternion or float32 matrix, which differs between stored orders, does not reach the volume.
    """
    cosines = np.round(direction_cosines(affine), 3)[::-1]
    spacing = np.round(np.sqrt((np.asarray(affine, dtype=np.float64)[:3, :3] ** 2).sum(axis=0)), 4)
    return np.asarray(cosines * spacing + 0.0)


class Field(NamedTuple):
    """What a canonical (D, H, W) array of `shape` holds besides its background: `values` float32 less that, in C order,
    of the smallest `box` outside of which there is nothing else; one voxel where there is nothing at all."""

    values: np.ndarray
    box: tuple[slice, slice, slice]
    shape: tuple[int, ...]
    background: np.float32


def field_of(data: np.ndarray, background: float = 0.0) -> Field:
    """What a canonical (D, H, W) array, also a view in any order of memory, holds besides its background."""
    level = np.float32(background)
    box = box_of(data != level)
    inside = data[box]
    values = np.empty(inside.shape, dtype=np.float32)
    np.subtract(inside, level, out=values)  # in one pass, whatever the order in memory
    return Field(values, box, data.shape, level)


def triangle_weights(
    n_in: int, positions: np.ndarray, step: float, dtype: type[np.floating] = np.float32, kept: slice | None = None
) -> sparse.csr_matrix:
    """Sparse (n_out, n_in) weights that read an axis of `n_in` voxels at fractional `positions`.

    The kernel is a triangle as wide as the larger of the input and the output step (`step`, in input voxels):
    linear interpolation upwards, averaging downwards. What falls outside the axis counts as zero. Of the columns those
    in `kept` alone are made, where it is given.
    """
    half = max(1.0, step)
    first, last = (0, n_in) if kept is None else (kept.start, kept.stop)
    taps = np.floor(positions)[:, None] + np.arange(-np.ceil(half), np.ceil(half) + 1)
    weights = np.maximum(0.0, 1.0 - np.abs(taps - positions[:, None]) / half)
    weights /= weights.sum(axis=1, keepdims=True)
    keep = (taps >= first) & (taps < last) & (weights > 0)
    starts = np.concatenate([[0], np.cumsum(keep.sum(axis=1))]).astype(np.int32)
    columns = (taps[keep] - first).astype(np.int32)
    return sparse.csr_matrix((weights[keep].astype(dtype), columns, starts), shape=(len(positions), last - first))


def _apply(field: Field, matrices: Sequence[sparse.csr_matrix]) -> np.ndarray:
    """Each matrix, its columns those of the field's box, along its own axis; the axes are rolled so that each in turn
    comes first. What air around the head alone would give is left out until the end: it is zero."""
    data, box = field.values, []
    for matrix in matrices:
        rows = span_of(np.diff(matrix.indptr) > 0)
        flat = (matrix @ data.reshape(data.shape[0], -1))[rows]
        data = np.ascontiguousarray(np.moveaxis(flat.reshape(-1, *data.shape[1:]), 0, -1))
        box.append(rows)
    result = np.zeros([matrix.shape[0] for matrix in matrices], dtype=data.dtype)
    result[tuple(box)] = data
    return result


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
    return read_grid(field_of(data, background), geometry, centre, shape, spacing_mm)


def read_grid(
    field: Field, geometry: np.ndarray, centre: Sequence[float] | np.ndarray, shape: Sequence[int], spacing_mm: float
) -> np.ndarray:
    """`resample` of the array that the field was made of, with its background."""
    middle, shape = np.asarray(centre, dtype=np.float64), tuple(shape)
    if not _is_oblique(geometry):
        return _aligned(field, geometry, middle, shape, spacing_mm) + field.background
    result = np.zeros(shape, dtype=np.float32)
    box = _reached(field, geometry, middle, shape, spacing_mm)
    if all(side.start < side.stop for side in box):
        result[box] = _oblique(field, geometry, middle, shape, spacing_mm, _indices(box))
    return result + field.background


def _indices(box: tuple[slice, ...]) -> list[np.ndarray]:
    """The indices of a box along each axis, as arrays that broadcast to its shape."""
    return [
        np.arange(side.start, side.stop).reshape([-1 if k == axis else 1 for k in range(3)])
        for axis, side in enumerate(box)
    ]


def read_places(
    field: Field, geometry: np.ndarray, centre: Sequence[float] | np.ndarray, places: np.ndarray, spacing_mm: float
) -> np.ndarray:
    """What `read_grid` reads at the True places (D, H, W) of a grid alone: (N,) float32, in their order."""
    middle = np.asarray(centre, dtype=np.float64)
    if not _is_oblique(geometry):
        return _aligned(field, geometry, middle, places.shape, spacing_mm)[places] + field.background
    return _oblique(field, geometry, middle, places.shape, spacing_mm, np.nonzero(places)) + field.background


def _is_oblique(geometry: np.ndarray) -> bool:
    return bool(np.any(geometry - np.diag(np.diag(geometry))))


def _aligned(
    field: Field, geometry: np.ndarray, centre: np.ndarray, shape: tuple[int, ...], spacing_mm: float
) -> np.ndarray:
    matrices = []
    for axis in range(3):
        step = spacing_mm / geometry[axis, axis]
        positions = centre[axis] + (np.arange(shape[axis]) - (shape[axis] - 1) / 2) * step
        matrices.append(triangle_weights(field.shape[axis], positions, step, kept=field.box[axis]))
    return _apply(field, matrices)


def _reached(
    field: Field, geometry: np.ndarray, centre: np.ndarray, shape: tuple[int, ...], spacing_mm: float
) -> tuple[slice, ...]:
    """The box of the grid outside of which neither kernel reads anything of the field's box, with a little room."""
    step = spacing_mm / np.sqrt((geometry**2).sum(axis=0))
    room = np.maximum(1.0, step) + np.maximum(1.0, step / 2) + 0.01
    sides = [(side.start - more, side.stop - 1 + more) for side, more in zip(field.box, room, strict=True)]
    corners = (np.array(list(product(*sides))) - centre) @ geometry.T / spacing_mm + (np.array(shape) - 1) / 2
    first = np.clip(np.floor(corners.min(axis=0)), 0, shape).astype(int)
    last = np.clip(np.ceil(corners.max(axis=0)) + 1, first, shape).astype(int)
    return tuple(map(slice, first.tolist(), last.tolist()))


def _oblique(
    field: Field,
    geometry: np.ndarray,
    centre: np.ndarray,
    shape: tuple[int, ...],
    spacing_mm: float,
    grid: Sequence[np.ndarray],
) -> np.ndarray:
    """Average along the scan's own axes onto a grid twice as fine as the target, then read trilinearly.

    `grid` has three arrays of indices of the target, which broadcast to what is returned.
    """
    inner, steps = _averaged(field, geometry, spacing_mm)
    return _between(inner, _places(field, geometry, centre, shape, spacing_mm, grid, inner.shape, steps))


def _between(inner: np.ndarray, places: np.ndarray) -> np.ndarray:
    return np.asarray(ndimage.map_coordinates(inner, places, order=1, mode="constant", cval=0.0))


def _averaged(field: Field, geometry: np.ndarray, spacing_mm: float) -> tuple[np.ndarray, np.ndarray]:
    """The field averaged along its own axes for a target of `spacing_mm`, and its steps (3,) in voxels of the field."""
    matrices, inner_steps = [], np.empty(3)
    for axis in range(3):
        step = spacing_mm / float(np.sqrt((geometry[:, axis] ** 2).sum()))
        inner_steps[axis] = max(1.0, step / 2)
        n = field.shape[axis]
        size = 2 * int(np.ceil(((n - 1) / 2 + step) / inner_steps[axis])) + 1
        offsets = (np.arange(size) - (size - 1) / 2) * inner_steps[axis]
        matrices.append(triangle_weights(n, (n - 1) / 2 + offsets, step, kept=field.box[axis]))
    return _apply(field, matrices), inner_steps


def _places(
    field: Field,
    geometry: np.ndarray,
    centre: np.ndarray,
    shape: tuple[int, ...],
    spacing_mm: float,
    grid: Sequence[np.ndarray],
    inner_shape: tuple[int, ...],
    inner_steps: np.ndarray,
) -> np.ndarray:
    """The indices (3, ...) in the averaged field of what lies at the grid's indices, which broadcast."""
    inverse = np.linalg.inv(geometry)
    from_middle_mm = [(index - (n - 1) / 2) * spacing_mm for index, n in zip(grid, shape, strict=True)]
    places = np.empty((3, *np.broadcast_shapes(*(index.shape for index in grid))))
    for axis in range(3):
        index = sum(inverse[axis, world] * from_middle_mm[world] for world in range(3))
        from_middle = (index + (centre[axis] - (field.shape[axis] - 1) / 2)) / inner_steps[axis]
        places[axis] = from_middle + (inner_shape[axis] - 1) / 2
    return places


def resample_mask(
    mask: np.ndarray,
    geometry: np.ndarray,
    centre: Sequence[float] | np.ndarray,
    shape: Sequence[int],
    spacing_mm: float,
) -> np.ndarray:
    """Where `resample` of a mask (D, H, W) gives at least a half, but for rounding: (D, H, W) bool of `shape`.

    On a turned grid only what lies near the mask's surface is read.
    """
    field, middle, shape = field_of(mask.astype(np.float32)), np.asarray(centre, dtype=np.float64), tuple(shape)
    if not _is_oblique(geometry):
        return np.asarray(read_grid(field, geometry, middle, shape, spacing_mm) >= HALF)
    result = np.zeros(shape, dtype=bool)
    box = _reached(field, geometry, middle, shape, spacing_mm)
    if any(side.start == side.stop for side in box):
        return result
    inner, steps = _averaged(field, geometry, spacing_mm)

    def places(grid: Sequence[np.ndarray]) -> np.ndarray:
        return _places(field, geometry, middle, shape, spacing_mm, grid, inner.shape, steps)

    corners = np.array([np.zeros(3), *np.eye(3)]) + [side.start for side in box]
    first, *ends = places(corners.T.copy()).T
    kinds = _kinds(_cells(inner), first, np.array(ends) - first, [side.stop - side.start for side in box])
    found = kinds == INSIDE
    surface = np.nonzero(kinds == SURFACE)
    index = [at + side.start for at, side in zip(surface, box, strict=True)]
    found[surface] = _between(inner, places(index)) >= HALF
    result[box] = found
    return result


def _kinds(cells: np.ndarray, first: np.ndarray, steps: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """The cell in which each place of a grid of `shape` lies; the first at the index `first`, `steps` (3, 3) apart."""
    flat = np.zeros(shape, dtype=np.int32)
    for axis, (n, stride) in enumerate(
        zip(cells.shape, (cells.shape[1] * cells.shape[2], cells.shape[2], 1), strict=True)
    ):
        down, along, across = (steps[k, axis] * np.arange(size) for k, size in enumerate(shape))
        plane = (first[axis] + 1 + down[:, None] + along).astype(np.float32)
        at = plane[..., None] + across.astype(np.float32)
        np.maximum(at, 0, out=at)
        np.minimum(at, n - 1, out=at)
        cell = at.astype(np.int32)
        cell *= stride
        flat += cell
    return cells.ravel().take(flat)


def _cells(inner: np.ndarray) -> np.ndarray:
    """What a reading between eight neighbours can give, by the first of them, one cell of nothing before all others:
    `INSIDE` at least a half for certain, `SURFACE` perhaps, 0 less. For certain: also where a place is rounded into the
    next cell."""
    inside, near = inner >= 0.5 + DOUBT, inner >= 0.5 - DOUBT
    for axis in range(3):
        one, other = (slice(None),) * axis + (slice(1, None),), (slice(None),) * axis + (slice(None, -1),)
        inside, near = inside[one] & inside[other], near[one] | near[other]
    cells = np.full([n + 2 for n in inner.shape], SURFACE, dtype=np.uint8)
    cells[1:-2, 1:-2, 1:-2] = np.where(inside, np.uint8(INSIDE), near.view(np.uint8) * np.uint8(SURFACE))
    for axis in range(3):
        rows = np.moveaxis(cells, axis, 0)
        rows[0], rows[-1] = 0, 0
    return cells
