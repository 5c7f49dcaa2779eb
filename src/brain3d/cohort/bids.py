"""A BIDS data set with a table of reports (https://bids-specification.readthedocs.io, anatomical imaging data)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from brain3d.cohort.candidates import (
    DUPLICATE_SUBJECT,
    EMPTY_REPORT,
    MISSING_REPORT,
    MISSING_SCAN,
    REPORT_WITHOUT_IMAGE,
    UNREADABLE_REPORT,
    Candidate,
    Found,
    Problem,
    folder_of,
    is_nifti,
    read_report,
    stem,
    visible,
)
from brain3d.cohort.table import TableRow, read_table
from brain3d.scans.types import InputError

BIDS = "bids"
Place = tuple[str, str | None]


def find_bids(root: str | Path, table: str | Path) -> Found:
    """The studies of ROOT/sub-*/[ses-*/]anat/*_FLAIR.nii[.gz] with their rows of the table, sorted by name.

    T1w and T2w images and T1w images with a contrast agent (`ce-`) are taken along. Of several images of one kind in a
    session the first by name is taken. A row without a session is for a participant's only session. InputError for a
    folder without `sub-` folders and for a table as `read_table` refuses.
    """
    folder = folder_of(root, "ROOT")
    rows = read_table(table)
    places = _places(folder)
    if not places:
        raise InputError(f"{root}: no folder sub-*/ with an anat/ folder in it; give the top of a BIDS data set")
    told, problems = _assigned(rows, places)
    candidates: list[Candidate] = []
    for place, sequences in places.items():
        found = _candidate(place, sequences, told.get(place))
        if isinstance(found, Problem):
            problems.append(found)
        else:
            candidates.append(found)
    return Found(tuple(candidates), tuple(problems))


def _places(root: Path) -> dict[Place, dict[str, Path]]:
    """The sequences of each participant and session that has an anat folder."""
    places: dict[Place, dict[str, Path]] = {}
    for subject in [entry for entry in visible(root) if entry.name.startswith("sub-") and entry.is_dir()]:
        sessions = [entry for entry in visible(subject) if entry.name.startswith("ses-") and entry.is_dir()]
        for place, session in [(subject, None), *((entry, entry.name.removeprefix("ses-")) for entry in sessions)]:
            if (place / "anat").is_dir():
                places[subject.name.removeprefix("sub-"), session] = _sequences(place / "anat")
    return places


def _sequences(anat: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for file in visible(anat):
        name = _sequence(file.name) if is_nifti(file.name) else None
        if name is not None:
            found.setdefault(name, file)
    return found


def _sequence(name: str) -> str | None:
    *entities, suffix = stem(name).split("_")
    if any(part.startswith("ce-") for part in entities):
        return "T1ce" if suffix == "T1w" else None
    return {"FLAIR": "FLAIR", "T1w": "T1", "T2w": "T2"}.get(suffix)


def _assigned(
    rows: list[TableRow], places: Mapping[Place, Mapping[str, Path]]
) -> tuple[dict[Place, TableRow], list[Problem]]:
    """Each row at its place; a problem for one that has none, or whose place is taken."""
    told: dict[Place, TableRow] = {}
    problems = []
    for row in rows:
        name = f"sub-{row.participant}" + (f"_ses-{row.session}" if row.session else "")
        own = [place for place in places if place[0] == row.participant and row.session in (None, place[1])]
        if not own:
            problems.append(Problem(REPORT_WITHOUT_IMAGE, name, f"line {row.line} of the table"))
        elif len(own) > 1:
            problems.append(Problem(DUPLICATE_SUBJECT, name, f"line {row.line} names no session, and it has several"))
        elif own[0] in told:
            problems.append(Problem(DUPLICATE_SUBJECT, name, f"line {row.line}, and {told[own[0]].line} too"))
        else:
            told[own[0]] = row
    return told, problems


def _candidate(place: Place, sequences: dict[str, Path], row: TableRow | None) -> Candidate | Problem:
    participant, session = place
    subject = f"sub-{participant}"
    name = subject + (f"_ses-{session}" if session else "")
    if "FLAIR" not in sequences:
        return Problem(MISSING_SCAN, name)
    if row is None:
        return Problem(MISSING_REPORT, name, "not in the table")
    text: str | Problem | None = row.report
    if row.file is not None:
        text = read_report(row.file, name) if row.file.is_file() else Problem(UNREADABLE_REPORT, name, "no such file")
    if text is None and not row.healthy:
        return Problem(EMPTY_REPORT, name)
    if isinstance(text, Problem):
        return text
    return Candidate(
        subject, sequences["FLAIR"], text, session, sequences, healthy=row.healthy, split=row.split, source=BIDS
    )
