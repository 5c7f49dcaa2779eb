"""Data sets as they lie on disk, small: images of noise that can be read, and heads that can be prepared."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from brain3d.scans import affine_from_axes, write_scan

LEFT = "There is a lesion in the left frontal lobe with high signal."
RIGHT = "There is a lesion in the right parietal lobe with high signal."
SHAPE = (20, 18, 22)
HEAD_SHAPE, HEAD_MM = (48, 56, 44), 4.0


def noise(path: Path, seed: int, axes: str = "RAS", shape: tuple[int, int, int] = SHAPE, mm: float = 5.0) -> Path:
    """An image of noise around a middle that is brighter, which `read_scan` reads."""
    rng = np.random.default_rng(seed)
    data = rng.integers(0, 100, shape).astype(np.int16)
    data[5:-5, 5:-5, 5:-5] += 500
    path.parent.mkdir(parents=True, exist_ok=True)
    write_scan(path, data, affine_from_axes(axes, (mm,) * 3), np.int16)
    return path


def head_data(seed: int) -> np.ndarray:
    """An ellipsoid of smooth texture in a rim, (R, A, S), int16; each seed another."""
    rng = np.random.default_rng(seed)
    grid = np.meshgrid(*(np.linspace(-1, 1, n) for n in HEAD_SHAPE), indexing="ij")
    sizes = np.array([0.75, 0.8, 0.8]) + 0.04 * rng.standard_normal(3)
    radius = sum((axis / size) ** 2 for axis, size in zip(grid, sizes, strict=True))
    texture = sum(
        rng.uniform(0.2, 0.6) * np.sin(sum(rng.uniform(2, 7) * axis for axis in grid) + rng.uniform(0, 6))
        for _ in range(6)
    )
    inside = radius < 1
    return np.where(inside, 600 + 120 * texture + 4 * rng.standard_normal(HEAD_SHAPE), 0).clip(0).astype(np.int16)


def write_head(path: Path, data: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_scan(path, data, affine_from_axes("RAS", (HEAD_MM,) * 3), np.int16)
    return path


def textbrats(folder: Path, subjects: dict[str, str], healthy: int = 0) -> tuple[Path, Path, Path]:
    """The folders of images, of reports and of healthy scans; the subjects' reports are given by name."""
    images, reports, other = folder / "images", folder / "reports", folder / "healthy"
    for seed, (subject, text) in enumerate(subjects.items()):
        for sequence in ("flair", "t1"):
            noise(images / subject / f"{subject}_{sequence}.nii.gz", seed)
        (reports / subject).mkdir(parents=True, exist_ok=True)
        (reports / subject / f"{subject}_flair_text.txt").write_text(text, encoding="utf-8")
    for index in range(healthy):
        noise(other / f"sub-{index:03d}" / "anat" / f"sub-{index:03d}_FLAIR.nii.gz", 1000 + index)
    return images, reports, other
