"""From tissue to a FLAIR image: random contrast, texture, bias field, resolution, noise, field of view, background."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from brain3d.phantom.geometry import Grid, blur, chance, smooth_noise, uniform
from brain3d.phantom.lesion import LesionMasks
from brain3d.reports.findings import REGIONS


@dataclass(frozen=True)
class Tissue:
    """What fills each voxel, all (D, H, W): soft shares, distances in mm (negative inside), region labels."""

    white: Tensor
    grey: Tensor
    csf: Tensor
    ventricle: Tensor
    brain_distance: Tensor
    ventricle_distance: Tensor
    regions: Tensor


def compose_tissue(
    soft: Tensor, regions: Tensor, grid: Grid, enlarge_mm: Tensor, atrophy: float, folds: Tensor
) -> Tissue:
    """Shares of white, grey and fluid with enlarged ventricles, wider sulci and random cortical folds."""
    white, grey, csf, brain_distance, ventricle_distance = soft
    ventricle = torch.sigmoid((enlarge_mm - ventricle_distance) / 1.2) * (ventricle_distance < 20)
    rim = torch.sigmoid((brain_distance + 13.0) / 2.0)
    sulci = torch.sigmoid((folds - 0.9) / 0.25) * rim * 0.75
    fluid = torch.maximum(torch.maximum(csf * (1 + atrophy), sulci * (0.4 + atrophy)), ventricle).clamp(max=1)
    solid = (1 - fluid) / (white + grey).clamp(min=1e-3)
    inside = torch.sigmoid(-brain_distance / 0.8)
    solid = solid.clamp(max=1.5) * inside
    return Tissue(
        white=white * solid,
        grey=grey * solid,
        csf=fluid * inside,
        ventricle=ventricle,
        brain_distance=brain_distance,
        ventricle_distance=ventricle_distance,
        regions=regions,
    )


def _tissue_levels(rng: torch.Generator) -> tuple[float, float]:
    """Grey matter and fluid relative to white matter: mostly as FLAIR shows them, at times anything at all."""
    if chance(rng, 0.8):
        return uniform(rng, 1.02, 1.38), uniform(rng, 0.08, 0.45)
    return uniform(rng, 0.8, 1.5), uniform(rng, 0.05, 0.7)


def _healthy_image(tissue: Tissue, grid: Grid, rng: torch.Generator) -> tuple[Tensor, float]:
    device = tissue.white.device
    grey_level, fluid_level = _tissue_levels(rng)
    image = tissue.white + grey_level * tissue.grey + fluid_level * tissue.csf
    factors = torch.cat([torch.ones(1), 1 + 0.05 * torch.randn(len(REGIONS), generator=rng)]).to(device)
    image = image * blur(factors[tissue.regions], (1.0, 1.0, 1.0))
    texture = smooth_noise(grid, uniform(rng, 8, 20), rng, device)[0]
    image = image * (1 + uniform(rng, 0.01, 0.07) * texture)
    # Age brightens the rim of the ventricles in healthy heads too; it is no lesion.
    rim = torch.exp(-0.5 * ((tissue.ventricle_distance - 1.5) / uniform(rng, 1.5, 3.0)).square())
    ragged = (1 + 0.5 * smooth_noise(grid, 25, rng, device)[0]).clamp(min=0)
    image = image + chance(rng, 0.6) * uniform(rng, 0.0, 0.35) * rim * ragged * tissue.white
    plexus = torch.sigmoid((smooth_noise(grid, 14, rng, device)[0] - 1.2) / 0.3) * tissue.ventricle
    image = image + uniform(rng, 0.0, 0.7) * plexus
    return image, max(1.0, grey_level)


def _paint_lesions(image: Tensor, masks: LesionMasks, top: float, grid: Grid, rng: torch.Generator) -> Tensor:
    """Replace tissue by edema, core and necrosis. With empty masks this changes nothing."""
    kind = float(torch.rand((), generator=rng))
    if kind < 0.80:
        edema = uniform(rng, 1.15, 2.2) * top
    elif kind < 0.94:
        edema = uniform(rng, 0.98, 1.18) * top
    else:
        edema = uniform(rng, 0.45, 0.85)
    core = uniform(rng, 0.7, 2.1) * top
    dead = uniform(rng, 0.12, 0.75)
    texture = smooth_noise(grid, uniform(rng, 9, 18), rng, image.device)[0]
    coarse = 1 + uniform(rng, 0.03, 0.16) * texture
    image = image * (1 - masks.edema) + masks.edema * edema * coarse
    solid = (masks.core - masks.necrosis).clamp(min=0)
    image = image * (1 - solid) + solid * core * coarse
    return image * (1 - masks.necrosis) + masks.necrosis * dead * coarse


def _head_or_brain(image: Tensor, tissue: Tissue, skull: bool, grid: Grid, rng: torch.Generator) -> Tensor:
    """Strip the skull, not always cleanly, or draw it: a fluid gap, dark bone, bright scalp."""
    device = image.device
    wobble = smooth_noise(grid, 28, rng, device)[0]
    distance = tissue.brain_distance + uniform(rng, 0.0, 1.2) * wobble
    gap, bone, scalp = uniform(rng, 1.5, 4.0), uniform(rng, 4.0, 8.0), uniform(rng, 4.0, 9.0)
    bone_level, scalp_level = uniform(rng, 0.02, 0.3), uniform(rng, 0.6, 2.2)
    shell = torch.where(distance < gap, torch.full_like(image, 0.3), torch.full_like(image, bone_level))
    shell = torch.where(distance > gap + bone, torch.full_like(image, scalp_level), shell)
    shell = torch.where(distance > gap + bone + scalp, torch.zeros_like(image), shell)
    head = torch.where(tissue.brain_distance > 0, shell, image)
    if skull:
        return head
    edge = uniform(rng, -1.5, 1.5)
    stripped = image * torch.sigmoid((edge - distance) / 0.7)
    if chance(rng, 0.25):
        # Leftovers of dura and scalp after stripping.
        patch = torch.sigmoid((smooth_noise(grid, 30, rng, device)[0] - 1.3) / 0.15)
        band = torch.sigmoid((distance + 1.0) / 0.7) * torch.sigmoid((uniform(rng, 1.5, 5.0) - distance) / 0.7)
        stripped = torch.maximum(stripped, patch * band * uniform(rng, 0.5, 2.0))
    return stripped


def _scanner(image: Tensor, grid: Grid, rng: torch.Generator) -> Tensor:
    """Bias field, drift from slice to slice, gamma."""
    device = image.device
    bias = smooth_noise(grid, uniform(rng, 70, 130), rng, device)[0]
    image = image * torch.exp(uniform(rng, 0.0, 0.22) * bias)
    drift = 1 + uniform(rng, 0.0, 0.03) * torch.randn(grid.shape[0], 1, 1, generator=rng).to(device)
    gamma = uniform(rng, 0.75, 1.3)
    return (image * drift).clamp(min=0).pow(gamma)


def _resolution(image: Tensor, grid: Grid, rng: torch.Generator) -> Tensor:
    """Blur to a random in-plane resolution, and along one axis to a random slice thickness."""
    sigma = [uniform(rng, 0.8, 2.4)] * 3
    if chance(rng, 0.4):
        axis = 0 if chance(rng, 0.7) else 1 + int(chance(rng, 0.5))
        sigma[axis] = uniform(rng, 1.5, 3.2)
    s, a, r = (width / step for width, step in zip(sigma, grid.spacing_mm, strict=True))
    return blur(image, (s, a, r))


def render(tissue: Tissue, masks: LesionMasks, grid: Grid, skull: bool, rng: torch.Generator) -> Tensor:
    """Render the image (D, H, W) in arbitrary units; healthy and ill heads take the same path to the last step."""
    image, top = _healthy_image(tissue, grid, rng)
    image = _paint_lesions(image, masks, top, grid, rng)
    image = _head_or_brain(image, tissue, skull, grid, rng)
    empty = image <= 1e-3
    image = _resolution(_scanner(image, grid, rng), grid, rng)
    # The level is stated for a voxel of 64 cubic millimetres; averaging voxels lowers it.
    sigma = uniform(rng, 0.004, 0.05) * (64.0 / (1000.0 * grid.voxel_ml)) ** 0.5
    noise = torch.randn(grid.shape, generator=rng).to(image.device) * sigma
    air = torch.randn(grid.shape, generator=rng).to(image.device) * sigma
    noisy = ((image + noise).square() + air.square()).sqrt()
    if not skull:
        noisy = torch.where(empty | (image < 0.02), torch.zeros_like(noisy), noisy)
    if chance(rng, 0.06):
        bright = noisy[noisy > 0.05]
        if bright.numel() > 0:
            sample = bright[:: 1 + bright.numel() // 100_000]
            noisy = noisy.clamp(max=float(torch.quantile(sample, 0.985)))
    return noisy


def crop_field_of_view(image: Tensor, brain_distance: Tensor, grid: Grid, rng: torch.Generator) -> Tensor:
    """At times lose the lowest, or more rarely the highest, slices of the head: (D, 1, 1) mask of what is kept."""
    keep = torch.ones(grid.shape[0], 1, 1, device=image.device)
    rows = (brain_distance < 0).flatten(1).any(1).nonzero().flatten()
    if rows.numel() == 0:
        return keep
    lowest, highest = int(rows[0]), int(rows[-1])
    if chance(rng, 0.35):
        keep[: lowest + round(uniform(rng, 0, 28) / grid.spacing_mm[0])] = 0
    if chance(rng, 0.06):
        keep[highest + 1 - round(uniform(rng, 0, 8) / grid.spacing_mm[0]) :] = 0
    return keep
