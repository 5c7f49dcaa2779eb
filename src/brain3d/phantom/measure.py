"""The truth about a phantom, computed from its drawn masks and its finished image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch.nn.functional as F
from scipy import ndimage
from torch import Tensor

from brain3d.phantom.geometry import Grid
from brain3d.phantom.lesion import LesionMasks
from brain3d.phantom.render import Tissue
from brain3d.phantom.truth import Truth
from brain3d.reports.findings import REGIONS
from brain3d.scans.orientation import side_of

REGION_SHARE = 0.12  # a region is named from this share of the lesion on
SMALL_REGION_SHARE = 0.10  # insula, deep grey matter, corpus callosum, brainstem
PERIVENTRICULAR_SHARE = 0.25  # share of the lesion within PERIVENTRICULAR_MM of a lateral ventricle
PERIVENTRICULAR_MM = 6.0
VISIBLE_CONTRAST = 1.0
VISIBLE_ML = 0.4
FOCUS_ML = 0.4
FOCUS_SHARE = 0.1  # of the largest: islands off a ragged edge are no lesions of their own
CONTRAST_GRID_MM = 4.0
_SMALL = {"insula", "deep grey matter", "corpus callosum", "brainstem"}


def region_mask(name: str, tissue: Tissue) -> Tensor:
    """Where a region lies, (D, H, W) bool; periventricular overlaps the rest, the others partition the brain."""
    if name == "periventricular":
        return (tissue.ventricle_distance < PERIVENTRICULAR_MM) & (tissue.brain_distance < 0)
    return tissue.regions == REGIONS.index(name) + 1


def region_shares(whole: Tensor, tissue: Tissue) -> dict[str, float]:
    """Share of the lesion's volume in each region."""
    total = float(whole.sum())
    return {name: float((whole * region_mask(name, tissue)).sum()) / total for name in REGIONS}


def named_regions(shares: dict[str, float]) -> tuple[str, ...]:
    """The regions a report should name: those that hold a fair share, and always the one that holds the most."""

    def floor(name: str) -> float:
        if name == "periventricular":
            return PERIVENTRICULAR_SHARE
        return SMALL_REGION_SHARE if name in _SMALL else REGION_SHARE

    anatomical = {name: share for name, share in shares.items() if name != "periventricular"}
    largest = max(anatomical, key=lambda name: anatomical[name])
    return tuple(name for name in REGIONS if shares[name] >= floor(name) or name == largest)


def _pool(image: Tensor, grid: Grid) -> Tensor:
    d, h, w = (
        min(n, max(1, round(n * s / CONTRAST_GRID_MM))) for n, s in zip(grid.shape, grid.spacing_mm, strict=True)
    )
    return F.adaptive_avg_pool3d(image[None, None].float(), (d, h, w))[0, 0]


