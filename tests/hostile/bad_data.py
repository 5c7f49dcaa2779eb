"""NIfTI files whose data is cut short or holds what are no intensities."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import nibabel as nib
import numpy as np
from sound import Harmless, Make, Member, lazily, nifti, packed, put, voxels

NO_NIFTI = "not a NIfTI file, and no DICOM; give"
CUT = "cut short: .*; copy or export it again$"
MOST = "most of its voxels"
WHOLE = 352 + voxels().size * 2
PLACES = {
    "at_the_first_byte": (1, NO_NIFTI),
    "after_the_size": (4, NO_NIFTI),
    "within_the_dimensions": (43, NO_NIFTI),
    "within_the_magic": (346, NO_NIFTI),
    "at_the_end_of_the_header": (348, CUT),
    "within_the_extension_flag": (350, CUT),
    "before_the_first_voxel": (352, CUT),
    "within_the_first_voxel": (353, CUT),
    "amid_the_data": (WHOLE // 2, CUT),
    "within_the_last_voxel": (WHOLE - 1, CUT),
}


def _cut(length: int) -> bytes:
    return nifti()[:length]


def _cut_in_extension() -> bytes:
    plain = nifti(vox_offset=2352)
    return (plain[:348] + b"\1\0\0\0" + np.array([2000, 4], "<i4").tobytes() + bytes(1992))[:1000]


def _of(change: Callable[[np.ndarray], np.ndarray], kind: str = "f4") -> Make:
    """The sound scan in another number type, its values changed."""
    return lazily(lambda: nifti(change(voxels().astype(kind))))


def _some(value: float, share: float = 1.0) -> Callable[[np.ndarray], np.ndarray]:
    """Some of the voxels, all over the image, replaced by a value."""

    def change(data: np.ndarray) -> np.ndarray:
        return np.where(np.random.default_rng(0).random(data.shape) < share, data.dtype.type(value), data)

    return change


def _infinities(data: np.ndarray) -> np.ndarray:
    return np.where(np.indices(data.shape).sum(axis=0) % 2, data.dtype.type(np.inf), data.dtype.type(-np.inf))


def _around(value: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda data: np.where(data > 0, data, data.dtype.type(value))


def _noise(data: np.ndarray) -> np.ndarray:
    return np.random.default_rng(0).normal(100, 30, data.shape).astype(data.dtype)


def _one(data: np.ndarray) -> np.ndarray:
    alone = np.zeros_like(data)
    alone[tuple(n // 2 for n in data.shape)] = 1000
    return alone


def _small(data: np.ndarray) -> np.ndarray:
    alone = np.zeros_like(data)
    alone[14:18, 18:22, 14:18] = 100
    return alone


def _other_order() -> bytes:
    """Numbers in the other byte order than the header says."""
    return nifti(voxels().astype("f4"))[:352] + voxels().astype(">f4").tobytes(order="F")


MEMBERS = (
    Member("empty_file", put(b""), NO_NIFTI),
    *(Member(f"cut_{where}", lazily(partial(_cut, at)), words) for where, (at, words) in PLACES.items()),
    *(
        Member(f"compressed_cut_{where}", lazily(lambda at=at: packed(_cut(at)), "scan.nii.gz"), words)  # type: ignore[misc]
        for where, (at, words) in PLACES.items()
    ),
    Member("nifti2_cut_in_the_header", lazily(lambda: nifti(kind=nib.Nifti2Image)[:500]), NO_NIFTI),
    Member("cut_within_the_extension", lazily(_cut_in_extension), CUT),
    Member("all_nan", _of(_some(np.nan)), MOST),
    Member("all_infinite", _of(_some(np.inf)), MOST),
    Member("infinities_of_both_signs", _of(_infinities), MOST),
    Member("most_nan", _of(_some(np.nan, 0.7)), MOST),
    Member("doubles_that_overflow", _of(_some(1e300), "f8"), MOST),
    Member("largest_doubles_of_both_signs", _of(lambda data: np.where(data > 0, 1.7e308, -1.7e308), "f8"), MOST),
    Member("values_of_no_measurement", _of(lambda data: data * np.float32(1e35)), MOST),
    Member("denormals", _of(lambda data: data * np.float32(1e-43)), "too small to be intensities"),
    Member("numbers_in_the_other_byte_order", lazily(_other_order), "byte order|most of its voxels"),
    Member("all_zero", _of(_some(0)), "empty image"),
    Member("all_alike", _of(_some(7)), "empty image"),
    Member("one_voxel_stands_out", _of(_one), "scan of a head"),
    Member("noise", _of(_noise), "scan of a head"),
    Member("a_head_of_two_centimetres", _of(_small), "one value throughout"),
)

HARMLESS = (
    Harmless("nan_around_the_head", _of(_around(np.nan)), ("nan_background",)),
    Harmless("infinite_around_the_head", _of(_around(-np.inf)), ("nan_background",)),
    Harmless("lowest_float_around_the_head", _of(_around(-3.4e38)), ("nan_background",)),
    Harmless("doubles_overflow_around_the_head", _of(_around(1e300), "f8"), ("nan_background",)),
    Harmless("a_little_behind_the_data", lazily(lambda: nifti() + bytes(1000))),
)
