"""Where the model suspects a lesion, voxel by voxel."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

SMOOTHING_MM = 10.0
LEAST_EVIDENCE = 0.5


def suspected_point(evidence: np.ndarray, spacing_mm: float) -> tuple[float, float, float] | None:
    """The (d, h, w) where smoothed evidence (D, H, W) is highest; None where it is nowhere probable."""
    if float(evidence.max()) < LEAST_EVIDENCE:
        return None
    smooth = ndimage.gaussian_filter(evidence, SMOOTHING_MM / spacing_mm)
    d, h, w = np.unravel_index(int(smooth.argmax()), smooth.shape)
    return float(d), float(h), float(w)


def patches_to_voxels(
    patches: np.ndarray,
    shape: tuple[int, int, int],
    size: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int] = (0, 0, 0),
) -> np.ndarray:
    """Values per patch (D', H', W') as a map (D, H, W): linear between their centres, constant beyond."""
    sizes = zip(shape, size, stride, padding, strict=True)
    axes = [(np.arange(n) + before - (width - 1) / 2) / step for n, width, step, before in sizes]
    grid = np.meshgrid(*axes, indexing="ij")
    return np.asarray(ndimage.map_coordinates(patches, grid, order=1, mode="nearest"), dtype=np.float32)
