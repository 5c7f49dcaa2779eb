"""A scan on its way in: its name for messages, what the file system says, and what no scan of a head can be."""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from isal.igzip_lib import IsalError

from brain3d.scans.types import Flag, InputError

MIN_VOXELS = 16
MIN_FIELD_MM = 60.0
MAX_FIELD_MM = 1000.0
MIN_SPACING_MM, MAX_SPACING_MM = 0.05, 20.0
LARGEST, SMALLEST = 1e30, 1e-30

PathLike = str | os.PathLike[str]


def printable(name: str) -> str:
    """A name in one line of a terminal: blanks for breaks, question marks for what cannot be printed."""
    plain = name.replace("\n", " ").replace("\0", "\\0")
    return plain if plain.isprintable() else "".join(letter if letter.isprintable() else "?" for letter in plain)


class Source:
    """A file or folder on its way in: its path, and its name as the caller gave it, for messages.

    `files`, where there are any, are those of the DICOM study that is meant, of all that the path holds.
    """

    def __init__(self, given: PathLike, files: Sequence[Path] = ()) -> None:
        self.name = printable(str(given)) or "''"
        self.possible = bool(str(given)) and "\0" not in str(given)
        self.path = Path(given)
        self.files = tuple(files)

    def refuse(self, problem: str) -> InputError:
        """The error to raise: one line that names the input as the caller did."""
        return InputError(f"{self.name}: {problem}")


@contextmanager
def refusing(source: Source) -> Iterator[None]:
    """What the file system or a decompressor says against a source becomes an InputError, one line."""
    try:
        yield
    except FileNotFoundError:
        raise source.refuse("no such file; check the path") from None
    except PermissionError:
        raise source.refuse("not readable; check its permissions") from None
    except (EOFError, zlib.error, IsalError, gzip.BadGzipFile):  # type: ignore[misc]  # isal types its class wrongly
        raise source.refuse("the compressed data is damaged or cut short; copy or export it again") from None
    except OSError as error:
        raise source.refuse(f"cannot be read ({error.strerror or error}); check the file") from None


def absurd_spacing(spacing_mm: Sequence[float] | np.ndarray, counted: str = "") -> str:
    """The words for a voxel size that cannot be; `counted` says in which unit the header gave it."""
    words = " x ".join(f"{size:.3g}" for size in spacing_mm)
    return f"a voxel size of {words} mm{counted} cannot be right; correct the header"


def check_spacing(
    source: Source, affine: np.ndarray, shape: Sequence[int], counted: str = ""
) -> tuple[float, float, float]:
    """The voxel size in mm of a (4, 4) affine; InputError unless it and the field of view can be a head's."""
    spacing = np.sqrt((affine[:3, :3] ** 2).sum(axis=0))
    if not all(MIN_SPACING_MM <= mm <= MAX_SPACING_MM for mm in spacing):
        raise source.refuse(absurd_spacing(spacing, counted))
    field = spacing * np.array(shape)
    words = " x ".join(f"{mm:.0f}" for mm in field)
    if field.min() < MIN_FIELD_MM:
        raise source.refuse(f"too small ({words} mm); a scan must cover at least {MIN_FIELD_MM:.0f} mm each way")
    if field.max() > MAX_FIELD_MM:
        raise source.refuse(f"a field of view of {words} mm cannot be a head's; correct the header")
    return float(spacing[0]), float(spacing[1]), float(spacing[2])


def check_values(source: Source, data: np.ndarray) -> tuple[np.ndarray, tuple[Flag, ...]]:
    """The data with what is not a number, or beyond `LARGEST`, replaced by zero, and a flag where that was done."""
    low, high = float(data.min()), float(data.max())
    flags: tuple[Flag, ...] = ()
    if not -LARGEST <= low <= high <= LARGEST:
        usable = (data >= -LARGEST) & (data <= LARGEST)
        middle = usable[tuple(slice(n // 3, n - n // 3) for n in data.shape)]
        if middle.mean() < 0.5:
            raise source.refuse(f"most of its voxels are NaN, infinite or beyond {LARGEST:g}; export it again")
        count = int(usable.size - np.count_nonzero(usable))
        data[~usable] = 0.0
        low, high = float(data.min()), float(data.max())
        flags = (Flag("nan_background", f"{count} voxels are not numbers and were read as 0."),)
    if low == high:
        raise source.refuse("an empty image, every voxel has the same value; give the scan itself")
    if high - low < SMALLEST:
        raise source.refuse("values too small to be intensities; check their byte order and scaling")
    return data, flags
