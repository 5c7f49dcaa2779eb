"""Checkpoints of the published system (arXiv 2602.22098): its files, as another configuration of the same model.

A release holds `vision_model/`, `language_model/` (transformers' own layout, the tokenizer with the latter),
`projector_vis_scale.pt` and, where its last stage ran, `lora_adapters/` (PEFT). A stage's checkpoint has only the last
two; its base models are then given beside it.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any, NamedTuple

import torch
from transformers import Gemma3ForCausalLM, PreTrainedTokenizerBase

from brain3d.model.configuration_brain3d import PUBLISHED
from brain3d.model.layout import LORA_FOLDER, PROJECTOR_FILE
from brain3d.model.modeling_brain3d import Brain3DForConditionalGeneration
from brain3d.model.parts import LanguagePart, assemble, load_language_part, load_vision_part
from brain3d.model.quiet import quiet
from brain3d.scans.types import InputError

PUBLISHED_DECODING: dict[str, Any] = {
    "max_new_tokens": 256,
    "min_new_tokens": 10,
    "do_sample": True,
    "temperature": 0.1,
    "top_p": 0.9,
    "repetition_penalty": 1.2,
    "no_repeat_ngram_size": 3,
}

_PROJECTOR_NAMES = {
    "0.weight": "linear_1.weight",
    "0.bias": "linear_1.bias",
    "2.weight": "linear_2.weight",
    "2.bias": "linear_2.bias",
}
# A module of the language model, whatever holds that: alone, in a multimodal model, by an older or a newer layout.
_LANGUAGE_MODULE = re.compile(r"(?:^|\.)((?:layers\.\d+|embed_tokens|lm_head)\..+)$")


class PublishedProjector(NamedTuple):
    """The two layers by this project's names, float or half precision as stored, and the scale."""

    weights: dict[str, torch.Tensor]
    scale: float


def load_published(
    folder: Path,
    given: str,
    *,
    vision: str | Path,
    language: str | Path,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
    quantisation: str | None = None,
) -> tuple[Brain3DForConditionalGeneration, PreTrainedTokenizerBase]:
    """The model in a folder of the published layout, and its tokenizer.

    Args:
        folder: holds `projector_vis_scale.pt`, and what else was released or saved.
        given: the folder as the caller gave it, for error messages.
        vision, language: its base models, by folder or hub name, be they in the folder or not.
        dtype, device: of all its parts.
        quantisation: "nf4" for the language model in 4 bits. Not with adapters: what they add to a weight is mostly
            less than half a step between two of its 16 values, and would be rounded away.

    Raises:
        InputError: a part is missing, damaged, of another architecture, or does not fit the others.
    """
    projector = read_projector(folder / PROJECTOR_FILE, f"{given}/{PROJECTOR_FILE}")
    tower = load_vision_part(vision, dtype=dtype)
    if quantisation is not None and (folder / LORA_FOLDER).is_dir():
        raise InputError(
            f"{given}: {LORA_FOLDER}/ cannot be merged into weights of 4 bits; run `brain3d convert {given} OUT`, and "
            "load OUT in 4 bits"
        )
    text = load_language_part(language, quantisation=quantisation, dtype=dtype, device=device, tokenizer=folder)
    _check_fit(projector, tower.config.hidden_size, text.model.config.hidden_size, given)
    if (folder / LORA_FOLDER).is_dir():
        merged = merge_lora(text.model, folder / LORA_FOLDER, f"{given}/{LORA_FOLDER}")
        text = LanguagePart(merged, text.tokenizer)
    width = len(projector.weights["linear_1.bias"])
    model, tokenizer = assemble(tower, text, dtype=dtype, device=device, **PUBLISHED, projector_hidden_size=width)
    with torch.no_grad():
        for name, parameter in model.model.projector.named_parameters():
            parameter.copy_(projector.weights.get(name, torch.tensor(projector.scale)))
    model.generation_config.update(**PUBLISHED_DECODING)
    return model, tokenizer


def read_projector(path: Path, given: str) -> PublishedProjector:
    """The projector and its scale. Of a pickle, only tensors and plain values are read: nothing in it is run.

    Raises:
        InputError: not there, damaged, or with anything else in it.
    """
    if not path.is_file():
        raise InputError(f"{given}: missing; download or copy the checkpoint again")
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever is wrong with a foreign file, it is not read
        raise InputError(
            f"{given}: damaged, or holds more than tensors and numbers; nothing of it was read, download it again"
        ) from error
    layers = stored.get("vision_projector") if isinstance(stored, dict) else None
    if not isinstance(layers, dict) or set(layers) != set(_PROJECTOR_NAMES):
        raise InputError(f"{given}: not a projector of the published layout (vision_projector with 0 and 2)")
    weights = {own: layers[name] for name, own in _PROJECTOR_NAMES.items()}
    if not all(
        isinstance(tensor, torch.Tensor) and tensor.is_floating_point() and bool(tensor.isfinite().all())
        for tensor in weights.values()
    ):
        raise InputError(f"{given}: its projector holds something else than numbers; download it again")
    return PublishedProjector(weights, _scale(stored.get("vis_scale"), given))


