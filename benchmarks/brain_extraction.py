"""How well the built-in brain extraction does on phantoms with the skull on, and how surely a skull is recognised.

Dice is that of the mask at 3 mm with the phantom's own brain, fluid included. Every phantom is drawn twice, with the
skull on and stripped; half of them have lesions. The mid-sagittal plane is compared with the true one, found once in
the whole head and once in the brain that was extracted.
"""

from __future__ import annotations

import time
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

import machine
from brain3d.phantom.cohort import phantom_scan
from brain3d.phantom.draw import Phantom, draw_phantom, head_grid
from brain3d.scans.brain_surface import brain_mask
from brain3d.scans.midplane import MidPlane
from brain3d.scans.preprocess import COARSE_MM, Head, find_head
from brain3d.scans.resample import resample
from midline import true_plane

REPEATS, TIMED = 5, 5  # of the first few phantoms, the time is taken as a median of so many


class Measured(NamedTuple):
    """Of one phantom: Dice; share of the lesion kept (nan without one); seconds; whether the skull was recognised, on
    and off; degrees and millimetres between the true plane and that of the brain, and of the head."""

    dice: float
    lesion_kept: float
    seconds: float
    on_recognised: bool
    off_recognised: bool
    brain_deg: float
    brain_mm: float
    head_deg: float
    head_mm: float


def on_coarse(values: np.ndarray, head: Head) -> np.ndarray:
    """A mask (D, H, W) of the phantom on the head's coarse grid."""
    middle = (np.array(values.shape) - 1) / 2
    return resample(values.astype(np.float32), head.geometry, middle, head.coarse.shape, COARSE_MM) >= 0.5


def error(plane: MidPlane, phantom: Phantom) -> tuple[float, float]:
    normal, point = true_plane(phantom)
    angle = float(np.degrees(np.arccos(np.clip(normal @ plane.normal, -1, 1))))
    return angle, float(abs(plane.normal @ point - plane.offset_mm))


def timed(head: Head) -> float:
    """Seconds for one extraction, the median over the repeats."""
    seconds = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        brain_mask(head.coarse, head.background, COARSE_MM)
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds))


def measure(seed: int, healthy: bool, spacing_mm: float, timing: bool) -> Measured:
    """Draw the phantom of this seed, with the skull and without, and extract its brain."""
    grid = head_grid(spacing_mm)
    phantom = draw_phantom(seed, grid=grid, skull=True, healthy=healthy)
    whole = find_head(phantom_scan(phantom), "none")
    found = find_head(phantom_scan(phantom), "builtin")
    stripped = find_head(phantom_scan(draw_phantom(seed, grid=grid, skull=False, healthy=healthy)), "none")
    mask = found.mask
    truth = on_coarse(phantom.brain.numpy(), whole)
    lesion = on_coarse(phantom.masks.whole.numpy() > 0.5, whole)
    return Measured(
        2 * float((mask & truth).sum()) / float(mask.sum() + truth.sum()),
        float((lesion & mask).sum() / lesion.sum()) if lesion.any() else float("nan"),
        timed(whole) if timing else float("nan"),
        *(any(flag.code == "skull_present" for flag in head.extraction.flags) for head in (whole, stripped)),
        *error(found.plane, phantom),
        *error(whole.plane, phantom),
    )


def main() -> None:
    parser = machine.parser(__doc__)
    parser.add_argument("--count", type=int, default=60, help="how many phantoms (default: 60)")
    parser.add_argument("--seed", type=int, default=4_000_000, help="of the first phantom")
    parser.add_argument("--spacing", type=float, default=2.0, metavar="MM", help="of the phantoms (default: 2)")
    arguments = parser.parse_args()
    numbers = tqdm(range(arguments.count), unit="phantom")
    all_of = [measure(arguments.seed + i, i % 2 == 0, arguments.spacing, i < TIMED) for i in numbers]
    of = {name: np.array([getattr(one, name) for one in all_of], dtype=float) for name in Measured._fields}
    kept = of["lesion_kept"][~np.isnan(of["lesion_kept"])]
    rows = [
        ("Dice, median", 100 * float(np.median(of["dice"])), "%", "target >= 93"),
        ("Dice, 5th percentile", 100 * float(np.percentile(of["dice"], 5)), "%", "target >= 93"),
        ("Dice, worst", 100 * float(of["dice"].min()), "%", ""),
        ("share of phantoms below 93 %", 100 * float((of["dice"] < 0.93).mean()), "%", "target 0"),
        ("share of lesion volume kept, mean", 100 * float(kept.mean()) if kept.size else float("nan"), "%", ""),
        ("share of lesion volume kept, worst", 100 * float(kept.min()) if kept.size else float("nan"), "%", ""),
        ("skull recognised where it is on", 100 * float(of["on_recognised"].mean()), "%", "target 100"),
        ("skull recognised where it is off", 100 * float(of["off_recognised"].mean()), "%", "target 0"),
        ("plane of the brain, angle, median", float(np.median(of["brain_deg"])), "degrees", ""),
        ("plane of the brain, angle, 95th percentile", float(np.percentile(of["brain_deg"], 95)), "degrees", ""),
        ("plane of the brain, distance, median", float(np.median(of["brain_mm"])), "mm", ""),
        ("plane of the brain, distance, 95th percentile", float(np.percentile(of["brain_mm"], 95)), "mm", ""),
        ("plane of the head, angle, median", float(np.median(of["head_deg"])), "degrees", ""),
        ("plane of the head, angle, 95th percentile", float(np.percentile(of["head_deg"], 95)), "degrees", ""),
        ("plane of the head, distance, median", float(np.median(of["head_mm"])), "mm", ""),
        ("plane of the head, distance, 95th percentile", float(np.percentile(of["head_mm"], 95)), "mm", ""),
        ("time of an extraction, median", float(np.nanmedian(of["seconds"])), "s", ""),
    ]
    machine.show(rows, arguments.json)


if __name__ == "__main__":
    main()
