"""What a lesion mask says: its side about the brain's own midline, and roughly which lobes it lies in.

The atlas of the phantoms is placed on a scan by its bounding box alone. That is coarse: it knows nothing of a
shifted midline, of atrophy, or of a head whose lower slices are missing.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import nibabel as nib
import numpy as np

from brain3d.phantom.anatomy import CHANNELS, Anatomy, load_anatomy
from brain3d.reports.findings import REGIONS
from brain3d.scans import InputError, Scan, Volume, side_of
from brain3d.scans.foreground import extent

PERIVENTRICULAR_MM = 6.0
Box = tuple[tuple[float, float], tuple[float, float], tuple[float, float]]


@dataclass(frozen=True)
class Grounding:
    """A mask measured in its scan's volume frame.

    `shares` is the share of its volume in each region; periventricular overlaps the others.
    """

    side: str
    left_share: float
    centroid_offset_mm: float
    volume_ml: float
    shares: dict[str, float]


def read_mask(path: Path, scan: Scan) -> np.ndarray:
    """The mask's voxels on the scan's grid, True where any label is; InputError where the grids differ."""
    image = nib.load(path)
    data = np.asarray(image.dataobj)
    data = data.reshape(data.shape[:3]) if data.ndim == 4 and data.shape[3] == 1 else data
    if data.shape != scan.data.shape or not np.allclose(image.affine, scan.affine, atol=1e-2):
        raise InputError("the mask does not lie on the scan's own grid; resample it to the scan")
    return np.asarray(data > 0.5)


def mask_points(mask: np.ndarray, scan: Scan, volume: Volume) -> np.ndarray:
    """The voxels of a mask on the scan's grid as fractional (d, h, w) indices of the volume: (n, 3)."""
    world = np.argwhere(mask) @ scan.affine[:3, :3].T + scan.affine[:3, 3]
    inverse = np.linalg.inv(volume.affine)
    return np.asarray(world @ inverse[:3, :3].T + inverse[:3, 3])


def _extents(inside: np.ndarray) -> Box:
    d, h, w = (extent(inside.sum(axis=other)) for other in ((1, 2), (0, 2), (0, 1)))
    return d, h, w


@lru_cache(maxsize=1)
def _template_box() -> Box:
    brain = load_anatomy().soft[CHANNELS.index("brain_distance")].numpy() < 0
    return _extents(brain)


def template_index(points: np.ndarray, volume: Volume) -> np.ndarray:
    """Atlas grid indices (n, 3) of volume indices (n, 3): the brain's box laid on the template's.

    Depth and height map end to end; width is scaled about the midline, so that left stays left.
    """
    head = _extents(volume.data[0] > -1)
    template = _template_box()
    placed = np.empty_like(points)
    for axis in (0, 1):
        (low, high), (start, end) = head[axis], template[axis]
        placed[:, axis] = start + (points[:, axis] - low) * (end - start) / max(high - low, 1)
    centre = (volume.data.shape[-1] - 1) / 2
    width, template_width = head[2][1] - head[2][0], template[2][1] - template[2][0]
    middle = (load_anatomy().regions.shape[2] - 1) / 2
    placed[:, 2] = middle + (points[:, 2] - centre) * template_width / max(width, 1)
    return placed


def region_shares(index: np.ndarray, anatomy: Anatomy) -> dict[str, float]:
    """The share of points (n, 3 atlas indices) in each region; those off the atlas's brain count for none."""
    limits = np.array(anatomy.regions.shape) - 1
    d, h, w = np.clip(np.rint(index).astype(int), 0, limits).T
    labels = anatomy.regions.numpy()[d, h, w]
    counts = np.bincount(labels, minlength=len(REGIONS) + 1)[1:]
    shares = {name: float(count) / len(index) for name, count in zip(REGIONS, counts, strict=True)}
    near = anatomy.soft[CHANNELS.index("ventricle_distance")].numpy()[d, h, w] < PERIVENTRICULAR_MM
    shares["periventricular"] = float((near & (labels > 0)).mean())
    return shares


def ground(scan: Scan, mask: np.ndarray, volume: Volume) -> Grounding:
    """Measure a boolean mask on the grid of `scan` in the frame of the scan's volume."""
    points = mask_points(mask, scan, volume)
    if not len(points):
        return Grounding("unknown", 0.0, 0.0, 0.0, dict.fromkeys(REGIONS, 0.0))
    spacing = float(np.linalg.norm(volume.affine[:3, 2]))
    offset = points[:, 2] - (volume.data.shape[-1] - 1) / 2
    left_share, centroid = float((offset < 0).mean()), float(offset.mean()) * spacing
    voxel_ml = abs(float(np.linalg.det(scan.affine[:3, :3]))) / 1000.0
    return Grounding(
        side=side_of(left_share, centroid),
        left_share=left_share,
        centroid_offset_mm=centroid,
        volume_ml=len(points) * voxel_ml,
        shares=region_shares(template_index(points, volume), load_anatomy()),
    )
