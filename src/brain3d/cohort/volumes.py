"""The prepared volumes of a cohort: found by content in a `VolumeCache`, made where they are not there.

Their keys are those that `brain3d evaluate` looks for, so that all readers of a cohort share one folder.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from brain3d.cohort.folder import VOLUMES_FOLDER, Cohort
from brain3d.cohort.manifest import Study
from brain3d.scans.brain import AUTO
from brain3d.scans.cache import VolumeCache, scan_key
from brain3d.scans.orientation import mirrored_scan
from brain3d.scans.preprocess import prepare
from brain3d.scans.published import PUBLISHED_SHAPE, published_volume
from brain3d.scans.read import read_scan
from brain3d.scans.types import InputError, Scan, Volume, VolumeSpec

# The published system's voxels are no cubes and depend on the field of view: no spacing is theirs.
PUBLISHED = VolumeSpec(PUBLISHED_SHAPE, 0.0)


def open_volumes(cohort: Cohort, spec: VolumeSpec) -> VolumeCache:
    """The cohort's prepared volumes of one grid; `PUBLISHED` for those of the published system. CacheError."""
    return VolumeCache(cohort.folder / VOLUMES_FOLDER, spec)


def volume_key(content_sha256: str, *, mirrored: bool = False, published: bool = False) -> str:
    """By what the volume of a scan is found; `content_sha256` is the hash of its file (`Scan.sha256`).

    `mirrored` is for the volume that is prepared of the mirrored scan.
    """
    if published:
        return scan_key(content_sha256, mirrored=mirrored, preprocessing="published")
    return scan_key(content_sha256, mirrored=mirrored, brain_extraction=AUTO)


def study_volume(study: Study, cache: VolumeCache, *, mirrored: bool = False) -> Volume:
    """A study's volume (1, D, H, W) along superior, anterior, right: from the cache, or prepared and kept there.

    The image's whole file is hashed each time. Raises InputError for a scan that cannot be read, CacheError for a
    cache that cannot be used.
    """
    key = volume_key(file_sha256(study.image), mirrored=mirrored, published=cache.spec == PUBLISHED)
    found = cache.get(key)
    if found is not None:
        return found
    scan = read_scan(study.image)
    volume = make_volume(mirrored_scan(scan) if mirrored else scan, cache.spec)
    cache.add(key, volume)
    return volume


def make_volume(scan: Scan, spec: VolumeSpec) -> Volume:
    """The volume of a scan on a grid, by the published system's preprocessing where that is `PUBLISHED`."""
    return published_volume(scan) if spec == PUBLISHED else prepare(scan, spec)


def file_sha256(path: Path) -> str:
    """The hash of a file's bytes. InputError where it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the file") from error
