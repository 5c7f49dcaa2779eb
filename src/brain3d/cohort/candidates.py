"""What the layouts of data sets are read into: studies that could be in a cohort, and what is wrong with others."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from brain3d.scans.nifti import SUFFIXES
from brain3d.scans.types import InputError

MISSING_REPORT = "missing report"
EMPTY_REPORT = "empty report"
UNREADABLE_REPORT = "unreadable report"
MISSING_SCAN = "missing FLAIR"
REPORT_WITHOUT_IMAGE = "report without image"
DUPLICATE_SUBJECT = "duplicate subject"
UNREADABLE_SCAN = "unreadable scan"
_IDENTIFIER = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True)
class Candidate:
    """A study as its data set has it; `report` is its text, None where one has to be written for a healthy subject.

    `name` is what the data set calls the study, where that is not subject and session.
    """

    subject: str
    image: Path
    report: str | None
    session: str | None = None
    sequences: dict[str, Path] = field(default_factory=dict)
    mask: Path | None = None
    truth: Path | None = None
    healthy: bool | None = None
    split: str | None = None
    source: str | None = None
    name: str | None = None

    @property
    def id(self) -> str:
        """The study's id in a manifest: its name, or subject and session, in letters that every file system takes."""
        if self.name is not None:
            return safe_name(self.name)
        return safe_name(self.subject if self.session is None else f"{self.subject}_ses-{self.session}")


@dataclass(frozen=True)
class Problem:
    """Why a subject's study is left out: `kind` is one of the words above, `what` says more, without a path."""

    kind: str
    subject: str
    what: str = ""

    def line(self) -> str:
        return f"{self.kind}: {self.subject}" + (f" ({self.what})" if self.what else "")


@dataclass(frozen=True)
class Found:
    """What a layout holds."""

    candidates: tuple[Candidate, ...]
    problems: tuple[Problem, ...] = ()


def safe_name(text: str) -> str:
    """The text as a file name: other characters than letters, digits, dot, dash and underscore become underscores."""
    return _IDENTIFIER.sub("_", text).lstrip(".") or "_"


def read_report(file: Path, subject: str) -> str | Problem:
    """A report's text, white space around it removed; or what is wrong with it."""
    try:
        text = file.read_text(encoding="utf-8-sig").strip()
    except UnicodeDecodeError:
        return Problem(UNREADABLE_REPORT, subject, "not UTF-8 text")
    except OSError as error:
        return Problem(UNREADABLE_REPORT, subject, error.strerror or type(error).__name__)
    return text or Problem(EMPTY_REPORT, subject)


def folder_of(given: str | Path, option: str) -> Path:
    """A folder that is there; InputError that names the option."""
    if not str(given) or not Path(given).is_dir():
        raise InputError(f"{option} {given or repr(given)}: no such folder; check the path")
    return Path(given)


def visible(folder: Path) -> list[Path]:
    """What a folder holds, sorted by name, without hidden entries. InputError where it cannot be searched."""
    try:
        return sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    except OSError as error:
        raise InputError(f"{folder}: cannot be searched ({error.strerror}); check the folder") from error


def nifti_below(folder: Path) -> list[Path]:
    """The NIfTI files in and below a folder, in the order of their paths; hidden ones and links to folders left out."""
    found = []
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(place, name) for name in files if is_nifti(name) and not name.startswith(".")]
    return sorted(found, key=lambda file: file.parts)


def is_nifti(name: str) -> bool:
    return name.lower().endswith(SUFFIXES)


def stem(name: str) -> str:
    """A NIfTI file's name without its suffix."""
    suffix = next((suffix for suffix in (".nii.gz", ".nii") if name.lower().endswith(suffix)), "")
    return name[: len(name) - len(suffix)]


def without_duplicates(candidates: Iterable[Candidate]) -> tuple[list[Candidate], list[Problem]]:
    """The first study of each id, and a problem for each further one (also where ids differ in capitals alone)."""
    kept: dict[str, Candidate] = {}
    problems = []
    for candidate in candidates:
        if candidate.id.casefold() in kept:
            problems.append(Problem(DUPLICATE_SUBJECT, candidate.id, "found more than once; the first is kept"))
        else:
            kept[candidate.id.casefold()] = candidate
    return list(kept.values()), problems


def counted(problems: Sequence[Problem]) -> dict[str, list[str]]:
    """The subjects with each kind of problem, in their order."""
    found: dict[str, list[str]] = {}
    for problem in problems:
        found.setdefault(problem.kind, []).append(problem.subject)
    return found
