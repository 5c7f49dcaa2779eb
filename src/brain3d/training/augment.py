"""Changes of intensity that mean nothing: what another scanner, coil or gain would have made of the same head."""

from __future__ import annotations

import hashlib

import numpy as np
from scipy import ndimage

VERSION = 1  # counts with features in a cache: raise it with every change of what is drawn


def augmented(volume: np.ndarray, content: str, seed: int, number: int) -> np.ndarray:
    """A prepared volume (1, D, H, W) with its intensities changed; its lowest value, the background, stays as it is.

    Contrast by a gamma and a scale about the middle of the tissue, brightness, a smooth field as of a coil, a little
    noise. The same for the same content, seed and number, wherever and whenever; number 0 is the volume unchanged. No
    shape is changed: left stays left, and what the report says stays true.

    Args:
        content: what tells this volume from others, such as its hash.
    """
    if number == 0:
        return volume
    digest = hashlib.sha256(f"{content} {seed} {number} {VERSION}".encode()).digest()
    rng = np.random.default_rng(np.frombuffer(digest[:16], np.uint32))
    low = float(volume.min())
    tissue = volume > low
    if not tissue.any():
        return volume
    reach = 1 - low
    share = np.clip((volume - low) / reach, 0, None)
    middle = float(np.median(share[tissue])) ** (gamma := rng.uniform(0.85, 1.18))
    changed = (share**gamma - middle) * rng.uniform(0.85, 1.2) + middle + rng.normal(0, 0.01)
    changed = changed * _field(rng, volume.shape[1:])[None]
    changed = changed + rng.uniform(0, 0.0125) * rng.standard_normal(volume.shape, dtype=np.float32)
    return np.where(tissue, low + reach * np.clip(changed, 0.001, 1), volume).astype(np.float32)


def _field(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """A smooth factor (D, H, W) about 1, at most a tenth off."""
    coarse = rng.uniform(-0.1, 0.1, (3, 3, 3))
    return 1 + ndimage.zoom(coarse, [n / 3 for n in shape], order=1, grid_mode=True, mode="nearest")
