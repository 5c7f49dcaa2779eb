"""A cohort of phantoms on disk: NIfTI, mask, report text and truth for each, and a manifest."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import random
import shutil
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from nibabel import orientations
from tqdm import tqdm

from brain3d.cohort import Study, write_manifest
from brain3d.phantom.draw import TRAINING_GRID, Phantom, draw_phantom
from brain3d.phantom.geometry import Grid
from brain3d.phantom.narrative import narrate
from brain3d.scans import InputError, Scan, axis_codes, write_scan

SETTINGS_FILE = "cohort.json"
MANIFEST_FILE = "manifest.jsonl"
IMAGE, MASK, REPORT, TRUTH = "flair.nii.gz", "lesion.nii.gz", "report.txt", "truth.json"
NECROSIS, EDEMA, CORE = 1, 2, 4  # the labels of BraTS
AXES = ("LPS", "RAS", "LAS", "PIR", "ASL", "RPI")
MIN_SPACING_MM, MAX_SPACING_MM = 0.8, 6.0
PEAK = 1000.0  # the stored brightness of the 99.9th percentile


@dataclass(frozen=True)
class CohortSettings:
    """What a cohort's phantoms follow from; `healthy_share` None leaves it to the generator.

    `version` 2: other seeds than 1, and a contrast-to-noise whose noise is that of all healthy brain tissue; 3: finer
    borders of the regions, and lesions counted in the masks; 4: islands off a ragged edge are no lesions.
    """

    seed: int
    spacing_mm: float
    healthy_share: float | None = None
    version: int = 4


def grid_at(spacing_mm: float) -> Grid:
    """The grid of this isotropic spacing that covers what the training grid covers."""
    extent = [n * mm for n, mm in zip(TRAINING_GRID.shape, TRAINING_GRID.spacing_mm, strict=True)]
    d, h, w = (round(mm / spacing_mm) for mm in extent)
    return Grid(shape=(d, h, w), spacing_mm=(spacing_mm,) * 3)


def canonical_affine(grid: Grid) -> np.ndarray:
    """From (d, h, w) indices of a phantom to millimetres right, anterior, superior, the grid's middle at zero."""
    affine = np.zeros((4, 4))
    affine[3, 3] = 1.0
    affine[[2, 1, 0], [0, 1, 2]] = grid.spacing_mm
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(grid.shape) - 1) / 2)
    return affine


def label_masks(phantom: Phantom) -> np.ndarray:
    """The drawn masks as labels (D, H, W) uint8: 1 necrosis, 2 edema, 4 core."""
    labels = np.zeros(phantom.grid.shape, np.uint8)
    masks = phantom.masks
    for mask, label in ((masks.whole, EDEMA), (masks.core, CORE), (masks.necrosis, NECROSIS)):
        labels[(mask > 0.5).cpu().numpy()] = label
    return labels


def stored_image(phantom: Phantom) -> np.ndarray:
    """The image (D, H, W) as a scanner would store it, int16."""
    image = phantom.image.cpu().numpy()
    peak = float(np.quantile(image[image > 0], 0.999)) if (image > 0).any() else 1.0
    return np.clip(np.rint(image * (PEAK / peak)), 0, np.iinfo(np.int16).max).astype(np.int16)


def reorder(data: np.ndarray, affine: np.ndarray, axes: str) -> tuple[np.ndarray, np.ndarray]:
    """The same image stored with its indices growing towards `axes`, such as "LPS", and its affine."""
    now = orientations.axcodes2ornt(tuple(axis_codes(affine)))
    change = orientations.ornt_transform(now, orientations.axcodes2ornt(tuple(axes)))
    stored = np.ascontiguousarray(orientations.apply_orientation(data, change))
    return stored, affine @ orientations.inv_ornt_aff(change, data.shape)


def phantom_scan(phantom: Phantom) -> Scan:
    """A phantom as if its file had been read."""
    data = stored_image(phantom).astype(np.float32)
    affine = canonical_affine(phantom.grid)
    digest = hashlib.sha256(data.tobytes()).hexdigest()
    return Scan(data, affine, axis_codes(affine), phantom.grid.spacing_mm, digest)


def study_seed(seed: int, index: int) -> int:
    """The generator's seed for the phantom of this index in the cohort of this seed, in [2**31, 2**32).

    torch's CPU generator reads the low 32 bits of a seed; recipes draw below 2**31, so no phantom of a cohort
    was trained on.
    """
    return (1 << 31) | (int(np.random.SeedSequence([seed, index]).generate_state(1, np.uint64)[0]) & 0x7FFFFFFF)


def study_name(index: int) -> str:
    return f"phantom-{index:06d}"


