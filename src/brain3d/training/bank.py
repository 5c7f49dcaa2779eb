"""A bank of phantoms on disk: drawn once, in parallel, resumable, then read through memory maps by every stage."""

from __future__ import annotations

import json
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from brain3d.phantom.truth import Truth
from brain3d.scans import InputError, VolumeSpec

SHARD = 50  # phantoms drawn, written and resumed together
GENERATOR = 6  # raise it when the generator draws or measures otherwise: old banks are then refused


@dataclass(frozen=True)
class Bank:
    """`images` (N, D, H, W) float16; `masks` (N, 4, D/2, H/2, W/2) uint8; `regions` (N, D/4, H/4, W/4) uint8;
    `amounts` (N, A, D/4, H/4, W/4) uint8; `levels` (N,): see `phantom.volume.Example`."""

    images: np.ndarray
    masks: np.ndarray
    regions: np.ndarray
    amounts: np.ndarray
    levels: np.ndarray
    truths: list[Truth]

    def __len__(self) -> int:
        return len(self.truths)

    def part(self, first: int, last: int) -> Bank:
        """The phantoms `first` ... `last - 1`."""
        rows = slice(first, last)
        images, masks, regions = self.images[rows], self.masks[rows], self.regions[rows]
        return Bank(images, masks, regions, self.amounts[rows], self.levels[rows], self.truths[rows])


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


# The error per angle with which training heads are straightened: somewhat more than benchmarks/midline.py finds.
PLANE_ERROR_DEG = 1.5


def _draw_shard(folder: str, shard: int, first_seed: int, count: int, spec: VolumeSpec) -> int:
    from brain3d.phantom.draw import draw_phantom, head_grid
    from brain3d.phantom.volume import training_example

    examples, truths, grid = [], [], head_grid(spec.spacing_mm)
    for seed in range(first_seed, first_seed + count):
        phantom = draw_phantom(seed, grid=grid, straightened=PLANE_ERROR_DEG)
        examples.append(training_example(phantom, spec, np.random.default_rng(seed)))
        truths.append(phantom.truth.to_dict())
    target = Path(folder) / f"shard-{shard:05d}.npz"
    partial = target.with_suffix(".partial.npz")
    np.savez(
        partial,
        images=np.stack([e.image for e in examples]),
        masks=np.stack([e.masks for e in examples]),
        regions=np.stack([e.regions for e in examples]),
        amounts=np.stack([e.amounts for e in examples]),
        levels=np.array([e.level for e in examples]),
        truths=np.array(json.dumps(truths)),
    )
    partial.rename(target)
    return shard


def claim(file: Path, settings: dict[str, Any], what: str) -> None:
    """Note in `file` what a folder's `what` follow from. InputError where they were made from something else."""
    wanted = json.loads(json.dumps(settings))
    if not file.exists():
        partial = file.with_suffix(".partial")
        partial.write_text(json.dumps(wanted, indent=2) + "\n", encoding="utf-8")
        partial.replace(file)
        return
    try:
        had = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{file}: damaged; give another output, or delete that folder") from error
    for key in sorted(set(had) | set(wanted)):
        if had.get(key) != wanted.get(key):
            raise InputError(
                f"{file.parent}: its {what} were made with {key} {had.get(key)}, the recipe says {wanted.get(key)}; "
                "give another output, or delete that folder"
            )


def draw_bank(folder: Path, count: int, seed: int, spec: VolumeSpec, workers: int) -> None:
    """Draw phantoms seed, seed + 1, ... into `folder`; shards that are there already are kept."""
    folder.mkdir(parents=True, exist_ok=True)
    claim(folder / "bank.json", {"seed": seed, "generator": GENERATOR, **asdict(spec)}, "phantoms")
    starts = range(0, count, SHARD)
    missing = [
        (i, seed + s, min(SHARD, count - s))
        for i, s in enumerate(starts)
        if not (folder / f"shard-{i:05d}.npz").exists()
    ]
    if not missing:
        return
    if len(missing) == 1:  # starting a process would take longer
        _draw_shard(str(folder), *missing[0], spec)
        return
    # Not forked: a fork of a process in which torch has started its threads may hang.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_one_thread) as pool:
        jobs = [pool.submit(_draw_shard, str(folder), i, first, n, spec) for i, first, n in missing]
        for job in tqdm(jobs, desc="drawing phantoms", unit=f" x{SHARD}"):
            job.result()


def load_bank(folder: Path, count: int) -> Bank:
    """Load the first `count` phantoms of a bank into memory. Raises FileNotFoundError where a shard is missing."""
    parts = [np.load(folder / f"shard-{i:05d}.npz") for i in range((count + SHARD - 1) // SHARD)]
    truths = [Truth.from_dict(t) for part in parts for t in json.loads(str(part["truths"]))]
    return Bank(
        images=np.concatenate([part["images"] for part in parts])[:count],
        masks=np.concatenate([part["masks"] for part in parts])[:count],
        regions=np.concatenate([part["regions"] for part in parts])[:count],
        amounts=np.concatenate([part["amounts"] for part in parts])[:count],
        levels=np.concatenate([part["levels"] for part in parts])[:count],
        truths=truths[:count],
    )
