"""DICOM studies: cut short, too large to be, contradicting themselves, or of what is no scan."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from bad_archives import MIB, _elements
from dicom_studies import as_bytes, multiframe_of
from pydicom.uid import DeflatedExplicitVRLittleEndian, RLELossless
from sound import AFFINE, Harmless, Make, Member, put, slices, study, voxels

ALL_DAMAGED = "damaged or cut short: all DICOM files .*; copy or export them again$"
NO_PLACE = "do not say where they lie; give the axes"
MARKED = bytes(128) + b"DICM"
SEQUENCE = b"\x08\x00\x40\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
META_BYTES = 300


def _series(**elements: Any) -> Make:
    """The sound series with elements of every slice overwritten; None removes one."""
    return lambda folder: study(slices(**elements), folder)


def _files(change: Callable[[list[bytes]], list[bytes]]) -> Make:
    return lambda folder: study(change(slices()), folder)


def _each(change: Callable[[bytes], bytes]) -> Make:
    return _files(lambda files: list(map(change, files)))


def _one(content: bytes | Callable[[], bytes]) -> Make:
    """One file without a folder."""
    return lambda folder: put(content if isinstance(content, bytes) else content(), "study.dcm")(folder)


def _frames(**elements: Any) -> bytes:
    return as_bytes(multiframe_of(voxels().astype(np.float32), AFFINE, **elements))


def _syntax(content: bytes) -> bytes:
    return content.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.19999.1.2.1\0")


def _renamed(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    return lambda content: content.replace(old, new)


def _compressed(content: bytes) -> bytes:
    """Called RLE, though its pixels are plain."""
    return content.replace(b"UI\x14\x001.2.840.10008.1.2.1\0", f"UI\x14\0{RLELossless}\0".encode())


def _deflated_bomb() -> bytes:
    """A deflated dataset of 128 MiB of zeros, which are elements without end."""
    sound = multiframe_of(voxels().astype(np.float32), AFFINE)
    content = as_bytes(sound, DeflatedExplicitVRLittleEndian)
    start = content.find(str(DeflatedExplicitVRLittleEndian).encode()) + 22
    packer = zlib.compressobj(9, wbits=-15)
    return content[:start] + packer.compress(bytes(128 * MIB)) + packer.flush()


def _shifted(files: list[bytes]) -> list[bytes]:
    """Every second slice without its last pixels."""
    return [content[:-50] if number % 2 else content for number, content in enumerate(files)]


def _elements_in_a_folder(count: int, n_files: int, folder: Path) -> Path:
    return study([_elements(count)] * n_files, folder)


MEMBERS = (
    Member("dicom_preamble_alone", _one(bytes(128)), "not a NIfTI file, and no DICOM"),
    Member("dicom_mark_alone", _one(MARKED), ALL_DAMAGED),
    Member("dicom_cut_in_the_meta_group", _each(lambda content: content[:200]), ALL_DAMAGED),
    Member(
        "dicom_cut_in_the_dataset", _each(lambda content: content[: META_BYTES + 200]), "no pixel data|damaged|DICOM"
    ),
    Member("dicom_cut_before_the_pixels", _each(lambda content: content[: -(32 * 40 * 2)]), "cut short"),
    Member("dicom_cut_in_the_pixels", _each(lambda content: content[:-1000]), "cut short"),
    Member("dicom_cut_in_the_last_pixel", _each(lambda content: content[:-1]), "cut short"),
    Member("dicom_some_files_cut", _files(_shifted), "cut short: 16 of 33 files"),
    Member("dicom_frames_cut", _one(lambda: _frames()[:-40]), "cut short: 1 of 1 files"),
    Member("dicom_junk_behind_the_mark", _one(MARKED + np.random.default_rng(0).bytes(5000)), ALL_DAMAGED),
    Member("dicom_sequences_in_sequences", _one(MARKED + SEQUENCE * 10_000), ALL_DAMAGED),
    Member("dicom_element_of_gigabytes", _one(MARKED + b"\x08\x00\x05\x00UN\0\0\xf0\xff\xff\xff" + bytes(90)), "DICOM"),
    Member("dicom_rows_and_columns_of_terabytes", _series(Rows=65535, Columns=65535), "too large"),
    Member("dicom_more_rows_than_pixels", _series(Rows=400), "damaged or cut short|too large|field of view"),
    Member("dicom_no_rows", _series(Rows=0), "no matrix size"),
    Member("dicom_frames_of_millions", _one(lambda: _frames(NumberOfFrames=2**31 - 1)), ALL_DAMAGED),
    Member("dicom_frames_negative", _one(lambda: _frames(NumberOfFrames=-3)), ALL_DAMAGED),
    Member("dicom_frames_without_places", _one(lambda: _frames(PerFrameFunctionalGroupsSequence=None)), NO_PLACE),
    Member("dicom_no_position", _series(ImagePositionPatient=None), NO_PLACE),
    Member("dicom_no_orientation", _series(ImageOrientationPatient=None), NO_PLACE),
    Member("dicom_orientation_nan", _each(_renamed(b"1.000000000", b"nan        ")), NO_PLACE),
    Member("dicom_orientation_of_zeros", _series(ImageOrientationPatient=[0] * 6), NO_PLACE),
    Member("dicom_orientation_skewed", _series(ImageOrientationPatient=[1, 0, 0, 1, 0, 0]), NO_PLACE),
    Member("dicom_orientation_of_three", _series(ImageOrientationPatient=[1, 0, 0]), NO_PLACE),
    Member("dicom_all_at_one_place", _series(ImagePositionPatient=[0, 0, 0]), "duplicate positions"),
    Member(
        "dicom_position_huge", _series(ImagePositionPatient=["1e300", 0, 0]), "duplicate|NaN|DICOM|places|positions"
    ),
    Member("dicom_missing_slices", _files(lambda files: files[:10] + files[13:]), "missing slices: 3"),
    Member("dicom_single_slice", _files(lambda files: files[:1]), "a single slice"),
    Member("dicom_every_slice_twice", _files(lambda files: files * 2), "duplicate positions"),
    Member("dicom_pixel_spacing_zero", _series(PixelSpacing=[0, 0]), "pixel sizes of zero or less"),
    Member("dicom_pixel_spacing_negative", _series(PixelSpacing=[-5, 5]), "pixel sizes of zero or less"),
    Member("dicom_pixel_spacing_overflows", _series(PixelSpacing=["1e308", "1e308"]), "voxel size"),
    Member("dicom_pixel_spacing_missing", _series(PixelSpacing=None), "pixel sizes"),
    Member("dicom_slope_zero", _series(RescaleSlope=0), "rescale slope of 0"),
    Member("dicom_slope_huge", _series(RescaleSlope="1e300"), "most of its voxels"),
    Member("dicom_slope_tiny", _series(RescaleSlope="1e-35", RescaleIntercept=0), "too small to be intensities"),
    Member("dicom_slope_that_vanishes", _series(RescaleSlope="1e-300", RescaleIntercept=0), "empty image"),
    Member("dicom_bits_of_seven", _series(BitsAllocated=7), "pixel data that is damaged"),
    Member("dicom_bits_stored_beyond_allocated", _series(BitsStored=99), "pixel data that is damaged"),
    Member(
        "dicom_no_bits", _each(_renamed(b"\x28\x00\x00\x01US", b"\x28\x00\x03\x01US")), "pixel data that is damaged"
    ),
    Member("dicom_pixels_of_no_length", _series(PixelData=b""), "damaged|pixel data|cut short"),
    Member("dicom_pixels_all_alike", _series(PixelData=bytes(32 * 40 * 2)), "empty image"),
    Member("dicom_no_pixels", _series(PixelData=None), "no pixel data"),
    Member("dicom_unknown_transfer_syntax", _each(_syntax), "transfer syntax that is not of the standard"),
    Member("dicom_called_compressed_and_plain", _each(_compressed), "damaged|cut short|RLE"),
    Member("dicom_deflated_bomb", _one(_deflated_bomb), "more to be read than a study holds"),
    Member(
        "dicom_computed_tomography",
        _series(SOPClassUID="1.2.840.10008.5.1.4.1.1.2", Modality="CT"),
        "CT images, not MR",
    ),
    Member("dicom_colour", _series(SamplesPerPixel=3, PhotometricInterpretation="RGB"), "colour images"),
    Member(
        "dicom_elements_without_end", lambda f: put(_elements(16_000_000), "study.dcm")(f), "damaged|more to be read"
    ),
    Member(
        "dicom_files_of_elements_without_end", partial(_elements_in_a_folder, 1_000_000, 12), "damaged|more to be read"
    ),
)

HARMLESS = (
    Harmless("sound_study", _files(lambda files: files)),
    Harmless("sound_frames", _one(_frames)),
    Harmless("study_with_a_damaged_file", _files(lambda files: [*files, MARKED + b"\xff" * 300]), ("damaged_files",)),
)
