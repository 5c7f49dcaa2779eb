"""From a DICOM study to a scan: the chosen series' voxels, affine and hash. pydicom is imported only when needed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from brain3d.scans.dicom_files import StoredFile, is_dicom, stored_files
from brain3d.scans.dicom_geometry import Stack, plane_codes, stack
from brain3d.scans.dicom_headers import read_headers
from brain3d.scans.dicom_parsing import (
    DEFLATED,
    MAX_INFLATED_BYTES,
    MAX_READS,
    MORE_READS_OF_FILE,
    Allowance,
    DamagedError,
    TooMuchError,
    get,
    parsing,
    plain_stream,
    quiet,
    text,
)
from brain3d.scans.dicom_series import Chosen, choose, group
from brain3d.scans.orientation import axis_codes
from brain3d.scans.source import Source, check_spacing, check_values
from brain3d.scans.types import DAMAGED_FILES, SIDE_UNKNOWN, UNKNOWN_AXES, Flag, Scan, Stored

MAX_VOXELS = 2**27
MAX_PLANE = 2**22
PLAIN_BITS = (8, 16, 32)
EXTRA = "dicom-compressed"
_IMPLICIT, _LITTLE, _BIG = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
_PIXEL_TAGS = (
    *("SamplesPerPixel", "PhotometricInterpretation", "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit"),
    *("PixelRepresentation", "NumberOfFrames", "PlanarConfiguration", "PixelData"),
    *("ExtendedOffsetTable", "ExtendedOffsetTableLengths"),
)


class _TooFewBitsError(Exception):
    """Values that take more bits than the header says."""


class _Encoding(NamedTuple):
    """How the pixels of a file are stored: the type of the numbers, and the transfer syntax."""

    dtype: str
    syntax: str


def read_dicom(source: Source, stated: str | None, without_side: bool, wanted: str | None) -> tuple[Scan, Stored]:
    """The scan in a DICOM study, a folder, a zip archive or a single file, and how it is stored.

    `stated` (axes codes, or None) and `without_side` are `read_scan`'s, `wanted` its `series`. Data is indexed
    (column, row, slice). Raises InputError, and what `refusing` turns into one.
    """
    archive = not source.path.is_dir() and not is_dicom(source.path)
    try:
        with stored_files(source) as files, quiet():
            allowance = Allowance(n_reads=MAX_READS + (0 if archive else MORE_READS_OF_FILE * len(files)))
            return _read(source, files, allowance, stated, without_side, wanted)
    except TooMuchError:
        # Of a folder more may be read than of an archive, which can hide how much there is.
        instead = "unpack it and give the folder" if archive else "give the folder of the one series"
        raise source.refuse(f"more to be read than a study holds; {instead}") from None


def _read(
    source: Source,
    files: Sequence[StoredFile],
    allowance: Allowance,
    stated: str | None,
    without_side: bool,
    wanted: str | None,
) -> tuple[Scan, Stored]:
    headers = read_headers(files, allowance)
    if not headers.read:
        raise source.refuse(_nothing(headers.damaged, headers.others))
    listed = group(headers.read, without_place=stated is not None or without_side)
    chosen = choose(source, listed, wanted)
    series, choice, flags = chosen
    stacked = stack(series.slices, stated)
    shape = _check_shape(source, stacked)
    side_known = _check_side(source, stacked, stated)
    spacing = check_spacing(source, stacked.affine, shape)
    _check_syntaxes(source, series.syntaxes)
    data, encodings = _voxels(source, files, stacked, shape, allowance)
    data, more = check_values(source, data)
    flags += more
    if headers.damaged:
        flags += (Flag(DAMAGED_FILES, f"Damaged files of the study were left out: {headers.damaged}."),)
    if not side_known:
        flags += (SIDE_UNKNOWN,)
    codes = axis_codes(stacked.affine) if side_known else UNKNOWN_AXES
    digest = _digest(data, stacked, spacing)
    scan = Scan(data, stacked.affine, codes, spacing, digest, side_known, flags, source.name, choice)
    return scan, _stored(scan, chosen, stacked, encodings)


def _stored(scan: Scan, chosen: Chosen, stacked: Stack, encodings: frozenset[_Encoding]) -> Stored:
    from pydicom.uid import UID

    read = {UID(one.syntax) for one in encodings}
    syntaxes = {UID(syntax) for syntax in chosen.series.syntaxes if syntax} or read
    scalings = {(one.slope, one.intercept) for one in stacked.slices}
    slope, intercept = next(iter(scalings)) if len(scalings) == 1 else (None, None)
    return Stored(
        sha256=scan.sha256,
        format="DICOM",
        compressed=any(syntax.is_encapsulated or syntax == DEFLATED for syntax in syntaxes),
        dtype=_named({one.dtype for one in encodings}),
        byte_order=_named({"little" if syntax.is_little_endian else "big" for syntax in read}),
        slope=slope,
        intercept=intercept,
        unit="millimetres",
        axes=scan.axes,
        side_known=scan.side_known,
        forms={"dicom": stacked.affine} if stacked.placed else {},
        unusable={},
        slices=len(stacked.slices),
        transfer_syntax=_named({syntax.name for syntax in syntaxes}),
        series=chosen.choice,
        flags=scan.flags,
    )


def _named(words: set[str]) -> str:
    return ", ".join(sorted(words))


def _nothing(damaged: int, others: int) -> str:
    if damaged:
        return f"damaged or cut short: all DICOM files ({damaged}); copy or export them again"
    if not others:
        return "only a DICOMDIR, which lists images and holds none; give the folder with the images"
    return f"no DICOM images among its files ({others}); give a DICOM study, unpacked or in one zip archive"


def _check_shape(source: Source, stacked: Stack) -> tuple[int, int, int]:
    rows, columns = stacked.slices[0].size
    shape = (columns, rows, len(stacked.slices))
    words = " x ".join(map(str, shape))
    if columns * rows > MAX_PLANE or columns * rows * shape[2] > MAX_VOXELS:
        raise source.refuse(f"too large ({words} voxels); check the header, or resample to 1 mm")
    return shape


def _check_side(source: Source, stacked: Stack, stated: str | None) -> bool:
    """Whether it is known which side is left; InputError where the caller and the headers disagree."""
    codes = axis_codes(stacked.affine) if stacked.placed else plane_codes(stacked.slices[0])
    if stated is not None and not stated.startswith(codes):
        raise source.refuse(
            f"stored as {codes} by its headers, but --axes says {stated}; leave --axes out, or correct the headers"
        )
    return stacked.placed or stated is not None


def _check_syntaxes(source: Source, syntaxes: frozenset[str]) -> None:
    """InputError unless all these transfer syntaxes can be decoded here; "" is that of a file that names none."""
    from pydicom.pixels import get_decoder
    from pydicom.uid import UID, AllTransferSyntaxes

    for syntax in sorted(syntaxes - {"", DEFLATED}):
        if UID(syntax) not in AllTransferSyntaxes:
            raise source.refuse("in a transfer syntax that is not of the standard; export it uncompressed")
        name = UID(syntax).name
        try:
            decoder = get_decoder(UID(syntax))
        except NotImplementedError:
            raise source.refuse(f"compressed as {name}, which is not supported; export it uncompressed") from None
        if not decoder.is_available:
            raise source.refuse(
                f"compressed as {name}; install the decoders (pip install 'brain3d[{EXTRA}]') or export it uncompressed"
            )


def _voxels(
    source: Source, files: Sequence[StoredFile], stacked: Stack, shape: tuple[int, int, int], allowance: Allowance
) -> tuple[np.ndarray, frozenset[_Encoding]]:
    """The rescaled voxels as float32, indexed (column, row, slice), and all the ways in which they are stored."""
    data = np.empty(shape, dtype=np.float32, order="F")
    encodings: set[_Encoding] = set()
    places: dict[int, dict[int, int]] = {}
    for place, one in enumerate(stacked.slices):
        places.setdefault(one.file, {})[one.frame] = place
    try:
        with parsing():
            for file, frames in places.items():
                planes = _planes(files[file], sorted(frames), shape, allowance)
                for frame, (plane, encoding) in zip(sorted(frames), planes, strict=True):
                    one = stacked.slices[frames[frame]]
                    encodings.add(encoding)
                    data[:, :, frames[frame]] = plane.T * one.slope + one.intercept
    except DamagedError:
        raise source.refuse("pixel data that is damaged or cut short; copy or export the series again") from None
    except _TooFewBitsError:
        raise source.refuse("values of more bits than its headers say (BitsStored); correct the headers") from None
    return data, frozenset(encodings)


def _planes(
    file: StoredFile, frames: list[int], shape: tuple[int, int, int], allowance: Allowance
) -> Iterator[tuple[np.ndarray, _Encoding]]:
    """Some frames of one file, in order: the stored numbers as float64 (row, column), and how they are stored."""
    from pydicom import dcmread
    from pydicom.pixels import iter_pixels

    with file.open() as stream:
        dataset = dcmread(
            plain_stream(stream, allowance, MAX_INFLATED_BYTES), force=True, specific_tags=list(_PIXEL_TAGS)
        )
    _name_syntax(dataset)
    _check_pixels(dataset)
    bits, stored = int(dataset.BitsAllocated), int(dataset.BitsStored)
    for plane in iter_pixels(dataset, indices=frames, raw=True, correct_unused_bits=False):
        if plane.shape != (shape[1], shape[0]):
            raise ValueError("a frame of another size than the header says")
        encoding = _Encoding(plane.dtype.newbyteorder("=").name, str(dataset.file_meta.TransferSyntaxUID))
        yield _stored_bits(plane, bits - stored).astype(np.float64), encoding


def _name_syntax(dataset: Any) -> None:
    """A dataset without a file meta group is in the encoding in which it could be read."""
    from pydicom.uid import UID

    if not text(dataset.file_meta, "TransferSyntaxUID"):
        implicit, little = dataset.original_encoding
        dataset.file_meta.TransferSyntaxUID = UID(_IMPLICIT if implicit else _LITTLE if little else _BIG)


def _check_pixels(dataset: Any) -> None:
    """ValueError where the pixel data is too short, or too long, or could decode to far more than its header says."""
    from pydicom.encaps import generate_frames

    bits, count = int(dataset.BitsAllocated), int(get(dataset, "NumberOfFrames") or 1)
    if bits not in PLAIN_BITS or not 0 < int(dataset.BitsStored) <= bits:
        raise ValueError("pixels of an odd number of bits")
    plain = int(dataset.Rows) * int(dataset.Columns) * bits // 8
    if not dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        if len(dataset.PixelData) < plain * count:
            raise ValueError("fewer pixels than the header says")
        if len(dataset.PixelData) >= (plain + min(int(dataset.Rows), int(dataset.Columns)) * bits // 8) * count:
            raise ValueError("a row or a column more than the header says")
        return
    for frame in generate_frames(dataset.PixelData, number_of_frames=count):
        if len(frame) > 1.1 * plain + 2**12:
            raise ValueError("a compressed frame that is larger than a plain one")


def _stored_bits(plane: np.ndarray, unused: int) -> np.ndarray:
    """Integers (row, column) without what older files hide above the stored bits, an overlay for example.

    _TooFewBitsError where what lies there belongs to the values: more often than not it differs between neighbours
    that are alike with it, and far apart without.
    """
    kept = (plane << unused) >> unused
    if unused == 0 or np.array_equal(kept, plane):
        return plane
    whole, cut = plane.astype(np.float64), kept.astype(np.float64)
    alike = 2.0 ** (8 * plane.dtype.itemsize - unused - 2)  # a quarter of what the stored bits can hold
    apart_whole, apart_cut = 0, 0
    for axis in (0, 1):
        step_whole, step_cut = (np.abs(np.diff(values, axis=axis)) for values in (whole, cut))
        apart_whole += int(np.count_nonzero((step_whole > 3 * alike) & (step_cut < alike)))
        apart_cut += int(np.count_nonzero((step_cut > 3 * alike) & (step_whole < alike)))
    if apart_cut > apart_whole:
        raise _TooFewBitsError
    return kept


def _digest(data: np.ndarray, stacked: Stack, spacing: tuple[float, float, float]) -> str:
    """The hash of a series: of its voxels in the order of their places, and of its geometry."""
    affine = stacked.affine if stacked.placed else np.diag([*spacing, 1.0])
    digest = hashlib.sha256(b"brain3d series 1\0")
    digest.update(np.array(data.shape, dtype="<i8").tobytes())
    digest.update((np.round(affine, 4) + 0.0).astype("<f8").tobytes())
    for place in range(data.shape[2]):
        digest.update(data[:, :, place].astype("<f4").tobytes(order="F"))
    return digest.hexdigest()
