"""From the volume that the model sees back to the scan's own voxels, and there."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from brain3d.scans.types import Scan, Volume


def _through(points: np.ndarray, affine: np.ndarray) -> np.ndarray:
    return np.asarray(np.asarray(points, dtype=np.float64) @ affine[:3, :3].T + affine[:3, 3])


def to_volume(points: np.ndarray, scan: Scan, volume: Volume) -> np.ndarray:
    """Fractional voxel indices (..., 3) of the scan, in its stored order, as (d, h, w) indices of its volume."""
    return _through(points, np.linalg.inv(volume.affine) @ scan.affine)


def to_scan(points: np.ndarray, volume: Volume, scan: Scan) -> np.ndarray:
    """(d, h, w) indices (..., 3) of a volume as fractional voxel indices of its scan, in the scan's stored order.

    The inverse of `to_volume`; the volume must be that of this scan, not mirrored.
    """
    return _through(points, np.linalg.inv(scan.affine) @ volume.affine)


def map_to_scan(values: np.ndarray, volume: Volume, scan: Scan, outside: float = 0.0) -> np.ndarray:
    """A map (D, H, W) on a volume's grid, such as lesion evidence, on the scan's own voxels and in its stored order.

    Read trilinearly; `outside` where the scan reaches beyond the volume. float32. ValueError where the map is not on
    the volume's grid.
    """
    if values.shape != volume.data.shape[1:]:
        raise ValueError(f"a map of {values.shape} on a volume of {volume.data.shape[1:]}")
    change = np.linalg.inv(volume.affine) @ scan.affine
    array = np.asarray(values, dtype=np.float32)
    return np.asarray(
        ndimage.affine_transform(
            array, change[:3, :3], change[:3, 3], scan.data.shape, order=1, mode="constant", cval=outside
        )
    )