def write_study(folder: Path, index: int, settings: CohortSettings) -> None:
    """Draw the phantom of this index into `folder`/phantom-000000 and so on; it appears there complete."""
    rng = random.Random(study_seed(settings.seed, index))
    share = settings.healthy_share
    healthy = None if share is None else rng.random() < share
    phantom = draw_phantom(study_seed(settings.seed, index), grid=grid_at(settings.spacing_mm), healthy=healthy)
    axes = rng.choice(AXES)
    affine = canonical_affine(phantom.grid)
    affine[:3, 3] += [rng.uniform(-120, 120) for _ in range(3)]
    target = folder / study_name(index)
    partial = folder / f".{target.name}.{os.getpid()}.part"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        for name, data in ((IMAGE, stored_image(phantom)), (MASK, label_masks(phantom))):
            stored, stored_affine = reorder(data, affine, axes)
            write_scan(partial / name, stored, stored_affine, stored.dtype)
        (partial / REPORT).write_text(narrate(phantom.truth, rng) + "\n", encoding="utf-8")
        truth = json.dumps(phantom.truth.to_dict(), indent=2)
        (partial / TRUTH).write_text(truth + "\n", encoding="utf-8")
        partial.rename(target)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def _drawn(folder: Path, missing: list[int], settings: CohortSettings, workers: int) -> Iterator[None]:
    if workers == 1 or len(missing) < 2:
        for index in missing:
            write_study(folder, index, settings)
            yield
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(missing)), mp_context=context) as pool:
        try:
            jobs = [pool.submit(write_study, folder, index, settings) for index in missing]
            for job in jobs:
                job.result()
                yield
        finally:
            pool.shutdown(cancel_futures=True)


def write_cohort(
    out: str | Path,
    count: int,
    seed: int,
    spacing_mm: float = 2.0,
    *,
    workers: int = 2,
    healthy_share: float | None = None,
) -> Path:
    """Write `count` phantoms and their manifest into the folder `out`; returns the manifest's path.

    Phantom i is the same whatever `count` is, and none is ever a training phantom. Studies that an earlier,
    interrupted call wrote are kept; the manifest is written last. InputError for numbers outside their range
    and for a folder that holds anything else.
    """
    settings = CohortSettings(seed, float(spacing_mm), healthy_share)
    _check_numbers(count, workers, settings)
    folder = Path(out)
    _claim(folder, settings)
    missing = [index for index in range(count) if not (folder / study_name(index)).is_dir()]
    with tqdm(total=count, initial=count - len(missing), desc="drawing phantoms", unit="phantom") as bar:
        for _ in _drawn(folder, missing, settings, workers):
            bar.update()
    manifest = folder / MANIFEST_FILE
    write_manifest(manifest, [_study(folder, index) for index in range(count)])
    return manifest


def _check_numbers(count: int, workers: int, settings: CohortSettings) -> None:
    if count < 1 or workers < 1:
        raise InputError(f"count {count}, workers {workers}: give at least 1 of each")
    if settings.seed < 0:
        raise InputError(f"seed {settings.seed}: give 0 or more")
    if not MIN_SPACING_MM <= settings.spacing_mm <= MAX_SPACING_MM:
        raise InputError(f"spacing {settings.spacing_mm:g} mm: give {MIN_SPACING_MM:g} to {MAX_SPACING_MM:g}")
    if settings.healthy_share is not None and not 0 <= settings.healthy_share <= 1:
        raise InputError(f"healthy share {settings.healthy_share:g}: give 0 to 1")


def _claim(folder: Path, settings: CohortSettings) -> None:
    """Make the folder, or find in it an earlier cohort of the same settings, and sweep what a kill left there."""
    stated: dict[str, Any] = asdict(settings)
    file = folder / SETTINGS_FILE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not file.exists() and any(folder.iterdir()):
            raise InputError(f"{folder}: holds something else than a cohort; give a new folder")
        if not file.exists():
            file.write_text(json.dumps(stated, indent=2) + "\n", encoding="utf-8")
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{folder}: cannot hold a cohort ({type(error).__name__}); give a new folder") from error
    if found != stated:
        raise InputError(
            f"{folder}: holds a cohort of another seed, spacing, healthy share or version; give a new folder"
        )
    for stale in folder.glob(".*.part"):
        if stale.is_dir():
            shutil.rmtree(stale)
        else:
            stale.unlink()


def _study(folder: Path, index: int) -> Study:
    study = folder / study_name(index)
    return Study(
        id=study.name,
        image=study / IMAGE,
        report=study / REPORT,
        truth=study / TRUTH,
        mask=study / MASK,
        split="test",
    )
