"""What scanners, coils and files do to the brightness of the same head, and what preprocessing then makes of it."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from brain3d.scans.bias_field import slope_of, without_slope
from brain3d.scans.preprocess import Z_HIGH, Z_LOW

CHANGED = 0.5  # of the images are stored otherwise
BIAS = 0.35  # the strongest bias field, as a share of the intensity
SATURATED = (0.002, 0.03)  # share of the tissue that is all at one value
LEVELS = (64, 512)  # whole numbers that a file has for the brightness of a head
DARKEST = 0.05  # of the median: nothing in tissue is taken for darker
MIDDLE = -2 * Z_LOW / (Z_HIGH - Z_LOW) - 1.0  # the brain's median after normalisation


def jitter_intensity(images: Tensor, levels: np.ndarray, rng: np.random.Generator) -> Tensor:
    """The same heads (B, D, H, W) as another scanner would have made them: half of them stored otherwise
    (`stored_otherwise`), all with a little contrast, brightness and noise. Background stays at -1.

    Args:
        levels: (B,), `scans.level` of every head, by which its brightness is known again.
    """
    changed = images.clone()
    for place in np.flatnonzero(rng.random(len(images)) < CHANGED):
        changed[place] = torch.from_numpy(stored_otherwise(images[place].numpy(), float(levels[place]), rng))
    shape = (len(images), 1, 1, 1)
    scale = torch.from_numpy(rng.uniform(0.85, 1.2, shape)).float()
    offset = torch.from_numpy(rng.normal(0, 0.02, shape)).float()
    noise = torch.from_numpy(rng.uniform(0, 0.025, shape)).float() * torch.from_numpy(
        rng.standard_normal(images.shape, dtype=np.float32)
    )
    changed = (changed - MIDDLE) * scale + MIDDLE + offset + noise
    return torch.where(images > -0.999, changed, images).clamp(-1, 1)


def stored_otherwise(image: np.ndarray, level: float, rng: np.random.Generator) -> np.ndarray:
    """A prepared head (D, H, W) whose scan had a bias field, was saturated or had few whole numbers, prepared again.

    The brightness is that of `scans.level`; the slope of the field is divided out and the rest normalised as
    `scans.prepare` does, so that a slope by itself, or no change, gives the image again.
    """
    tissue = image > -0.999
    z = _z(image[tissue].astype(np.float64))
    floor = DARKEST * max(level, 1e-6)
    before = np.maximum(z + level, floor)
    if before.size == 0:
        return image
    values = before
    if rng.random() < 1 / 2:
        values = np.minimum(values, np.quantile(values, 1 - rng.uniform(*SATURATED)))
    if rng.random() < 2 / 3:
        values = values * bias_field(image.shape, rng.uniform(0, BIAS), rng)[tissue]
    if rng.random() < 1 / 3:
        step = float(values.max()) / rng.uniform(*LEVELS)
        values = np.maximum(np.round(values / step) * step, floor)
    # The darkest of the tissue was clipped, and so median and spread are not quite zero and one before either.
    middle, spread = _middle_and_spread(before)
    after = without_slope(values, tissue, slope_of(values, tissue))
    new_middle, new_spread = _middle_and_spread(after)
    result = image.copy()
    result[tissue] = _stored((after - new_middle) * (spread / new_spread) + (middle - level))
    return result


def bias_field(shape: tuple[int, ...], strength: float, rng: np.random.Generator) -> np.ndarray:
    """A smooth factor (D, H, W) between 1 - strength and 1 + strength, with two to five hills along each axis."""
    coarse = torch.from_numpy(rng.standard_normal((1, 1, *rng.integers(2, 6, 3)), dtype=np.float32))
    field = F.interpolate(coarse, shape, mode="trilinear")[0, 0].numpy()
    field -= field.mean()
    return np.asarray(1 + strength * field / max(float(np.abs(field).max()), 1e-6))


def _middle_and_spread(values: np.ndarray) -> tuple[float, float]:
    middle = float(np.median(values))
    return middle, float(np.median(np.abs(values - middle))) or 1.0


def _z(stored: np.ndarray) -> np.ndarray:
    return (stored + 1) / 2 * (Z_HIGH - Z_LOW) + Z_LOW


def _stored(z: np.ndarray) -> np.ndarray:
    # Not -1, which is background.
    return np.clip(2 * (z - Z_LOW) / (Z_HIGH - Z_LOW) - 1, -0.998, 1)
