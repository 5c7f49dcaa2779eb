"""Reading NIfTI files (and Analyze pairs), writing them, and refusing, with one line, what is no scan of a head."""

from __future__ import annotations

import gzip
import hashlib
import os
import secrets
from typing import IO, Any, NamedTuple

import nibabel as nib
import numpy as np
from nibabel.spatialimages import HeaderDataError

from brain3d.scans.analyze import analyze_header, is_analyze
from brain3d.scans.compressed import GZIP_MAGIC, MAX_DEFLATE_RATIO, is_compressed, opened
from brain3d.scans.forms import are_unset, chosen_affine, counted, header_forms, named_forms, unit_of
from brain3d.scans.nifti_data import Layout, read_voxels
from brain3d.scans.orientation import axis_codes
from brain3d.scans.source import MIN_VOXELS, PathLike, Source, check_spacing, check_values
from brain3d.scans.types import ORIENTATION_DOUBTFUL, SIDE_UNKNOWN, UNKNOWN_AXES, Flag, Scan, Stored

MAX_VOXELS = 2**27
MAX_DATA_BYTES = 2**30
MAX_HEADER_BYTES = 2**24
MAX_FILE_BYTES = MAX_DATA_BYTES + 2 * MAX_HEADER_BYTES
SUFFIXES = (".nii", ".nii.gz")


class _Checked(NamedTuple):
    """A header that was found sane, with what follows from it."""

    digest: str
    header: Any
    shape: tuple[int, int, int]
    affine: np.ndarray
    side_known: bool
    spacing_mm: tuple[float, float, float]
    compressed: bool
    flags: tuple[Flag, ...]

    @property
    def axes(self) -> str:
        return axis_codes(self.affine) if self.side_known else UNKNOWN_AXES


def read_nifti(source: Source, stated: str | None, without_side: bool) -> tuple[Scan, Stored]:
    """The scan in a NIfTI-1 or NIfTI-2 file (.nii, .nii.gz) or an Analyze pair, and how it is stored.

    `stated` (axes codes, or None) and `without_side` are `read_scan`'s. Raises InputError, and what `refusing`
    turns into one.
    """
    with source.path.open("rb") as raw:
        found = _check_header(source, raw, stated, without_side)
        dtype, offset = found.header.get_data_dtype(), _data_offset(source, found.header)
        data = read_voxels(source, raw, Layout(offset, found.shape, dtype, *_scaling(source, found.header)))
    data, flags = check_values(source, data)
    flags += found.flags
    scan = Scan(data, found.affine, found.axes, found.spacing_mm, found.digest, found.side_known, flags, source.name)
    return scan, _stored(source, found)


def stored_nifti(source: Source, stated: str | None, without_side: bool) -> Stored:
    """How the scan is stored that `read_nifti` would read; its voxels are hashed, but not read. Raises as that does."""
    with source.path.open("rb") as raw:
        return _stored(source, _check_header(source, raw, stated, without_side))


def _check_header(source: Source, raw: IO[bytes], stated: str | None, without_side: bool) -> _Checked:
    header, beside = analyze_header(source) if is_analyze(source.path) else (_read_header(source, raw), b"")
    shape = _check_shape(source, header)
    affine, side_known = chosen_affine(source, header, stated, without_side)
    spacing = check_spacing(source, affine, shape, counted(header))
    _scaling(source, header)
    digest = _digest(source, raw)
    digest.update(beside)
    flags = _orientation_flags(header, stated, side_known)
    return _Checked(digest.hexdigest(), header, shape, affine, side_known, spacing, is_compressed(raw), flags)


def _orientation_flags(header: Any, stated: str | None, side_known: bool) -> tuple[Flag, ...]:
    if not side_known:
        return (SIDE_UNKNOWN,)
    return (ORIENTATION_DOUBTFUL,) if stated is None and are_unset(header_forms(header)[0]) else ()


def _digest(source: Source, raw: IO[bytes]) -> Any:
    """The sha256 of the file's bytes, to which more can be added."""
    size = os.fstat(raw.fileno()).st_size
    if size > MAX_FILE_BYTES:
        raise source.refuse(f"too large a file ({size / 2**20:.0f} MiB); resample it to 1 mm, or export it again")
    raw.seek(0)
    return hashlib.file_digest(raw, "sha256")  # type: ignore[arg-type]


