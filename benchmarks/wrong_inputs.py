"""What becomes of images that are no FLAIR of a head, and of FLAIR phantoms that are: refused, flagged, let through.

Each kind is made of the tissues of phantoms, drawn as files are: a T1, T2 and proton density image (levels beside white
matter drawn at random, a lesion, a bias, a blur, noise), a CT (in Hounsfield units, from 0, in two windows), a
segmentation, an atlas of regions, a mask, an empty head, a uniform one, noise, and a head enlarged to a body's size. A
FLAIR phantom counts as wrongly flagged or refused; where its grey matter came out darker than
white matter, which is what tells a T1, it is counted apart.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from scipy import ndimage
from tqdm import tqdm

import machine
from brain3d.phantom.cohort import canonical_affine, phantom_scan
from brain3d.phantom.draw import Phantom, draw_phantom, head_grid
from brain3d.scans import InputError, Scan, prepare
from brain3d.scans.contrast import contrast_of
from brain3d.scans.kinds import wrong_kind
from brain3d.scans.preprocess import COARSE_MM, find_head

Draw = Callable[[Phantom, np.random.Generator], np.ndarray]


def scan_of(phantom: Phantom, image: np.ndarray, scale: float = 1.0) -> Scan:
    affine = canonical_affine(phantom.grid) * np.array([[scale], [scale], [scale], [1.0]])
    spacing = tuple(scale * mm for mm in phantom.grid.spacing_mm)
    return replace(phantom_scan(phantom), data=image.astype(np.float32), affine=affine, spacing_mm=spacing)


def tissues(phantom: Phantom) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """White, grey and fluid (shares) and the brain's mask, (D, H, W)."""
    parts = phantom.tissue.white, phantom.tissue.grey, phantom.tissue.csf, phantom.brain
    white, grey, fluid, brain = (part.numpy() for part in parts)
    return white, grey, fluid, brain


def sequence(grey: tuple[float, float], fluid: tuple[float, float], lesion: float) -> Draw:
    """Draws a skull-stripped image with levels in these ranges, beside 1 for white matter."""

    def draw(phantom: Phantom, rng: np.random.Generator) -> np.ndarray:
        white, grey_share, fluid_share, brain = tissues(phantom)
        image = white + rng.uniform(*grey) * grey_share + rng.uniform(*fluid) * fluid_share
        whole = phantom.masks.whole.numpy()
        image = image * (1 - whole) + lesion * whole
        bias = ndimage.zoom(rng.normal(size=(3, 3, 3)), np.array(image.shape) / 3, order=1)
        image = ndimage.gaussian_filter(image * np.exp(rng.uniform(0, 0.22) * bias), rng.uniform(0.1, 0.5))
        noise = rng.uniform(0.004, 0.05) * rng.normal(size=(2, *image.shape))
        return np.where(brain, np.rint(500 * np.hypot(image + noise[0], noise[1])), 0)

    return draw


def hounsfield(phantom: Phantom, rng: np.random.Generator) -> np.ndarray:
    """A head in Hounsfield units: brain, skull of 6 to 9 mm, scalp, air."""
    white, grey, fluid, _ = tissues(phantom)
    distance = phantom.tissue.brain_distance.numpy()
    bone = 1.0 + rng.uniform(6, 9)
    brain = 28 * white + 37 * grey + 8 * fluid + 6 * rng.normal(size=white.shape)
    skull = rng.uniform(700, 1300) + 100 * rng.normal(size=white.shape)
    shells = [distance < 1.0, distance < bone, distance < bone + rng.uniform(4, 8)]
    return np.select(shells, [brain, skull, 30 + 30 * rng.normal(size=white.shape)], -1000.0)


def labels(phantom: Phantom, rng: np.random.Generator) -> np.ndarray:
    white, grey, fluid, brain = tissues(phantom)
    return np.where(brain, 1 + np.argmax([fluid, grey, white], axis=0), 0)


