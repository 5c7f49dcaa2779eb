"""Volumes for the benchmarks of encoding and training: of phantoms, of real scans, or of noise."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from brain3d.model import Brain3DForConditionalGeneration
from brain3d.model.repeated import one_for_each_column
from brain3d.phantom.cohort import grid_at, phantom_scan
from brain3d.phantom.draw import draw_phantom
from brain3d.scans import Volume, published_volume, read_scan

KINDS = ("phantoms", "noise")
FIRST_SEED = 3_100_000
SPACING_MM = 2.0


def volumes(kind: str, shape: tuple[int, int, int]) -> Iterator[Volume]:
    """One volume after the other: heads without a skull, prepared as published, or noise that fills all of it."""
    rng, seed = np.random.default_rng(0), FIRST_SEED
    while True:
        if kind == "noise":
            yield Volume(rng.random((1, *shape), dtype=np.float32), np.eye(4))
        else:
            yield published_volume(phantom_scan(draw_phantom(seed, grid=grid_at(SPACING_MM), skull=False)), shape)
        seed += 1


def real_volumes(images: Path, shape: tuple[int, int, int]) -> list[Volume]:
    """The FLAIR scans of a folder in the layout of BraTS, SUBJECT/SUBJECT_flair.nii.gz."""
    paths = sorted(images.glob("*/*_flair.nii.gz"))
    if not paths:
        raise SystemExit(f"{images}: no SUBJECT/SUBJECT_flair.nii.gz below it")
    return [published_volume(read_scan(path), shape) for path in paths]


def tokens_that_differ(model: Brain3DForConditionalGeneration, data: np.ndarray) -> int:
    """How many tokens of a volume (1, D, H, W) a published tower has to encode."""
    blank = model.model.vision_tower.embeddings.patch_embedding.blank(torch.tensor(data)[None])[0]
    return len(one_for_each_column(blank).kept)
