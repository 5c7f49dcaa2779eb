"""NIfTI headers that are wrong, contradict themselves, or claim what no scan is."""

from __future__ import annotations

from functools import partial
from typing import Any

import nibabel as nib
import numpy as np
from sound import AFFINE, Harmless, Make, Member, lazily, nifti, overwritten, voxels

TWO = nib.Nifti2Image
NAN, INF = float("nan"), float("inf")
DAMAGED = "a damaged NIfTI header .*; export it again$"
VOXEL_SIZE = "voxel size of .*correct the header$"
AXES = "give the axes"


def _with(**fields: Any) -> Make:
    return lazily(partial(nifti, **fields))


def _at(position: int, form: str, value: Any, kind: Any = nib.Nifti1Image) -> Make:
    return lazily(lambda: overwritten(nifti(kind=kind), position, form, value))


def _dims(*dims: int) -> list[int]:
    return [len(dims), *dims, *[1] * (7 - len(dims))]


def _swapped_header() -> bytes:
    """A header of one byte order with the number of dimensions, by which the order is told, in the other."""
    plain = nifti()
    return plain[:40] + np.array(_dims(*voxels().shape), ">i2").tobytes() + plain[56:]


def _extended(size: int, code: int = 4) -> bytes:
    """A file with one extension of 32 bytes, which says that it has `size`."""
    plain = nifti(vox_offset=384)
    block = np.array([size, code], "<i4").tobytes() + bytes(24)
    return plain[:348] + b"\1\0\0\0" + block + plain[352:]


def _form(**fields: Any) -> Make:
    """Of the qform alone, which takes the voxel sizes from `pixdim`."""
    return _with(sform_code=0, **fields)


def _pixdim(*sizes: float, first: float = 1.0) -> list[float]:
    return [first, *sizes, 0, 0, 0, 0]


