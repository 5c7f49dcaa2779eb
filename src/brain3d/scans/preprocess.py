"""From a scan to the volume that the model sees, each step recorded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

import numpy as np

from brain3d.scans.bias_field import slope_of, without_slope
from brain3d.scans.brain import AUTO, Extraction, extract_brain
from brain3d.scans.checks import flags_of, has_skull, unlike_a_head
from brain3d.scans.contrast import Contrast, contrast_of, flags_of_contrast
from brain3d.scans.foreground import (
    Background,
    background_of,
    brain_centre,
    foreground_mask,
    height_and_depth,
)
from brain3d.scans.kinds import kind_of_labels, wrong_kind
from brain3d.scans.midplane import MidPlane, mid_plane
from brain3d.scans.orientation import canonical_view
from brain3d.scans.resample import Field, field_of, read_grid, read_places, resample_mask, rounded_geometry
from brain3d.scans.types import Flag, InputError, Scan, Volume, VolumeSpec

__all__ = ["brain_centre", "foreground_mask", "level", "levelled", "normalise", "prepare"]

COARSE_MM = 3.0
LEAST_LIKENESS = 0.4  # of a head and its mirror image: below it the plane is not to be trusted, and nothing is turned
MIDLINE_UNCERTAIN = Flag(
    "midline_uncertain", "The two halves of the head are too unlike to tell where its midline lies; sides may be wrong."
)
Z_LOW, Z_HIGH = -4.0, 10.0


def normalise(data: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Intensities mapped to [-1, 1] as float32, -1 wherever `mask` (same shape) is False.

    Over the mask, z = (x - median) / (1.4826 MAD), with the standard deviation where the MAD is zero; z is
    clipped to [`Z_LOW`, `Z_HIGH`] and that range mapped linearly to [-1, 1].
    """
    return _normalised(data[mask], mask)


def levelled(data: np.ndarray, mask: np.ndarray, background: float = 0.0) -> np.ndarray:
    """`normalise` of an image (D, H, W) whose background lies at this level, the coil's slope taken out first."""
    return _normalised(_even(data, mask, background), mask)


def level(data: np.ndarray, mask: np.ndarray, background: float = 0.0) -> float:
    """How far `levelled`'s median lies above the background, in the units that z is counted in."""
    values = _even(data, mask, background)
    median, scale = _middle_and_scale(values)
    return median / scale if values.size else 0.0


def _even(data: np.ndarray, mask: np.ndarray, background: float) -> np.ndarray:
    """The brightness (N,) above the background inside the mask, the coil's slope taken out."""
    values = data[mask].astype(np.float64) - background
    return without_slope(values, mask, slope_of(values, mask))


def _middle_and_scale(values: np.ndarray) -> tuple[float, float]:
    """The median, and 1.4826 MAD; where that is zero the standard deviation, and one where that is too."""
    if values.size == 0:
        return 0.0, 1.0
    median = float(np.median(values))
    return median, 1.4826 * float(np.median(np.abs(values - median))) or float(values.std()) or 1.0


