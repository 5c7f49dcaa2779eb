"""One synthetic patient from one seed: image, masks and the truth measured from the masks after every deformation."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from brain3d.phantom.anatomy import load_anatomy
from brain3d.phantom.geometry import (
    Grid,
    apply_affine,
    chance,
    random_affine,
    sample_regions,
    sample_soft,
    smooth_noise,
    uniform,
)
from brain3d.phantom.lesion import LesionMasks, LesionPlan, displacement, draw_masks, effacement, plan_lesions
from brain3d.phantom.measure import measure_truth
from brain3d.phantom.render import Tissue, compose_tissue, crop_field_of_view, render
from brain3d.phantom.truth import Truth
from brain3d.reports.findings import REGIONS
from brain3d.scans import upright_rotation

# Room for a large head with its scalp around the volume that the embedded model reads.
HEAD_MM = (208.0, 232.0, 216.0)
HEALTHY_SHARE = 0.4
SKULL_SHARE = 0.15


def head_grid(spacing_mm: float) -> Grid:
    """The grid that holds a whole head at an isotropic spacing."""
    d, h, w = (math.ceil(extent / spacing_mm) for extent in HEAD_MM)
    return Grid(shape=(d, h, w), spacing_mm=(spacing_mm, spacing_mm, spacing_mm))


TRAINING_GRID = head_grid(4.0)


@dataclass(frozen=True)
class Phantom:
    """A synthetic patient. All maps (D, H, W), growing superior, anterior, right.

    `image` in arbitrary units; `masks` soft (0..1); `midline_mm` the signed distance to the brain's midline,
    negative on the patient's left, before mass effect; `ventricle_before` the ventricles' shares before it; `brain`
    the brain mask; `truth` what the masks say.
    """

    image: Tensor
    masks: LesionMasks
    midline_mm: Tensor
    ventricle_before: Tensor
    brain: Tensor
    tissue: Tissue
    grid: Grid
    truth: Truth


def _plan(
    healthy: bool, soft: Tensor, regions: Tensor, points: Tensor, midline: Tensor, rng: torch.Generator
) -> list[LesionPlan]:
    if healthy:
        return []
    tissue = (soft[0] + soft[1]).clamp(0, 1) * (soft[3] < -1) * (soft[4] > 0)
    return plan_lesions(tissue, regions, midline, points, REGIONS, rng)


def _turned(points: Tensor, affine: Tensor, error_deg: float, rng: torch.Generator) -> Tensor:
    """Points (3, D, H, W) of a grid that lies along the axes of the straightened head, in millimetres as it was held.

    In the template the midline is where the third coordinate is zero, so its normal in the head is the affine's row.
    """
    normal = affine[2, :3].double().numpy()
    roll, yaw = np.degrees([np.arcsin(normal[0] / np.linalg.norm(normal)), np.arctan2(normal[1], normal[2])])
    error = error_deg * torch.randn(2, generator=rng, dtype=torch.float64)
    upright = upright_rotation(roll + float(error[0]), yaw + float(error[1]))
    return torch.einsum("ji,j...->i...", torch.from_numpy(upright).to(points), points)


@contextmanager
def _one_thread() -> Iterator[None]:
    """How many threads share a sum decides its last digits; a seed must give the same phantom for any number."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@_one_thread()
def draw_phantom(
    seed: int,
    *,
    grid: Grid = TRAINING_GRID,
    healthy: bool | None = None,
    skull: bool | None = None,
    straightened: float | None = None,
    device: str | torch.device = "cpu",
) -> Phantom:
    """Draw the phantom of `seed` on `grid`. The same seed and grid give the same phantom,
    whatever the number of threads; on another grid, or straightened, it is another patient.

    `healthy` and `skull` are drawn (two in five healthy, 15 % with the skull on) unless they are given.
    `straightened` draws the head as it lies once a scan has been straightened about its mid-sagittal plane, found
    with an error of so many degrees (standard deviation, of each of two angles); without it, as the patient lay.
    """
    rng = torch.Generator().manual_seed(seed)
    device = torch.device(device)
    healthy = chance(rng, HEALTHY_SHARE) if healthy is None else healthy
    skull = chance(rng, SKULL_SHARE) if skull is None else skull
    anatomy, points = load_anatomy(), grid.points(device)
    affine = random_affine(rng)
    if straightened is not None:
        points = _turned(points, affine, straightened, torch.Generator().manual_seed(seed))
    warp = smooth_noise(grid, 55, rng, device, 3) * uniform(rng, 1.0, 5.0)
    warp = warp + smooth_noise(grid, 24, rng, device, 3) * uniform(rng, 0.0, 1.8)
    resting = apply_affine(affine, points + warp)
    enlarge, atrophy = uniform(rng, -1.0, 4.5), uniform(rng, 0.0, 0.6)
    folds = smooth_noise(grid, uniform(rng, 9, 14), rng, device)[0]

    soft, regions = sample_soft(anatomy, resting), sample_regions(anatomy, resting)
    plans = _plan(healthy, soft, regions, points, resting[2], rng)
    before = torch.sigmoid((enlarge - soft[4]) / 1.2)
    if plans:
        pushed = apply_affine(affine, points - displacement(plans, points) + warp)
        soft, regions = sample_soft(anatomy, pushed), sample_regions(anatomy, pushed)
    tissue = compose_tissue(soft, regions, grid, enlarge - effacement(plans, points), atrophy, folds)
    shift = resting[2] - pushed[2] if plans else torch.zeros_like(points[0])
    solid = (tissue.white + tissue.grey).clamp(0, 1)
    masks = draw_masks(plans, grid, points, solid, tissue.grey.clamp(0, 1), rng)
    image = render(tissue, masks, grid, skull, rng)
    keep = crop_field_of_view(image, tissue.brain_distance, grid, rng)
    masks = LesionMasks(masks.whole * keep, masks.core * keep, masks.necrosis * keep)
    image = image * keep
    brain = (tissue.brain_distance < 0) & (keep > 0)
    truth = measure_truth(image, masks, tissue, before, resting[2], shift, brain, grid, skull)
    return Phantom(image, masks, resting[2], before, brain, tissue, grid, truth)
