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
    """The four lobes by smooth surfaces along the sulci and the fissure between them (approximate, MNI space)."""
    z, y, x = _coordinates()
    ax = np.abs(x)
    # The central sulcus runs from behind the vertex downwards, outwards and forwards.
    central = -22.0 + 0.4 * ax - 0.25 * np.maximum(z, 0)
    sylvian = np.clip(3.0 - 0.45 * y, -10.0, 19.0)
    lobes = np.where(y > central, REGIONS.index("frontal"), REGIONS.index("parietal"))
    # The temporal pole lies below the orbital surface; medially the temporal lobe ends at the hippocampus.
    medial = np.where((z > 8) | ((z > -4) & (y > -30)), 24, 14)
    temporal = (z < sylvian) & (y < 16 - 0.4 * (z + 12)) & (ax > medial)
    lobes = np.where(temporal, REGIONS.index("temporal"), lobes)
    # Above, the parieto-occipital sulcus, steep near the midline; below, from the isthmus to the preoccipital notch.
    upper = -58.0 - 0.15 * ax - np.maximum(0.7 - 0.012 * ax, 0.2) * (z - 10)
    basal = -44.0 - 0.4 * ax
    return np.where(y < np.where(z < 8, basal, upper), REGIONS.index("occipital"), lobes)


def _hindbrain(lobes: np.ndarray) -> np.ndarray:
    """Cerebellum below the tentorium (a ridge along the midline over a gentle slope), and the brainstem."""
    z, y, x = _coordinates()
    ax = np.abs(x)
    ridge = 5 - 0.025 * (y + 52) ** 2 - np.clip(0.9 + 0.02 * (y + 54), 0.3, 0.9) * ax
    slope = -20 - 0.05 * ax - 0.3 * np.maximum(y + 70, 0)
    cerebellum = (z < np.maximum(ridge, slope)) & (y < -36)
    midbrain = (ax < 17) & (y > -37) & (y < -10) & (z < -2) & (z >= -22)
    pons = (ax < 20) & (y > -42) & (y < -10) & (z < -22) & (z >= -46)
    medulla = (ax < 14) & (y > -46 + 0.4 * (z + 46)) & (y < -16) & (z < -46)
    lobes = np.where(cerebellum, REGIONS.index("cerebellum"), lobes)
    return np.where(midbrain | pons | medulla, REGIONS.index("brainstem"), lobes)


def _ellipsoid(centre: tuple[float, float, float], radii: tuple[float, float, float]) -> np.ndarray:
    """A solid ellipsoid on either side; centre and radii as (z, y, |x|) in millimetres."""
    z, y, x = _coordinates()
    parts = zip((z, y, np.abs(x)), centre, radii, strict=True)
    return sum(((axis - c) / r) ** 2 for axis, c, r in parts) < 1


def _deep_structures(lobes: np.ndarray, maps: Maps) -> np.ndarray:
    """Basal ganglia and thalamus, then the insula lateral to them, then the arch of the corpus callosum."""
    z, y, x = _coordinates()
    ax = np.abs(x)
    nuclei = _ellipsoid((8, -18, 11), (11, 16, 13)) | _ellipsoid((6, 12, 13), (15, 14, 9))  # thalamus, caudate
    nuclei |= _ellipsoid((18, 0, 15), (6, 14, 5)) | _ellipsoid((1, 1, 24), (13, 20, 9))  # caudate body, putamen
    nuclei &= maps["grey"] > 0.3
    nuclei |= _ellipsoid((-1, -3, 19), (6, 8, 6))  # the pallidum, which the template counts as white
    nuclei = ndimage.binary_closing(nuclei, iterations=3) & (maps["ventricle_distance"] > 0)
    lobes = np.where(nuclei, REGIONS.index("deep grey matter"), lobes)
    insula = (ax >= 30) & (ax < 43 - 0.08 * np.abs(y)) & (y > -24) & (y < 24) & ~nuclei
    insula &= (z > -12 - 0.5 * np.minimum(y + 4, 0)) & (z < 17)
    lobes = np.where(insula, REGIONS.index("insula"), lobes)
    arc = (ax < 14) & (y > -46) & (y < 34) & (z > -4) & (z < 32) & (maps["white"] > 0.4)
    arc &= z > 20 - 0.012 * (y + 5) ** 2 - 0.9 * np.maximum(y - 16, 0)
    arc &= (z < 29 - 0.009 * (y + 5) ** 2) & (-maps["brain_distance"] > 6)
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
