"""The manifest of a cohort: JSON Lines, one study a line, paths relative to the manifest."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from brain3d.scans.types import InputError

SEQUENCES = ("FLAIR", "T1", "T1ce", "T2")
SPLITS = ("train", "validation", "test")
_FILES = ("image", "report", "truth", "mask")
_TEXTS = ("split", "subject", "session", "source")
_KEYS = ("id", *_FILES, *_TEXTS, "sequences", "healthy")


@dataclass(frozen=True)
class Study:
    """One patient's scans at one time, with what belongs to them. All paths are joined to the manifest's folder.

    `image` is the scan that is read, the FLAIR; `report` its text, `truth` a phantom's truth, `mask` the lesion's mask
    on the scan's grid, `split` such as "train". `subject` is whom it shows, by the data set's own pseudonym; of
    manifests that do not say, the study's id. `session` tells apart the studies of one subject. `sequences` has all
    scans that there are, by "FLAIR", "T1", "T1ce" and "T2"; of manifests that do not say, it is empty. `source` names
    the data set or the layout that it came from; `healthy` says whether the data set counts the subject as healthy,
    None where nothing does.
    """

    id: str
    image: Path
    report: Path | None = None
    truth: Path | None = None
    mask: Path | None = None
    split: str | None = None
    subject: str = ""
    session: str | None = None
    sequences: Mapping[str, Path] = field(default_factory=dict, hash=False)
    source: str | None = None
    healthy: bool | None = None

    def __post_init__(self) -> None:
        if not self.subject:
            object.__setattr__(self, "subject", self.id)


def manifest_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of one line of a manifest."""
    text = resources.files("brain3d.cohort").joinpath("manifest.schema.json").read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema


def read_manifest(path: str | Path, *, check_files: bool = True) -> list[Study]:
    """The studies of a manifest, their paths joined to its folder.

    With `check_files` every file that it names must be there. Raises InputError that names the line.
    """
    path = Path(path)
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise InputError(f"{path}: no such manifest; check the path") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a readable manifest of JSON lines ({type(error).__name__})") from error
    studies: dict[str, Study] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            study = _study(line, path.parent, check_files)
            if study.id in studies:
                raise ValueError(f"the id {study.id!r} stands on an earlier line too")
        except ValueError as error:
            raise InputError(f"{path}, line {number}: {error}") from None
        studies[study.id] = study
    return list(studies.values())


def _study(line: str, folder: Path, check_files: bool) -> Study:
    values = _values(line)
    for name in ("id", *_FILES, *_TEXTS):
        value = values.get(name)
        if value is None and name in ("id", "image"):
            raise ValueError(f"{name!r} is missing")
        if value is not None and (not isinstance(value, str) or not value):
            raise ValueError(f"{name!r} must be a text that is not empty")
    if not isinstance(values.get("healthy", False), bool | None):
        raise ValueError("'healthy' must be true, false or null")
    files: dict[str, Any] = {
        name: _file(name, values[name], folder, check_files) for name in _FILES if values.get(name)
    }
    sequences = _sequences(values.get("sequences"), folder, check_files)
    return Study(
        id=values["id"],
        split=values.get("split"),
        subject=values.get("subject") or "",
        session=values.get("session"),
        source=values.get("source"),
        healthy=values.get("healthy"),
        sequences=sequences,
        **files,
    )


def _values(line: str) -> dict[str, Any]:
    try:
        values = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON ({error.msg})") from None
    if not isinstance(values, dict):
        raise ValueError("not a JSON object")
    unknown = sorted(set(values) - set(_KEYS))
    if unknown:
        raise ValueError(f"unknown key {unknown[0]!r}; known are {', '.join(_KEYS)}")
    return values


def _sequences(values: Any, folder: Path, check_files: bool) -> dict[str, Path]:
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ValueError("'sequences' must be an object of paths")
    for name, value in values.items():
        if name not in SEQUENCES:
            raise ValueError(f"unknown sequence {name!r}; known are {', '.join(SEQUENCES)}")
        if not isinstance(value, str) or not value:
            raise ValueError(f"{name!r} must be a text that is not empty")
    return {name: _file(name, value, folder, check_files) for name, value in values.items()}


def _file(name: str, value: str, folder: Path, check_files: bool) -> Path:
    if Path(value).is_absolute():
        raise ValueError(f"{name!r} is {value}; write it relative to the manifest's folder")
    path = folder / value
    if check_files and not path.is_file():
        raise ValueError(f"{name!r} names {value}, which is not there")
    return path


def write_manifest(path: str | Path, studies: Iterable[Study]) -> None:
    """Write the studies' manifest, whole or not at all. InputError where it cannot be written."""
    path = Path(path)
    write_whole(path, "".join(json.dumps(_line(study, path.parent)) + "\n" for study in studies))


def write_whole(path: Path, text: str) -> None:
    """Write a text file, whole or not at all. InputError where it cannot be written."""
    partial = path.with_name(f".{secrets.token_hex(8)}.part")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}); check the folder") from error
    finally:
        partial.unlink(missing_ok=True)


def _line(study: Study, folder: Path) -> dict[str, Any]:
    """A study as plain JSON values; what no earlier version of the manifest knew only where there is something."""
    values: dict[str, Any] = {"id": study.id}
    for name in _FILES:
        file = getattr(study, name)
        values[name] = None if file is None else relative(file, folder)
    values["split"] = study.split
    more: dict[str, Any] = {
        "subject": None if study.subject == study.id else study.subject,
        "session": study.session,
        "source": study.source,
        "healthy": study.healthy,
        "sequences": {name: relative(file, folder) for name, file in study.sequences.items()} or None,
    }
    return {**values, **{name: value for name, value in more.items() if value is not None}}


def relative(file: Path, folder: Path) -> str:
    """A file's path from a folder, with forward slashes; right also where either is reached through a link."""
    place = Path(os.path.realpath(file.parent)) / file.name
    return Path(os.path.relpath(place, os.path.realpath(folder))).as_posix()
