"""What is measured once of every scan of a cohort: its content's hash, its geometry, its background; and its volume.

Facts are kept in a JSON Lines file, found by the hash of the scan's file; no name or path is in it.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from brain3d.cohort.volumes import PUBLISHED, file_sha256, make_volume, volume_key
from brain3d.scans.cache import CacheError, VolumeCache
from brain3d.scans.orientation import canonical_view, direction_cosines
from brain3d.scans.read import read_with_stored
from brain3d.scans.types import InputError, VolumeSpec

FACTS_FILE = "scans.jsonl"
FACTS_VERSION = 1
CORNER_VOXELS = 4


@dataclass(frozen=True)
class Facts:
    """What is known of a scan without looking at the brain in it.

    `sha256` is the hash of its file; `voxels_sha256` that of its voxels as float32 in canonical order (superior,
    anterior, right), the same however it is stored, `mirrored_sha256` that of the mirror image's. `shape` and
    `spacing_mm` are in canonical order. `zero_share` counts voxels that are 0, `background_share` those of the lowest
    value; `corner_level` is the mean of the eight corners' cubes, `face_shares` the shares of the six outer
    planes above the lowest value (inferior, superior, posterior, anterior, left, right).
    """

    sha256: str
    voxels_sha256: str
    mirrored_sha256: str
    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    axes: str
    oblique_degrees: float
    dtype: str
    format: str
    compressed: bool
    zero_share: float
    background_share: float
    corner_level: float
    face_shares: tuple[float, ...]
    lowest: float
    highest: float
    whole_numbers: bool


def measure(path: Path, volumes: Path | None, spec: VolumeSpec) -> Facts:
    """Read a scan, keep its volume in the cache `volumes` unless that is None, and return its facts.

    Raises InputError for a scan that cannot be read or prepared, CacheError for a cache that cannot be used.
    """
    scan, stored = read_with_stored(path)
    if volumes is not None:
        key = volume_key(scan.sha256, published=spec == PUBLISHED)
        cache = VolumeCache(volumes, spec)
        if cache.get(key) is None:
            cache.add(key, make_volume(scan, spec))
    data, affine = canonical_view(scan.data, scan.affine)
    lowest, highest = float(data.min()), float(data.max())
    spacing = [float(value) for value in np.sqrt((affine[:3, :3] ** 2).sum(0))]
    d, h, w = data.shape
    return Facts(
        sha256=scan.sha256,
        voxels_sha256=_digest(data),
        mirrored_sha256=_digest(data[..., ::-1]),
        shape=(d, h, w),
        spacing_mm=(round(spacing[0], 3), round(spacing[1], 3), round(spacing[2], 3)),
        axes=scan.axes,
        oblique_degrees=_oblique(affine),
        dtype=stored.dtype,
        format=stored.format,
        compressed=stored.compressed,
        zero_share=round(float((data == 0).mean()), 6),
        background_share=round(float((data == lowest).mean()), 6),
        corner_level=round(_corners(data), 6),
        face_shares=tuple(round(float((face > lowest).mean()), 6) for face in _faces(data)),
        lowest=lowest,
        highest=highest,
        whole_numbers=bool((np.rint(data) == data).all()),
    )


def _digest(data: np.ndarray) -> str:
    """Of shape and values; -0 counts as 0."""
    digest = hashlib.sha256(json.dumps(data.shape).encode())
    for plane in data:
        digest.update(np.ascontiguousarray(plane + np.float32(0)).tobytes())
    return digest.hexdigest()


def _oblique(affine: np.ndarray) -> float:
    """How far the axis that is furthest off the scanner's axes is from them, in degrees."""
    nearest = np.abs(direction_cosines(affine)).max(axis=0).min()
    return round(float(np.degrees(np.arccos(np.clip(nearest, 0.0, 1.0)))), 2)


