"""How fast cached volumes load, beside reading the same bytes from the same file: is it the disk or Python that counts?

Every way puts each volume into the same array, one by one, in order and at random. From memory, where the file was just
read, seconds are those of the processor. From the disk, which the kernel is made to read again, they are those on the
clock, since waiting counts; what of them the processor worked is shown beside.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

import machine
from brain3d.scans import Volume, VolumeSpec
from brain3d.scans.cache import VOLUMES, VolumeCache, scan_key

SPEC = VolumeSpec(shape=(36, 40, 40), spacing_mm=4.5)  # of the embedded model
Load = Callable[[Path, Sequence[int], np.ndarray], None]


def fill(folder: Path, count: int) -> None:
    """A cache of volumes of noise: what they hold makes no difference."""
    rng, cache = np.random.default_rng(0), VolumeCache(folder, SPEC)
    affine = np.diag([SPEC.spacing_mm] * 3 + [1.0])
    for number in tqdm(range(count), desc="filling the cache", unit="volume"):
        cache.add(scan_key(str(number)), Volume(rng.random((1, *SPEC.shape), dtype=np.float32), affine))


def raw(folder: Path, order: Sequence[int], target: np.ndarray) -> None:
    """The bytes of each volume by the system's own call, without a buffer: the least that reading a file can cost."""
    (path,) = folder.glob(f"*/{VOLUMES}")
    size = target[0].nbytes
    with path.open("rb", buffering=0) as file:
        for number in order:
            file.seek(number * size)
            if file.readinto(target[number]) != size:
                raise OSError("a volume came in parts")


def bare_map(folder: Path, order: Sequence[int], target: np.ndarray) -> None:
    """Each volume out of a memory map of the file, without a cache around it."""
    (path,) = folder.glob(f"*/{VOLUMES}")
    volumes = np.memmap(path, np.float32, "r", shape=target.shape)
    for number in order:
        target[number] = volumes[number]


def mapped(folder: Path, order: Sequence[int], target: np.ndarray) -> None:
    """Each volume out of the cache's memory map, the cache opened and its index read anew."""
    volumes = VolumeCache(folder, SPEC).volumes()
    for number in order:
        target[number] = volumes[number]


def checked(folder: Path, order: Sequence[int], target: np.ndarray) -> None:
    """Each volume by its key, its checksum compared, with its affine, steps and flags: what `evaluate` asks for."""
    cache = VolumeCache(folder, SPEC)
    for number in order:
        volume = cache.get(scan_key(str(number)))
        assert volume is not None
        target[number] = volume.data[0]


WAYS: dict[str, Load] = {
    "raw reading": raw,
    "a bare memory map": bare_map,
    "the cache's memory map": mapped,
    "by key, with checksum": checked,
}


def forget(folder: Path) -> None:
    """Have the kernel drop the file from memory. Only what nothing maps any more is dropped."""
    (path,) = folder.glob(f"*/{VOLUMES}")
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def measure(folder: Path, count: int, repeats: int, *, at_random: bool, cold: bool) -> dict[str, np.ndarray]:
    """Of each way, in turn: (repeats, 2), seconds on the clock and of the processor."""
    order = np.random.default_rng(1).permutation(count).tolist() if at_random else list(range(count))
    target = np.zeros((count, *SPEC.shape), np.float32)
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in WAYS}
    for _ in range(repeats):
        for name, load in WAYS.items():
            if cold:
                forget(folder)
            clock, processor = time.perf_counter(), time.process_time()
            load(folder, order, target)
            found[name].append((time.perf_counter() - clock, time.process_time() - processor))
    return {name: np.array(seconds) for name, seconds in found.items()}


def rows(arguments: argparse.Namespace, folder: Path) -> list[tuple[str, float, str, str]]:
    """Medians, and medians of ratios to raw reading that stood side by side."""
    table = []
    for cold in (False, True):
        for at_random in (False, True):
            found = measure(folder, arguments.count, arguments.repeats, at_random=at_random, cold=cold)
            title = f"{'from the disk' if cold else 'from memory'}, {'at random' if at_random else 'in order'}"
            for name, seconds in found.items():
                clock, processor = np.median(seconds, axis=0) * 1000
                counted = seconds[:, 0 if cold else 1]
                ratio = np.median(counted / found["raw reading"][:, 0 if cold else 1])
                words = f"{ratio:.2f} x raw" + (f"; the processor worked {processor:.0f} ms" if cold else "")
                table.append((f"{title}: {name}", float(clock if cold else processor), "ms", words))
    return table


def main() -> None:
    parser = machine.parser(__doc__)
    parser.add_argument("--count", type=int, default=1000, help="how many volumes (default: 1000)")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--folder", type=Path, help="where the cache is made and removed: the disk to be measured")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        start = time.perf_counter()
        fill(Path(name), arguments.count)
        each = (time.perf_counter() - start) / arguments.count * 1000
        megabytes = arguments.count * np.prod(SPEC.shape) * 4 / 1e6
        table = [
            (f"{arguments.count} volumes", float(megabytes), "MB", ""),
            ("adding one, on the disk when done", each, "ms", "on the clock"),
            *rows(arguments, Path(name)),
        ]
    machine.show(table, arguments.json)


if __name__ == "__main__":
    main()
