"""The preprocessing of the published system (arXiv 2602.22098), for its checkpoints; `prepare` is this package's own.

All of its arithmetic: the axes nearest to superior, anterior, right; intensities clipped to the 1st and 99th
percentile of all voxels, air too, and scaled to 0..1; read trilinearly on 64 x 128 x 128 voxels, whatever their size.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from brain3d.scans.orientation import canonical_view
from brain3d.scans.percentiles import percentiles
from brain3d.scans.types import Scan, Volume

PUBLISHED_SHAPE = (64, 128, 128)
PUBLISHED_PERCENTILES = (1.0, 99.0)


def published_volume(scan: Scan, shape: tuple[int, int, int] = PUBLISHED_SHAPE) -> Volume:
    """The volume that the published system makes of a scan: (1, D, H, W) float32 along superior, anterior, right.

    It differs from `prepare`'s in what is published: values in [0, 1], voxels that are no cubes, the middle of the
    field of view instead of the brain's, nothing turned, no flags but the scan's. An image of one value gives zeros;
    what is not a number is read as 0. The same for all 48 stored orders, bit for bit; a mirrored scan gives the
    mirrored volume within rounding.
    """
    data = _finite(scan.data)
    view, affine = canonical_view(data, scan.affine)
    low, high = percentiles(data, PUBLISHED_PERCENTILES)
    return Volume(
        data=_resized(view, low, high, shape)[None],
        affine=_resized_affine(affine, view.shape, shape),
        steps=(
            {"name": "to_canonical", "order": "SAR"},
            {"name": "clip", "percentiles": list(PUBLISHED_PERCENTILES), "low": low, "high": high},
            {"name": "scale", "range": [0.0, 1.0]},
            {"name": "resize", "shape": list(shape), "kernel": "trilinear", "align_corners": False},
        ),
        flags=scan.flags,
        side_known=scan.side_known,
    )


def _finite(data: np.ndarray) -> np.ndarray:
    data = np.asarray(data, dtype=np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(data.sum()):  # whatever is no number would be in the sum; reading once is half the time
            return data
    finite = np.isfinite(data)
    return data if finite.all() else np.where(finite, data, np.float32(0))


def _taps(n_in: int, n_out: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each of `n_out` places along an axis of `n_in` voxels: its two neighbours, and the second's share, float32.

    Outer edges are aligned rather than the centres of the outer voxels (torch's `align_corners=False`), and what lies
    outside those centres reads the nearest. There is no smoothing, also where voxels are left out.
    """
    positions = np.maximum((np.arange(n_out) + 0.5) * (n_in / n_out) - 0.5, 0.0)
    first = np.minimum(positions.astype(np.intp), n_in - 1)
    return first, np.minimum(first + 1, n_in - 1), (positions - first).astype(np.float32)


def _stored_taps(n_in: int, n_out: int, stride: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """As `_taps`, counted along the memory: from the far end of an axis that is stored backwards (`stride` < 0)."""
    first, second, share = _taps(n_in, n_out)
    return (n_in - 1 - first, n_in - 1 - second, share) if stride < 0 else (first, second, share)


def _between(first: np.ndarray, second: np.ndarray, share: np.ndarray | np.float32) -> np.ndarray:
    """Linear interpolation, written over `second`."""
    second -= first
    second *= share
    second += first
    return second


def _resized(view: np.ndarray, low: float, high: float, shape: Sequence[int]) -> np.ndarray:
    """A (D, H, W) array clipped to [low, high], scaled to 0..1 and read on `shape`, slice by slice.

    Clipping comes before interpolation, which it does not commute with; scaling is linear, so the few voxels that are
    left are scaled. Values are counted from `low`, so that none is lost to rounding where the image is far from zero.
    """
    span = np.float32(high - low)
    if span == 0:
        return np.zeros(shape, dtype=np.float32)
    result = np.empty(shape, dtype=np.float32)
    (d0, d1, d_share), (h0, h1, h_share), (w0, w1, w_share) = map(_stored_taps, view.shape, shape, view.strides)
    view = view[tuple(slice(None, None, -1 if stride < 0 else 1) for stride in view.strides)]
    if view.strides[0] < max(view.strides):
        view = np.ascontiguousarray(view)  # slices that are strewn over the whole memory are slow to read one by one
    zero = np.float32(low)
    lowest, highest = np.float32(low - float(zero)), np.float32(high - float(zero))

    rows = np.empty((2, shape[1], view.shape[2]), dtype=np.float32)
    columns = np.empty((2, *shape[1:]), dtype=np.float32)
    h_share, w_share = np.repeat(h_share[:, None], view.shape[2], axis=1), np.repeat(w_share[None], shape[1], axis=0)

    def clipped(index: int) -> np.ndarray:
        plane = np.subtract(view[index], zero, dtype=np.float32) if zero else view[index]
        return np.clip(plane, lowest, highest)

    for index in range(shape[0]):
        plane = _between(clipped(d0[index]), clipped(d1[index]), d_share[index])
        plane.take(h0, axis=0, out=rows[0], mode="wrap")  # unlike an index in brackets, in the order of the memory
        plane.take(h1, axis=0, out=rows[1], mode="wrap")
        row = _between(rows[0], rows[1], h_share)
        row.take(w0, axis=1, out=columns[0], mode="wrap")
        row.take(w1, axis=1, out=columns[1], mode="wrap")
        read = _between(columns[0], columns[1], w_share)
        if lowest:
            read -= lowest
        read /= span
        np.clip(read, 0.0, 1.0, out=result[index])
    return result


def _resized_affine(affine: np.ndarray, shape: Sequence[int], resized: Sequence[int]) -> np.ndarray:
    """The (4, 4) affine of the resized grid: its outer edges are those of the grid that it was made of."""
    steps = np.array(shape) / np.array(resized)
    grid = np.diag([*steps, 1.0])
    grid[:3, 3] = 0.5 * steps - 0.5
    return np.asarray(affine @ grid)