def regions(phantom: Phantom, rng: np.random.Generator) -> np.ndarray:
    """Regions of each side, each divided into cubes of 3 cm, numbered as an atlas is."""
    cubes = sum(np.indices(phantom.brain.shape)[k] * int(phantom.grid.spacing_mm[k]) // 30 * 8**k for k in range(3))
    names = 2 * phantom.tissue.regions.numpy() + (phantom.midline_mm.numpy() > 0)
    _, numbers = np.unique(names * 512 + cubes, return_inverse=True)
    return np.where(phantom.brain.numpy(), 1 + numbers.reshape(names.shape), 0)


def shell(phantom: Phantom, rng: np.random.Generator) -> np.ndarray:
    distance = phantom.tissue.brain_distance.numpy()
    tissue = np.where((distance > 2) & (distance < 12), 300.0, 0.0)
    return np.hypot(tissue + 5 * rng.normal(size=distance.shape), 5 * rng.normal(size=distance.shape))


def uniform(phantom: Phantom, rng: np.random.Generator) -> np.ndarray:
    return np.where(phantom.brain.numpy(), 300 + 10 * rng.normal(size=phantom.brain.shape), 0)


def windowed(low: float, high: float) -> Draw:
    return lambda phantom, rng: np.rint((np.clip(hounsfield(phantom, rng), low, high) - low) * 255 / (high - low))


FLAIR, GREY_DARK = "FLAIR phantoms", "FLAIR phantoms, grey drawn darker"
KINDS: dict[str, Draw] = {
    "T1": sequence((0.6, 0.85), (0.1, 0.35), 0.7),
    "T2": sequence((1.2, 1.7), (2.0, 3.5), 1.8),
    "proton density": sequence((1.05, 1.25), (0.9, 1.4), 1.3),
    "CT": hounsfield,
    "CT from 0": lambda phantom, rng: hounsfield(phantom, rng) + 1024,
    "CT, -100 to 300": windowed(-100, 300),
    "CT, 0 to 80": windowed(0, 80),
    "segmentation": labels,
    "atlas of regions": regions,
    "mask": lambda phantom, rng: phantom.brain.numpy() * 1.0,
    "empty head": shell,
    "uniform head": uniform,
    "noise": lambda phantom, rng: np.abs(rng.normal(size=phantom.brain.shape)),
}


def outcome(scan: Scan) -> str:
    try:
        codes = [flag.code for flag in prepare(scan).flags]
    except InputError:
        return "refused"
    if "not_flair_like" in codes:
        return "flagged as no FLAIR"
    return "other flag" if codes else "let through"


def grey_over_white(phantom: Phantom) -> float:
    """The brightness of nearly pure grey over that of nearly pure white matter, lesions left out."""
    image, healthy = phantom.image.numpy(), phantom.masks.whole.numpy() < 0.05
    white, grey, _, brain = tissues(phantom)
    inside = healthy & brain & (image > 0)
    return float(np.median(image[inside & (grey > 0.85)]) / np.median(image[inside & (white > 0.9)]))


def milliseconds(phantom: Phantom) -> tuple[float, float]:
    """Processor time of the checks on one phantom: of kinds, of contrast."""
    head = find_head(phantom_scan(phantom))
    start = time.process_time()
    wrong_kind(head.data, head.coarse, head.mask, COARSE_MM, head.background)
    middle = time.process_time()
    image = head.coarse - np.float32(head.background.level)
    contrast_of(image, head.mask, COARSE_MM, head.turn, head.offset_mm, False)
    return 1e3 * (middle - start), 1e3 * (time.process_time() - middle)


def main() -> None:
    parser = machine.parser(__doc__)
    parser.add_argument("--count", type=int, default=200, help="how many FLAIR phantoms (default: 200)")
    parser.add_argument("--every", type=int, default=5, help="one in so many is made into each other kind (default: 5)")
    parser.add_argument("--seed", type=int, default=7_000_000, help="of the first phantom")
    parser.add_argument("--spacing", type=float, default=4.0, metavar="MM", help="of the phantoms (default: 4)")
    arguments = parser.parse_args()
    found: Counter[tuple[str, str]] = Counter()
    for i in tqdm(range(arguments.count), unit="phantom"):
        phantom = draw_phantom(arguments.seed + i, grid=head_grid(arguments.spacing))
        found[FLAIR if grey_over_white(phantom) > 0.95 else GREY_DARK, outcome(phantom_scan(phantom))] += 1
        if i % arguments.every == 0:
            rng = np.random.default_rng(arguments.seed + i)
            for kind, draw in KINDS.items():
                found[kind, outcome(scan_of(phantom, draw(phantom, rng)))] += 1
            found["body's size", outcome(scan_of(phantom, phantom.image.numpy(), scale=2.2))] += 1
    rows = []
    for kind in (FLAIR, GREY_DARK, *KINDS, "body's size"):
        total = sum(count for (one, _), count in found.items() if one == kind)
        for what in ("refused", "flagged as no FLAIR", "other flag", "let through"):
            if found[kind, what]:
                rows.append((f"{kind}: {what}", float(found[kind, what]), f"of {total}", ""))
    fine = draw_phantom(arguments.seed, grid=head_grid(2.0))
    kinds, contrast = np.median([milliseconds(fine) for _ in range(7)], axis=0)
    rows += [("kinds, a phantom of 2 mm", float(kinds), "ms", ""), ("contrast, likewise", float(contrast), "ms", "")]
    machine.show(rows, arguments.json)


if __name__ == "__main__":
    main()
