"""Preprocessing: the published one written plainly, the same done well, and this package's own, on the same scans.

Reads the FLAIR scans of a folder in the layout of BraTS, SUBJECT/SUBJECT_flair.nii.gz, and draws phantoms. All in one
run of one thread, side by side; seconds are those of the processor, so that what else a machine does counts for little.
"""

from __future__ import annotations

import gzip
import io
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import torch
from isal import igzip

import machine
from brain3d.phantom.cohort import canonical_affine, grid_at, reorder, stored_image
from brain3d.phantom.draw import draw_phantom
from brain3d.scans import PUBLISHED_SHAPE, VolumeSpec, prepare, published_volume, read_scan, write_scan

SPEC = VolumeSpec(shape=(36, 40, 40), spacing_mm=4.5)  # of the embedded model
FIRST_SEED = 3_000_000
Row = tuple[str, float, str, str]


def plain_read(path: Path) -> np.ndarray:
    """A scan as (z, y, x) float32, nearest to right, anterior, superior, as nibabel reads it."""
    image = nib.as_closest_canonical(nib.load(path))
    return np.ascontiguousarray(image.get_fdata(dtype=np.float32).transpose(2, 1, 0))


def plain_volume(data: np.ndarray) -> np.ndarray:
    """The published preprocessing of a (z, y, x) array, each step by NumPy or torch: (1, 64, 128, 128)."""
    low, high = np.percentile(data, (1, 99))
    scaled = (np.clip(data, low, high) - low) / (high - low)
    volume = torch.from_numpy(scaled.astype(np.float32))[None, None]
    resize = torch.nn.functional.interpolate
    return resize(volume, size=PUBLISHED_SHAPE, mode="trilinear", align_corners=False)[0].numpy()


def gunzip(content: bytes, size: int, kind: type[gzip.GzipFile] | type[igzip.IGzipFile]) -> None:
    """Decompress as `read_scan` does: what the header promises, then the rest, which is none."""
    with kind(fileobj=io.BytesIO(content)) as file:
        file.read(size)
        file.read(1)


def seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def compare(path: Path, repeats: int) -> dict[str, list[float]]:
    """The seconds of every way, `repeats` times in turn, and how far the two published ones are apart."""
    content, data, scan = path.read_bytes(), plain_read(path), read_scan(path)
    size = len(igzip.decompress(content))
    ways: dict[str, Callable[[], object]] = {
        "gzip": lambda: gunzip(content, size, gzip.GzipFile),
        "isal": lambda: gunzip(content, size, igzip.IGzipFile),
        "plain read": lambda: plain_read(path),
        "read": lambda: read_scan(path),
        "plain": lambda: plain_volume(data),
        "well": lambda: published_volume(scan),
        "default": lambda: prepare(scan, SPEC),
    }
    for work in ways.values():
        work()
    found: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, work in ways.items():
            found[name].append(seconds(work))
    found["apart"] = [float(np.abs(plain_volume(data) - published_volume(scan).data).max())]
    return found


def rows(title: str, measured: list[dict[str, list[float]]]) -> list[Row]:
    """Medians over scans and repeats; ratios are of measurements that stood side by side."""

    def all_of(name: str) -> np.ndarray:
        return np.array([value for scan in measured for value in scan[name]])

    def ms(name: str) -> float:
        return float(np.median(all_of(name))) * 1000

    def ratio(one: str, other: str) -> float:
        return float(np.median(all_of(one) / all_of(other)))

    return [
        (f"{title}: decompression, Python's gzip", ms("gzip"), "ms", ""),
        (f"{title}: decompression, isal", ms("isal"), "ms", ""),
        (f"{title}:   times faster", ratio("gzip", "isal"), "x", "target > 1"),
        (f"{title}: reading as a whole, nibabel", ms("plain read"), "ms", ""),
        (f"{title}: reading as a whole, read_scan, with hash and checks", ms("read"), "ms", ""),
        (f"{title}: after reading, published, plain", ms("plain"), "ms", ""),
        (f"{title}: after reading, published, done well", ms("well"), "ms", ""),
        (f"{title}:   times faster", ratio("plain", "well"), "x", "target >= 2.5"),
        (f"{title}:   greatest difference", float(all_of("apart").max()) * 1e6, "e-6", "target <= 100"),
        (f"{title}: after reading, default, with midline and brain", ms("default"), "ms", ""),
        (f"{title}:   times the plain published one", ratio("default", "plain"), "x", "target <= 2"),
    ]


def write_phantoms(folder: Path, count: int, spacing_mm: float) -> list[Path]:
    """Phantoms as files of int16, stored as BraTS stores its scans."""
    grid, paths = grid_at(spacing_mm), []
    for seed in range(FIRST_SEED, FIRST_SEED + count):
        image, affine = reorder(stored_image(draw_phantom(seed, grid=grid)), canonical_affine(grid), "LPS")
        paths.append(folder / f"phantom-{spacing_mm:g}-{seed}.nii.gz")
        write_scan(paths[-1], image, affine, np.int16)
    return paths


def main() -> None:
    parser = machine.parser(__doc__)
    parser.add_argument("images", type=Path, nargs="?", help="the folder that holds the subjects' folders")
    parser.add_argument("--phantoms", type=int, default=3, help="of each spacing (default: 3)")
    parser.add_argument("--spacing", type=float, nargs="*", default=[1.0, 2.0], metavar="MM", help="default: 1 2")
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        sets = {
            f"phantoms, {mm:g} mm": write_phantoms(Path(folder), arguments.phantoms, mm) for mm in arguments.spacing
        }
        if arguments.images is not None:
            sets = {"real": sorted(arguments.images.glob("*/*_flair.nii.gz")), **sets}
        if not all(sets.values()):
            raise SystemExit(f"{arguments.images}: no SUBJECT/SUBJECT_flair.nii.gz below it")
        found = {name: [compare(path, arguments.repeats) for path in paths] for name, paths in sets.items()}
    table = [row for name, measured in found.items() for row in rows(name, measured)]
    machine.show(table, arguments.json)


if __name__ == "__main__":
    main()
