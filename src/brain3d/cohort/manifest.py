"""The manifest of a cohort: JSON Lines, one study a line, paths relative to the manifest."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from brain3d.scans.types import InputError

_FILES = ("image", "report", "truth", "mask")
_KEYS = ("id", *_FILES, "split")


@dataclass(frozen=True)
class Study:
    """One study. `image` is its scan; `report` its text, `truth` a phantom's truth, `mask` the lesion's mask."""

    id: str
    image: Path
    report: Path | None = None
    truth: Path | None = None
    mask: Path | None = None
    split: str | None = None


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
    try:
        values = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON ({error.msg})") from None
    if not isinstance(values, dict):
        raise ValueError("not a JSON object")
    unknown = sorted(set(values) - set(_KEYS))
    if unknown:
        raise ValueError(f"unknown key {unknown[0]!r}; known are {', '.join(_KEYS)}")
    for name in _KEYS:
        value = values.get(name)
        if value is None and name in ("id", "image"):
            raise ValueError(f"{name!r} is missing")
        if value is not None and (not isinstance(value, str) or not value):
            raise ValueError(f"{name!r} must be a text that is not empty")
    files = {name: _file(name, values[name], folder, check_files) for name in _FILES if values.get(name)}
    return Study(id=values["id"], split=values.get("split"), **files)


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
    text = "".join(json.dumps(_line(study, path.parent)) + "\n" for study in studies)
    partial = path.with_name(f".{secrets.token_hex(8)}.part")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}); check the folder") from error
    finally:
        partial.unlink(missing_ok=True)


def _line(study: Study, folder: Path) -> dict[str, str | None]:
    values: dict[str, str | None] = {"id": study.id}
    for name in _FILES:
        file = getattr(study, name)
        values[name] = None if file is None else Path(os.path.relpath(file, folder)).as_posix()
    return {**values, "split": study.split}
