"""The door for scans: what a path holds, NIfTI or DICOM, and the scan in it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from brain3d.scans.analyze import header_of, is_analyze, voxels_of
from brain3d.scans.dicom import read_dicom
from brain3d.scans.dicom_files import HEAD_BYTES, holds_dicom, is_dicom, is_zip, looks_like_dicom
from brain3d.scans.nifti import SUFFIXES, read_nifti, stored_nifti
from brain3d.scans.orientation import check_axes
from brain3d.scans.source import PathLike, Source, refusing
from brain3d.scans.types import Scan, Stored


def read_scan(
    path: PathLike,
    *,
    axes: str | None = None,
    without_side: bool = False,
    series: str | int | None = None,
    files: Sequence[Path] = (),
) -> Scan:
    """The scan in a NIfTI file (.nii, .nii.gz), an Analyze pair (.hdr, .img) or a DICOM study, or in a folder with
    one NIfTI file or a study.

    A DICOM study is a folder, searched recursively, a zip archive of one, or a single multi-frame file; its
    FLAIR series is read, or the one that `series` names: its number in the study as listed by `Scan.series`, or
    words of its description. `files` are those of one DICOM study where the path holds several; the path is then
    what it is called. `axes`, such as "LPS", says where each stored index grows, for a header that does not. Where
    the header does and disagrees, the scan is refused: one of the two would exchange left and right.
    Of two orientations that disagree it chooses one; of sheared ones it takes the place, with the header's voxel size.
    `without_side` accepts a header without a usable orientation, a sheared one or two that disagree, with `side_known`
    False and axes "unknown"; the stored order is then taken for RAS, or the sform for right. Not both. Raises
    InputError, one line.
    """
    return read_with_stored(path, axes=axes, without_side=without_side, series=series, files=files)[0]


def read_with_stored(
    path: PathLike,
    *,
    axes: str | None = None,
    without_side: bool = False,
    series: str | int | None = None,
    files: Sequence[Path] = (),
) -> tuple[Scan, Stored]:
    """The scan, and how it is stored; options and errors as of `read_scan`."""
    source = Source(path, files)
    stated = _stated(source, axes, without_side)
    with refusing(source):
        return _read_study(source, stated, without_side, series) or read_nifti(source, stated, without_side)


def read_stored(
    path: PathLike,
    *,
    axes: str | None = None,
    without_side: bool = False,
    series: str | int | None = None,
    files: Sequence[Path] = (),
) -> Stored:
    """How the scan that `read_scan` would read is stored; options as for that.

    The voxels of a NIfTI file are hashed, but not read. InputError where its header is one that `read_scan`
    refuses. A DICOM study is read as a whole, since the hash of a series is that of its voxels.
    """
    source = Source(path, files)
    stated = _stated(source, axes, without_side)
    with refusing(source):
        found = _read_study(source, stated, without_side, series)
        return found[1] if found else stored_nifti(source, stated, without_side)


def _read_study(
    source: Source, stated: str | None, without_side: bool, series: str | int | None
) -> tuple[Scan, Stored] | None:
    """What a DICOM study holds; None where the source, whose path is then that file, is to be read as NIfTI."""
    wanted = None if series is None else str(series)
    source.path = _located(source, wanted is not None)
    if source.files or (not is_analyze(source.path) and _is_study(source.path)):
        return read_dicom(source, stated, without_side, wanted)
    if wanted is not None:
        raise source.refuse("no DICOM study, so there is no series to choose; leave --series out")
    return None


def _stated(source: Source, axes: str | None, without_side: bool) -> str | None:
    if axes is not None and without_side:
        raise source.refuse("--axes and --without-side contradict each other; give one of them")
    return None if axes is None else check_axes(axes)


def find_scan(path: PathLike, *, series: str | int | None = None) -> Path:
    """What `read_scan` would read: the path itself, the one NIfTI file in that folder, or the folder of a DICOM study.

    A path that is not there is given back. InputError, one line, for a folder that holds none or several, and
    for a path that can be none.
    """
    source = Source(path)
    try:
        return _located(source, series is not None)
    except OSError as error:
        raise source.refuse(f"cannot be read ({error.strerror or error}); check the folder") from None


def is_part(path: Path, scan: Path) -> bool:
    """Whether a file is the scan that `find_scan` found, its Analyze header, or one of the DICOM files below it."""
    path, scan = path.resolve(), scan.resolve()
    header = scan if not is_analyze(scan) else header_of(scan)
    return path in (scan, header) or (scan in path.parents and is_dicom(path))


def _is_study(path: Path) -> bool:
    if path.is_dir():
        return True
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    return is_zip(head) or looks_like_dicom(head)


def _located(source: Source, needs_dicom: bool) -> Path:
    """The NIfTI file, or what holds the DICOM study; a folder's one NIfTI file comes first, unless DICOM is needed."""
    if not source.possible:
        raise source.refuse("no such file; check the path")
    if source.files:
        return source.path
    if not source.path.is_dir():
        if source.path.exists() and not source.path.is_file():
            raise source.refuse("neither a file nor a folder; give a .nii or .nii.gz file, or a DICOM study")
        return voxels_of(source.path)
    found = sorted(
        entry
        for entry in source.path.iterdir()
        if entry.name.lower().endswith(SUFFIXES) and not entry.name.startswith(".") and entry.is_file()
    )
    if (needs_dicom or not found) and holds_dicom(source):
        return source.path
    if not found:
        raise source.refuse("a folder without a NIfTI scan or DICOM images; give a .nii or .nii.gz file, or a study")
    if len(found) > 1:
        raise source.refuse(f"a folder with {len(found)} NIfTI files; give one of them")
    return found[0]
