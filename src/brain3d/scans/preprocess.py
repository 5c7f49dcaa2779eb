"""From a scan to the volume that the model sees, each step recorded."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from brain3d.scans.checks import flags_of, unlike_a_head
from brain3d.scans.foreground import (
    Background,
    background_of,
    brain_centre,
    foreground_mask,
)
from brain3d.scans.orientation import to_canonical
from brain3d.scans.resample import resample, rounded_geometry
from brain3d.scans.types import InputError, Scan, Volume, VolumeSpec

__all__ = ["brain_centre", "foreground_mask", "normalise", "prepare"]

COARSE_MM = 3.0
Z_LOW, Z_HIGH = -4.0, 10.0


def normalise(data: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Intensities mapped to [-1, 1] as float32, -1 wherever `mask` (same shape) is False.

    Over the mask, z = (x - median) / (1.4826 MAD), with the standard deviation where the MAD is zero; z is
    clipped to [`Z_LOW`, `Z_HIGH`] and that range mapped linearly to [-1, 1].
    """
    result = np.full(data.shape, -1.0, dtype=np.float32)
    inside = np.asarray(data[mask], dtype=np.float64)
    if inside.size == 0:
        return result
    median = float(np.median(inside))
    scale = 1.4826 * float(np.median(np.abs(inside - median))) or float(inside.std()) or 1.0
    z = np.clip((inside - median) / scale, Z_LOW, Z_HIGH)
    result[mask] = 2.0 * (z - Z_LOW) / (Z_HIGH - Z_LOW) - 1.0
    return result


class Head(NamedTuple):
    """A scan in canonical order (D, H, W) and what was found in it.

    `geometry` is `rounded_geometry`'s; `coarse` and `mask` the field of view and its foreground at `COARSE_MM`;
    `offset_mm` goes from the field's middle to the brain's centre, towards superior, anterior, right.
    """

    data: np.ndarray
    affine: np.ndarray
    geometry: np.ndarray
    background: Background
    coarse: np.ndarray
    mask: np.ndarray
    offset_mm: np.ndarray

    @property
    def centre(self) -> np.ndarray:
        """The brain's centre as a fractional (d, h, w) index of `data`."""
        return (np.array(self.data.shape) - 1) / 2 + np.linalg.inv(self.geometry) @ self.offset_mm


def prepare(scan: Scan, spec: VolumeSpec | None = None) -> Volume:
    """The volume of a scan: (1, D, H, W) in [-1, 1] along superior, anterior, right, centred on the brain.

    Nothing depends on the stored order of the axes or on the affine's translation. Raises InputError, with the
    file's name where the scan came from one, where the image holds nothing that could be a head.
    """
    return volume_of(scan, find_head(scan), VolumeSpec() if spec is None else spec)


def find_head(scan: Scan) -> Head:
    """Where the head and the brain's centre are; raises as `prepare` does."""
    data, affine = to_canonical(scan.data, scan.affine)
    geometry = rounded_geometry(affine)
    background = background_of(data)
    coarse, mask = _coarse(data, geometry, background)
    problem = unlike_a_head(coarse, mask, COARSE_MM)
    if problem:
        named = f"{scan.given}: " if scan.given else ""
        raise InputError(f"{named}{problem}; give a scan of a head")
    coarse_centre = np.array(brain_centre(mask, (COARSE_MM,) * 3))
    # Rounded about the middle, so that a scan and its mirror image are treated alike to the last bit.
    offset_mm = np.round((coarse_centre - (np.array(mask.shape) - 1) / 2) * COARSE_MM, 2)
    return Head(data, affine, geometry, background, coarse, mask, offset_mm)


def volume_of(scan: Scan, head: Head, spec: VolumeSpec) -> Volume:
    """The volume of a scan in which the head was found."""
    geometry, background, offset_mm = head.geometry, head.background, head.offset_mm
    values = resample(head.data, geometry, head.centre, spec.shape, spec.spacing_mm, background.level)
    inside = _mask_on_grid(head.mask, offset_mm, spec)
    voxel_mm = float(_spacing(geometry).max())
    return Volume(
        data=normalise(values, inside)[None],
        affine=_grid_affine(head.affine, head.centre, spec),
        steps=_steps(geometry, background, offset_mm, spec),
        flags=scan.flags + flags_of(head.coarse, head.mask, COARSE_MM, background, voxel_mm),
        side_known=scan.side_known,
    )


def _coarse(data: np.ndarray, geometry: np.ndarray, background: Background) -> tuple[np.ndarray, np.ndarray]:
    """The whole field of view at 3 mm along the world's axes, and its foreground."""
    reach_mm = np.abs(geometry) @ np.array(data.shape, dtype=np.float64)
    shape = [int(np.ceil(mm / COARSE_MM)) + 2 for mm in np.round(reach_mm, 3)]
    middle = (np.array(data.shape) - 1) / 2
    coarse = resample(data, geometry, middle, shape, COARSE_MM, background.level)
    return coarse, foreground_mask(coarse, background)


def _mask_on_grid(mask: np.ndarray, offset_mm: np.ndarray, spec: VolumeSpec) -> np.ndarray:
    centre = (np.array(mask.shape) - 1) / 2 + offset_mm / COARSE_MM
    share = resample(mask.astype(np.float32), np.diag([COARSE_MM] * 3), centre.tolist(), spec.shape, spec.spacing_mm)
    return share >= 0.5 - 1e-6


def _grid_affine(affine: np.ndarray, centre: np.ndarray, spec: VolumeSpec) -> np.ndarray:
    grid = np.zeros((4, 4))
    grid[3, 3] = 1.0
    grid[[2, 1, 0], [0, 1, 2]] = spec.spacing_mm
    world = affine[:3, :3] @ centre + affine[:3, 3]
    grid[:3, 3] = world - grid[:3, :3] @ ((np.array(spec.shape) - 1) / 2)
    return grid


def _spacing(geometry: np.ndarray) -> np.ndarray:
    return np.asarray(np.sqrt((geometry**2).sum(axis=0)))


def _steps(
    geometry: np.ndarray, background: Background, offset_mm: np.ndarray, spec: VolumeSpec
) -> tuple[dict[str, Any], ...]:
    spacing = [round(float(mm), 4) for mm in _spacing(geometry)]
    return (
        {"name": "to_canonical", "order": "SAR", "spacing_mm": spacing},
        {"name": "foreground_mask", "at_mm": COARSE_MM, "background": round(background.level, 6)},
        {"name": "brain_centre", "from_field_centre_mm": [float(mm) for mm in offset_mm]},
        {"name": "resample", "shape": list(spec.shape), "spacing_mm": spec.spacing_mm, "kernel": "triangle"},
        {"name": "normalise", "by": "median and MAD of the foreground", "clip": [Z_LOW, Z_HIGH]},
    )
