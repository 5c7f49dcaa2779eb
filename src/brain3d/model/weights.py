"""Where the weights of a pretrained part lie, and whether they are all there; answers without torch."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

from brain3d.scans.types import InputError

CONFIG_FILE = "config.json"
INDEXES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
WEIGHTS = ("model.safetensors", "pytorch_model.bin")
WANTED_FILES = ("*.json", "*.safetensors", "*.model", "*.jinja")
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def find_part(where: str | Path, what: str) -> Path:
    """The folder of a part given by folder or by hub name, with its config and all its weights.

    A name is looked up in the local hub cache; only where it is not there, and the hub may be asked (`HF_HUB_OFFLINE`
    is not set; the command line sets it), is it downloaded.

    Args:
        where: a folder, or a name such as "google/medsiglip-448".
        what: what the part is, for error messages, such as "the vision tower".

    Raises:
        InputError: not there, gated, or half-downloaded; one line that says what to do.
    """
    given = str(where)
    folder = Path(where)
    if folder.is_dir():
        check_complete(folder, given, what, "download or copy the folder again")
        return folder
    if folder.exists():
        raise InputError(f"{given}: a file, not {what}; give the folder that holds config.json and the weights")
    if isinstance(where, Path) or not _HUB_NAME.fullmatch(given):
        raise InputError(f"{given or repr(given)}: no such folder for {what}; give a folder or a hub name (OWNER/NAME)")
    folder = _from_hub(given, what)
    check_complete(folder, given, what, f"run `hf download {given}` again")
    return folder


def check_complete(folder: Path, given: str, what: str, remedy: str) -> None:
    """InputError where the folder lacks its config or a file of its weights."""
    if not (folder / CONFIG_FILE).is_file():
        raise InputError(f"{given}: not {what}, config.json is missing; {remedy}")
    read_config(folder, given)
    missing = missing_weights(folder, given)
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise InputError(f"{given}: {what} is half there, {missing[0]}{more} missing; {remedy}")


def missing_weights(folder: Path, given: str) -> list[str]:
    """The files of weights that a folder should hold and does not: the shards of its index, or the one file."""
    for name in INDEXES:
        index = folder / name
        if index.is_file():
            table = _json(index, given).get("weight_map")
            if not isinstance(table, dict) or not table:
                raise InputError(f"{given}: its {name} is damaged; download it again")
            return [shard for shard in sorted(set(map(str, table.values()))) if not _is_there(folder / shard)]
    return [] if any(_is_there(folder / name) for name in WEIGHTS) else [WEIGHTS[0]]


def read_config(folder: Path, given: str) -> dict[str, Any]:
    """The folder's config.json; InputError where it is damaged."""
    return _json(folder / CONFIG_FILE, given)


def _is_there(path: Path) -> bool:
    return path.is_file() and path.stat().st_size > 0


def _json(path: Path, given: str) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{given}: its {path.name} is damaged or cannot be read; download it again") from error
    if not isinstance(values, dict):
        raise InputError(f"{given}: its {path.name} is damaged; download it again")
    return values


def cached_snapshot(name: str) -> Path | None:
    """The folder of a hub repository in the local hub cache; None where it is not there. Asks nobody."""
    if not _HUB_NAME.fullmatch(name):
        return None
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, local_files_only=True))
    except LocalEntryNotFoundError:
        return None


def _from_hub(name: str, what: str) -> Path:
    """The local snapshot of a hub repository, downloaded where it is not here and the hub may be asked."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    folder = cached_snapshot(name)
    if folder and (_is_offline() or not missing_weights(folder, name)):
        return folder
    if _is_offline():
        raise InputError(
            f"{name}: {what} is not in the local hub cache; accept its terms at https://huggingface.co/{name} if it "
            f"has any, run `hf auth login` and `hf download {name}`, or give its folder"
        )
    try:
        return Path(snapshot_download(name, allow_patterns=list(WANTED_FILES)))
    except GatedRepoError as error:
        raise InputError(
            f"{name}: {what} is gated; accept its terms at https://huggingface.co/{name}, then `hf auth login`"
        ) from error
    except RepositoryNotFoundError as error:
        raise InputError(
            f"{name}: the hub has no such model, or hides it; check the name, or `hf auth login`"
        ) from error
    except OSError as error:  # no network, no space, a server's refusal: the hub's errors are all OSErrors
        raise InputError(
            f"{name}: {what} cannot be downloaded ({_first_line(error)}); run `hf download {name}` where there is a "
            "network, or give its folder"
        ) from error


def _is_offline() -> bool:
    """Whether the hub may not be asked: by its own setting, or by the variable set after it was imported."""
    from huggingface_hub import constants

    return constants.HF_HUB_OFFLINE or os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).split("\n")[0]
