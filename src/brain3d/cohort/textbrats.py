"""BraTS with the reports of TextBraTS, and folders of healthy FLAIR scans, as they lie on disk once unpacked."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from brain3d.cohort.candidates import (
    MISSING_REPORT,
    MISSING_SCAN,
    REPORT_WITHOUT_IMAGE,
    Candidate,
    Found,
    Problem,
    folder_of,
    is_nifti,
    nifti_below,
    read_report,
    stem,
    visible,
)
from brain3d.scans.types import InputError

BRATS, HEALTHY = "brats-textbrats", "healthy"
REPORT_SUFFIX = "_flair_text.txt"
_SUFFIXES = {"flair": "FLAIR", "t1": "T1", "t1ce": "T1ce", "t2": "T2"}
_SUBJECT = re.compile(r"sub-[A-Za-z0-9]+")
_SESSION = re.compile(r"ses-([A-Za-z0-9]+)")
_FLAIR_WORD = re.compile(r"[_.-]?flair", re.IGNORECASE)


def find_textbrats(images: str | Path, reports: str | Path, healthy: Sequence[str | Path] = ()) -> Found:
    """The subjects of `images`/SUBJECT/SUBJECT_flair.nii.gz with `reports`/SUBJECT/SUBJECT_flair_text.txt, sorted by
    name, then the healthy subjects of each further folder.

    Healthy scans are all NIfTI files with "flair" in their names, at any depth, BIDS or not; a subject is named by its
    "sub-" label, else by the file's name. InputError for a folder that is not there or holds no such scan.
    """
    pictures, texts = folder_of(images, "--images"), folder_of(reports, "--reports")
    candidates: list[Candidate] = []
    problems: list[Problem] = []
    for folder in [entry for entry in visible(pictures) if entry.is_dir()]:
        found = _subject(folder, texts)
        if isinstance(found, Problem):
            problems.append(found)
        else:
            candidates.append(found)
    if not candidates and not problems:
        raise InputError(f"--images {images}: holds no folders of subjects; give that of SUBJECT/SUBJECT_flair.nii.gz")
    for entry in visible(texts):
        subject = entry.name.removesuffix(REPORT_SUFFIX)
        if (entry.is_dir() or subject != entry.name) and not (pictures / subject).is_dir():
            problems.append(Problem(REPORT_WITHOUT_IMAGE, subject))
    for given in healthy:
        candidates += _healthy(given)
    return Found(tuple(candidates), tuple(problems))


def _subject(folder: Path, reports: Path) -> Candidate | Problem:
    subject = folder.name
    files = {
        stem(file.name).lower().removeprefix(f"{subject.lower()}_"): file
        for file in visible(folder)
        if is_nifti(file.name)
    }
    sequences = {name: files[suffix] for suffix, name in _SUFFIXES.items() if suffix in files}
    if "FLAIR" not in sequences:
        return Problem(MISSING_SCAN, subject)
    text = _report(reports, subject)
    if isinstance(text, Problem):
        return text
    return Candidate(
        subject, sequences["FLAIR"], text, sequences=sequences, mask=files.get("seg"), healthy=False, source=BRATS
    )


def _report(reports: Path, subject: str) -> str | Problem:
    """TextBraTS has a folder for each subject; copies of it that are flat are read too."""
    for file in (reports / subject / f"{subject}{REPORT_SUFFIX}", reports / f"{subject}{REPORT_SUFFIX}"):
        if file.is_file():
            return read_report(file, subject)
    return Problem(MISSING_REPORT, subject)


def _healthy(given: str | Path) -> list[Candidate]:
    folder = folder_of(given, "--healthy")
    found = [file for file in nifti_below(folder) if _FLAIR_WORD.search(file.name)]
    if not found:
        raise InputError(f"--healthy {given}: holds no NIfTI file with FLAIR in its name; give the folder of the scans")
    return [_healthy_subject(file, folder) for file in found]


def _healthy_subject(file: Path, folder: Path) -> Candidate:
    place = file.relative_to(folder).as_posix()
    label, session = _SUBJECT.search(place), _SESSION.search(place)
    named = _FLAIR_WORD.sub("", stem(file.name)) or file.parent.name
    return Candidate(
        label.group() if label else named,
        file,
        None,
        session=session.group(1) if session else None,
        sequences={"FLAIR": file},
        healthy=True,
        source=HEALTHY,
    )