def _stored(source: Source, found: _Checked) -> Stored:
    header = found.header
    forms, unusable = named_forms(header)
    slope, intercept = _scaling(source, header)
    return Stored(
        sha256=found.digest,
        format="NIfTI-2" if isinstance(header, nib.Nifti2Header) else "NIfTI-1" if header.is_single else "Analyze 7.5",
        compressed=found.compressed,
        dtype=header.get_data_dtype().newbyteorder("=").name,
        byte_order="little" if header.endianness == "<" else "big",
        slope=slope,
        intercept=intercept,
        unit=unit_of(header)[0],
        axes=found.axes,
        side_known=found.side_known,
        forms=forms,
        unusable=unusable,
        flags=found.flags,
    )


def _read_header(source: Source, raw: IO[bytes]) -> Any:
    block = opened(raw).read(540)
    if block.startswith(GZIP_MAGIC):
        raise source.refuse("compressed twice, or no NIfTI file; decompress it once")
    if block[344:348] == b"ni1\0":
        raise source.refuse("one half of a .hdr/.img pair; convert it to a single .nii file")
    if block[4:8] == b"n+2\0" and block[8:12] not in (b"\r\n\x1a\n", bytes(4)):
        raise source.refuse("a NIfTI file that was changed as if it were text; copy it again, byte by byte")
    if block[4:8] == b"n+2\0" and len(block) == 540:
        kind = nib.Nifti2Header
    elif block[344:348] == b"n+1\0":
        kind, block = nib.Nifti1Header, block[:348]
    else:
        raise source.refuse("not a NIfTI file, and no DICOM; give a .nii or .nii.gz file, or a DICOM study")
    try:
        header = kind(block, check=False)
    except (HeaderDataError, ValueError, KeyError) as error:
        raise source.refuse(f"a damaged NIfTI header ({_first_line(error)}); export it again") from None
    try:
        header.get_data_dtype()
    except KeyError:
        code = int(header["datatype"])
        raise source.refuse(f"a damaged NIfTI header (there is no datatype {code}); export it again") from None
    _check_agreement(source, header)
    if header["pixdim"][0] == 0:  # of the quaternion's handedness; nifti1.h takes what is not said for 1
        header["pixdim"][0] = 1
    return header


def _check_agreement(source: Source, header: Any) -> None:
    """InputError where two fields say different things: of the byte order, or of the size of a voxel."""
    size, bits = int(header["sizeof_hdr"]), int(header["bitpix"])
    if size != header.sizeof_hdr:
        raise source.refuse(
            f"a damaged NIfTI header (a size of {size}, not {header.sizeof_hdr}, in the byte order of its dimensions); "
            "export it again"
        )
    stored = 8 * header.get_data_dtype().itemsize
    if bits not in (0, stored) and stored:
        code = int(header["datatype"])
        raise source.refuse(f"a damaged NIfTI header ({bits} bits, but datatype {code} has {stored}); export it again")


def _first_line(error: Exception) -> str:
    return str(error).strip("'\"").split("\n")[0]


def _check_shape(source: Source, header: Any) -> tuple[int, int, int]:
    """The 3-D shape, once dimensions, type and size have been found sane; nothing is allocated before."""
    rank = int(header["dim"][0])
    if not 1 <= rank <= 7:
        raise source.refuse(f"a damaged NIfTI header ({rank} dimensions); export it again")
    full = tuple(int(n) for n in header["dim"][1 : rank + 1])
    words = " x ".join(str(n) for n in full)
    if min(full) < 1:
        raise source.refuse(f"a damaged NIfTI header (dimensions {words}); export it again")
    shape = full
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) > 3:
        raise source.refuse(f"a {len(shape)}-D series ({words}), not one image; give a single 3-D scan")
    if len(shape) < 3 or shape[2] == 1:
        raise source.refuse(f"a 2-D image ({words}); give a 3-D scan")
    if min(shape) < MIN_VOXELS:
        raise source.refuse(f"too small ({words} voxels); a scan needs at least {MIN_VOXELS} along each axis")
    _check_size(source, header, shape, words)
    return shape[0], shape[1], shape[2]


