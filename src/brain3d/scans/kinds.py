"""What an image is that is no MR image of a head: labels, CT, a body, an empty head. NumPy and SciPy alone."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from brain3d.scans.foreground import Background, extent, upper_rows
from brain3d.scans.masks import counts, eroded

SAMPLE = 150_000
FEW_LABELS, MANY_LABELS = 16, 1024
GREYS = 8  # fewer values can be tissues that lie one around the other, in the order of their labels
BY_ONE, GRADED = 0.6, 0.04
BLOCKS = 8
ALIKE_OF_FEW, ALIKE_OF_MANY = 0.5, 0.75
LARGEST_MM = (300.0, 260.0)  # front to back, left to right: more than any head
# Of CT in Hounsfield units: air, the brain, and what a shift to positive numbers adds (1000 or 1024).
AIR_HU, BRAIN_HU, SHIFTED_BRAIN = -850.0, (-20.0, 120.0), (980.0, 1160.0)
LEAST_AIR = 0.05
FLAT_HU = 60.0
SATURATED = 0.03
SHELL, GAP = 1.4, 0.7
DEEP_MM = 18.0
EMPTY, UNIFORM = 0.1, 0.005
NOISE_ALIKE, NOISE_VARIED = 0.1, 0.2  # a healthy brain in FLAIR can be as flat as 0.23 and 0.3
RAYS, RAY_MM, DEPTH_MM = 48, 140.0, 45.0


def wrong_kind(data: np.ndarray, coarse: np.ndarray, mask: np.ndarray, step: float, background: Background) -> str:
    """Why a canonical (D, H, W) image is no MR image of a head, and what to give instead, in words; or "".

    `coarse` and `mask` are the image and its foreground on a grid of `step` mm.
    """
    return _too_large(mask, step) or _inside(data, coarse, mask, step, background)


def kind_of_labels(data: np.ndarray, background: Background) -> str:
    """Which kind of labels a canonical (D, H, W) image is, a mask, a segmentation or an atlas, in words; or "".

    They have few values, and neighbours mostly have the same one, also where voxels were not merely repeated; and
    neighbours that differ do so at random, while the values of an image rise and fall one after the other.
    """
    every = min(max(1, data.size // SAMPLE), data.shape[0])
    planes = data[data.shape[0] // 2 % every :: every]
    alike = _same_neighbours(planes, background)
    if alike >= ALIKE_OF_FEW:
        planes = _unenlarged(planes)
        alike = _same_neighbours(planes, background)
    if alike < ALIKE_OF_FEW:
        return ""
    values = np.unique(planes[planes != np.float32(background.level)])
    if len(values) == 1:
        return "a mask or an empty shape, one value throughout; give the FLAIR scan itself"
    whole = alike >= ALIKE_OF_MANY and len(values) <= MANY_LABELS and np.array_equal(values, np.rint(values))
    if not (len(values) <= FEW_LABELS or whole) or _is_graded(planes, values, background):
        return ""
    if len(values) <= FEW_LABELS:
        return f"a segmentation ({len(values)} labels), not an image; give the FLAIR scan itself"
    return f"an atlas of labels ({len(values)} of them), not an image; give the FLAIR scan itself"


def _same_neighbours(planes: np.ndarray, background: Background) -> float:
    """The share of neighbours in the planes (N, H, W), both no background, of one value; the least of both axes."""
    tissue = planes != np.float32(background.level)
    alike = []
    for axis in (1, 2):
        one, other = (slice(None),) * axis + (slice(1, None),), (slice(None),) * axis + (slice(None, -1),)
        both = tissue[one] & tissue[other]
        alike.append(float((planes[one] == planes[other])[both].mean()) if both.any() else 0.0)
    return min(alike)


def _unenlarged(planes: np.ndarray) -> np.ndarray:
    """The planes (N, H, W) with one voxel of each that was repeated a whole number of times."""
    for axis in (1, 2):
        rows = np.moveaxis(planes, axis, 0)
        borders = 1 + np.flatnonzero((rows[1:] != rows[:-1]).any(axis=(1, 2)))
        size = int(np.gcd.reduce(np.diff(borders))) if len(borders) > BLOCKS else 1
        planes = np.moveaxis(rows[borders[0] % size :: size], 0, axis) if size > 1 else planes
    return planes


def _is_graded(planes: np.ndarray, values: np.ndarray, background: Background) -> bool:
    """Whether values, sorted, follow one another from place to place, as grey levels do and labels do not.

    Then most neighbours that differ do so by one step, and often the next differs by more in the same direction.
    """
    if len(values) < GREYS:
        return False
    tissue, steps = planes != np.float32(background.level), np.searchsorted(values, planes)
    for axis in (1, 2):
        rank, inside = np.moveaxis(steps, axis, 0), np.moveaxis(tissue, axis, 0)
        rise, both = np.diff(rank, axis=0), inside[1:] & inside[:-1]
        sizes = np.abs(rise[both])
        first, second = (part[both[1:] & both[:-1]] for part in (rise[:-1], rise[1:]))
        changed, turned = int(np.count_nonzero(sizes)), int(np.count_nonzero((first != 0) | (second != 0)))
        by_one = int(np.count_nonzero(sizes == 1)) / max(1, changed)
        graded = int(np.count_nonzero(first * second > 0)) / max(1, turned)
        if by_one < BY_ONE or graded < GRADED:
            return False
    return True


def _too_large(mask: np.ndarray, step: float) -> str:
    slab = mask[upper_rows(mask, step)]
    spans = [extent(counts(slab, axis)) for axis in (1, 2)]
    depth, width = ((last - first + 1) * step for first, last in spans)
    if depth <= LARGEST_MM[0] and width <= LARGEST_MM[1]:
        return ""
    return (
        f"too large for a head ({width:.0f} mm from left to right, {depth:.0f} mm from front to back), a body or a "
        "wrong voxel size; give a scan of a head"
    )


def _inside(data: np.ndarray, coarse: np.ndarray, mask: np.ndarray, step: float, background: Background) -> str:
    """What the depth of the head shows: nothing, or the flat brain within a bright shell that CT has."""
    half = (slice(None, None, 2),) * 3
    deep = eroded(mask[half], round(DEEP_MM / (2 * step)))
    if not deep.any():
        return ""
    values = coarse[half]
    inside = values[deep]
    level = float(np.median(inside))
    spread = 1.4826 * float(np.median(np.abs(inside - level)))
    if _is_ct(data, coarse, mask, step, background, (level, spread)):
        return "a CT, not an MR image; give the FLAIR scan"
    contrast = np.abs(inside - background.level)
    typical = float(np.percentile(np.abs(values[mask[half]] - background.level), 90))
    # Not the median: a head with very wide ventricles is mostly fluid, which can be as dark as air.
    if float(np.percentile(contrast, 90)) <= max(EMPTY * typical, background.noise):
        return "an empty head, nothing within its outline; give the scan itself"
    inner = eroded(mask[half])
    low, high = np.percentile(values[inner], (5, 95))
    varied = float(high - low) / typical
    if varied < UNIFORM or (varied < NOISE_VARIED and _alike(values, inner) < NOISE_ALIKE):
        return "an empty head, the same all through within its outline; give the scan itself"
    return ""


def _alike(values: np.ndarray, mask: np.ndarray) -> float:
    """The least, over the axes, of the correlation between neighbours of which both are in `mask`."""
    found = []
    for axis in range(3):
        rows, kept = np.moveaxis(values, axis, 0), np.moveaxis(mask, axis, 0)
        both = kept[1:] & kept[:-1]
        one, other = rows[1:][both].astype(np.float64), rows[:-1][both].astype(np.float64)
        if both.sum() > 100 and one.std() > 0 and other.std() > 0:
            found.append(float(np.corrcoef(one, other)[0, 1]))
    return min(found, default=1.0)


def _is_ct(
    data: np.ndarray,
    coarse: np.ndarray,
    mask: np.ndarray,
    step: float,
    background: Background,
    inside: tuple[float, float],
) -> bool:
    """By Hounsfield units, also shifted to positive numbers; or, cut to a window, by the saturated shell of bone."""
    level, spread = inside
    flat = spread < FLAT_HU
    sample = data[::2, ::4, ::4]
    if flat and BRAIN_HU[0] <= level <= BRAIN_HU[1] and float((sample < AIR_HU).mean()) >= LEAST_AIR:
        return True
    shifted = flat and SHIFTED_BRAIN[0] <= level <= SHIFTED_BRAIN[1] and abs(background.level) < FLAT_HU
    stands_out = sample[sample != np.float32(background.level)]
    saturated = stands_out.size > 0 and float((stands_out == sample.max()).mean()) >= SATURATED
    return (shifted or saturated) and _has_bright_shell(coarse - np.float32(background.level), mask, step)


def _has_bright_shell(image: np.ndarray, mask: np.ndarray, step: float) -> bool:
    """Whether a shell some way below the surface is brighter than the depth, with no dark one within it, as of bone."""
    profile = profile_of(image, mask, step)
    deep = float(np.median(profile[round(24 / step) : round(DEPTH_MM / step)]))
    rim = profile[: round(18 / step) + 1]
    peak = int(np.argmax(rim))
    return peak * step >= 3.0 and rim[peak] > SHELL * deep and float(profile[peak:].min()) > GAP * deep > 0


def profile_of(image: np.ndarray, mask: np.ndarray, step: float) -> np.ndarray:
    """The median brightness (N,) at each depth, in steps, below the surface of the head's upper part.

    Along rays in axial planes, from the middle of the upper part of the mask outwards.
    """
    slab = upper_rows(mask, step)
    height = slab.stop - slab.start
    rows = np.linspace(slab.start + 0.3 * height, slab.start + 0.7 * height, 8)
    centre = ndimage.center_of_mass(mask[slab])
    angles = np.linspace(0, 2 * np.pi, RAYS, endpoint=False)
    radii = np.arange(0, RAY_MM / step)
    d, angle, radius = np.meshgrid(np.rint(rows), angles, radii, indexing="ij")
    places = np.stack([d, centre[1] + radius * np.cos(angle), centre[2] + radius * np.sin(angle)])
    inside = ndimage.map_coordinates(mask.view(np.uint8), np.rint(places), order=0, mode="constant") > 0
    values = ndimage.map_coordinates(image, places, order=1, mode="constant").reshape(-1, len(radii))
    surface = len(radii) - 1 - np.argmax(inside.reshape(-1, len(radii))[:, ::-1], axis=1)
    depths = surface[:, None] - np.arange(round(DEPTH_MM / step) + 1)
    return np.asarray(np.median(np.take_along_axis(values, np.maximum(depths, 0), axis=1), axis=0))
