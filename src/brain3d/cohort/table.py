"""The table of reports beside a BIDS data set: TSV or CSV, a row for each participant, or participant and session."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from brain3d.cohort.manifest import SPLITS
from brain3d.scans.types import InputError

PARTICIPANT, SESSION, REPORT, REPORT_FILE, SPLIT, HEALTHY = (
    "participant_id",
    "session_id",
    "report",
    "report_file",
    "split",
    "healthy",
)
EMPTY = ("", "n/a")
_SPLIT_NAMES = {**{name: name for name in SPLITS}, "val": "validation", "valid": "validation", "training": "train"}
_TRUTHS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


@dataclass(frozen=True)
class TableRow:
    """What a table says of one study; labels are without "sub-" and "ses-". At most one of `report`, `file` is set."""

    line: int
    participant: str
    session: str | None
    report: str | None
    file: Path | None
    split: str | None
    healthy: bool | None


def read_table(given: str | Path) -> list[TableRow]:
    """The rows of a table. InputError, one line, for one that lacks a column, and for a row that cannot be right."""
    path = Path(given)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"--reports {given}: no such table; check the path") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--reports {given}: not a readable table in UTF-8 ({type(error).__name__})") from error
    header = text.split("\n", 1)[0]
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter="\t" if "\t" in header else ",", strict=True)
    try:
        columns = [(name or "").strip() for name in reader.fieldnames or ()]
        reader.fieldnames = columns
        _check_columns(given, columns)
        rows = [_row(given, reader.line_num, values, path.parent) for values in reader]
    except csv.Error as error:
        raise InputError(
            f"--reports {given}, line {reader.line_num}: not a table ({error}); check its quotes"
        ) from error
    return rows


def _check_columns(given: str | Path, columns: Sequence[str]) -> None:
    named = ", ".join(repr(name) for name in columns if name) or "none"
    if PARTICIPANT not in columns:
        raise InputError(f"--reports {given}: no column '{PARTICIPANT}'; its columns are {named}")
    there = [name for name in (REPORT, REPORT_FILE) if name in columns]
    if len(there) != 1:
        raise InputError(
            f"--reports {given}: give one column of texts, '{REPORT}', or of paths to text files, '{REPORT_FILE}'; "
            f"its columns are {named}"
        )


def _row(given: str | Path, line: int, values: dict[str, str | None], folder: Path) -> TableRow:
    def refuse(what: str) -> InputError:
        return InputError(f"--reports {given}, line {line}: {what}")

    if None in values or None in values.values():
        raise refuse("another number of fields than the first line has; quote texts that hold the separator")
    cells = {name: (value or "").strip() for name, value in values.items()}
    found = {name: None if value.lower() in EMPTY else value for name, value in cells.items()}
    participant, session = found[PARTICIPANT], found.get(SESSION)
    if participant is None:
        raise refuse(f"'{PARTICIPANT}' is empty")
    split, healthy = found.get(SPLIT), found.get(HEALTHY)
    if split is not None and split.lower() not in _SPLIT_NAMES:
        raise refuse(f"split {split!r}; give {', '.join(SPLITS)}")
    if healthy is not None and healthy.lower() not in _TRUTHS:
        raise refuse(f"healthy {healthy!r}; give true or false")
    file = found.get(REPORT_FILE)
    return TableRow(
        line,
        participant.removeprefix("sub-"),
        None if session is None else session.removeprefix("ses-"),
        found.get(REPORT),
        None if file is None else folder / file,
        None if split is None else _SPLIT_NAMES[split.lower()],
        None if healthy is None else _TRUTHS[healthy.lower()],
    )
