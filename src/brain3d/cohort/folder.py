"""The folder of a cohort: its manifest, what is known of how it was made, its prepared volumes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from brain3d.cohort.manifest import Study, read_manifest
from brain3d.scans.types import InputError

MANIFEST_FILE = "manifest.jsonl"
INFO_FILE = "cohort.json"
VOLUMES_FOLDER = "volumes"
REPORTS_FOLDER = "reports"
IMAGES_FOLDER = "images"
AUDIT_FILE = "audit.json"


@dataclass(frozen=True)
class Cohort:
    """An opened cohort.

    `manifest` is the file that lists its `studies`, `folder` where that lies. `info` is the content of cohort.json, how
    the cohort was made: of a prepared one the keys "source", "preset", "split" ("procedure", "seed", "ratios"),
    "prompt" and "left_out"; empty where there is no such file. `volumes` is the folder of its `VolumeCache`s, None
    where it has none.
    """

    manifest: Path
    studies: tuple[Study, ...]
    info: Mapping[str, Any]
    volumes: Path | None

    @property
    def folder(self) -> Path:
        """The folder that the manifest lies in."""
        return self.manifest.parent

    @property
    def prompt(self) -> str | None:
        """The prompt that its preset goes with, None where that does not say."""
        return self.info.get("prompt")

    def split(self, *names: str) -> tuple[Study, ...]:
        """The studies of these splits, such as "train". InputError where none is in them."""
        found = tuple(study for study in self.studies if study.split in names)
        if not found:
            raise InputError(
                f"{self.manifest}: no study is in the split {' or '.join(names)}; {_splits_in(self.studies)}"
            )
        return found


def _splits_in(studies: Sequence[Study]) -> str:
    names = sorted({study.split for study in studies if study.split is not None})
    return f"it has {', '.join(names)}" if names else "it has no splits, `brain3d prepare manifest` makes them"


def open_cohort(path: str | Path, *, check_files: bool = True) -> Cohort:
    """The cohort in a folder, prepared or of phantoms, or of a manifest file.

    With `check_files` every file that its manifest names must be there. Raises InputError, one line.
    """
    path = Path(path)
    manifest = path / MANIFEST_FILE if path.is_dir() else path
    if path.is_dir() and not manifest.is_file():
        raise InputError(f"{path}: a folder without a {MANIFEST_FILE}; give a cohort, `brain3d prepare` makes one")
    studies = tuple(read_manifest(manifest, check_files=check_files))
    info, volumes = _info(manifest.parent / INFO_FILE), manifest.parent / VOLUMES_FOLDER
    return Cohort(manifest, studies, info, volumes if info.get("volumes") and volumes.is_dir() else None)


def _info(file: Path) -> Mapping[str, Any]:
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise InputError(f"{file}: not readable JSON ({type(error).__name__}); prepare the cohort again") from error
    if not isinstance(values, dict):
        raise InputError(f"{file}: not a JSON object; prepare the cohort again")
    return values
