"""A phantom as the model would see it, without a file in between: cropped, normalised, with dense targets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage

from brain3d.phantom.draw import Phantom
from brain3d.phantom.measure import region_mask, signal_masks
from brain3d.reports.findings import REGIONS
from brain3d.scans import VolumeSpec, foreground_mask, level, levelled

JITTER_VOXELS = (0.6, 0.6, 0.3)  # how far the centre of a scan is found from a phantom's own; the midline is surest
CELL = 2  # dense masks are kept on cells of 2 x 2 x 2 voxels
PATCH = 4  # regions and amounts are kept by patches of 4 x 4 x 4 voxels
MASKS = ("whole", "core", "necrosis", "ventricle")
PAIRS = (("left", "right"), ("ventricle_left", "ventricle_right"), ("lost_left", "lost_right"))
# What a report states follows from how much of each of these there is in the whole head: lesion by side of the
# brain's own midline, by region, by part and by signal; ventricle, and ventricle pressed away, by side.
AMOUNTS = ("left", "right", *REGIONS, "edema", "core", "necrosis", "bright", "dark", *PAIRS[1], *PAIRS[2])


_TRIANGLE = np.array([1.0, 8.0, 1.0], dtype=np.float32) / 10


@dataclass(frozen=True)
class Example:
    """`image` (D, H, W) float16 in [-1, 1]; `masks` (4, D/2, H/2, W/2) uint8, mean occupancy times 255, in the
    order of MASKS; `regions` (D/4, H/4, W/4) uint8, 0 outside the brain, else 1 + index into REGIONS;
    `amounts` (A, D/4, H/4, W/4) uint8, which share of a patch each of AMOUNTS fills, times 255; `level` is
    `scans.level`'s, by which the image's brightness is known again."""

    image: np.ndarray
    masks: np.ndarray
    regions: np.ndarray
    amounts: np.ndarray
    level: float


def _start(phantom: Phantom, head: torch.Tensor, shape: tuple[int, int, int], jitter: np.ndarray) -> list[int]:
    """First voxel of the crop: 70 mm below the top of the head is the middle, the midline the column boundary."""
    step = phantom.grid.spacing_mm
    rows = (head.flatten(1).sum(1) > 12).nonzero().flatten()
    top = int(rows[-1])
    columns = head[max(0, top - round(100 / step[0])) : top + 1].any(0).any(1).nonzero().flatten()
    near = phantom.brain & (phantom.midline_mm.abs() < step[2])
    middle = float(near.nonzero()[:, 2].float().mean())
    centre = (top - 70 / step[0], float(columns[0] + columns[-1]) / 2, middle)
    limits = [full - part for full, part in zip(phantom.image.shape, shape, strict=True)]
    starts = [round(c - (n - 1) / 2 + j) for c, n, j in zip(centre, shape, jitter, strict=True)]
    return [int(np.clip(s, 0, limit)) for s, limit in zip(starts, limits, strict=True)]


def as_resampled(image: np.ndarray) -> np.ndarray:
    """The blur that a finer scan takes on when it is read through the triangle kernel of `scans.resample`.

    White noise keeps two thirds of its variance along each axis and a quarter of it is shared by neighbours; the three
    taps that do nearly the same are applied here. A phantom drawn at the model's spacing has not been read through a
    kernel, and without this is noisier than a scan.
    """
    for axis in range(image.ndim):
        image = ndimage.convolve1d(image, _TRIANGLE, axis=axis, mode="constant")
    return image


def training_example(phantom: Phantom, spec: VolumeSpec, rng: np.random.Generator) -> Example:
    """Crop a phantom drawn at the model's spacing to the model's grid, off centre by a little, and normalise it.

    Raises ValueError where the phantom's spacing is not the grid's.
    """
    if any(abs(s - spec.spacing_mm) > 1e-6 for s in phantom.grid.spacing_mm):
        raise ValueError(f"phantom spacing {phantom.grid.spacing_mm} mm, model spacing {spec.spacing_mm} mm")
    data = as_resampled(phantom.image.cpu().numpy())
    mask = foreground_mask(data)
    jitter = rng.normal(0, JITTER_VOXELS)
    d, h, w = _start(phantom, torch.from_numpy(mask).to(phantom.brain.device), spec.shape, jitter)
    window = tuple(slice(s, s + n) for s, n in zip((d, h, w), spec.shape, strict=True))
    image = levelled(data, mask)[window].astype(np.float16)
    parts = [
        phantom.masks.whole,
        phantom.masks.core,
        phantom.masks.necrosis,
        phantom.tissue.ventricle * phantom.brain,
    ]
    masks = F.avg_pool3d(torch.stack([part[window] for part in parts])[None], CELL)[0]
    labels = torch.where(phantom.brain, phantom.tissue.regions, torch.zeros_like(phantom.tissue.regions))[window]
    regions = F.avg_pool3d(F.one_hot(labels, len(REGIONS) + 1).permute(3, 0, 1, 2).float()[None], PATCH)[0].argmax(0)
    return Example(
        image=image,
        masks=_bytes(masks),
        regions=regions.to(torch.uint8).cpu().numpy(),
        amounts=_bytes(F.avg_pool3d(_amounts(phantom)[(slice(None), *window)][None], PATCH)[0]),
        level=level(data, mask),
    )


def _bytes(shares: torch.Tensor) -> np.ndarray:
    return np.asarray((shares * 255).round().clamp(0, 255).to(torch.uint8).cpu().numpy())


def _amounts(phantom: Phantom) -> torch.Tensor:
    """The maps (A, D, H, W) of AMOUNTS over the whole phantom."""
    masks, tissue, whole = phantom.masks, phantom.tissue, phantom.masks.whole
    halves = torch.stack([phantom.midline_mm < 0, phantom.midline_mm >= 0])
    regions = torch.stack([region_mask(name, tissue) for name in REGIONS])
    parts = [masks.edema, (masks.core - masks.necrosis).clamp(min=0), masks.necrosis]
    if not phantom.truth.normal:
        parts += signal_masks(phantom.image, masks, tissue, phantom.brain, phantom.grid)
    else:
        parts += [torch.zeros_like(whole)] * 2
    lost = (phantom.ventricle_before - tissue.ventricle).clamp(min=0)
    by_half = [halves * tissue.ventricle, halves * lost]
    return torch.cat([halves * whole, regions * whole, torch.stack(parts), *by_half])
