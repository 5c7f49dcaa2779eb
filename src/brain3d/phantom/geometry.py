"""Where each voxel of a phantom comes from: grids, random affine and smooth deformations, sampling."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from brain3d.phantom.anatomy import Anatomy


@dataclass(frozen=True)
class Grid:
    """A regular grid of voxels: `shape` (D, H, W), `spacing_mm` (S, A, R), centred on the origin of head space."""

    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]

    def points(self, device: torch.device) -> Tensor:
        """Voxel centres (3, D, H, W) in mm: first the superior, then the anterior, then the right coordinate."""
        axes = [
            (torch.arange(n, device=device, dtype=torch.float32) - (n - 1) / 2) * step
            for n, step in zip(self.shape, self.spacing_mm, strict=True)
        ]
        return torch.stack(torch.meshgrid(*axes, indexing="ij"))

    @property
    def voxel_ml(self) -> float:
        d, h, w = self.spacing_mm
        return d * h * w / 1000.0


def uniform(rng: torch.Generator, low: float, high: float) -> float:
    return low + (high - low) * float(torch.rand((), generator=rng))


def chance(rng: torch.Generator, probability: float) -> bool:
    return float(torch.rand((), generator=rng)) < probability


def smooth_noise(
    grid: Grid, wavelength_mm: float, rng: torch.Generator, device: torch.device, channels: int = 1
) -> Tensor:
    """Smooth Gaussian noise (channels, D, H, W) of unit variance at its control points, one per wavelength."""
    extent = [n * step for n, step in zip(grid.shape, grid.spacing_mm, strict=True)]
    size = [max(2, round(length / wavelength_mm) + 1) for length in extent]
    control = torch.randn(1, channels, *size, generator=rng).to(device)
    return F.interpolate(control, size=grid.shape, mode="trilinear", align_corners=True)[0]


def random_affine(rng: torch.Generator) -> Tensor:
    """A (3, 4) map from head space to template space: rotation to 12 degrees, scale, shear, offset."""
    angles = torch.tensor([uniform(rng, -1, 1) for _ in range(3)]) * torch.tensor([8.0, 8.0, 12.0]) * torch.pi / 180
    rotation = torch.linalg.matrix_exp(
        torch.tensor(
            [
                [0.0, -angles[2], angles[1]],
                [angles[2], 0.0, -angles[0]],
                [-angles[1], angles[0], 0.0],
            ]
        )
    )
    size = uniform(rng, 0.84, 1.06)
    scale = torch.diag(1.0 / (size * torch.tensor([uniform(rng, 0.95, 1.05) for _ in range(3)])))
    shear = torch.eye(3) + torch.triu(torch.randn(3, 3, generator=rng) * 0.02, diagonal=1)
    matrix = rotation @ shear @ scale
    # Head space is centred on the brain; in the template its middle lies near z = 4, y = -18.
    offset = torch.tensor([4.0, -18.0, 0.0])
    return torch.cat([matrix, offset[:, None]], dim=1)


def apply_affine(matrix: Tensor, points: Tensor) -> Tensor:
    flat = matrix[:, :3].to(points) @ points.flatten(1) + matrix[:, 3:].to(points)
    return flat.reshape(points.shape)


def _normalised(anatomy: Anatomy, points: Tensor) -> Tensor:
    """Template millimetres (3, D, H, W) to the (1, D, H, W, 3) coordinates of grid_sample, last axis x, y, z."""
    lower = torch.tensor(anatomy.lower_mm, device=points.device)[:, None, None, None]
    size = torch.tensor(anatomy.regions.shape, device=points.device)[:, None, None, None]
    index = (points - lower) / anatomy.grid_mm
    unit = 2 * index / (size - 1) - 1
    return unit.flip(0).permute(1, 2, 3, 0)[None]


def sample_soft(anatomy: Anatomy, points: Tensor) -> Tensor:
    """The soft maps (C, D, H, W) at template points (3, D, H, W), trilinear, edges continued outwards."""
    source = anatomy.soft.to(points.device)[None]
    return F.grid_sample(source, _normalised(anatomy, points), padding_mode="border", align_corners=True)[0]


def sample_regions(anatomy: Anatomy, points: Tensor) -> Tensor:
    """The region labels (D, H, W) at template points, nearest neighbour, 0 outside the template."""
    source = anatomy.regions.to(points.device)
    lower = torch.tensor(anatomy.lower_mm, device=points.device)[:, None, None, None]
    index = ((points - lower) / anatomy.grid_mm).round().long()
    inside = torch.ones_like(index[0], dtype=torch.bool)
    flat = torch.zeros_like(index[0])
    for axis, size in enumerate(source.shape):
        inside &= (index[axis] >= 0) & (index[axis] < size)
        flat = flat * size + index[axis].clamp(0, size - 1)
    return torch.where(inside, source.flatten()[flat], torch.zeros_like(flat))


def blur(image: Tensor, sigma_voxels: tuple[float, float, float]) -> Tensor:
    """Separable Gaussian blur of (D, H, W); an axis with sigma under 0.2 voxels is left alone."""
    out = image[None, None]
    for axis, sigma in enumerate(sigma_voxels):
        if sigma < 0.2:
            continue
        radius = max(1, int(3 * sigma + 0.5))
        offsets = torch.arange(-radius, radius + 1, device=image.device, dtype=image.dtype)
        kernel = torch.exp(-0.5 * (offsets / sigma) ** 2)
        shape = [1, 1, 1, 1, 1]
        shape[axis + 2] = 2 * radius + 1
        padding = [0, 0, 0, 0, 0, 0]
        padding[2 * (2 - axis)] = padding[2 * (2 - axis) + 1] = radius
        out = F.conv3d(F.pad(out, padding, mode="replicate"), (kernel / kernel.sum()).reshape(shape))
    return out[0, 0]
