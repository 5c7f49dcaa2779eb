"""Short hashes of what results follow from: weights, settings, code, files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedConfig

import brain3d.model as model_package
from brain3d.model.modeling_brain3d import Brain3DModel

LENGTH = 32  # hexadecimal digits: 128 bits
LANGUAGE_SIDE = ("text_config", "image_token_id", "prompt", "projector_hidden_size", "vis_scale_init")
OF_TRANSFORMERS = ("transformers_version", "architectures", "dtype", "_name_or_path", "torch_dtype")


def tensors_digest(tensors: Mapping[str, Tensor]) -> str:
    """A hash of named tensors: names, dtypes, shapes and every byte, whatever order and device they come in."""
    whole = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        plain = tensor.detach().cpu().contiguous()
        whole.update(f"{name} {plain.dtype} {tuple(plain.shape)}\n".encode())
        whole.update(plain.reshape(-1).view(torch.uint8).numpy().data)
    return whole.hexdigest()[:LENGTH]


def file_digest(path: Path) -> str:
    """The hash of a file's bytes. OSError where it cannot be read."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:LENGTH]


@lru_cache(maxsize=2)
def code_digest(folder: Path = Path(str(model_package.__file__)).parent) -> str:
    """A hash of the source of a package, the model's own, and of the libraries' versions that compute with it."""
    whole = hashlib.sha256()
    for file in sorted(folder.glob("*.py")):
        whole.update(file.name.encode() + b"\0" + file.read_bytes())
    for name in ("torch", "transformers"):
        whole.update(f"{name} {version(name)}\n".encode())
    return whole.hexdigest()[:LENGTH]


def settings_digest(config: PreTrainedConfig) -> str:
    """A hash of a model's settings, its prompt among them, but for what transformers notes of versions and paths."""
    text = json.dumps(_without(json.loads(config.to_json_string(use_diff=False)), OF_TRANSFORMERS), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:LENGTH]


def _without(settings: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    kept = {key: value for key, value in settings.items() if key not in names}
    return {key: _without(value, names) if isinstance(value, dict) else value for key, value in kept.items()}


def tower_digest(model: Brain3DModel, precision: str = "float32") -> str:
    """What compressed tokens follow from, besides the volume: weights of tower and compression, settings, code.

    The projector, the language model and the standardiser come after compression and do not count. `precision` is
    the autocast dtype; the device's kind counts too, since its last digits differ.
    """
    settings: dict[str, Any] = json.loads(model.config.to_json_string(use_diff=False))
    settings = {key: value for key, value in settings.items() if key not in (*LANGUAGE_SIDE, *OF_TRANSFORMERS)}
    settings["vision_config"] = {k: v for k, v in settings["vision_config"].items() if k not in OF_TRANSFORMERS}
    tensors = {
        **model.vision_tower.state_dict(prefix="tower."),
        **model.compression.state_dict(prefix="compression."),
    }
    device = next(model.vision_tower.parameters()).device.type
    facts = [tensors_digest(tensors), settings, code_digest(), precision, device]
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()[:LENGTH]
