"""Which scans there are to be read, what each is called in the results, and which shard it falls to."""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from brain3d.scans.dicom_search import ARCHIVE_SUFFIX, DicomStudy, find_dicom, holds_several
from brain3d.scans.nifti import SUFFIXES
from brain3d.scans.types import InputError

BETWEEN_FOLDERS = "__"
MOST_NAME_BYTES = 150
HASH_LENGTH = 12
MOST_ENTRIES = 10**6
LEFT_OUT = (*SUFFIXES, ARCHIVE_SUFFIX, ".dcm")


@dataclass(frozen=True)
class Study:
    """One scan file or DICOM study, by the path to it, and the name of its results, which is made of that path alone.

    `files` are those of a DICOM study whose path does not stand for all of it: see `read_scan`.
    """

    name: str
    path: Path
    files: tuple[Path, ...] = ()


def find_studies(inputs: Sequence[str]) -> list[Study]:
    """The files given, and the scans in and below the folders given, each once, in the order of their places.

    Those are the NIfTI files and, by `find_dicom`, the DICOM studies of each folder given. A scan's place is its path
    below the folder given, or, of several inputs, below the innermost folder that holds them all. A file given that is
    not there is a study too: reading it says what is wrong. InputError for a folder that holds no scan or cannot be
    searched, and for an input that can be no path.
    """
    found: dict[str, DicomStudy] = {}
    for given in inputs:
        if not given or "\0" in given:
            raise InputError(f"{given!r}: no such file; check the path")
        inside = _scans_in(given) if os.path.isdir(given) else [DicomStudy(Path(given))]
        if not inside:
            raise InputError(f"{given}: a folder without a NIfTI scan or DICOM images; give one with scans, or a file")
        for one in inside:
            found.setdefault(os.path.abspath(one.path), one)
    tops = [given if os.path.isdir(given) else os.path.dirname(os.path.abspath(given)) for given in inputs]
    base = os.path.commonpath([os.path.abspath(top) for top in tops])
    placed = sorted((_place(whole, base), one) for whole, one in found.items())
    names = study_names([place for place, _ in placed])
    return [Study(name, one.path, one.files) for name, (_, one) in zip(names, placed, strict=True)]


def _place(whole: str, base: str) -> str:
    """The path below the base; of the base itself its name."""
    return os.path.basename(base) if whole == base else os.path.relpath(whole, base)


def _scans_in(folder: str) -> list[DicomStudy]:
    visible = list(_visible_files(folder))
    return [DicomStudy(path) for path in visible if _is_nifti(path)] + find_dicom(_others(visible))


def holds_several_studies(folder: str | os.PathLike[str]) -> bool:
    """Whether there are several DICOM studies in and below a folder, or one in an archive. InputError as above."""
    return holds_several(_others(_visible_files(folder)))


def nifti_files(folder: str | os.PathLike[str], most: int | None = None) -> Iterator[Path]:
    """The .nii and .nii.gz files in a folder and in the folders below it, in no order; nothing that is hidden.

    No more than `most` files, of whatever kind, are looked at. Links are followed, each folder is searched once, and
    as itself rather than through a link where both lead to it. Links that lead nowhere count as files. InputError
    where a folder cannot be searched, or there are more than `MOST_ENTRIES`.
    """
    return (path for path in islice(_visible_files(folder), most) if _is_nifti(path))


def _is_nifti(path: Path) -> bool:
    return path.name.lower().endswith(SUFFIXES)


def _others(files: Iterable[Path]) -> Iterator[Path]:
    """The regular files that are not called NIfTI."""
    return (path for path in files if not _is_nifti(path) and os.path.isfile(path))


def _visible_files(folder: str | os.PathLike[str]) -> Iterator[Path]:
    """All that is no folder; see `nifti_files`."""
    searched: set[tuple[int, int]] = set()
    folders, linked, count = [Path(folder)], list[Path](), 0
    while folders or linked:
        place = folders.pop() if folders else linked.pop(0)
        try:
            status = place.stat()
            if (status.st_dev, status.st_ino) in searched:
                continue
            searched.add((status.st_dev, status.st_ino))
            entries = sorted(place.iterdir())
        except OSError as error:
            raise InputError(f"{place}: cannot be searched ({error.strerror}); check the folder") from error
        count += len(entries)
        if count > MOST_ENTRIES:
            raise InputError(
                f"{folder}: more than {MOST_ENTRIES} files; give fewer at once, and no link to all of them"
            )
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if os.path.isdir(entry):
                (linked if entry.is_symlink() else folders).append(entry)
            else:
                yield entry


def study_names(places: Sequence[str]) -> list[str]:
    """A file name, without suffix, for each of the places, relative paths that differ; no two alike.

    "a/b.nii.gz" becomes "a__b"; what is neither a letter, a digit, a dot, a dash nor an underscore becomes an
    underscore. Where that makes two names alike, also but for capitals, each is given a hash of its own place, so
    that neither depends on their order; a name that is too long is cut and given one too.
    """
    names = [_plain_name(place) for place in places]
    hashed: set[int] = set()
    while True:
        counts = Counter(name.casefold() for name in names)
        alike = {index for index, name in enumerate(names) if counts[name.casefold()] > 1} - hashed
        if not alike:
            return names
        for index in alike:
            names[index] = _hashed_name(names[index], places[index])
        hashed |= alike


def _plain_name(place: str) -> str:
    suffix = next((suffix for suffix in sorted(LEFT_OUT, key=len, reverse=True) if place.lower().endswith(suffix)), "")
    joined = BETWEEN_FOLDERS.join(Path(place[: len(place) - len(suffix)]).parts)
    letters = unicodedata.normalize("NFC", joined)
    safe = "".join(letter if letter.isalnum() or letter in "._-" else "_" for letter in letters)
    name = re.sub(r"^[.-]|[.]$", "_", safe) or "_"
    return name if len(name.encode()) <= MOST_NAME_BYTES else _hashed_name(name, place)


def _hashed_name(name: str, place: str) -> str:
    digest = hashlib.sha256(os.fsencode(place)).hexdigest()[:HASH_LENGTH]
    start = name.encode()[: MOST_NAME_BYTES - HASH_LENGTH - 1].decode(errors="ignore")
    return f"{start}-{digest}"


def shard(studies: Sequence[Study], part: int, parts: int) -> list[Study]:
    """Every study that falls to shard `part` of 1 to `parts`: of the studies in their order, every so many."""
    if not 1 <= part <= parts:
        raise ValueError(f"there is no shard {part} of {parts}")
    return list(studies[part - 1 :: parts])
