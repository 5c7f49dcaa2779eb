"""Which DICOM studies there are among many files: told apart by what their headers say, called by where they lie."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any, NamedTuple

from brain3d.scans.dicom_files import HEAD_BYTES, MARK, archive_holds_dicom, looks_like_dicom
from brain3d.scans.dicom_headers import DIRECTORY, MAX_INFLATED_HEADER_BYTES
from brain3d.scans.dicom_parsing import (
    Allowance,
    DamagedError,
    HeaderStream,
    TooMuchError,
    parsing,
    plain_stream,
    quiet,
    text,
)
from brain3d.scans.source import Source, refusing
from brain3d.scans.types import InputError

ARCHIVE_SUFFIX = ".zip"
MAX_READS_TO_STUDY = 10**5
_STUDY_TAG = 0x0020000D
_TAGS = ("SOPClassUID", "StudyInstanceUID")


class DicomStudy(NamedTuple):
    """One study, as `read_scan(path, files=files)` reads it. `files` is empty where the path is all of it.

    `path` is the archive, the one file, or the innermost folder that holds all the files; where that folder would
    stand for several studies, the first of the files.
    """

    path: Path
    files: tuple[Path, ...] = ()


def find_dicom(files: Iterable[Path]) -> list[DicomStudy]:
    """The studies among some regular files, in no order: each archive that holds DICOM, and the rest by study.

    A file that does not say to which study it belongs, such as a damaged one, goes to the study whose folder is the
    nearest around it; where there is none, such files of one folder are a study of their own. So every DICOM file is
    in exactly one study, and reading that tells what is wrong with it. A file that cannot be opened goes to the study
    around it too, but makes none.
    """
    archives: list[Path] = []
    told: dict[str, list[Path]] = {}
    untold: list[tuple[Path, bool]] = []
    for path in files:
        if is_archive(path):
            archives += [path] if _may_hold_dicom(path) else []
            continue
        try:
            study = study_of(path)
        except OSError:  # what it is cannot be known; reading the study around it, if any, meets this again
            untold.append((path, False))
            continue
        if study:
            told.setdefault(study, []).append(path)
        elif study is not None:
            untold.append((path, True))
    groups = [sorted(group) for group in told.values()]
    return [DicomStudy(path) for path in archives] + _called(groups + _assigned(groups, untold))


def holds_several(files: Iterable[Path]) -> bool:
    """Whether there are several studies among some regular files, or one in an archive. Reads no more than it needs."""
    studies: set[str] = set()
    for path in files:
        if is_archive(path):
            if _may_hold_dicom(path):
                return True
            continue
        try:
            study = study_of(path)
        except OSError:  # as above
            continue
        if study:
            studies.add(study)
        if len(studies) > 1:
            return True
    return False


def is_archive(path: Path) -> bool:
    """Whether a file is called a zip archive."""
    return path.name.lower().endswith(ARCHIVE_SUFFIX)


def study_of(path: Path) -> str | None:
    """What a DICOM file says of the study that it belongs to, "" where nothing, and None for what is no DICOM image.

    The identifier is for comparing alone: it never leaves this package. OSError where the file cannot be opened.
    """
    with path.open("rb") as stream:
        head = stream.read(HEAD_BYTES)
        if not looks_like_dicom(head):
            return None
        stream.seek(0)
        with quiet():
            return _named_study(stream, marked=head[128:] == MARK)


def _named_study(stream: IO[bytes], marked: bool) -> str | None:
    try:
        with parsing():
            found = _start(stream)
    except (DamagedError, TooMuchError):
        return "" if marked else None
    if text(found.file_meta, "MediaStorageSOPClassUID") == DIRECTORY:
        return None
    study = text(found, "StudyInstanceUID")
    return study if study or marked or text(found, "SOPClassUID") else None


def _start(stream: IO[bytes]) -> Any:
    """The first elements of a DICOM file, up to that which names its study."""
    from pydicom.filereader import read_partial
    from pydicom.tag import Tag

    allowance = Allowance(n_reads=MAX_READS_TO_STUDY)
    plain: Any = HeaderStream(plain_stream(stream, allowance, MAX_INFLATED_HEADER_BYTES), allowance)
    return read_partial(
        plain, lambda tag, _vr, _length: tag > _STUDY_TAG, force=True, specific_tags=[Tag(name) for name in _TAGS]
    )


def _may_hold_dicom(path: Path) -> bool:
    source = Source(path)
    try:
        with refusing(source), quiet():
            return archive_holds_dicom(source)
    except InputError:  # reading it as a study tells this
        return True


def _assigned(groups: list[list[Path]], untold: list[tuple[Path, bool]]) -> list[list[Path]]:
    """Puts each file of no known study to the group around it; the groups, by folder, of those that have none."""
    around: dict[Path, list[Path]] = {}
    for group in sorted(groups):
        around.setdefault(_common(group), group)
    alone: dict[Path, list[Path]] = {}
    for path, is_dicom in sorted(untold):
        nearest = next((folder for folder in path.parents if folder in around), None)
        if nearest is not None:
            around[nearest].append(path)
        elif is_dicom:
            alone.setdefault(path.parent, []).append(path)
    return list(alone.values())


def _common(group: list[Path]) -> Path:
    """The innermost folder that holds all the files."""
    return Path(os.path.commonpath([path.parent for path in group]))


def _called(groups: list[list[Path]]) -> list[DicomStudy]:
    several = [group for group in groups if len(group) > 1]
    places = Counter(map(_common, several))
    found = [DicomStudy(group[0]) for group in groups if len(group) == 1]
    for group in several:
        place = _common(group)
        found.append(DicomStudy(place if places[place] == 1 else group[0], tuple(sorted(group))))
    return found
