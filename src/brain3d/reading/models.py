"""Which models can be loaded, and where they lie; answers without torch."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from brain3d.scans.types import VolumeSpec

EMBEDDED = "brain3d-mini"
WEIGHTS = Path(__file__).parent / "weights"
SAMPLE = Path(__file__).parent / "sample" / "flair.nii.gz"
ABOUT_FILE = "brain3d.json"
CONFIG_FILE = "config.json"
NEEDED = (CONFIG_FILE, "processor_config.json", "tokenizer.json")
MODEL_TYPE = "brain3d"

# The parts of the full model. They are gated: each user accepts the terms and downloads them.
GATED = {
    "google/medgemma-1.5-4b-it": "the language model of the full Brain3D",
    "google/medsiglip-448": "the 2-D vision tower of the full Brain3D",
}


@dataclass(frozen=True)
class Identity:
    """What a report says about its model; `hash` is the sha256 of the weights."""

    name: str
    version: str
    hash: str

    def to_dict(self) -> dict[str, str]:
        return {"name": self.name, "version": self.version, "hash": self.hash}


def sample_scan() -> Path:
    """The synthetic scan that comes with the package."""
    return SAMPLE


def available_models() -> list[dict[str, Any]]:
    """Every model that has a name: `name`, `version`, `megabytes`, `ready`, `description`."""
    return [_embedded(), *(_gated(name, what) for name, what in GATED.items())]


def _embedded() -> dict[str, Any]:
    folder = WEIGHTS / EMBEDDED
    ready = not missing_files(folder)
    size = sum(path.stat().st_size for path in weight_files(folder))
    return {
        "name": EMBEDDED,
        "version": about(folder)["version"] if ready else None,
        "megabytes": round(size / 1e6, 1) if ready else None,
        "ready": ready,
        "description": "comes with the package, trained on synthetic FLAIR scans; a CPU is enough",
    }


def _gated(name: str, what: str) -> dict[str, Any]:
    return {
        "name": name,
        "version": None,
        "megabytes": None,
        "ready": False,
        "description": f"{what}; gated, and this version cannot load it yet",
    }


def weight_files(folder: Path) -> list[Path]:
    """The weights in a model folder, in the order of their names."""
    return sorted(folder.glob("*.safetensors"))


def missing_files(folder: Path) -> list[str]:
    """What a model folder lacks, by name."""
    missing = [name for name in NEEDED if not (folder / name).is_file()]
    return missing if weight_files(folder) else [*missing, "model.safetensors"]


def about(folder: Path) -> dict[str, str]:
    """Name and version as the model's folder states them; a folder that does not say stays unnamed."""
    path = folder / ABOUT_FILE
    if not path.is_file():
        return {"name": "unnamed", "version": "unknown"}
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        return {"name": str(values["name"]), "version": str(values["version"])}
    except (ValueError, KeyError, TypeError) as error:
        from brain3d.scans.types import InputError  # brings nibabel along: not for a mere list of models

        raise InputError(f"{path}: does not state a name and a version; export the model again") from error


def identity(folder: Path) -> Identity:
    """Name, version and weight hash of a complete model folder."""
    digest = hashlib.sha256()
    for path in weight_files(folder):
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    stated = about(folder)
    return Identity(stated["name"], stated["version"], digest.hexdigest())


def volume_spec(folder: Path) -> VolumeSpec:
    """The grid that the model in a complete folder reads, by its config.json."""
    from brain3d.scans.types import VolumeSpec

    values = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
    depth, height, width = values["volume_shape"]
    return VolumeSpec((depth, height, width), float(values["spacing_mm"]))


def find_model(model: str | Path) -> Path:
    """The folder of a model given by name or by folder. InputError, one line, where there is none."""
    from brain3d.scans.types import InputError

    given = str(model)
    try:
        return _complete_folder(given, WEIGHTS / EMBEDDED if given == EMBEDDED else Path(model))
    except OSError as error:
        raise InputError(f"{given}: cannot be read ({error.strerror}); check the folder") from error


def _complete_folder(given: str, folder: Path) -> Path:
    from brain3d.scans.types import InputError

    there = bool(given) and folder.exists()
    if not there and given in GATED:
        raise InputError(
            f"{given}: {GATED[given]} is gated and not here; accept its terms at https://huggingface.co/{given}, "
            f"download it with `hf download {given} --local-dir FOLDER`, assemble a Brain3D model folder and "
            f"give that; this version reads assembled folders only, {EMBEDDED} needs nothing"
        )
    if not there:
        raise InputError(f"{given or repr(given)}: no such model and no such folder; `brain3d models` lists the names")
    if not folder.is_dir():
        raise InputError(f"{given}: a file, not a model; give the folder that holds config.json and the weights")
    missing = missing_files(folder)
    if missing:
        raise InputError(f"{given}: not a complete model, {' and '.join(missing)} missing; download or export it again")
    _check_type(given, folder)
    return folder


def _check_type(given: str, folder: Path) -> None:
    from brain3d.scans.types import InputError

    try:
        kind = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))["model_type"]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{given}: its config.json is damaged; download or export the model again") from error
    if kind != MODEL_TYPE:
        raise InputError(
            f"{given}: a model of type {kind!r}, not a Brain3D model; `brain3d models` lists what there is"
        )
