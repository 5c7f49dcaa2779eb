"""The one sound scan that every hostile input is made of, by one fault, and what a member of the corpus is."""

from __future__ import annotations

import gzip
import struct
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import nibabel as nib
import numpy as np
from dicom_studies import as_bytes, series_of
from heads import affine_of, head

SHAPE = (32, 40, 33)
AFFINE = affine_of((5.0, 5.0, 5.0), SHAPE)
FIRST = {nib.Nifti1Image: 352, nib.Nifti2Image: 544}
Make = Callable[[Path], Path]


class Member(NamedTuple):
    """A hostile input: its name, what writes it into an empty folder and gives back the path to read.

    `words` is a regular expression that the error has to match.
    """

    name: str
    make: Make
    words: str


class Harmless(NamedTuple):
    """An input that looks hostile and is read: `flags` are the codes that its reading has to carry, no others."""

    name: str
    make: Make
    flags: tuple[str, ...] = ()


@cache
def voxels() -> np.ndarray:
    """The voxels of the sound scan, int16, to be left as they are."""
    data = np.rint(head(AFFINE, SHAPE)).astype(np.int16)
    data.flags.writeable = False
    return data


def nifti(data: np.ndarray | None = None, kind: Any = nib.Nifti1Image, endian: str = "<", **fields: Any) -> bytes:
    """A NIfTI file with header fields overwritten after everything else was set; `sform` and `qform` are affines."""
    data = voxels() if data is None else data
    header = kind.header_class(endianness=endian)
    header.set_data_dtype(data.dtype.newbyteorder(endian))
    image = kind(data.astype(data.dtype.newbyteorder(endian)), None, header)
    image.set_sform(fields.pop("sform", AFFINE), 1)
    image.set_qform(fields.pop("qform", AFFINE), 1)
    content = bytearray(image.to_bytes())
    size = kind.header_class().sizeof_hdr
    written = kind.header_class(bytes(content[:size]), check=False)
    for name, value in fields.items():
        written[name] = value
    content[:size] = written.binaryblock
    return bytes(content)


def put(content: bytes, name: str = "scan.nii") -> Make:
    """What writes one file of this content."""

    def make(folder: Path) -> Path:
        path = folder / name
        path.write_bytes(content)
        return path

    return make


def lazily(content: Callable[[], bytes], name: str = "scan.nii") -> Make:
    """As `put`, of content that is only computed when it is needed."""
    return lambda folder: put(content(), name)(folder)


def packed(content: bytes) -> bytes:
    """The content as one gzip member, the same bytes each time."""
    return gzip.compress(content, compresslevel=6, mtime=0)


def slices(**elements: Any) -> list[bytes]:
    """The DICOM files of the sound scan, with elements overwritten as by `series_of`."""
    return [as_bytes(one) for one in series_of(voxels().astype(np.float32), AFFINE, **elements)]


def study(files: list[bytes], folder: Path) -> Path:
    """A folder with these files."""
    place = folder / "study"
    place.mkdir()
    for number, content in enumerate(files):
        (place / f"{number:04d}").write_bytes(content)
    return place


def zipped(members: dict[str, bytes], folder: Path, method: int = zipfile.ZIP_DEFLATED) -> Path:
    """An archive of these members."""
    path = folder / "study.zip"
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def overwritten(content: bytes, at: int, form: str, value: Any) -> bytes:
    """The content with one packed value written over it."""
    changed = bytearray(content)
    struct.pack_into(form, changed, at, value)
    return bytes(changed)
