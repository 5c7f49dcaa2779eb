"""Prepared volumes kept on disk: many scans in one memory-mapped array, found again by their content.

In a folder, one folder for each kind of volume, named by a hash of what volumes follow from besides the scan:
    settings.json   what that is: the grid, and the version of the preprocessing
    volumes.f32     the volumes, float32 in this machine's byte order, one after the other
    index.jsonl     a line for each: its key, its checksum, and what else a `Volume` holds
No name, path or date of a scan is in any of them.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from isal.isal_zlib import crc32

from brain3d.scans.types import Flag, InputError, Volume, VolumeSpec

SETTINGS, VOLUMES, INDEX, LOCK = "settings.json", "volumes.f32", "index.jsonl", "lock"
FORMAT = 1


class CacheError(InputError):
    """The cache's folder cannot be used, or what it holds is damaged: no fault of the scan that is looked for."""


@dataclass(frozen=True)
class _Entry:
    row: int
    checksum: int
    rest: dict[str, Any]  # of the volume: all but its data


@lru_cache(maxsize=2)
def preprocessing_version(folder: Path = Path(__file__).parent) -> str:
    """A hash of all that volumes follow from: the code and the templates in a folder, this package's own, and the
    versions of the libraries that compute."""
    digest = hashlib.sha256()
    for file in sorted([*folder.glob("*.py"), *folder.glob("*.npz")]):
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    for name in ("numpy", "scipy"):
        digest.update(f"{name} {version(name)} {sys.byteorder}".encode())
    return digest.hexdigest()


def scan_key(content_sha256: str, **options: str | bool | None) -> str:
    """What a volume is found by: the hash of the scan's file, and all options of how it is read and
    prepared, such as `axes`, `mirrored` or `brain_extraction`."""
    return hashlib.sha256(json.dumps([content_sha256, options], sort_keys=True).encode()).hexdigest()


class VolumeCache:
    """The prepared volumes of one grid, in a folder; made where it is not there.

    Several processes may read it and add to it at once: each addition takes a lock, and is there as a whole or not at
    all. What a killed one left half-written is written over. All errors are CacheErrors, one line.
    """

    def __init__(self, folder: str | os.PathLike[str], spec: VolumeSpec) -> None:
        self.spec = spec
        self._shape = tuple(spec.shape)
        self._bytes = 4 * int(np.prod(self._shape))
        settings = {"format": FORMAT, "preprocessing": preprocessing_version(), **asdict(spec)}
        text = json.dumps(settings, indent=2) + "\n"
        self.folder = Path(folder) / hashlib.sha256(text.encode()).hexdigest()[:16]
        self._entries: dict[str, _Entry] = {}
        self._read_to = 0
        self._mapped: np.ndarray = np.empty((0, *self._shape), np.float32)
        with self._refusing():
            self._make(text)
            self._refresh()

    def __len__(self) -> int:
        return len(self._entries)

    def volumes(self) -> np.ndarray:
        """All volumes (N, D, H, W) float32, read-only and memory-mapped, in the order in which they were added."""
        if len(self._mapped) < len(self._entries):
            shape = (len(self._entries), *self._shape)
            with self._refusing():
                self._mapped = np.asarray(np.memmap(self.folder / VOLUMES, np.float32, "r", shape=shape))
        return self._mapped

    def get(self, key: str) -> Volume | None:
        """The volume of this key, its data read-only in the memory map; None where there is none."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        data = self.volumes()[entry.row]
        if crc32(data) != entry.checksum:
            raise self._damaged("a volume is not what was written")
        rest = entry.rest
        return Volume(
            data=data[None],
            affine=np.array(rest["affine"]),
            steps=tuple(rest["steps"]),
            flags=tuple(Flag(**flag) for flag in rest["flags"]),
            side_known=rest["side_known"],
        )

    def add(self, key: str, volume: Volume) -> None:
        """Keep a volume; it is on disk when this returns. Nothing is done where its key is there already."""
        if volume.data.shape != (1, *self._shape) or volume.data.dtype != np.float32:
            raise ValueError(f"a volume {volume.data.shape} {volume.data.dtype}, where the cache holds {self._shape}")
        data = np.ascontiguousarray(volume.data)
        rest = {
            "affine": volume.affine.tolist(),
            "steps": volume.steps,
            "flags": [asdict(flag) for flag in volume.flags],
            "side_known": volume.side_known,
        }
        with self._refusing(), self._locked():
            self._refresh()
            if key in self._entries:
                return
            self._write(VOLUMES, len(self._entries) * self._bytes, data.tobytes())
            line = json.dumps({"key": key, "checksum": crc32(data), **rest}) + "\n"
            self._write(INDEX, self._read_to, line.encode())
            self._refresh()

    def _make(self, settings: str) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        for file in (self.folder / name for name in (VOLUMES, INDEX, LOCK)):
            if not file.exists():  # a whole cache can be read where nothing may be written
                file.touch()
        place = self.folder / SETTINGS
        if not place.exists():
            partial = self.folder / f".{secrets.token_hex(8)}.part"
            try:
                partial.write_text(settings, encoding="utf-8")
                partial.replace(place)
            finally:
                partial.unlink(missing_ok=True)
        elif place.read_bytes() != settings.encode():
            raise self._damaged("its settings are not what was written")

    def _refresh(self) -> None:
        """Read the lines of the index that were added since; one that is not whole yet is left for later."""
        with (self.folder / INDEX).open("rb") as file:
            file.seek(self._read_to)
            *lines, _ = file.read().split(b"\n")
        for line in lines:
            key, entry = self._parsed(line, len(self._entries))
            self._entries[key] = entry
            self._read_to += len(line) + 1
        if (self.folder / VOLUMES).stat().st_size < len(self._entries) * self._bytes:
            raise self._damaged("it lacks volumes that its index names")

    def _parsed(self, line: bytes, row: int) -> tuple[str, _Entry]:
        try:
            rest = json.loads(line)
            key, checksum = rest.pop("key"), rest.pop("checksum")
            whole = set(rest) == {"affine", "steps", "flags", "side_known"} and key not in self._entries
        except (ValueError, KeyError, TypeError, AttributeError):
            raise self._damaged(f"line {row + 1} of its index cannot be read") from None
        if not whole:
            raise self._damaged(f"line {row + 1} of its index is not what was written")
        return key, _Entry(row, checksum, rest)

    def _write(self, name: str, offset: int, content: bytes) -> None:
        """Put the content there, the end of the file; what was behind is dropped."""
        with (self.folder / name).open("r+b") as file:
            file.truncate(offset)
            file.seek(offset)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())

    def _damaged(self, what: str) -> CacheError:
        return CacheError(f"{self.folder}: a damaged cache, {what}; delete this folder, and it is made anew")

    @contextmanager
    def _refusing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise CacheError(
                f"{self.folder}: cannot hold a cache ({error.strerror or error}); give another folder, or leave it out"
            ) from error

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Alone among all processes; the lock is released with the file, also where the process is killed."""
        with (self.folder / LOCK).open("r+b") as file:
            _lock(file.fileno())
            yield


if sys.platform == "win32":
    import msvcrt

    def _lock(file: int) -> None:
        msvcrt.locking(file, msvcrt.LK_LOCK, 1)
else:
    import fcntl

    def _lock(file: int) -> None:
        fcntl.flock(file, fcntl.LOCK_EX)