def _corners(data: np.ndarray) -> float:
    ends = (slice(None, CORNER_VOXELS), slice(-CORNER_VOXELS, None))
    return float(np.mean([data[d, h, w].mean(dtype=np.float64) for d in ends for h in ends for w in ends]))


def _faces(data: np.ndarray) -> Iterator[np.ndarray]:
    for axis in range(3):
        for end in (0, -1):
            yield np.take(data, end, axis=axis)


class FactsFile:
    """The facts of a cohort's scans on disk; each is there when `add` returns. What a kill cut short is dropped."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._found: dict[str, Facts] = {}
        try:
            *lines, rest = path.read_bytes().split(b"\n") if path.exists() else [b""]
            if rest:
                os.truncate(path, path.stat().st_size - len(rest))
        except OSError as error:
            raise InputError(f"{path}: cannot be used ({error.strerror}); check the folder") from error
        for line in lines:
            facts = _parsed(line, path)
            if facts is not None:
                self._found[facts.sha256] = facts

    def get(self, sha256: str) -> Facts | None:
        return self._found.get(sha256)

    def add(self, facts: Facts) -> None:
        try:
            with self._path.open("ab") as file:
                file.write(json.dumps({"version": FACTS_VERSION, **asdict(facts)}).encode() + b"\n")
        except OSError as error:
            raise InputError(f"{self._path}: cannot be written ({error.strerror}); check the folder") from error
        self._found[facts.sha256] = facts


def _parsed(line: bytes, path: Path) -> Facts | None:
    """The facts in a line; None where another version wrote it."""
    try:
        values: dict[str, Any] = json.loads(line)
        if values.pop("version") != FACTS_VERSION:
            return None
        lists = ("shape", "spacing_mm", "face_shares")
        return Facts(**{**values, **{name: tuple(values[name]) for name in lists}})
    except (ValueError, KeyError, TypeError, AttributeError):
        raise InputError(f"{path}: damaged; delete this file, and the scans are measured again") from None


def measure_all(
    paths: Sequence[Path], file: FactsFile, volumes: Path | None, spec: VolumeSpec, workers: int
) -> Iterator[tuple[int, Facts | InputError]]:
    """For each scan its index and its facts, or why it cannot be read, as they come; measured before, from the file.

    A scan is measured before only where its volume is in the cache too, or none is wanted. CacheError ends it all.
    """
    cache = None if volumes is None else VolumeCache(volumes, spec)
    missing = []
    for index, path in enumerate(paths):
        try:
            digest = file_sha256(path)
        except InputError as error:
            yield index, error
            continue
        known = file.get(digest)
        key = volume_key(digest, published=spec == PUBLISHED)
        if known is not None and (cache is None or cache.get(key) is not None):
            yield index, known
        else:
            missing.append(index)
    for index, found in _measured(missing, paths, volumes, spec, workers):
        if isinstance(found, Facts):
            file.add(found)
        yield index, found


def _measured(
    indices: Sequence[int], paths: Sequence[Path], volumes: Path | None, spec: VolumeSpec, workers: int
) -> Iterator[tuple[int, Facts | InputError]]:
    if workers == 1 or len(indices) < 2:
        for index in indices:
            yield index, _or_reason(paths[index], volumes, spec)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(indices)), mp_context=context) as pool:
        try:
            jobs = {pool.submit(_or_reason, paths[index], volumes, spec): index for index in indices}
            for job in as_completed(jobs):
                yield jobs[job], job.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _or_reason(path: Path, volumes: Path | None, spec: VolumeSpec) -> Facts | InputError:
    """The facts of a scan, or why it cannot be read. A cache that cannot be used is no fault of the scan's."""
    try:
        return measure(path, volumes, spec)
    except CacheError:
        raise
    except InputError as error:
        return InputError(_without_path(str(error), path))


def _without_path(line: str, path: Path) -> str:
    line = " ".join(line.split())
    for name in (str(path), path.name):
        line = line.removeprefix(f"{name}: ").replace(name, "the file")
    return line
