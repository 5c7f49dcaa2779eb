"""The head that every phantom is a deformation of: tissue maps, distances and a coarse atlas in template space.

White and grey matter come from the symmetric ICBM-152 2009 template that nilearn carries (notice in NOTICE).
Cerebrospinal fluid, ventricles, lobes, deep structures, skull and scalp are derived or drawn here.
Axes are (S, A, R): index order z, y, x, each growing superior, anterior, right. Units are millimetres.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from scipy import ndimage

from brain3d.reports.findings import REGIONS

GRID_MM = 2.0
# Template extent with room for skull and scalp: z, y, x in millimetres.
LOWER_MM = (-98.0, -134.0, -102.0)
UPPER_MM = (106.0, 106.0, 102.0)


@dataclass(frozen=True)
class Anatomy:
    """Template-space maps on a regular grid, each a torch tensor (Z, Y, X).

    `soft` (C, Z, Y, X) stacks, in the order of `CHANNELS`: white matter, grey matter, cerebrospinal fluid (0..1),
    signed distance to the brain surface and to the lateral ventricles (mm, negative inside).
    `regions` (Z, Y, X) int64: 0 outside, else 1 + index into REGIONS (lobes and deep structures partition the
    brain); `periventricular` is read off the ventricular distance, since it overlaps the lobes.
    """

    soft: torch.Tensor
    regions: torch.Tensor
    lower_mm: tuple[float, float, float] = LOWER_MM
    grid_mm: float = GRID_MM


CHANNELS = ("white", "grey", "csf", "brain_distance", "ventricle_distance")
Maps = dict[str, np.ndarray]


def _template_on_grid(image: Any) -> np.ndarray:
    """Resample a template image onto the padded (z, y, x) grid by trilinear interpolation."""
    axes = [np.arange(lo, hi + 1e-6, GRID_MM) for lo, hi in zip(LOWER_MM, UPPER_MM, strict=True)]
    z, y, x = np.meshgrid(*axes, indexing="ij")
    inverse = np.linalg.inv(image.affine)
    points = np.stack([x, y, z, np.ones_like(x)]).reshape(4, -1)
    index = (inverse @ points)[:3]
    data = np.asarray(image.dataobj, dtype=np.float32)
    # A 2 mm grid over a 1 mm template: a light blur stands for the partial volume of the larger voxel.
    data = ndimage.gaussian_filter(data, 0.6)
    return ndimage.map_coordinates(data, index, order=1).reshape(x.shape).astype(np.float32)


def _coordinates() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    axes = [np.arange(lo, hi + 1e-6, GRID_MM, dtype=np.float32) for lo, hi in zip(LOWER_MM, UPPER_MM, strict=True)]
    z, y, x = np.meshgrid(*axes, indexing="ij")
    return z, y, x


def _signed_distance(mask: np.ndarray) -> np.ndarray:
    outside = ndimage.distance_transform_edt(~mask, sampling=GRID_MM)
    inside = ndimage.distance_transform_edt(mask, sampling=GRID_MM)
    return (outside - inside).astype(np.float32)


def _lateral_ventricles(csf: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """The large fluid spaces deep in the cerebrum: fluid more than 18 mm from the surface, above the midbrain."""
    z, y, x = _coordinates()
    box = (np.abs(x) < 36) & (z > -14) & (z < 34) & (y > -58) & (y < 38)
    box &= (np.abs(x) > 9) | (y > -26)  # leave out the cisterns behind the midbrain
    fluid = (csf > 0.5) & box & (depth > 18)
    labels, count = ndimage.label(fluid)
    sizes = ndimage.sum_labels(fluid, labels, np.arange(1, count + 1))
    keep = np.flatnonzero(sizes >= 40) + 1
    return np.isin(labels, keep)


def _lobes() -> np.ndarray:
    """The four lobes by the planes of the central, Sylvian and parieto-occipital sulci (approximate, MNI space)."""
    z, y, x = _coordinates()
    ax = np.abs(x)
    central = -8.0 - 0.42 * (z - 20.0)
    parieto_occipital = -67.0 - 0.3 * z
    sylvian = np.clip(2.0 - 0.42 * y, -10.0, 19.0)
    lobes = np.where(y > central, REGIONS.index("frontal"), REGIONS.index("parietal"))
    # The orbital surface lies below the fissure's level but in front of, and medial to, the temporal pole.
    temporal = (z < sylvian) & (y < 22) & ((ax > 20) | (y < 0)) & ~((z > -8) & (ax < 24) & (y > -30))
    lobes = np.where(temporal, REGIONS.index("temporal"), lobes)
    lobes = np.where(y < parieto_occipital, REGIONS.index("occipital"), lobes)
    # Medially the lingual gyrus reaches forward below the splenium, the posterior cingulate above it.
    medial = (ax < 22) & (y < -40) & (y >= parieto_occipital)
    medial_label = np.where(z < 8, REGIONS.index("occipital"), REGIONS.index("parietal"))
    return np.where(medial, medial_label, lobes)


def _hindbrain(lobes: np.ndarray) -> np.ndarray:
    z, y, x = _coordinates()
    ax = np.abs(x)
    tentorium = np.where(y > -50, -14 + 0.2 * (-50 - y), -14 + 0.28 * (y + 50)) - 0.22 * np.maximum(ax - 8, 0)
    cerebellum = (z < tentorium) & (y < -36) & (ax < 56)
    midbrain = (ax < 17) & (y > -37) & (y < -10) & (z < -6) & (z >= -22)
    pons = (ax < 20) & (y > -42) & (y < -10) & (z < -22) & (z >= -46)
    medulla = (ax < 14) & (y > -58) & (y < -24) & (z < -46)
    lobes = np.where(cerebellum, REGIONS.index("cerebellum"), lobes)
    return np.where(midbrain | pons | medulla, REGIONS.index("brainstem"), lobes)


def _deep_structures(lobes: np.ndarray, maps: Maps) -> np.ndarray:
    z, y, x = _coordinates()
    ax = np.abs(x)
    box = (ax < 34) & (y > -36) & (y < 22) & (z > -12) & (z < 20)
    nuclei = box & (maps["grey"] > 0.45) & (-maps["brain_distance"] > 14) & (ax < 32 - 0.1 * np.abs(y))
    nuclei = ndimage.binary_closing(nuclei, iterations=3) & box & (maps["ventricle_distance"] > 0)
    lobes = np.where(nuclei, REGIONS.index("deep grey matter"), lobes)
    insula = (ax >= 30) & (ax < 46) & (y > -24) & (y < 24) & (z > -14) & (z < 17) & ~nuclei
    insula &= ax < 41 - 0.08 * np.abs(y)
    lobes = np.where(insula, REGIONS.index("insula"), lobes)
    arc = (ax < 14) & (y > -46) & (y < 34) & (z > 2) & (z < 32) & (maps["white"] > 0.4)
    arc &= (z > 14 - 0.004 * (y + 5) ** 2) & (z < 29 - 0.009 * (y + 5) ** 2) & (-maps["brain_distance"] > 6)
    return np.where(arc, REGIONS.index("corpus callosum"), lobes)


def _tissue_maps() -> Maps:
    from nilearn import datasets

    grey = _template_on_grid(datasets.load_mni152_gm_template(resolution=1))
    white = _template_on_grid(datasets.load_mni152_wm_template(resolution=1))
    brain = _template_on_grid(datasets.load_mni152_template(resolution=1)) > 0.02
    brain = ndimage.binary_fill_holes(ndimage.binary_closing(brain, iterations=2))
    grey, white = grey / max(1.0, float(grey.max())), white / max(1.0, float(white.max()))
    total = np.maximum(grey + white, 1e-6)
    shrink = np.where(total > 1, 1 / total, 1.0)
    grey, white = grey * shrink * brain, white * shrink * brain
    csf = np.clip(brain - grey - white, 0, 1)
    brain_distance = _signed_distance(brain)
    ventricles = _lateral_ventricles(csf, -brain_distance)
    return {
        "white": white,
        "grey": grey,
        "csf": csf,
        "brain_distance": brain_distance,
        "ventricle_distance": _signed_distance(ventricles),
    }


def _symmetric(data: np.ndarray) -> np.ndarray:
    """Average with the mirror image: no side of the template may carry a mark of its own."""
    return ((data + data[:, :, ::-1]) / 2).astype(np.float32)


@lru_cache(maxsize=1)
def load_anatomy() -> Anatomy:
    """Build the anatomy from the installed template. Takes a few seconds the first time in a process."""
    maps = {name: _symmetric(data) for name, data in _tissue_maps().items()}
    regions = _deep_structures(_hindbrain(_lobes()), maps)
    inside = maps["brain_distance"] < 3.0
    return Anatomy(
        soft=torch.from_numpy(np.stack([maps[name] for name in CHANNELS])),
        regions=torch.from_numpy(np.where(inside, regions + 1, 0).astype(np.int64)),
    )
