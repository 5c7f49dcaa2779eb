"""Drawing lesions: where, how large, of what parts, and how they push their neighbourhood away."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from brain3d.phantom.geometry import Grid, chance, smooth_noise, uniform

CORE_KINDS = ("none", "necrotic", "solid", "mixed")


@dataclass(frozen=True)
class LesionPlan:
    """One focus: `centre` (3,) mm in head space (S, A, R), whole-lesion radii (3,) mm, core share of the radius."""

    centre: Tensor
    radii: Tensor
    core_share: float
    core_kind: str
    push_mm: float


@dataclass(frozen=True)
class LesionMasks:
    """Soft masks (D, H, W) in 0..1: `whole` contains `core`, `core` contains `necrosis`. Edema is whole - core."""

    whole: Tensor
    core: Tensor
    necrosis: Tensor

    @property
    def edema(self) -> Tensor:
        return (self.whole - self.core).clamp(min=0)


def _log_uniform(rng: torch.Generator, low: float, high: float) -> float:
    return float(low * (high / low) ** float(torch.rand((), generator=rng)))


def _volume_ml(rng: torch.Generator) -> float:
    return _log_uniform(rng, 10.0, 260.0) if chance(rng, 0.68) else _log_uniform(rng, 0.4, 10.0)


def _pick_centre(weight: Tensor, points: Tensor, rng: torch.Generator) -> Tensor:
    flat = weight.flatten().clamp(min=0).cpu().double()
    total = torch.cumsum(flat, 0)
    draw = float(torch.rand((), generator=rng, dtype=torch.float64)) * float(total[-1])
    index = min(int(torch.searchsorted(total, torch.tensor(draw, dtype=torch.float64))), flat.numel() - 1)
    return points.flatten(1)[:, index]


def _site_weight(
    tissue: Tensor, regions: Tensor, midline_mm: Tensor, names: tuple[str, ...], rng: torch.Generator
) -> Tensor:
    """Where a focus may start: mostly anywhere in the cerebrum, at times deep, central, or in the hindbrain."""
    index = {name: names.index(name) + 1 for name in names}
    hind = (regions == index["cerebellum"]) | (regions == index["brainstem"])
    kind = float(torch.rand((), generator=rng))
    if kind < 0.10:
        return tissue * ((regions == index["cerebellum"]).float() + 2.0 * (regions == index["brainstem"]).float())
    if kind < 0.24:
        central = (midline_mm.abs() < 9) & ~hind & (regions > 0)
        return tissue * central.float()
    if kind < 0.36:
        deep = (
            (regions == index["deep grey matter"])
            | (regions == index["insula"])
            | (regions == index["corpus callosum"])
        )
        return tissue * deep.float()
    lobe_share = torch.zeros_like(tissue)
    lobe = ("frontal", "parietal", "temporal", "occipital")[int(float(torch.rand((), generator=rng)) * 4)]
    lobe_share[regions == index[lobe]] = 1.0
    return tissue * lobe_share


def plan_lesions(
    tissue: Tensor,
    regions: Tensor,
    midline_mm: Tensor,
    points: Tensor,
    names: tuple[str, ...],
    rng: torch.Generator,
) -> list[LesionPlan]:
    """Draw one to three foci. All maps are (D, H, W); `points` (3, D, H, W) mm; `names` are the region names."""
    count = 1 if chance(rng, 0.8) else 2 + int(chance(rng, 0.35))
    plans: list[LesionPlan] = []
    near: Tensor | None = None
    for _ in range(count):
        weight = _site_weight(tissue, regions, midline_mm, names, rng)
        if near is not None and chance(rng, 0.6):
            distance = (points - near[:, None, None, None]).square().sum(0).sqrt()
            weight = tissue * torch.exp(-0.5 * (distance / 30.0) ** 2) * (regions > 0)
        if float(weight.sum()) <= 0:
            weight = tissue
        centre = _pick_centre(weight, points, rng)
        near = centre
        volume = _volume_ml(rng) / (1.0 if count == 1 else 2.0)
        radius = (volume * 1000 * 3 / (4 * torch.pi)) ** (1 / 3)
        shape = torch.exp(0.22 * torch.randn(3, generator=rng)).to(points.device)
        shape = shape / shape.prod() ** (1 / 3)
        kind = CORE_KINDS[int(torch.multinomial(torch.tensor([0.30, 0.32, 0.16, 0.22]), 1, generator=rng))]
        push = uniform(rng, 0.05, 0.5) * radius if chance(rng, 0.7) else 0.0
        plans.append(LesionPlan(centre, shape * radius, uniform(rng, 0.35, 0.85), kind, min(push, 12.0)))
    return plans


def displacement(plans: list[LesionPlan], points: Tensor) -> Tensor:
    """Outward displacement (3, D, H, W) in mm of tissue around every focus (mass effect), smooth everywhere."""
    total = torch.zeros_like(points)
    for plan in plans:
        offset = points - plan.centre[:, None, None, None]
        ratio = (offset / plan.radii[:, None, None, None]).square().sum(0).sqrt()
        direction = offset / offset.square().sum(0).sqrt().clamp(min=1e-3)
        strength = plan.push_mm * ratio * torch.exp(0.5 * (1 - ratio.square()))
        total = total + strength * direction
    return total


def effacement(plans: list[LesionPlan], points: Tensor) -> Tensor:
    """How far (mm, (D, H, W)) the wall of a ventricle near a pushing focus closes in on itself."""
    total = torch.zeros_like(points[0])
    for plan in plans:
        offset = (points - plan.centre[:, None, None, None]) / plan.radii[:, None, None, None]
        total = total + 0.45 * plan.push_mm * torch.exp(-0.5 * offset.square().sum(0) / 1.7**2)
    return total


def draw_masks(
    plans: list[LesionPlan], grid: Grid, points: Tensor, tissue: Tensor, grey: Tensor, rng: torch.Generator
) -> LesionMasks:
    """Draw the soft masks of all foci together, cut to brain tissue `tissue` (D, H, W) in 0..1."""
    device = points.device
    border = 0.30 * smooth_noise(grid, 26.0, rng, device)[0] + 0.18 * smooth_noise(grid, 12.0, rng, device)[0]
    inner = 0.30 * smooth_noise(grid, 18.0, rng, device)[0] + 0.15 * smooth_noise(grid, 9.0, rng, device)[0]
    whole, core, necrosis = (torch.zeros_like(tissue) for _ in range(3))
    width = max(grid.spacing_mm) * 0.35
    for plan in plans:
        offset = (points - plan.centre[:, None, None, None]) / plan.radii[:, None, None, None]
        ratio = offset.square().sum(0).sqrt()
        radius = float(plan.radii.prod() ** (1 / 3))
        # Edema follows white matter and spares the cortex.
        edge = ratio * (1 + border) + 0.4 * (grey - 0.3)
        softness = max(width / radius, 0.03)
        this = torch.sigmoid((1 - edge) / softness) * tissue
        whole = torch.maximum(whole, this)
        if plan.core_kind == "none":
            continue
        heart = ratio * (1 + inner) / plan.core_share
        inside = torch.sigmoid((1 - heart) / (softness / plan.core_share)) * this
        core = torch.maximum(core, inside)
        if plan.core_kind in ("necrotic", "mixed"):
            reach = uniform(rng, 0.55, 0.9) if plan.core_kind == "necrotic" else uniform(rng, 0.3, 0.65)
            dead = torch.sigmoid((reach - heart) / (softness / plan.core_share)) * inside
            necrosis = torch.maximum(necrosis, dead)
    return LesionMasks(whole=whole, core=core, necrosis=necrosis)
