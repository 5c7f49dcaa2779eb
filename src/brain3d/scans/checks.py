"""What is no scan of a head; and what a reader must know: skull left in, parts cut off, thick slices, odd size."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from brain3d.scans.foreground import CUT_AREA_MM2, SLAB_MM, Background, extent, head_mask, upper_rows
from brain3d.scans.masks import Box, box_of, counts
from brain3d.scans.types import Flag

LOW_RESOLUTION_MM = 6.5
RIM_MM = (6.0, 15.0)
THICK_RIM_MM = 18.0  # where the skull ends below a scalp that is thicker than most
DEEP_MM = (21.0, 36.0)
RIM_TO_DEEP = 0.6
HEAD_MM = ((60.0, 300.0), (100.0, 250.0), (85.0, 200.0))
# Less than any head, also one of which thick slices or a small field of view show only the top.
LEAST_ML = 100.0
LEAST_MM = (40.0, 55.0, 55.0)
LEAST_CORRELATION = 0.35
_DIRECTIONS = ("superior-inferior", "anterior-posterior", "left-right")


def unlike_a_head(coarse: np.ndarray, mask: np.ndarray, spacing_mm: float) -> str:
    """Why a coarse canonical (D, H, W) image and its mask at `spacing_mm` can show no head, in words; or ""."""
    if not mask.any():
        return "the image holds nothing that stands out from its background"
    spans = [extent(counts(mask, axis)) for axis in range(3)]
    sizes = [(last - first + 1) * spacing_mm for first, last in spans]
    millilitres = float(np.count_nonzero(mask)) * spacing_mm**3 / 1000.0
    if millilitres < LEAST_ML or any(size < least for size, least in zip(sizes, LEAST_MM, strict=True)):
        words = " x ".join(f"{size:.0f}" for size in sizes)
        return f"what stands out from the background is too small for a head ({words} mm, {millilitres:.0f} mL)"
    if _correlation(coarse, spans) < LEAST_CORRELATION:
        return "the image is noise, neighbouring places have nothing in common"
    return ""


def _correlation(coarse: np.ndarray, spans: Sequence[tuple[int, int]]) -> float:
    """The least, over the axes, of the correlation between places two steps apart, inside the mask's box.

    Two steps, since resampling alone makes neighbours alike; two steps within the box, since its edge does too.
    """
    box = coarse[tuple(slice(first + 2, last - 1) for first, last in spans)].astype(np.float64)
    found = []
    for axis in range(3):
        rows = np.moveaxis(box, axis, 0)
        one, other = (rows[steps] - rows[steps].mean() for steps in (slice(2, None), slice(None, -2)))
        scale = float(np.sqrt((one**2).sum() * (other**2).sum()))
        found.append(float((one * other).sum()) / scale if scale else 1.0)
    return min(found)


def flags_of(mask: np.ndarray, spacing_mm: float, voxel_mm: float) -> tuple[Flag, ...]:
    """The flags of a scan, from the coarse canonical (D, H, W) mask of its head or brain at an isotropic `spacing_mm`.

    `voxel_mm` is the longest edge of the scan's own voxels. Codes: small_field_of_view, low_resolution,
    not_head_sized.
    """
    flags = []
    uncovered = _uncovered(mask, spacing_mm)
    if uncovered:
        flags.append(Flag("small_field_of_view", f"The scan does not cover the whole brain ({uncovered})."))
    if voxel_mm > LOW_RESOLUTION_MM:
        flags.append(Flag("low_resolution", f"Voxels {voxel_mm:.1f} mm thick can hide small lesions."))
    odd = _odd_extents(mask, spacing_mm)
    if odd:
        flags.append(Flag("not_head_sized", f"What stands out is not the size of a head ({odd})."))
    return tuple(flags)


def has_skull(coarse: np.ndarray, mask: np.ndarray, spacing_mm: float, background: Background) -> bool:
    """Whether the upper part of the head has a dark shell between its surface and its depth, as bone makes.

    Where the air has noise the head is `head_mask`'s, with the scalp that dark bone may part from the mask. Around most
    stripped brains it has none.
    """
    last = RIM_MM[1]
    if background.noise:
        mask, last = head_mask(coarse, background), THICK_RIM_MM
    reach = int(np.ceil(DEEP_MM[1] / spacing_mm)) + 1
    squares, box = _squared_depth(mask, upper_rows(mask, spacing_mm), reach)
    contrast = np.abs(coarse[box] - np.float32(background.level))
    depth_mm = np.sqrt(np.arange(reach**2 + 1)) * spacing_mm

    def layer(low: float, high: float) -> np.ndarray:
        """What lies deeper than `low` and no deeper than `high`, in mm."""
        first, last = np.searchsorted(depth_mm, (low, high), side="right").tolist()
        return contrast[(squares >= first) & (squares < last)]

    deep = layer(*DEEP_MM)
    if deep.size == 0:
        return False
    shells = [layer(low, low + spacing_mm) for low in np.arange(RIM_MM[0], last, spacing_mm)]
    rim = min(float(np.median(shell)) for shell in shells if shell.size)
    return rim < RIM_TO_DEEP * float(np.median(deep))


def _squared_depth(mask: np.ndarray, slab: slice, reach: int) -> tuple[np.ndarray, Box]:
    """How far inside the mask the places of its slab lie, squared, in voxels, as of `_squared_distance`, in their box.

    Only what is near enough to the slab to count is looked at.
    """
    start = max(0, slab.start - reach)
    near = mask[start : slab.stop + reach]
    box = box_of(near)
    squares = _squared_distance(np.pad(near[box], 1), reach)[1:-1, 1:-1, 1:-1]
    first, last = max(slab.start, start + box[0].start), min(slab.stop, start + box[0].stop)
    return squares[first - start - box[0].start : last - start - box[0].start], (slice(first, last), *box[1:])


def _squared_distance(mask: np.ndarray, reach: int) -> np.ndarray:
    """The squared Euclidean distance, in voxels, to the nearest place outside of the mask, or at least `reach`^2.

    Axis by axis, the least over shifts along it of what the axes before gave and the square of the shift (Felzenszwalb
    and Huttenlocher, Theory of Computing 8, 2012); only `reach` shifts matter, so that arrays are shifted as wholes.
    """
    squares = np.where(mask, np.int16(reach**2), np.int16(0))
    for axis in range(3):
        before = np.moveaxis(squares, axis, 0)
        squares = squares.copy()
        nearest = np.moveaxis(squares, axis, 0)
        for shift in range(1, min(reach, len(before))):
            further = before + np.int16(shift**2)
            np.minimum(nearest[shift:], further[:-shift], out=nearest[shift:])
            np.minimum(nearest[:-shift], further[shift:], out=nearest[:-shift])
    return squares


def _uncovered(mask: np.ndarray, spacing_mm: float) -> str:
    """Where the field of view ends inside the head, or "". The coarse grid has one empty voxel all around."""
    slab = mask[upper_rows(mask, spacing_mm)]
    rows = np.flatnonzero(mask.any(axis=(1, 2)))
    problems = []
    if (rows[-1] - rows[0] + 1) * spacing_mm < SLAB_MM:
        problems.append(f"{(rows[-1] - rows[0] + 1) * spacing_mm:.0f} mm from top to bottom")
    faces = {"top": mask[-3:].sum(axis=(1, 2))}
    faces |= {"back": slab[:, :3].sum(axis=(0, 2)), "front": slab[:, -3:].sum(axis=(0, 2))}
    faces |= {"left": slab[:, :, :3].sum(axis=(0, 1)), "right": slab[:, :, -3:].sum(axis=(0, 1))}
    for name, areas in faces.items():
        if areas.max() * spacing_mm**2 > CUT_AREA_MM2:
            problems.append(f"cut at the {name}")
    return ", ".join(problems)


def _odd_extents(mask: np.ndarray, spacing_mm: float) -> str:
    slab = mask[upper_rows(mask, spacing_mm)]
    problems = []
    for axis, (low, high) in enumerate(HEAD_MM):
        first, last = extent(counts(mask if axis == 0 else slab, axis))
        size = (last - first + 1) * spacing_mm
        if not low <= size <= high:
            problems.append(f"{size:.0f} mm {_DIRECTIONS[axis]}")
    return ", ".join(problems)
