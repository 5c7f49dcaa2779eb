"""Whether a report depends on how a scan's intensities are stored: the same heads changed in ways that mean nothing.

Every scan is read as it is and after each change; compared are the findings. `all findings` counts a scan only where
every finding of its report is the same, `each finding` the share of single findings that are: whether there is a
lesion, side, regions, signal, edema, necrosis and compression. Phantoms are of seeds that no training takes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy import ndimage
from tqdm import tqdm

import brain3d
import machine
from brain3d.phantom.cohort import phantom_scan
from brain3d.phantom.draw import draw_phantom, head_grid
from brain3d.reading import Reader
from brain3d.reports import Findings, overall_side
from brain3d.scans import Scan, read_scan

Change = Callable[[np.ndarray, np.random.Generator], np.ndarray]
SIGNS = ("signal", "edema", "necrosis", "ventricular_compression")


def linear(factor: float, offset: float) -> Change:
    return lambda data, rng: data * np.float32(factor) + np.float32(offset)


def whole_numbers(levels: int) -> Change:
    """Rounded to so many levels between the smallest and the largest value, as an integer file stores them."""

    def change(data: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        low, high = float(data.min()), float(data.max())
        return np.asarray(np.round((data - low) / (high - low) * (levels - 1)), dtype=np.float32)

    return change


def bias_field(strength: float) -> Change:
    """A smooth multiplicative field between 1 - strength and 1 + strength, its hills some 6 cm apart."""

    def change(data: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        coarse = ndimage.zoom(rng.standard_normal((4, 4, 4)), 4, order=3)
        steps = [np.linspace(0, n - 1, size) for n, size in zip(coarse.shape, data.shape, strict=True)]
        field = coarse
        for axis, step in enumerate(steps):
            below = np.minimum(step.astype(int), coarse.shape[axis] - 2)
            part = (step - below).reshape([-1 if k == axis else 1 for k in range(3)])
            field = np.take(field, below, axis) * (1 - part) + np.take(field, below + 1, axis) * part
        field -= field.mean()
        return np.asarray(data * (1 + strength * field / np.abs(field).max()), dtype=np.float32)

    return change


def slope(strength: float) -> Change:
    """A factor that goes from 1 - strength to 1 + strength across the image in a random direction, as beside a coil."""

    def change(data: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        places = np.meshgrid(*[np.linspace(-1, 1, n) for n in data.shape], indexing="ij", sparse=True)
        field = sum(part * place for part, place in zip(rng.standard_normal(3), places, strict=True))
        return np.asarray(data * (1 + strength * field / np.abs(field).max()), dtype=np.float32)

    return change


def saturated(percent: float) -> Change:
    """The brightest part of the head, by the percentage of its voxels, all at one value."""

    def change(data: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return np.minimum(data, np.percentile(data[data > 0], 100 - percent)).astype(np.float32)

    return change


CHANGES: dict[str, tuple[Change, float]] = {
    "times 0.001": (linear(0.001, 0.0), 0.98),
    "times 37.5": (linear(37.5, 0.0), 0.98),
    "times 2, plus 1000": (linear(2.0, 1000.0), 0.98),
    "4096 whole numbers": (whole_numbers(4096), 0.98),
    "256 whole numbers": (whole_numbers(256), 0.95),
    "bias field of 10 %": (bias_field(0.10), 0.95),
    "bias field of 20 %": (bias_field(0.20), 0.95),
    "slope of 20 %": (slope(0.20), 0.95),
    "brightest 0.5 % saturated": (saturated(0.5), 0.95),
    "brightest 2 % saturated": (saturated(2.0), 0.95),
}


def single(findings: Findings) -> list[object]:
    """A report's findings one by one; a region counts for itself."""
    lesions = findings.lesions
    regions = frozenset(region for lesion in lesions for region in lesion.regions)
    signs = [tuple(getattr(lesion, sign) for lesion in lesions) for sign in SIGNS]
    return [findings.normal, overall_side(findings), regions, *signs]


def findings_of(scan: Scan, reader: Reader) -> list[list[object]]:
    """The findings of the scan as it is, and after every change."""
    rng = np.random.default_rng(0)
    changed = [replace(scan, data=change(scan.data, rng)) for change, _ in CHANGES.values()]
    return [single(report.findings) for report in reader.reports([scan, *changed], batch_size=len(changed) + 1)]


def rows_of(name: str, found: list[list[list[object]]]) -> list[tuple[str, float, str, str]]:
    rows = []
    for place, (what, (_, target)) in enumerate(CHANGES.items(), 1):
        same = np.array([[a == b for a, b in zip(one[0], one[place], strict=True)] for one in found])
        rows.append((f"{name}, {what}: all findings", float(same.all(1).mean()), f"of {len(same)}", f">= {target}"))
        rows.append((f"{name}, {what}: each finding", float(same.mean()), "", ""))
    return rows


def main() -> None:
    parser = machine.parser(__doc__)
    parser.add_argument("--images", type=Path, help="a folder of real subjects, SUBJECT/SUBJECT_flair.nii.gz")
    parser.add_argument("--count", type=int, default=100, help="how many phantoms (default: 100)")
    parser.add_argument("--seed", type=int, default=3_100_000, help="of the first phantom")
    parser.add_argument("--model", default="brain3d-mini")
    arguments = parser.parse_args()
    reader = brain3d.load(arguments.model)
    scans = (phantom_scan(draw_phantom(arguments.seed + i, grid=head_grid(2.0))) for i in range(arguments.count))
    found = [findings_of(scan, reader) for scan in tqdm(scans, total=arguments.count, unit="phantom")]
    rows = rows_of("phantoms", found)
    if arguments.images is not None:
        files = sorted(arguments.images.glob("*/*_flair.nii.gz"))
        rows += rows_of("real subjects", [findings_of(read_scan(file), reader) for file in tqdm(files, unit="scan")])
    machine.show(rows, arguments.json)


if __name__ == "__main__":
    main()
