"""What a lesion mask says: its side about the brain's own midline, and roughly which lobes it lies in.

The atlas of the phantoms is placed on a scan by its bounding box alone. That is coarse: it knows nothing of a
shifted midline, of atrophy, or of a head whose lower slices are missing.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError, SpatialImage
from nibabel.wrapstruct import WrapStructError

from brain3d.phantom.anatomy import CHANNELS, Anatomy, load_anatomy
from brain3d.reports.findings import REGIONS
from brain3d.scans import InputError, Scan, Volume, side_of, to_volume
from brain3d.scans.foreground import extent
from brain3d.scans.nifti import MAX_VOXELS

PERIVENTRICULAR_MM = 6.0
# What nibabel raises over a file that is damaged, cut short, or no image.
UNREADABLE = (ImageFileError, HeaderDataError, WrapStructError, EOFError, zlib.error, OSError, ValueError)
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


def empty_grounding() -> Grounding:
    """What a mask without any label measures, in whatever scan."""
    return Grounding("unknown", 0.0, 0.0, 0.0, dict.fromkeys(REGIONS, 0.0))


def read_mask(path: Path, scan: Scan, name: str = "the mask") -> np.ndarray:
    """The mask's voxels on the scan's grid, True where any label is.

    InputError, which calls the mask by `name`, where it cannot be read or lies on another grid.
    """
    image = _opened_mask(path, name)
    if _shape(image) != scan.data.shape or not np.allclose(image.affine, scan.affine, atol=1e-2):
        raise InputError(f"{name} does not lie on the scan's own grid; resample it to the scan")
    return _labelled(image, name).reshape(scan.data.shape)


def mask_is_empty(path: Path, name: str = "the mask") -> bool:
    """Whether a mask, wherever it lies, holds no label; InputError where it cannot be read."""
    return not _labelled(_opened_mask(path, name), name).any()


def _opened_mask(path: Path, name: str) -> SpatialImage:
    try:
        image = nib.load(path)
    except UNREADABLE as error:
        raise _unreadable(name, error) from error
    if not isinstance(image, SpatialImage) or image.get_data_dtype().kind not in "biuf":
        raise InputError(f"{name} is not an image of labels; give a NIfTI file")
    if math.prod(image.shape) > MAX_VOXELS:
        raise InputError(f"{name} is too large ({math.prod(image.shape)} voxels); resample it to the scan")
    return image


def _shape(image: SpatialImage) -> tuple[int, ...]:
    shape = tuple(image.shape)
    return shape[:3] if len(shape) == 4 and shape[3] == 1 else shape


def _labelled(image: SpatialImage, name: str) -> np.ndarray:
    try:
        return np.asarray(np.asarray(image.dataobj) > 0.5)
    except UNREADABLE as error:
        raise _unreadable(name, error) from error


def _unreadable(name: str, error: Exception) -> InputError:
    return InputError(f"{name} cannot be read ({type(error).__name__}); copy or export it again")


def mask_points(mask: np.ndarray, scan: Scan, volume: Volume) -> np.ndarray:
    """The voxels of a mask on the scan's grid as fractional (d, h, w) indices of the volume: (n, 3)."""
    return to_volume(np.argwhere(mask), scan, volume)


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
        return empty_grounding()
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
