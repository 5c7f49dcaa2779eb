"""The report of a training run: what it was made with, from what, how long it took and how well it ended."""

from __future__ import annotations

import hashlib
import json
import math
import os
import platform
import secrets
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path, PurePath
from typing import Any

import torch

from brain3d.scans.types import InputError
from brain3d.training.digest import LENGTH, file_digest

JSON_FILE, MARKDOWN_FILE = "run-report.json", "run-report.md"
SCHEMA_VERSION = 1
LIBRARIES = ("brain3d", "torch", "transformers", "peft", "accelerate", "tokenizers", "safetensors", "numpy", "scipy")
_PARTS_OF_WEIGHTS = ("*.safetensors", "*.bin", "*.pt")


@dataclass(frozen=True)
class StageReport:
    """How one stage went. `best` and `last` are validation figures by name, `best_step` where the best was.

    `ended` says why it stopped: "steps", "early stopping", "interrupted". `cache` are `token_cache.Counts`.
    """

    name: str
    steps: int
    seconds: float
    best: Mapping[str, float] = field(default_factory=dict)
    last: Mapping[str, float] = field(default_factory=dict)
    best_step: int | None = None
    ended: str = "steps"
    cache: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class RunReport:
    """A run. `recipe` is the recipe as it was run, overrides in it; `hashes` those of data and base model, by name.

    `data` counts studies, such as `CohortData.summary` of each split; `left_out` counts studies that were left out, by
    the kind of fault (`StudyError.kind`). `resumed` is how often the run was started again.
    """

    recipe: Mapping[str, Any]
    hashes: Mapping[str, str]
    stages: Sequence[StageReport]
    data: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    left_out: Mapping[str, int] = field(default_factory=dict)
    resumed: int = 0


def library_versions() -> dict[str, str]:
    """Python's and the libraries' versions; those that are not installed are left out."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def hardware() -> dict[str, Any]:
    """Cores that this process may use, threads, and GPUs by name and memory; no name of the machine."""
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count()
    gpus = [torch.cuda.get_device_properties(k) for k in range(torch.cuda.device_count())]
    return {
        "cores": cores,
        "threads": torch.get_num_threads(),
        "system": f"{platform.system()} {platform.machine()}",
        "gpus": [{"name": gpu.name, "gb": round(gpu.total_memory / 1e9, 1)} for gpu in gpus],
    }


def model_digest(folder: Path) -> str:
    """A hash of a model folder's config and weight files, whatever the folder is called. InputError without weights."""
    files = sorted({file for pattern in _PARTS_OF_WEIGHTS for file in folder.rglob(pattern)})
    if not files:
        raise InputError(f"{folder}: holds no weights; give the folder of a model")
    files += sorted(folder.rglob("config.json"))
    whole = hashlib.sha256()
    for file in files:
        whole.update(f"{file.relative_to(folder).as_posix()} {file_digest(file)}\n".encode())
    return whole.hexdigest()[:LENGTH]


def to_json(report: RunReport) -> dict[str, Any]:
    """The report as plain JSON values, with versions and hardware. Of absolute paths only the last name is kept, and
    what is not a finite number becomes null."""
    values = {
        "schema_version": SCHEMA_VERSION,
        "versions": library_versions(),
        "hardware": hardware(),
        **asdict(report),
        "seconds": round(sum(stage.seconds for stage in report.stages), 1),
    }
    cleaned: dict[str, Any] = _clean(values)
    return cleaned


def _clean(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _clean(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_clean(item) for item in value]
    if isinstance(value, PurePath) or (isinstance(value, str) and _is_absolute(value)):
        return PurePath(value).name
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value


def _is_absolute(text: str) -> bool:
    return text.startswith(("/", "~", "\\\\")) or (len(text) > 2 and text[1] == ":" and text[2] in "\\/")


def to_markdown(values: Mapping[str, Any]) -> str:
    """The report (`to_json`) as a short text with tables."""
    hardware_of = values["hardware"]
    gpus = ", ".join(f"{gpu['name']} ({gpu['gb']} GB)" for gpu in hardware_of["gpus"]) or "none"
    lines = [
        "# Training run",
        "",
        f"{values['seconds']:.0f} s on {hardware_of['cores']} cores, GPU: {gpus}; started again "
        f"{values['resumed']} times. " + ", ".join(f"{name} {number}" for name, number in values["versions"].items()),
        "",
        "| stage | steps | seconds | ended by | best | last |",
        "|---|---|---|---|---|---|",
    ]
    for stage in values["stages"]:
        best = _figures(stage["best"]) + (f" (step {stage['best_step']})" if stage["best_step"] is not None else "")
        lines.append(
            f"| {stage['name']} | {stage['steps']} | {stage['seconds']:.0f} | {stage['ended']} | {best} | "
            f"{_figures(stage['last'])} |"
        )
    lines += ["", "| split | counts |", "|---|---|"]
    lines += [f"| {name} | {_figures(counts)} |" for name, counts in values["data"].items()]
    left_out = _figures(values["left_out"]) or "none"
    lines += ["", f"Studies left out: {left_out}.", "", "| what | hash |", "|---|---|"]
    lines += [f"| {name} | `{digest}` |" for name, digest in values["hashes"].items()]
    recipe = json.dumps(values["recipe"], indent=2)
    return "\n".join([*lines, "", "The recipe as it was run:", "", "```json", recipe, "```", ""])


def _figures(figures: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {_number(value)}" for name, value in figures.items())


def _number(value: Any) -> str:
    if value is None:
        return "not a number"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def write_run_report(folder: Path, report: RunReport) -> Path:
    """Write run-report.json and run-report.md, each whole or not at all; returns the former. InputError if not."""
    values = to_json(report)
    texts = {MARKDOWN_FILE: to_markdown(values), JSON_FILE: json.dumps(values, indent=2) + "\n"}
    for name, text in texts.items():
        partial = folder / f".{secrets.token_hex(8)}.part"
        try:
            partial.write_text(text, encoding="utf-8")
            partial.replace(folder / name)
        except OSError as error:
            raise InputError(f"{folder}: cannot hold the run's report ({error.strerror or error})") from error
        finally:
            partial.unlink(missing_ok=True)
    return folder / JSON_FILE
