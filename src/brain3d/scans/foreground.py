"""What is head and what is air, and where the brain's centre and midline are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from brain3d.scans.masks import counts, filled, largest_piece

TOP_TO_CENTRE_MM = 70.0
SLAB_MM = 100.0
TOP_AREA_MM2 = 400.0
CUT_AREA_MM2 = 5000.0  # of a head at a face of the image: it goes on beyond
PIECE_SHARE = 0.02


class Background(NamedTuple):
    """The level of what surrounds the head, its noise (standard deviation), and whether it is one value."""

    level: float
    noise: float
    constant: bool


def background_of(data: np.ndarray) -> Background:
    """The background of a canonical (D, H, W) array, from its faces but the lowest, where the neck leaves."""
    faces = (data[-1], data[:, 0], data[:, -1], data[:, :, 0], data[:, :, -1])
    border = np.concatenate([face.ravel() for face in faces])
    usual = np.median(border[:: 1 + border.size // 1000])
    if 2 * np.count_nonzero(border == usual) > border.size + 1:
        return Background(float(usual), 0.0, True)
    border = border.astype(np.float64)
    values, times = np.unique(border, return_counts=True)
    mode = int(np.argmax(times))
    constant = bool(times[mode] >= 0.3 * border.size)
    level = float(values[mode]) if constant else float(np.median(border))
    noise = 1.4826 * float(np.median(np.abs(border - level)))
    return Background(level, noise, constant)


def foreground_mask(data: np.ndarray, background: Background | None = None) -> np.ndarray:
    """True where a canonical (D, H, W) array holds head or brain rather than what surrounds it.

    Tissue is what differs from the background's level by more than its noise and by 15 % of what typical
    tissue does, so zero, negative, constant and noisy backgrounds all work; then the largest connected piece,
    its holes filled in three dimensions and in each axial slice. All False where nothing differs.
    """
    return filled(largest_piece(_standing_out(data, background_of(data) if background is None else background)))


def head_mask(data: np.ndarray, background: Background) -> np.ndarray:
    """As `foreground_mask`, with the scalp also where a dark skull parts it from the brain altogether.

    What is filled are all pieces of at least `PIECE_SHARE` of the largest, before the largest of the results is taken.
    """
    labels, count = ndimage.label(_standing_out(data, background))
    if count == 0:
        return np.zeros(data.shape, dtype=bool)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return largest_piece(filled((sizes >= PIECE_SHARE * sizes.max())[labels] & (labels > 0)))


def _standing_out(data: np.ndarray, background: Background) -> np.ndarray:
    level, noise, constant = background
    signed = np.asarray(data, dtype=np.float32) - np.float32(level)
    contrast = np.abs(signed)
    candidates = contrast[contrast > 3 * noise]
    if candidates.size == 0:
        return np.zeros(data.shape, dtype=bool)
    capped = np.minimum(candidates, np.percentile(candidates, 99))
    tissue = capped[capped >= capped.mean(dtype=np.float64)]
    # Tissue on both sides of the background's one value, as after standardising: any difference counts.
    both_sides = constant and np.count_nonzero(signed < -3 * noise) > 0.1 * candidates.size
    share = 0.01 if both_sides and np.count_nonzero(signed > 3 * noise) > 0.1 * candidates.size else 0.15
    return np.asarray(contrast > max(3 * noise, share * float(np.median(tissue))))


def top_of(mask: np.ndarray, spacing_mm: Sequence[float]) -> float:
    """The fractional slice index at which the mask's axial area, from above, first passes 4 cm^2."""
    areas = counts(mask, 0) * float(spacing_mm[1] * spacing_mm[2])
    threshold = min(TOP_AREA_MM2, 0.5 * float(areas.max()))
    top = int(np.flatnonzero(areas >= threshold)[-1])
    above = float(areas[top + 1]) if top + 1 < len(areas) else 0.0
    return top + (float(areas[top]) - threshold) / max(float(areas[top]) - above, 1e-9)


def upper_slab(mask: np.ndarray, spacing_mm: Sequence[float]) -> np.ndarray:
    """The part of a canonical mask from its top to 100 mm below: the brain, without the neck and the face."""
    top = top_of(mask, spacing_mm)
    lowest = max(0, round(top - SLAB_MM / spacing_mm[0]))
    return mask[lowest : int(top) + 1]


def upper_rows(mask: np.ndarray, spacing_mm: float) -> slice:
    """The rows of `upper_slab` in a canonical mask of isotropic `spacing_mm`, to the nearest."""
    top = int(top_of(mask, (spacing_mm,) * 3))
    return slice(max(0, round(top - SLAB_MM / spacing_mm)), top + 1)


def extent(profile: np.ndarray) -> tuple[int, int]:
    """First and last index at which a profile of counts passes 2 % of its maximum."""
    over = np.flatnonzero(profile > 0.02 * profile.max())
    return int(over[0]), int(over[-1])


def midline_of(mask: np.ndarray) -> float:
    """The fractional w index about which a (D, H, W) mask is most like its own mirror image.

    The overlap of the mask with its mirror image, for every position of the mirror, is the mask's convolution
    with itself along w. Its maximum is the median of the rows' midpoints: a dent on one side hardly moves it.
    """
    width = mask.shape[2]
    size = 2 * width
    rows = mask.reshape(-1, width)
    rows = rows[rows.any(axis=1)]
    spectrum = np.fft.rfft(rows, n=size, axis=1)
    overlap = np.rint(np.fft.irfft((spectrum**2).sum(axis=0), n=size))[: 2 * width - 1]
    peaks = np.flatnonzero(overlap == overlap.max())
    peak = float(peaks.mean())
    if len(peaks) == 1 and 0 < peaks[0] < len(overlap) - 1:
        below, at, above = overlap[peaks[0] - 1 : peaks[0] + 2]
        peak += 0.5 * float(below - above) / float(below - 2 * at + above)
    return peak / 2


def brain_centre(mask: np.ndarray, spacing_mm: Sequence[float]) -> tuple[float, float, float]:
    """The (d, h, w) index on which a volume is centred, fractional, in a canonical (D, H, W) mask.

    d and h are those of `height_and_depth`, w is the midline of the uppermost 100 mm. ValueError for an empty mask.
    """
    return *height_and_depth(mask, spacing_mm), midline_of(upper_slab(mask, spacing_mm))


def height_and_depth(mask: np.ndarray, spacing_mm: Sequence[float]) -> tuple[float, float]:
    """The (d, h) index on which a volume is centred, fractional, in a canonical (D, H, W) mask.

    d lies 70 mm below the mask's top (which is there however far down the scan reaches); h is the middle of
    the mask's extent in the uppermost 100 mm. ValueError for an empty mask.
    """
    if not mask.any():
        raise ValueError("an empty mask has no centre")
    front_to_back = extent(counts(upper_slab(mask, spacing_mm), 1))
    return top_of(mask, spacing_mm) - TOP_TO_CENTRE_MM / spacing_mm[0], sum(front_to_back) / 2