def _dilate(mask: Tensor, radius: int) -> Tensor:
    """Dilate (D, H, W) by a cube, one axis at a time."""
    out = mask.float()[None]
    for kernel in ((2 * radius + 1, 1, 1), (1, 2 * radius + 1, 1), (1, 1, 2 * radius + 1)):
        out = F.max_pool3d(out, kernel, stride=1, padding=tuple(k // 2 for k in kernel))
    return out[0] > 0


def contrast_and_signal(
    image: Tensor, masks: LesionMasks, tissue: Tissue, brain: Tensor, grid: Grid
) -> tuple[float, str]:
    """Contrast-to-noise of the lesion and its signal, on voxels of about 4 mm whatever the phantom's spacing.

    Contrast is |mean of a part - mean of the shell|, the shell being healthy tissue within 10 mm of the lesion;
    noise is the standard deviation of all healthy tissue of the brain, so that it holds texture, bias and the
    difference of grey and white matter too: what a reader has to tell a lesion from. Of the parts (edema, solid
    core, necrosis) that hold at least 30 % of the lesion, the most conspicuous counts. The signal is judged
    against the shell alone.
    """
    parts = [masks.edema, (masks.core - masks.necrosis).clamp(min=0), masks.necrosis]
    around = _surroundings(image, masks, tissue, brain, grid)
    image, whole, centre, noise = around.image, around.whole, around.centre, around.noise
    total = float(whole.sum())
    ratios = []
    for part in parts:
        weight = _pool(part, grid)
        if float(weight.sum()) >= 0.3 * total:
            weight = weight * (weight > 0.5 * float(weight.max()))
            ratios.append(abs(float((image * weight).sum() / weight.sum()) - centre) / noise)
    bright, dark = (float(part.sum() / around.inner.sum()) for part in _bright_and_dark(around))
    return max(ratios, default=0.0), signal_of(bright, dark)


@dataclass(frozen=True)
class _Surroundings:
    """Image and lesion (D', H', W') on the contrast grid; mean and deviation of the healthy tissue near the lesion;
    deviation of all healthy tissue."""

    image: Tensor
    whole: Tensor
    centre: float
    spread: float
    noise: float

    @property
    def inner(self) -> Tensor:
        return self.whole * (self.whole > 0.5 * float(self.whole.max()))


def _surroundings(image: Tensor, masks: LesionMasks, tissue: Tissue, brain: Tensor, grid: Grid) -> _Surroundings:
    image, whole, inside = _pool(image, grid), _pool(masks.whole, grid), _pool(brain.float(), grid)
    solid = _pool((tissue.white + tissue.grey).clamp(0, 1), grid)
    near = _dilate(whole > 0.2, 2)
    healthy = (whole < 0.02) & (inside > 0.95) & (solid > 0.7)
    shell = near & healthy if int((near & healthy).sum()) >= 8 else healthy
    values, noise = image[shell], max(float(image[healthy].std()), 1e-4)
    return _Surroundings(image, whole, float(values.mean()), max(float(values.std()), 1e-4), noise)


def _bright_and_dark(around: _Surroundings) -> tuple[Tensor, Tensor]:
    score = (around.image - around.centre) / around.spread
    return around.inner * (score > 1), around.inner * (score < -1)


def signal_masks(image: Tensor, masks: LesionMasks, tissue: Tissue, brain: Tensor, grid: Grid) -> tuple[Tensor, Tensor]:
    """The parts of the lesion that are brighter, and darker, than the healthy tissue around it: (D', H', W') on
    the contrast grid, whose voxels are the phantom's own from CONTRAST_GRID_MM on. What the signal is judged by."""
    return _bright_and_dark(_surroundings(image, masks, tissue, brain, grid))


def signal_of(bright: float, dark: float) -> str:
    """Signal by the shares of the lesion brighter and darker than healthy tissue by one deviation."""
    if bright >= 0.15 and dark >= 0.15:
        return "mixed"
    if max(bright, dark) < 0.3:
        return "iso"
    return "high" if bright >= dark else "low"


def count_foci(whole: Tensor, grid: Grid) -> int:
    """How many separate lesions there are to be seen, at least one: connected parts of at least FOCUS_ML
    and of FOCUS_SHARE of the largest."""
    labels, _ = ndimage.label((whole > 0.5).cpu().numpy(), structure=np.ones((3, 3, 3)))
    sizes = np.bincount(labels.ravel())[1:] * grid.voxel_ml
    floor = max(FOCUS_ML, FOCUS_SHARE * float(sizes.max(initial=0.0)))
    return max(1, int((sizes >= floor).sum()))


def _edema_degree(volume_ml: float) -> str:
    if volume_ml < 1.0:
        return "none"
    return "mild" if volume_ml < 20 else "moderate" if volume_ml < 60 else "severe"


def _necrosis_degree(share: float, volume_ml: float) -> str:
    if volume_ml < 0.2 or share < 0.02:
        return "none"
    return "mild" if share < 0.1 else "moderate" if share < 0.25 else "severe"


def _compression_degree(before: Tensor, after: Tensor, midline_mm: Tensor) -> str:
    """By the larger loss of volume of the two lateral ventricles."""
    losses = []
    for half in (midline_mm < 0, midline_mm >= 0):
        start = float((before * half).sum())
        losses.append(1 - float((after * half).sum()) / start if start > 1e-3 else 0.0)
    loss = max(losses)
    return "none" if loss < 0.08 else "mild" if loss < 0.18 else "moderate" if loss < 0.35 else "severe"


def _healthy_truth(skull: bool) -> Truth:
    return Truth(
        normal=True,
        visible=False,
        side="unknown",
        left_share=None,
        centroid_offset_mm=None,
        regions=(),
        region_shares={},
        signal="unknown",
        edema="none",
        necrosis="none",
        ventricular_compression="none",
        midline_shift_mm=0.0,
        volume_ml=0.0,
        contrast_to_noise=None,
        lesion_count=0,
        skull=skull,
    )


def measure_truth(
    image: Tensor,
    masks: LesionMasks,
    tissue: Tissue,
    ventricle_before: Tensor,
    midline_mm: Tensor,
    shift_mm: Tensor,
    brain: Tensor,
    grid: Grid,
    skull: bool,
) -> Truth:
    """Measure the truth; all maps (D, H, W). The side follows the rule of `scans.side_of` about the resting midline."""
    whole = masks.whole
    volume = float(whole.sum()) * grid.voxel_ml
    if volume < 0.05:
        return _healthy_truth(skull)
    total = float(whole.sum())
    left_share = float((whole * (midline_mm < 0)).sum()) / total
    offset = float((whole * midline_mm).sum()) / total
    shares = region_shares(whole, tissue)
    contrast, signal = contrast_and_signal(image, masks, tissue, brain, grid)
    necrosis_ml = float(masks.necrosis.sum()) * grid.voxel_ml
    falx = brain & (midline_mm.abs() < 4)
    return Truth(
        normal=False,
        visible=contrast >= VISIBLE_CONTRAST and volume >= VISIBLE_ML,
        side=side_of(left_share, offset),
        left_share=left_share,
        centroid_offset_mm=offset,
        regions=named_regions(shares),
        region_shares=shares,
        signal=signal,
        edema=_edema_degree(float(masks.edema.sum()) * grid.voxel_ml),
        necrosis=_necrosis_degree(necrosis_ml / volume, necrosis_ml),
        ventricular_compression=_compression_degree(ventricle_before, tissue.ventricle, midline_mm),
        midline_shift_mm=float(shift_mm[falx].abs().max()) if bool(falx.any()) else 0.0,
        volume_ml=volume,
        contrast_to_noise=contrast,
        lesion_count=count_foci(whole, grid),
        skull=skull,
    )
