"""What the headers of DICOM files say: one `Header` for each file, one `Slice` for each image plane in it.

Only the elements in `TAGS` are read. Of their text, `Header` keeps what a protocol is recognised by, and the
identifiers by which files belong together; neither leaves the reading of a study.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import IO, Any, NamedTuple

import numpy as np

from brain3d.scans.dicom_files import HEAD_BYTES, MARK, MAX_FILE_BYTES, StoredFile, looks_like_dicom
from brain3d.scans.dicom_kinds import category_of
from brain3d.scans.dicom_parsing import (
    READS_OF_SLICE,
    READS_TO_OPEN,
    Allowance,
    DamagedError,
    HeaderStream,
    get,
    numbers,
    parsing,
    plain_stream,
    text,
)

DIRECTORY = "1.2.840.10008.1.3.10"
MAX_FRAMES = 2**16
MAX_INFLATED_HEADER_BYTES = 2**24
_PIXELS = (0x7FE00008, 0x7FE00009, 0x7FE00010)
_UNDEFINED = 0xFFFFFFFF

TAGS = (
    *("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "SeriesNumber", "InstanceNumber"),
    *("Modality", "ImageType", "SeriesDescription", "ProtocolName", "SequenceName", "PulseSequenceName"),
    *("ScanningSequence", "InversionTime", "EchoTime", "EffectiveEchoTime", "EchoNumbers", "MRAcquisitionType"),
    *("AcquisitionNumber", "TemporalPositionIdentifier", "DiffusionBValue", "ComplexImageComponent"),
    *("SliceThickness", "SpacingBetweenSlices", "SliceLocation", "PixelSpacing", "Rows", "Columns"),
    *("ImagePositionPatient", "ImageOrientationPatient", "RescaleSlope", "RescaleIntercept"),
    *("SamplesPerPixel", "PhotometricInterpretation", "NumberOfFrames"),
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
)

Find = Callable[..., Any]


@dataclass(frozen=True)
class Slice:
    """One image plane, lengths in mm, in DICOM's world (left, posterior, superior); None where not said.

    `file` and `frame` say where its pixels are; `pixel_mm` is the distance of rows, then of columns; `between_mm`
    that of slices, 0 if unknown; `slope` and `intercept` are NaN where they cannot be read; `order` is what is left to
    sort by without a position, the slice location first; `variant` what tells images at one place apart, by name.
    """

    file: int
    frame: int
    size: tuple[int, int]
    position: tuple[float, ...] | None
    orientation: tuple[float, ...] | None
    pixel_mm: tuple[float, ...] | None
    between_mm: float
    slope: float
    intercept: float
    order: tuple[float, ...]
    variant: tuple[tuple[str, str], ...]

    @property
    def location_mm(self) -> float:
        """The slice location, 0 where not said."""
        return self.order[0]


@dataclass(frozen=True)
class Header:
    """One file: what it belongs to, what it is (`category`, "" for MR images), and its planes.

    `echo_ms` and `inversion_ms` are 0 where not said. `has_pixels` is False for images without pixel data,
    `cut` True where the file ends before its pixels do.
    """

    file: int
    instance: str = field(repr=False)
    study: str = field(repr=False)
    series: str = field(repr=False)
    number: int
    names: tuple[str, ...] = field(repr=False)
    category: str
    echo_ms: float
    inversion_ms: float
    inversion: bool
    three_d: bool
    has_pixels: bool
    cut: bool
    syntax: str
    slices: tuple[Slice, ...]


class Headers(NamedTuple):
    """The headers of a study, the number of files that are damaged, and that of those that are no DICOM files."""

    read: list[Header]
    damaged: int
    others: int


def read_headers(files: Sequence[StoredFile], allowance: Allowance) -> Headers:
    """The headers of all files that are DICOM; directories of media are passed over."""
    read, damaged, others = [], 0, 0
    for index, file in enumerate(files):
        with file.open() as stream:
            head = stream.read(HEAD_BYTES)
            stream.seek(0)
            if not looks_like_dicom(head):
                others += 1
                continue
            allowance.read(READS_TO_OPEN)
            try:
                with parsing():
                    header = _header(index, file, stream, allowance)
            except DamagedError:
                marked = head[128:] == MARK
                damaged, others = damaged + marked, others + (not marked)
                continue
        if header is not None:
            read.append(header)
    return Headers(read, damaged, others)


def _header(index: int, file: StoredFile, stream: IO[bytes], allowance: Allowance) -> Header | None:
    from pydicom.filereader import read_partial
    from pydicom.tag import Tag

    if file.size > MAX_FILE_BYTES:
        raise ValueError("larger than any file of a series")
    found: list[tuple[int, int]] = []

    def at_pixels(tag: int, _vr: str | None, length: int) -> bool:
        if tag in _PIXELS:
            found.append((stream.tell(), length))
        return tag >= _PIXELS[0]

    packed, stream = stream, plain_stream(stream, allowance, MAX_INFLATED_HEADER_BYTES)
    dataset = read_partial(
        HeaderStream(stream, allowance), at_pixels, force=True, specific_tags=[Tag(name) for name in TAGS]
    )
    meta = dataset.file_meta
    if text(meta, "MediaStorageSOPClassUID") == DIRECTORY:
        return None
    if not text(dataset, "SOPClassUID") and not text(dataset, "SeriesInstanceUID") and get(dataset, "Rows") is None:
        raise ValueError("a dataset that names neither its class nor its series, and is no image")
    known_end = bool(found) and found[0][1] != _UNDEFINED and stream is packed
    cut = known_end and found[0][0] + found[0][1] > file.size
    finders = _finders(dataset)
    allowance.read(READS_OF_SLICE * len(finders))
    return _described(index, dataset, finders, bool(found), cut)


def _number(value: Any, default: float = 0.0) -> float:
    found = numbers(value, 1)
    return default if found is None else found[0]


def _described(index: int, dataset: Any, finders: Sequence[Find], has_pixels: bool, cut: bool) -> Header:
    first = finders[0]
    size = (int(_number(get(dataset, "Rows"))), int(_number(get(dataset, "Columns"))))
    names = ("SeriesDescription", "ProtocolName", "SequenceName", "PulseSequenceName")
    inversion = first("MRModifierSequence", "InversionRecovery") == "YES"
    return Header(
        file=index,
        instance=text(dataset, "SOPInstanceUID"),
        study=text(dataset, "StudyInstanceUID"),
        series=text(dataset, "SeriesInstanceUID"),
        number=int(_number(get(dataset, "SeriesNumber"))),
        names=tuple(text(dataset, name) for name in names),
        category=category_of(
            text(dataset, "SOPClassUID"),
            text(dataset, "Modality"),
            text(dataset, "ImageType"),
            text(dataset, "ComplexImageComponent"),
            (int(_number(get(dataset, "SamplesPerPixel"), 1)), text(dataset, "PhotometricInterpretation")),
        ),
        echo_ms=_number(first("MREchoSequence", "EffectiveEchoTime") or first("", "EchoTime")),
        inversion_ms=_number(_first_of(first("MRModifierSequence", "InversionTimes")) or first("", "InversionTime")),
        inversion=inversion or "IR" in text(dataset, "ScanningSequence").split("\\"),
        three_d=text(dataset, "MRAcquisitionType") == "3D",
        has_pixels=has_pixels,
        cut=cut,
        syntax=text(dataset.file_meta, "TransferSyntaxUID"),
        slices=tuple(_slice(index, frame, size, find) for frame, find in enumerate(finders)),
    )


def _finders(dataset: Any) -> list[Find]:
    """For each frame, what looks an element up: in the frame's functional groups, the shared ones, the dataset.

    ValueError where the frames are too many to be believed, or are not as many as their functional groups.
    """
    shared = _items(dataset, "SharedFunctionalGroupsSequence")[:1]
    per_frame = _items(dataset, "PerFrameFunctionalGroupsSequence")
    count = int(_number(get(dataset, "NumberOfFrames"), 1)) or 1
    if not 0 < count <= MAX_FRAMES or (per_frame and len(per_frame) != count):
        raise ValueError("the frames are not as many as the header says")
    if per_frame or count == 1:
        return [_finder(dataset, [item, *shared]) for item in per_frame] or [_finder(dataset, shared)]
    return [_finder(dataset, shared, placed=False)] * count


def _finder(dataset: Any, layers: list[Any], placed: bool = True) -> Find:
    """Without `placed`, frames that share one header, which tells the place of one of them at most, have none."""

    def find(sequence: str, keyword: str, unreadable: Any = None) -> Any:
        if sequence == "PlanePositionSequence" and not placed:
            return None
        for layer in layers if sequence else ():
            for item in _items(layer, sequence)[:1]:
                value = get(item, keyword, unreadable)
                if value is not None:
                    return value
        return get(dataset, keyword, unreadable)

    return find


def _items(dataset: Any, sequence: str) -> list[Any]:
    found = get(dataset, sequence)
    return [] if found is None or isinstance(found, str | bytes) else list(found)


def _first_of(value: Any) -> Any:
    """The first of several values, or the one there is."""
    several = value is not None and not isinstance(value, str) and np.iterable(value)
    return next(iter(value), None) if several else value


def _slice(index: int, frame: int, size: tuple[int, int], find: Find) -> Slice:
    between = _number(find("PixelMeasuresSequence", "SpacingBetweenSlices"))
    thickness = _number(find("PixelMeasuresSequence", "SliceThickness"))
    # What is shown dark where it is large is turned, so that bright is bright.
    sign = -1.0 if find("", "PhotometricInterpretation") == "MONOCHROME1" else 1.0
    component = str(find("MRImageFrameTypeSequence", "ComplexImageComponent") or _component(find("", "ImageType")))
    variant = {
        "echo times": find("MREchoSequence", "EffectiveEchoTime") or find("", "EchoTime"),
        "echo numbers": find("", "EchoNumbers"),
        "inversion times": _first_of(find("MRModifierSequence", "InversionTimes")) or find("", "InversionTime"),
        "b values": find("MRDiffusionSequence", "DiffusionBValue"),
        "time points": find("FrameContentSequence", "TemporalPositionIndex") or find("", "TemporalPositionIdentifier"),
        "acquisitions": find("", "AcquisitionNumber"),
        "parts such as magnitude and phase": component,
    }
    return Slice(
        file=index,
        frame=frame,
        size=size,
        position=numbers(find("PlanePositionSequence", "ImagePositionPatient"), 3),
        orientation=numbers(find("PlaneOrientationSequence", "ImageOrientationPatient"), 6),
        pixel_mm=numbers(find("PixelMeasuresSequence", "PixelSpacing"), 2),
        between_mm=abs(between or thickness),
        slope=sign * _scale(find, "RescaleSlope", 1.0),
        intercept=sign * _scale(find, "RescaleIntercept", 0.0),
        order=(_number(find("", "SliceLocation")), _number(find("", "InstanceNumber")), float(frame)),
        variant=tuple((name, str(value)) for name, value in variant.items()),
    )


def _scale(find: Find, keyword: str, absent: float) -> float:
    """A rescale slope or intercept; NaN where there is one that is no number, which must not pass for none."""
    value = find("PixelValueTransformationSequence", keyword, unreadable="unreadable")
    return absent if value is None else _number(value, float("nan"))


def _component(image_type: Any) -> str:
    """The third word of an image type where it says which part of a complex value is shown."""
    words = [] if image_type is None or isinstance(image_type, str) else [str(word) for word in image_type]
    return next((word for word in words[2:] if word in {"M", "P", "R", "I", "M_FFE", "PHASE MAP"}), "")
