"""Arrays kept on disk under hashes: bounded, checksummed, shared by processes, memory-mapped.

In a folder:
    entries/<key>.npy.crc   one array: a NumPy file, then the checksum of all that stands before it
    users/<random>          the keys that a process uses; it holds a lock on the file while it lives
    lock                    held while something is written or removed; how many bytes there are, at most
A key is a hash (`entry_key`): no name, path or date of a scan is in the folder.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import logging
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from isal.isal_zlib import crc32

from brain3d.scans.cache import CacheError
from brain3d.training.locks import lock, try_lock

SUFFIX = ".npy.crc"
DTYPES = ("float32", "float16")
_CHECKSUM_BYTES = 4
_log = logging.getLogger(__name__)


class DiskFull(CacheError):
    """The disk that holds the cache has no room left."""


class CacheTooSmall(CacheError):
    """What is in use fills the bound: nothing may be removed, nothing more can be added."""


def entry_key(**facts: str | int | bool) -> str:
    """The key of an array, from everything that it follows from."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


@dataclass
class Counts:
    """What became of a cache since it was opened."""

    found: int = 0
    added: int = 0
    damaged: int = 0
    removed: int = 0

    def to_dict(self) -> dict[str, int]:
        """The counts as plain JSON values."""
        return asdict(self)