def _scale(stored: Any, given: str) -> float:
    """The scale, stored as a number or as a tensor of one."""
    if isinstance(stored, torch.Tensor) and stored.numel() == 1:
        stored = stored.item()
    if isinstance(stored, bool) or not isinstance(stored, int | float) or not math.isfinite(stored):
        raise InputError(f"{given}: its vis_scale is no number; download it again")
    return float(stored)


def _check_fit(projector: PublishedProjector, hidden: int, text_hidden: int, given: str) -> None:
    found = [tuple(projector.weights[name].shape) for name in _PROJECTOR_NAMES.values()]
    width = found[1][0] if len(found[1]) == 1 else 0
    if found != [(width, hidden), (width,), (text_hidden, width), (text_hidden,)] or not width:
        raise InputError(
            f"{given}: its projector has layers {found[0]} and {found[2]}, which do not lead from a tower of {hidden} "
            f"to a language model of {text_hidden}; give the base models that it was trained on"
        )


def merge_lora(model: Gemma3ForCausalLM, folder: Path, given: str) -> Gemma3ForCausalLM:
    """The language model with the adapters in `folder` (arXiv 2106.09685) added to its weights.

    Adapters on an image tower that the language model brought along are left out: no image goes through that tower.

    Raises:
        InputError: damaged, no LoRA, or adapters of another model.
    """
    from peft import LoraConfig, PeftConfig, get_peft_model, set_peft_model_state_dict

    try:
        config = PeftConfig.from_pretrained(folder)
        stored = _adapter_weights(folder)
    except Exception as error:  # as in `parts`: each file's library raises what it likes
        reason = (str(error).strip() or type(error).__name__).split("\n")[0].replace(str(folder), "the folder")
        raise InputError(f"{given}: cannot be loaded ({reason}); download it again") from error
    if not isinstance(config, LoraConfig):
        raise InputError(f"{given}: adapters of type {config.peft_type}, where LoRA is read")
    weights = {_own_name(name, given): tensor for name, tensor in stored.items() if "vision" not in name}
    modules = {name.removeprefix("base_model.model.").split(".lora_")[0] for name in weights}
    config.target_modules, config.exclude_modules, config.modules_to_save = modules, None, None
    config.base_model_name_or_path = model.name_or_path
    config.alpha_pattern, config.rank_pattern = map(_own_patterns, (config.alpha_pattern, config.rank_pattern))
    try:
        with quiet():
            wrapped = get_peft_model(model, config)
            unknown = set_peft_model_state_dict(wrapped, weights).unexpected_keys
    except (ValueError, RuntimeError, KeyError) as error:
        raise InputError(f"{given}: adapters of another model ({str(error).strip().splitlines()[0]})") from error
    expected = sum(".lora_" in name for name, _ in wrapped.named_parameters())
    if unknown or expected != len(weights):
        raise InputError(
            f"{given}: {len(weights)} adapter weights, where the model takes {expected}; download it again"
        )
    with quiet():
        return wrapped.merge_and_unload()


def _adapter_weights(folder: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    safe = folder / "adapter_model.safetensors"
    if safe.is_file():
        return load_file(safe)
    return dict(torch.load(folder / "adapter_model.bin", map_location="cpu", weights_only=True))


def _own_name(name: str, given: str) -> str:
    """An adapter weight's name where the language model stands alone."""
    found = _LANGUAGE_MODULE.search(name)
    if found is None or ".lora_" not in name:
        raise InputError(f"{given}: holds {name}, which is no LoRA weight of a Gemma 3 language model")
    return f"base_model.model.{_own_module(found[1])}"


def _own_module(tail: str) -> str:
    return tail if tail.startswith("lm_head") else f"model.{tail}"


def _own_patterns(patterns: dict[str, Any]) -> dict[str, Any]:
    """Ranks and alphas of single modules, by the names that these have where the language model stands alone."""
    found = {name: _LANGUAGE_MODULE.search(name) for name in patterns}
    return {_own_module(match[1]) if (match := found[name]) else name: value for name, value in patterns.items()}