def _check_size(source: Source, header: Any, shape: tuple[int, ...], words: str) -> None:
    dtype = header.get_data_dtype()
    if dtype.fields is not None or dtype.kind not in "iuf":
        what = "colour" if dtype.fields is not None else str(dtype)
        if dtype.kind == "V" and dtype.fields is None:
            code = int(header["datatype"])
            raise source.refuse(f"a damaged NIfTI header (datatype {code} holds no intensities); export it again")
        raise source.refuse(f"{what} values, not intensities; give the greyscale scan")
    voxels = shape[0] * shape[1] * shape[2]
    if voxels > MAX_VOXELS or voxels * dtype.itemsize > MAX_DATA_BYTES:
        raise source.refuse(f"too large ({words} voxels); check the header, or resample to 1 mm")
    offset = _data_offset(source, header)
    with source.path.open("rb") as file:
        ratio = MAX_DEFLATE_RATIO if file.read(2) == GZIP_MAGIC else 1
    if voxels * dtype.itemsize + offset > source.path.stat().st_size * ratio:
        raise source.refuse(f"cut short: smaller than its {words} voxels need; copy or export it again")


def _data_offset(source: Source, header: Any) -> int:
    """Where the voxels begin: behind the header and its extension flag. 0 leaves that unsaid; nothing lies before."""
    offset, first = float(header["vox_offset"]), int(header.single_vox_offset) if header.is_single else 0
    if not 0 <= offset <= MAX_HEADER_BYTES:
        raise source.refuse("a damaged NIfTI header (offset of the data); export it again")
    if offset == 0:
        return first
    if offset < first:
        raise source.refuse(
            f"a damaged NIfTI header (data at byte {offset:g}, inside the header, which takes {first}); export it again"
        )
    return int(offset)


def _scaling(source: Source, header: Any) -> tuple[float, float]:
    """Slope and intercept from stored numbers to intensities; 1 and 0 where the header gives none."""
    try:
        slope, intercept = header.get_slope_inter()
    except HeaderDataError as error:
        raise source.refuse(f"a damaged NIfTI header ({_first_line(error)}); export it again") from None
    if np.isinf(header["scl_slope"]):
        raise source.refuse("a damaged NIfTI header (an infinite slope); export it again")
    return (1.0, 0.0) if slope is None else (float(slope), float(intercept))


def write_scan(path: PathLike, data: np.ndarray, affine: np.ndarray, dtype: Any = np.float32) -> None:
    """Write a 3-D array and its (4, 4) affine as NIfTI-1, .nii or .nii.gz; all of it or nothing.

    Integer types are rounded to, and ValueError raised where a value does not fit. InputError where the path
    has another suffix or cannot be written. The same input gives the same bytes.
    """
    source = Source(path)
    if not source.path.name.lower().endswith(SUFFIXES):
        raise source.refuse("not a NIfTI name; end it in .nii or .nii.gz")
    image = nib.Nifti1Image(_as_dtype(np.asarray(data), np.dtype(dtype)), np.asarray(affine))
    image.header.set_xyzt_units("mm")
    image.set_qform(affine, code=1)
    image.set_sform(affine, code=1)
    content = image.to_bytes()
    if source.path.name.lower().endswith(".gz"):
        content = gzip.compress(content, compresslevel=6, mtime=0)
    _write_whole(source, content)


def _as_dtype(data: np.ndarray, dtype: np.dtype[Any]) -> np.ndarray:
    if dtype.kind in "iu" and data.dtype != dtype:
        rounded = np.rint(data)
        limits = np.iinfo(dtype)
        if not (np.isfinite(rounded).all() and limits.min <= rounded.min() and rounded.max() <= limits.max):
            raise ValueError(f"values do not fit in {dtype}")
        return rounded.astype(dtype)
    return data.astype(dtype)


def _write_whole(source: Source, content: bytes) -> None:
    temporary = source.path.with_name(f".{secrets.token_hex(8)}.part")
    try:
        with temporary.open("xb") as file:
            file.write(content)
        os.replace(temporary, source.path)
    except OSError as error:
        raise source.refuse(f"cannot be written ({error.strerror}); check the folder") from None
    finally:
        temporary.unlink(missing_ok=True)