MEMBERS = (
    Member("nifti1_wrong_magic", _with(magic=b"n+9"), "not a NIfTI file, and no DICOM; give"),
    Member("nifti2_wrong_magic", _with(kind=TWO, magic=b"n+9"), "not a NIfTI file, and no DICOM; give"),
    Member("nifti2_transfer_damage", _with(kind=TWO, eol_check=[13, 10, 10, 10]), "changed as if it were text"),
    Member("header_size_zero", _at(0, "<i", 0), DAMAGED),
    Member("header_size_of_nifti2_in_nifti1", _at(0, "<i", 540), DAMAGED),
    Member("header_size_of_nifti1_in_nifti2", _at(0, "<i", 348, TWO), DAMAGED),
    Member("byte_order_contradicted_by_the_size", _at(0, ">i", 348), DAMAGED),
    Member("byte_order_contradicted_by_the_dimensions", lazily(_swapped_header), DAMAGED),
    Member("no_dimensions", _with(dim=[0] * 8), DAMAGED),
    Member("eight_dimensions", _with(dim=[8, *voxels().shape, 1, 1, 1, 1]), DAMAGED),
    Member("negative_dimension", _with(dim=_dims(-32, 40, 33)), DAMAGED),
    Member("zero_dimension", _with(dim=_dims(0, 40, 33)), DAMAGED),
    Member("dimensions_of_terabytes", _with(dim=_dims(32767, 32767, 32767)), "too large .*resample"),
    Member("nifti2_dimensions_of_exabytes", _with(kind=TWO, dim=_dims(2**20, 2**20, 2**20)), "too large"),
    Member("nifti2_dimensions_that_overflow", _with(kind=TWO, dim=_dims(2**62, 4, 2**62)), "too small|too large"),
    Member("nifti2_product_that_wraps_to_zero", _with(kind=TWO, dim=_dims(2**32, 2**32, 16)), "too large"),
    Member("dimensions_beyond_the_file", _with(dim=_dims(320, 40, 33)), "cut short"),
    Member("time_series", _with(dim=_dims(32, 40, 3, 11)), "4-D series"),
    Member("seven_dimensions", _with(dim=[7, 16, 16, 16, 2, 2, 2, 2]), "7-D series"),
    Member("two_dimensions", _with(dim=_dims(1320, 32)), "a 2-D image"),
    Member("datatype_unknown", _with(datatype=77), DAMAGED),
    Member("datatype_zero", _with(datatype=0), DAMAGED),
    Member("datatype_complex", _with(datatype=32, bitpix=64, dim=_dims(16, 20, 16)), "complex64 values"),
    Member("datatype_colour", _with(datatype=128, bitpix=24, dim=_dims(16, 20, 16)), "colour values"),
    Member("bits_contradict_the_datatype", _with(bitpix=64), DAMAGED),
    Member("bits_negative", _with(bitpix=-16), DAMAGED),
    Member("offset_negative", _with(vox_offset=-352), DAMAGED),
    Member("offset_inside_the_header", _with(vox_offset=100), DAMAGED),
    Member("offset_beyond_the_file", _with(vox_offset=10_000_000), "cut short"),
    Member("offset_nan", _with(vox_offset=NAN), DAMAGED),
    Member("offset_infinite", _with(vox_offset=INF), DAMAGED),
    Member("offset_huge", _with(vox_offset=1e30), DAMAGED),
    Member("nifti2_offset_overflows", _with(kind=TWO, vox_offset=2**63 - 1), DAMAGED),
    Member("spacing_zero", _form(pixdim=_pixdim(0, 5, 5)), f"{VOXEL_SIZE}|{AXES}"),
    Member("spacing_negative", _form(pixdim=_pixdim(-5, 5, 5)), VOXEL_SIZE),
    Member("spacing_nan", _form(pixdim=_pixdim(NAN, 5, 5)), VOXEL_SIZE),
    Member("spacing_infinite", _form(pixdim=_pixdim(INF, 5, 5)), VOXEL_SIZE),
    Member("spacing_microscopic", _with(sform=np.diag([1e-4, 5, 5, 1])), VOXEL_SIZE),
    Member("spacing_of_metres", _with(sform=np.diag([5e3, 5, 5, 1])), VOXEL_SIZE),
    Member("unit_of_metres", _with(xyzt_units=1), VOXEL_SIZE),
    Member("unit_of_microns", _with(xyzt_units=3), VOXEL_SIZE),
    Member("handedness_of_seven", _form(pixdim=_pixdim(5, 5, 5, first=7)), AXES),
    Member("slope_infinite", _with(scl_slope=INF), DAMAGED),
    Member("intercept_nan", _with(scl_slope=2.0, scl_inter=NAN), DAMAGED),
    Member("intercept_infinite", _with(scl_slope=2.0, scl_inter=INF), DAMAGED),
    Member("slope_that_overflows", _with(scl_slope=3e38), "most of its voxels"),
    Member("slope_that_vanishes", _with(scl_slope=1e-40), "too small to be intensities"),
    Member("affine_singular", _with(srow_x=[0, 5, 0, 0], qform_code=0), f"singular.*{AXES}"),
    Member("affine_of_zeros", _with(srow_x=[0] * 4, srow_y=[0] * 4, srow_z=[0] * 4, qform_code=0), AXES),
    Member("affine_nan", _with(srow_y=[NAN, 5, 0, 0], qform_code=0), f"NaN or infinity.*{AXES}"),
    Member("affine_infinite", _with(srow_z=[0, 0, INF, 0], qform_code=0), f"NaN or infinity.*{AXES}"),
    Member("affine_translated_to_the_moon", _with(srow_x=[5, 0, 0, 3e11], qform_code=0), AXES),
    Member("affine_translated_by_nan", _with(srow_x=[5, 0, 0, NAN], qform_code=0), AXES),
    Member("quaternion_longer_than_one", _form(quatern_b=2.0), f"qform is damaged.*{AXES}"),
    Member("quaternion_nan", _form(quatern_b=NAN), AXES),
    Member("no_orientation", _with(sform_code=0, qform_code=0), AXES),
    Member("orientations_that_disagree", _with(qform=AFFINE @ np.diag([-1, 1, 1, 1])), "two orientations disagree"),
)

HARMLESS = (
    Harmless("sound_nifti1", _with()),
    Harmless("sound_nifti2", _with(kind=TWO)),
    Harmless("sound_big_endian", _with(endian=">")),
    Harmless("slope_nan_means_none", _with(scl_slope=NAN)),
    Harmless("bits_zero", _with(bitpix=0)),
    Harmless("extension_that_claims_gigabytes", lazily(partial(_extended, 2**31 - 16))),
    Harmless("extension_of_negative_size", lazily(partial(_extended, -32))),
    Harmless("extension_of_no_size", lazily(partial(_extended, 0))),
    Harmless("extension_of_an_odd_size", lazily(partial(_extended, 7, -1))),
)