class TokenCache:
    """Arrays by key, at most `max_gb` (10**9 bytes) of them; those that were used longest ago go first.

    Never removed is what this or another living process has got or added since it last called `release`. Writing is
    whole or not at all: a killed process leaves nothing that passes for an entry. A damaged entry is named in the log,
    counted in `counts.damaged`, removed, and reads as missing. Use it as a context, or `close` it.

    Args:
        folder: made where it is not there.
        max_gb: None for no bound.
        dtype: "float32", or "float16" at half the size and three digits; it has to be part of the key.
    """

    def __init__(self, folder: str | os.PathLike[str], *, max_gb: float | None = 20.0, dtype: str = "float32") -> None:
        if dtype not in DTYPES:
            raise ValueError(f"dtype is {dtype!r}, expected one of {', '.join(DTYPES)}")
        if max_gb is not None and max_gb <= 0:
            raise CacheError(f"{folder}: a cache of {max_gb:g} GB holds nothing; give more, or no bound")
        self.folder, self.dtype = Path(folder), np.dtype(dtype)
        self.bound = None if max_gb is None else int(max_gb * 1e9)
        self.counts = Counts()
        self._used: set[str] = set()
        with self._refusing():
            (self.folder / "entries").mkdir(parents=True, exist_ok=True)
            (self.folder / "users").mkdir(exist_ok=True)
            (self.folder / "lock").touch()
            self._user_path = self.folder / "users" / secrets.token_hex(8)
            with self._alone() as book:
                self._user: BinaryIO = self._user_path.open("w+b", buffering=0)
                lock(self._user)
                self._in_use()  # sweeps away the files of processes that ended
                _note(book, sum(size for _, size, _ in self._entries()))

    def __enter__(self) -> TokenCache:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __contains__(self, key: str) -> bool:
        """Whether there is an entry of that key; whether it is sound is seen when it is read."""
        return self._path(key).exists()

    def get(self, key: str) -> np.ndarray | None:
        """The array of this key, read-only in a memory map, its checksum compared; None where there is none."""
        path = self._path(key)
        with self._refusing():
            self._use(key)
            try:
                os.utime(path)
                mapped = np.memmap(path, np.uint8, "r")
            except FileNotFoundError:
                return None
            except ValueError:  # an empty file cannot be mapped
                self._drop(key, "it is empty")
                return None
        body, stored = mapped[:-_CHECKSUM_BYTES], mapped[-_CHECKSUM_BYTES:]
        if len(stored) < _CHECKSUM_BYTES or crc32(body) != int.from_bytes(stored.tobytes(), "little"):
            self._drop(key, "its checksum is wrong")
            return None
        self.counts.found += 1
        return _as_array(body)

    def add(self, key: str, array: np.ndarray) -> None:
        """Keep an array under a key, in the cache's dtype. Nothing is done where there is an entry already.

        Raises:
            CacheTooSmall: what is in use leaves no room within `max_gb`.
            DiskFull: the disk leaves none.
        """
        content = _as_bytes(np.asarray(array, self.dtype))
        partial = self._path(key).with_name(f".{secrets.token_hex(8)}.part")
        with self._refusing(len(content)), self._alone() as book:
            self._use(key)
            if key in self:
                return
            self._make_room(book, len(content))
            try:
                partial.write_bytes(content)
                partial.replace(self._path(key))
            finally:
                partial.unlink(missing_ok=True)
        self.counts.added += 1

    def release(self) -> None:
        """What this process used until now may be removed again, as after an epoch whose features do not return."""
        with self._refusing(), self._alone():
            self._used.clear()
            self._user.seek(0)
            self._user.truncate()

    def close(self) -> None:
        """Give everything free that this process used. Arrays that were got stay readable."""
        if not self._user.closed:
            self._user.close()
            self._user_path.unlink(missing_ok=True)

    def size(self) -> int:
        """Bytes of all entries."""
        with self._refusing(), self._alone():
            return sum(size for _, size, _ in self._entries())

    def _path(self, key: str) -> Path:
        return self.folder / "entries" / f"{key}{SUFFIX}"

    def _entries(self) -> list[tuple[int, int, str]]:
        """When each entry was last used, its bytes and its path; what killed processes left half-written is removed."""
        entries = []
        with os.scandir(self.folder / "entries") as found:
            for entry in found:
                if entry.name.endswith(SUFFIX):
                    entries.append((entry.stat().st_mtime_ns, entry.stat().st_size, entry.path))
                else:
                    os.unlink(entry.path)  # under the lock nobody is writing it
        return entries

    def _use(self, key: str) -> None:
        if key not in self._used:
            self._used.add(key)
            self._user.write(f"{key}\n".encode())

    def _drop(self, key: str, why: str) -> None:
        """Remove a damaged entry; a sound one that another process has put there meanwhile is only built again."""
        _log.warning("cache entry %s is damaged (%s): it is removed and built again", key[:16], why)
        self.counts.damaged += 1
        with self._refusing(), self._alone():
            self._path(key).unlink(missing_ok=True)

    def _make_room(self, book: BinaryIO, wanted: int) -> None:
        """Remove, where the bound asks for it, the entries unused for longest.

        The book says how many bytes there are at most, so that not every entry is looked at each time one is added. It
        is written before the entry: a process killed between the two leaves too large a number, never too small.
        """
        total = _noted(book)
        if total is None:
            total = sum(size for _, size, _ in self._entries())
        if self.bound is not None and total + wanted > self.bound:
            total = self._remove_oldest(self.bound, wanted)
        _note(book, total + wanted)

    def _remove_oldest(self, bound: int, wanted: int) -> int:
        """Bytes that are left once so many more fit; CacheTooSmall where they do not."""
        entries, in_use = self._entries(), self._in_use()
        total = sum(size for _, size, _ in entries)
        for _, size, path in sorted(entries):
            if total + wanted <= bound:
                break
            if Path(path).name.removesuffix(SUFFIX) not in in_use:
                os.unlink(path)
                self.counts.removed += 1
                total -= size
        if total + wanted > bound:
            raise CacheTooSmall(
                f"{self.folder}: its {bound / 1e9:g} GB are filled by what is in use; give it a larger bound (cache_gb)"
            )
        return total

    def _in_use(self) -> set[str]:
        """The keys that living processes use; the files of those that ended without a word are removed."""
        used = set(self._used)
        for path in (self.folder / "users").iterdir():
            if path == self._user_path:
                continue
            try:
                with path.open("rb") as file:
                    ended = try_lock(file)
                    used.update([] if ended else file.read().decode().split())
            except FileNotFoundError:  # its process closed it just now
                continue
            if ended:
                path.unlink(missing_ok=True)
        return used

    @contextmanager
    def _alone(self) -> Iterator[BinaryIO]:
        """While nobody else writes or removes anything: the file that says how many bytes there are at most."""
        with (self.folder / "lock").open("r+b", buffering=0) as file:
            lock(file)
            yield file

    @contextmanager
    def _refusing(self, wanted: int = 0) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise DiskFull(
                    f"{self.folder}: the disk is full, {wanted / 1e6:.1f} MB more do not fit; "
                    "free some of it, or give the cache another folder"
                ) from error
            raise CacheError(
                f"{self.folder}: cannot hold a cache ({error.strerror or error}); give another folder"
            ) from error


def _noted(book: BinaryIO) -> int | None:
    """Bytes of all entries, at most; None where the book does not say."""
    book.seek(0)
    text = book.read().strip()
    return int(text) if text.isdigit() else None


def _note(book: BinaryIO, total: int) -> None:
    book.seek(0)
    book.write(b"%20d" % total)  # always as long, so that nothing of an earlier number is left behind


def _as_bytes(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.ascontiguousarray(array), allow_pickle=False)
    content = buffer.getvalue()
    return content + crc32(content).to_bytes(_CHECKSUM_BYTES, "little")


def _as_array(body: np.ndarray) -> np.ndarray:
    """A NumPy file in memory, without a copy of its data."""
    head = io.BytesIO(body[:4096].tobytes())
    version: Any = np.lib.format.read_magic(head)
    assert version == (1, 0)
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(head)
    assert not fortran
    return body[head.tell() :].view(dtype).reshape(shape)
