"""Which models can be loaded, and where they lie; answers without torch."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from brain3d.model.layout import LANGUAGE_FOLDER, LORA_FOLDER, PROJECTOR_FILE, VISION_FOLDER

if TYPE_CHECKING:
    from brain3d.scans.types import VolumeSpec

EMBEDDED = "brain3d-mini"
WEIGHTS = Path(__file__).parent / "weights"
SAMPLE = Path(__file__).parent / "sample" / "flair.nii.gz"
ABOUT_FILE = "brain3d.json"
CONFIG_FILE = "config.json"
NEEDED = (CONFIG_FILE, "processor_config.json", "tokenizer.json")
MODEL_TYPE = "brain3d"
PUBLISHED_NAME = "brain3d-published"

# The parts of the full model. They are gated: each user accepts the terms and downloads them.
GATED = {
    "google/medgemma-1.5-4b-it": "the language model",
    "google/medsiglip-448": "the 2-D vision tower",
}
_OPTION = {"google/medgemma-1.5-4b-it": "--language", "google/medsiglip-448": "--vision"}


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
        "ready": _in_hub_cache(name),
        "description": f"{what} of the full Brain3D, a part and no reader: gated, accept its terms and download "
        f"it, then give it to a recipe, or with {_OPTION[name]} to a checkpoint of the published system",
    }


def _in_hub_cache(name: str) -> bool:
    """Whether the local hub cache holds anything of a repository, by the hub's own layout and variables."""
    home = os.environ.get("HF_HOME") or Path("~/.cache/huggingface").expanduser()
    cache = Path(os.environ.get("HF_HUB_CACHE") or Path(home) / "hub")
    return any((cache / f"models--{name.replace('/', '--')}" / "snapshots").glob("*/config.json"))


def weight_files(folder: Path) -> list[Path]:
    """The weights in a model folder, in the order of their names; pickles only where there is nothing else."""
    return sorted(folder.glob("*.safetensors")) or sorted(folder.glob("*.bin"))


def weight_bytes(folder: Path) -> int:
    """How much the weights in a model folder take up."""
    return sum(path.stat().st_size for path in weight_files(folder))


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
    stated = about(folder)
    return Identity(stated["name"], stated["version"], _hash(weight_files(folder)))


def _hash(files: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


@dataclass(frozen=True)
class PublishedSource:
    """A checkpoint of the published system, `given` as the caller called it, and the folders of its base models."""

    folder: Path
    given: str
    vision: Path
    language: Path

    def identity(self) -> Identity:
        """The name that the folder states, if any; the hash is over all weights, the base models' too."""
        parts = [*weight_files(self.folder / LORA_FOLDER), *weight_files(self.vision), *weight_files(self.language)]
        stated = about(self.folder) if (self.folder / ABOUT_FILE).is_file() else {}
        return Identity(
            stated.get("name", PUBLISHED_NAME),
            stated.get("version", "unknown"),
            _hash([self.folder / PROJECTOR_FILE, *parts]),
        )


def is_published(folder: Path) -> bool:
    """Whether a folder has the layout of the published system, whole or not."""
    if (folder / PROJECTOR_FILE).is_file():
        return True
    bases = (folder / VISION_FOLDER, folder / LANGUAGE_FOLDER)
    return not (folder / CONFIG_FILE).is_file() and any(path.is_dir() for path in bases)


def find_published(
    folder: Path, given: str, vision: str | Path | None = None, language: str | Path | None = None
) -> PublishedSource:
    """Where all parts of a checkpoint of the published system lie; InputError where one is missing or half there.

    `vision` and `language`, by folder or hub name, stand in for those in the folder.
    """
    from brain3d.model.weights import find_part
    from brain3d.scans.types import InputError

    if not (folder / PROJECTOR_FILE).is_file():
        raise InputError(f"{given}: {PROJECTOR_FILE} is missing; download or copy the checkpoint again")
    bases = []
    for name, what, instead in (
        (VISION_FOLDER, "the vision tower", vision),
        (LANGUAGE_FOLDER, "the language model", language),
    ):
        if instead is None and not (folder / name).is_dir():
            option = name.removesuffix("_model")
            raise InputError(
                f"{given}: a checkpoint without {name}/; give the base model that it was trained on, by folder or hub "
                f"name, with --{option} (in Python {option}=)"
            )
        bases.append(find_part(folder / name if instead is None else instead, what))
    return PublishedSource(folder, given, *bases)


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
    if not there and given not in GATED and (cached := _cached(given)) is not None:
        folder, there = cached, True
    if not there and given in GATED:
        raise InputError(
            f"{given}: {GATED[given]} of the full Brain3D, gated and no reader by itself; accept its terms at "
            f"https://huggingface.co/{given}, download it with `hf download {given}`, and give it to a recipe, or with "
            f"{_OPTION[given]} to the folder of a published checkpoint; {EMBEDDED} needs nothing"
        )
    if not there:
        raise InputError(
            f"{given or repr(given)}: no such model and no such folder, nor is it in the local hub cache; "
            "`brain3d models` lists the names"
        )
    if not folder.is_dir():
        raise InputError(f"{given}: a file, not a model; give the folder that holds config.json and the weights")
    if is_published(folder):
        return folder
    missing = missing_files(folder)
    if missing:
        raise InputError(f"{given}: not a complete model, {' and '.join(missing)} missing; download or export it again")
    _check_type(given, folder)
    return folder


def _cached(given: str) -> Path | None:
    """The folder of a model that was downloaded by its hub name."""
    from brain3d.model.weights import cached_snapshot

    return cached_snapshot(given)


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
