"""How bright grey matter and fluid are beside white matter, which tells a T1 or a T2 from a FLAIR; no segmentation.

Where the tissues are likely to be is known from a template, laid over the head by its top, its middle, its midline and
its spread. Brightness is fitted there as a sum of the three shares, each with a level of its own, and a slope across
the head for the coil (regression as for partial volumes: Shattuck et al., NeuroImage 13, 2001), by Huber's weights, so
that a lesion, which no template foresees, has little say. The shares are blurred, so the levels found are further
apart than the true ones: they are for telling kinds apart, not for measuring.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from brain3d.scans.foreground import SLAB_MM, TOP_TO_CENTRE_MM
from brain3d.scans.types import Flag

PRIORS = Path(__file__).with_name("tissue_priors.npz")
SCALP_MM = 13.0  # from the skin to the brain
LEAST_COVERED = 0.6
LEAST_FIT = 0.2
# Between what FLAIR phantoms and images of the other kind made of the same heads show; a lesion of a FLAIR is brighter.
T1_GREY = 0.85
T1_BRIGHTEST = 1.35
T2_FLUID = 1.6
BRIGHT_PERCENT = 98
HUBER = 1.5
ROUNDS = 5

_MESSAGE = "The image looks like {kind}, not a FLAIR; the model reads FLAIR alone, so its report means little."
_KINDS = {
    "T1": "a T1 (grey matter darker than white)",
    "T2": "a T2 (fluid brighter than white matter)",
}


class Contrast(NamedTuple):
    """Brightness over that of white matter, above the background: of grey matter and of fluid, by the fit.

    `brightest` is the 98th percentile of all of it, over white matter.
    `like` is "FLAIR", "T1", "T2" or "unknown", where the image does not follow the template.
    """

    grey: float
    fluid: float
    brightest: float
    like: str


UNKNOWN = Contrast(float("nan"), float("nan"), float("nan"), "unknown")


class _Priors(NamedTuple):
    places_mm: np.ndarray
    shares: np.ndarray
    spread_mm: np.ndarray
    opposite: np.ndarray


@lru_cache(maxsize=1)
def _priors() -> _Priors:
    """As `phantom.priors` writes them: places (3, N), shares (N, 3) in 0..1, spread (2,).

    `opposite` (N,) is the index of the place across the midline.
    """
    with np.load(PRIORS) as file:
        shares = np.ascontiguousarray(file["shares"].T, dtype=np.float64) / 255
        places = file["places"].astype(np.float64)
        order = np.lexsort(places)
        opposite = np.empty(len(order), dtype=np.intp)
        opposite[order] = np.lexsort(places * np.array([[1.0], [1.0], [-1.0]]))
        return _Priors(places, shares, file["spread_mm"], opposite)


def contrast_of(
    image: np.ndarray, mask: np.ndarray, step: float, turn: np.ndarray, offset_mm: np.ndarray, skull: bool
) -> Contrast:
    """The contrast of a canonical (D, H, W) image, its background at 0, on a grid of `step` mm with its head `mask`.

    `turn` and `offset_mm` are those of `preprocess.Head`; `skull` is whether the skull was left in.
    """
    priors = _priors()
    places = _laid_over(mask, step, turn, offset_mm, skull, priors)
    inside = ndimage.map_coordinates(mask.view(np.uint8), np.rint(places), order=0) > 0
    if inside.mean() < LEAST_COVERED:
        return UNKNOWN
    values = ndimage.map_coordinates(image, places[:, inside], order=1).astype(np.float64)
    trust = _paired(values, inside, priors.opposite)
    (white, grey, fluid), fit = _levels(values, priors.shares[inside], priors.places_mm[:, inside].T, trust)
    if white == 0 or fit < LEAST_FIT or np.sign(white) != np.sign(np.median(values)):
        return UNKNOWN
    found = grey / white, fluid / white, float(np.percentile(values / white, BRIGHT_PERCENT))
    return Contrast(*found, _like(*found))


def _like(grey: float, fluid: float, brightest: float) -> str:
    if fluid > T2_FLUID:
        return "T2"
    return "T1" if grey < T1_GREY and brightest < T1_BRIGHTEST else "FLAIR"


def _paired(values: np.ndarray, inside: np.ndarray, opposite: np.ndarray) -> np.ndarray:
    """How far to trust each of the (N,) values by its likeness to the one across the midline: little in a lesion."""
    everywhere = np.full(len(inside), np.nan)
    everywhere[inside] = values
    apart = np.abs(everywhere - everywhere[opposite])[inside]
    usual = 1.4826 * float(np.nanmedian(apart)) + 1e-9 * float(np.abs(values).max())
    return 1 / (1 + (np.nan_to_num(apart / usual, nan=1.0)) ** 2)


def _laid_over(
    mask: np.ndarray, step: float, turn: np.ndarray, offset_mm: np.ndarray, skull: bool, priors: _Priors
) -> np.ndarray:
    """The template's places (3, N) as indices of the mask's grid."""
    middle = (np.array(mask.shape) - 1) / 2
    index = [places - at for places, at in zip(np.nonzero(mask), middle, strict=True)]
    up, front, right = (sum(step * turn[axis, k] * index[k] for k in range(3)) - offset_mm[axis] for axis in range(3))
    upper = up > TOP_TO_CENTRE_MM - SLAB_MM
    spread = np.array([front[upper].std(), right[upper].std()])
    if skull:  # the spread of a solid ellipsoid is a share of its radius, which is less by the scalp's thickness
        spread = spread - SCALP_MM / 2
    back, across = spread / priors.spread_mm
    top = np.array([TOP_TO_CENTRE_MM - (SCALP_MM if skull else 0.0), 0.0, 0.0])
    upright = priors.places_mm * np.array([[(back + across) / 2], [back], [across]]) + (top + offset_mm)[:, None]
    return np.asarray(turn.T @ upright / step + middle[:, None])


def _levels(
    values: np.ndarray, shares: np.ndarray, places_mm: np.ndarray, trust: np.ndarray
) -> tuple[Sequence[float], float]:
    """The levels of the tissues (3,) in (N,) values, and which share of the values' variance they explain."""
    scale = float(np.median(np.abs(values))) or 1.0
    design = np.hstack([shares, places_mm / 100])
    weights = trust
    levels = np.zeros(design.shape[1])
    for _ in range(ROUNDS):
        weighted = design * weights[:, None]
        levels = np.linalg.lstsq(design.T @ weighted, weighted.T @ (values / scale), rcond=None)[0]
        rest = np.abs(values / scale - design @ levels)
        weights = trust / np.maximum(1.0, rest / (HUBER * 1.4826 * float(np.median(rest)) + 1e-9))
    mean = np.average(values / scale, weights=weights)
    spread = float((weights * (values / scale - mean) ** 2).sum())
    return (scale * levels[:3]).tolist(), 1 - float((weights * rest**2).sum()) / spread if spread else 0.0


def flags_of_contrast(contrast: Contrast) -> tuple[Flag, ...]:
    """The flag of an image that looks like another sequence than FLAIR; none where it does not, or cannot be told."""
    kind = _KINDS.get(contrast.like)
    return () if kind is None else (Flag("not_flair_like", _MESSAGE.format(kind=kind)),)
