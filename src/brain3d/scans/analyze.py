"""Analyze 7.5: a header (.hdr) beside its voxels (.img). It says how large voxels are, and not how they lie."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
from nibabel.analyze import AnalyzeHeader
from nibabel.nifti1 import Nifti1PairHeader

from brain3d.scans.compressed import opened
from brain3d.scans.source import Source

HEADER_BYTES = 348
_ENDINGS = ((".hdr", ".img"), (".hdr.gz", ".img.gz"))


def voxels_of(path: Path) -> Path:
    """The file with the voxels where a path is a header's (.hdr, .hdr.gz) and they are beside it; else the path."""
    image = next((_renamed(path, header, image) for header, image in _ENDINGS if _ends(path, header)), path)
    return image if image.is_file() else path


def is_analyze(path: Path) -> bool:
    """Whether a path is that of an Analyze image's voxels: in them is no mark, but the header is beside them."""
    return any(_ends(path, image) and _renamed(path, image, header).is_file() for header, image in _ENDINGS)


def header_of(path: Path) -> Path:
    """The header beside the voxels of an Analyze image."""
    return next(_renamed(path, image, header) for header, image in _ENDINGS if _ends(path, image))


def _ends(path: Path, ending: str) -> bool:
    return path.name.lower().endswith(ending)


def _renamed(path: Path, old: str, new: str) -> Path:
    stem, ending = path.name[: -len(old)], path.name[-len(old) :]
    return path.with_name(stem + (new.upper() if ending.isupper() else new))


def analyze_header(source: Source) -> tuple[Nifti1PairHeader, bytes]:
    """The header that lies beside the voxels of a source, without an orientation, and the bytes it was read from.

    Fields lie where NIfTI-1, its successor, has them (Mayo Clinic, Analyze 7.5 file format); SPM keeps its scale in
    the place of the slope. InputError where it is none.
    """
    with header_of(source.path).open("rb") as raw:
        block = opened(raw).read(HEADER_BYTES)
    if block[344:348] == b"ni1\0":
        raise source.refuse("one half of a .hdr/.img pair; convert it to a single .nii file")
    order = next((sign for sign in "<>" if block[:4] == struct.pack(f"{sign}i", HEADER_BYTES)), None)
    if len(block) < HEADER_BYTES or order is None:
        raise source.refuse("not an Analyze file, its .hdr is damaged; give a .nii or .nii.gz file")
    return _as_nifti(block, order), block


def _as_nifti(block: bytes, order: str) -> Nifti1PairHeader:
    stored = AnalyzeHeader(block, endianness=order, check=False)
    header = Nifti1PairHeader(endianness=order)
    for name in ("dim", "datatype", "bitpix", "vox_offset"):
        header[name] = stored[name]
    header["pixdim"] = np.abs(stored["pixdim"])  # programs that flip images say so by a sign, each in its own way
    (scale,) = struct.unpack_from(f"{order}f", block, 112)
    header["scl_slope"], header["scl_inter"] = (scale, 0.0) if np.isfinite(scale) and scale > 0 else (1.0, 0.0)
    return header