def _normalised(values: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """`normalise` of an image that has these (N,) values inside the mask."""
    result = np.full(mask.shape, -1.0, dtype=np.float32)
    inside = np.asarray(values, dtype=np.float64)
    median, scale = _middle_and_scale(inside)
    z = np.clip((inside - median) / scale, Z_LOW, Z_HIGH)
    result[mask] = 2.0 * (z - Z_LOW) / (Z_HIGH - Z_LOW) - 1.0
    return result


class Head(NamedTuple):
    """A scan in canonical order (D, H, W), a view of its own data, and what was found in it.

    `field` is what it holds besides its background; `geometry` is `rounded_geometry`'s; `coarse` and `mask` the field
    of view and its foreground at `COARSE_MM`, which is the brain alone where that was extracted; `plane` is its
    mid-sagittal plane; `offset_mm` goes from the field's middle to the brain's centre, towards superior, anterior and
    right of the head held straight.
    """

    data: np.ndarray
    field: Field
    affine: np.ndarray
    geometry: np.ndarray
    background: Background
    coarse: np.ndarray
    mask: np.ndarray
    plane: MidPlane
    offset_mm: np.ndarray
    extraction: Extraction

    @property
    def turn(self) -> np.ndarray:
        """The (3, 3) rotation from the image's axes to those of the head held straight; none where in doubt."""
        return _turn(self.plane)

    @property
    def centre_mm(self) -> np.ndarray:
        """From the field's middle to the brain's centre along the image's axes: superior, anterior, right."""
        return self.turn.T @ self.offset_mm

    @property
    def centre(self) -> np.ndarray:
        """The brain's centre as a fractional (d, h, w) index of `data`."""
        return (np.array(self.data.shape) - 1) / 2 + np.linalg.inv(self.geometry) @ self.centre_mm


def prepare(scan: Scan, spec: VolumeSpec | None = None, *, brain_extraction: str = AUTO) -> Volume:
    """The volume of a scan: (1, D, H, W) in [-1, 1] along superior, anterior, right, centred on the brain.

    `brain_extraction` is one of `brain.METHODS`; "auto" removes the skull where one is recognised. Nothing depends on
    the stored order of the axes or on the affine's translation. Raises InputError, with the file's name where the scan
    came from one, where the image holds nothing that could be a head, and where brain extraction cannot be done.
    """
    head = find_head(scan, brain_extraction)
    return volume_of(scan, head, VolumeSpec() if spec is None else spec, head_contrast(head))


def find_head(scan: Scan, brain_extraction: str = AUTO) -> Head:
    """Where the head and the brain's centre are; raises as `prepare` does."""
    data, affine = canonical_view(scan.data, scan.affine)
    geometry = rounded_geometry(affine)
    background = background_of(data)
    field = field_of(data, background.level)
    coarse, mask = _coarse(field, geometry, background)
    named = f"{scan.given}: " if scan.given else ""
    problem = kind_of_labels(data, background)
    if not problem and (unlike := unlike_a_head(coarse, mask, COARSE_MM)):
        problem = f"{unlike}; give a scan of a head"
    problem = problem or wrong_kind(data, coarse, mask, COARSE_MM, background)
    if problem:
        raise InputError(f"{named}{problem}")
    skull = has_skull(coarse, mask, COARSE_MM, background)
    try:
        found = extract_brain(brain_extraction, data, geometry, background, coarse, mask, COARSE_MM, skull)
    except InputError as error:
        raise InputError(f"{named}{error}") from error
    mask = mask if found.mask is None else found.mask
    plane = mid_plane(coarse, mask, COARSE_MM)
    offset_mm = _offset_of_centre(mask, plane, _turn(plane))
    return Head(data, field, affine, geometry, background, coarse, mask, plane, offset_mm, found)


def volume_of(scan: Scan, head: Head, spec: VolumeSpec, contrast: Contrast) -> Volume:
    """The volume of a scan in which the head was found, and its contrast, `head_contrast`'s."""
    inside = _turned(head.mask, head.turn, head.offset_mm, spec.shape, spec.spacing_mm)
    values = read_places(head.field, head.turn @ head.geometry, head.centre, inside, spec.spacing_mm)
    values = np.asarray(values, dtype=np.float64) - head.background.level
    slope = slope_of(values, inside)
    voxel_mm = float(_spacing(head.geometry).max())
    return Volume(
        data=_normalised(without_slope(values, inside, slope), inside)[None],
        affine=_grid_affine(head.affine, head.centre, head.turn, spec),
        steps=_steps(head, spec, slope),
        flags=scan.flags
        + head.extraction.flags
        + flags_of(head.mask, COARSE_MM, voxel_mm)
        + flags_of_contrast(contrast)
        + (() if head.plane.likeness >= LEAST_LIKENESS else (MIDLINE_UNCERTAIN,)),
        side_known=scan.side_known,
    )


def head_contrast(head: Head) -> Contrast:
    """How bright the tissues of a head are beside each other."""
    image = head.coarse - np.float32(head.background.level)
    skull = any(flag.code == "skull_present" for flag in head.extraction.flags)
    return contrast_of(image, head.mask, COARSE_MM, head.turn, head.offset_mm, skull)


def _turn(plane: MidPlane) -> np.ndarray:
    return plane.upright if plane.likeness >= LEAST_LIKENESS else np.eye(3)


def _offset_of_centre(mask: np.ndarray, plane: MidPlane, turn: np.ndarray) -> np.ndarray:
    """From the middle of the image to the centre of the volume, in mm along the axes of the head held straight."""
    room = [int(np.ceil(n)) + 2 for n in np.abs(turn) @ np.array(mask.shape)]
    upright = _turned(mask, turn, np.zeros(3), room, COARSE_MM)
    centred = plane.likeness >= LEAST_LIKENESS
    found = (*height_and_depth(upright, (COARSE_MM,) * 3), 0.0) if centred else brain_centre(upright, (COARSE_MM,) * 3)
    offset = (np.array(found) - (np.array(room) - 1) / 2) * COARSE_MM
    if centred:
        offset[2] = plane.offset_mm
    # Rounded about the middle, so that a scan and its mirror image are treated alike to the last bit.
    return np.asarray(np.round(offset, 2))


def _coarse(field: Field, geometry: np.ndarray, background: Background) -> tuple[np.ndarray, np.ndarray]:
    """The whole field of view at 3 mm along the world's axes, and its foreground."""
    reach_mm = np.abs(geometry) @ np.array(field.shape, dtype=np.float64)
    shape = [int(np.ceil(mm / COARSE_MM)) + 2 for mm in np.round(reach_mm, 3)]
    coarse = read_grid(field, geometry, (np.array(field.shape) - 1) / 2, shape, COARSE_MM)
    return coarse, foreground_mask(coarse, background)


def _turned(
    mask: np.ndarray, turn: np.ndarray, offset_mm: np.ndarray, shape: Sequence[int], spacing_mm: float
) -> np.ndarray:
    """The coarse mask on a grid of `shape`, which is turned, its middle at `offset_mm`."""
    centre = (np.array(mask.shape) - 1) / 2 + turn.T @ offset_mm / COARSE_MM
    return resample_mask(mask, turn * COARSE_MM, centre, shape, spacing_mm)


def _grid_affine(affine: np.ndarray, centre: np.ndarray, turn: np.ndarray, spec: VolumeSpec) -> np.ndarray:
    grid = np.zeros((4, 4))
    grid[3, 3] = 1.0
    grid[:3, :3] = turn.T[::-1] * spec.spacing_mm
    world = affine[:3, :3] @ centre + affine[:3, 3]
    grid[:3, 3] = world - grid[:3, :3] @ ((np.array(spec.shape) - 1) / 2)
    return grid


def _spacing(geometry: np.ndarray) -> np.ndarray:
    return np.asarray(np.sqrt((geometry**2).sum(axis=0)))


def _per_100_mm(slope: np.ndarray, spec: VolumeSpec) -> list[float]:
    reach_mm = (np.array(spec.shape) - 1) / 2 * spec.spacing_mm
    return [round(float(n), 4) for n in 100 * slope / np.maximum(reach_mm, spec.spacing_mm / 2)]


def _steps(head: Head, spec: VolumeSpec, slope: np.ndarray) -> tuple[dict[str, Any], ...]:
    spacing = [round(float(mm), 4) for mm in _spacing(head.geometry)]
    straightened = head.plane.likeness >= LEAST_LIKENESS
    return (
        {"name": "to_canonical", "order": "SAR", "spacing_mm": spacing},
        {"name": "foreground_mask", "at_mm": COARSE_MM, "background": round(head.background.level, 6)},
        head.extraction.step,
        {"name": "mid_plane", **asdict(head.plane), "straightened": straightened},
        {"name": "brain_centre", "from_field_centre_mm": [float(mm) for mm in head.offset_mm]},
        {"name": "resample", "shape": list(spec.shape), "spacing_mm": spec.spacing_mm, "kernel": "triangle"},
        {"name": "bias_field", "kind": "log_plane", "per_100_mm": _per_100_mm(slope, spec)},
        {"name": "normalise", "by": "median and MAD of the foreground", "clip": [Z_LOW, Z_HIGH]},
    )
