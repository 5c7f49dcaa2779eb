"""The full-size composite out of its two pretrained parts: a 2-D SigLIP tower and a Gemma 3 language model.

Each part is given by its name on the hub, by a folder, or as the model itself; a name is looked up in the local hub
cache first. Parts of any size go the same way: what is tested on tiny ones is what happens to large ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from transformers import (
    AutoTokenizer,
    Gemma3ForCausalLM,
    Gemma3ForConditionalGeneration,
    GenerationConfig,
    PreTrainedTokenizerBase,
    SiglipVisionModel,
)

from brain3d.model.compression import build_compression
from brain3d.model.configuration_brain3d import Brain3DConfig
from brain3d.model.inflation import inflate
from brain3d.model.modeling_brain3d import Brain3DForConditionalGeneration
from brain3d.model.projector import Brain3DProjector, FeatureStandardiser, initial_scale
from brain3d.model.quantisation import quantised
from brain3d.model.quiet import quiet
from brain3d.model.weights import find_part, read_config
from brain3d.scans.types import InputError

VISION_PART = "google/medsiglip-448"
LANGUAGE_PART = "google/medgemma-1.5-4b-it"
HEAD_VOXELS = 96  # of 2 mm, along the plane


class LanguagePart(NamedTuple):
    """A causal language model with the tokenizer that belongs to it."""

    model: Gemma3ForCausalLM
    tokenizer: PreTrainedTokenizerBase


LARGE_BYTES = 1 << 30
"""Weights from this size on are computed in bfloat16 where a GPU has it; smaller models gain nothing by it."""

_MADE_OF = "Gemma 3, text only (model_type gemma3_text) or multimodal (gemma3)"


def pick_dtype(device: torch.device | str, weight_bytes: int = LARGE_BYTES) -> tuple[torch.dtype, str]:
    """The number type to compute in on a device, and why in one sentence.

    bfloat16 for large weights on GPUs that have it, float32 elsewhere: few CPUs have units for bfloat16, and without
    them it is slower.
    """
    if torch.device(device).type != "cuda":
        return torch.float32, "float32 on a CPU: bfloat16 is much slower where it has no units for that"
    if weight_bytes < LARGE_BYTES:
        return torch.float32, "float32: the model is small"
    if not torch.cuda.is_bf16_supported():
        return torch.float32, "float32: this GPU has no bfloat16"
    return torch.bfloat16, "bfloat16 on a GPU: half the memory, and what large parts were trained in"


def load_vision_part(where: str | Path = VISION_PART, *, dtype: torch.dtype = torch.float32) -> SiglipVisionModel:
    """The 2-D vision tower, from a SigLIP checkpoint (its vision half is taken) or a vision tower's own.

    Args:
        where: a hub name or a folder with config.json and weights.
        dtype: of the weights in memory, whatever they are stored in.

    Raises:
        InputError: not there, gated, half-downloaded or of another architecture; one line that says what to do.
    """
    given, what = str(where), "the vision tower"
    folder = find_part(where, what)
    kind = read_config(folder, given).get("model_type")
    if kind not in ("siglip", "siglip_vision_model"):
        raise InputError(f"{given}: a model of type {kind!r}, where {what} must be a SigLIP; give {VISION_PART}")
    with _refusing(given, what, folder):
        model, info = SiglipVisionModel.from_pretrained(
            folder, dtype=dtype, output_loading_info=True, local_files_only=True
        )
    missing = [name for name in info["missing_keys"] if not name.startswith("head.")]  # no tower uses the head
    _check_keys(given, what, [*missing, *info["mismatched_keys"]])
    return model.eval()


def load_language_part(
    where: str | Path = LANGUAGE_PART,
    *,
    quantisation: str | None = None,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
    tokenizer: Path | None = None,
) -> LanguagePart:
    """The causal language model with its tokenizer, from a Gemma 3 text checkpoint or out of a multimodal one.

    Args:
        where: a hub name or a folder with config.json, weights and tokenizer.
        quantisation: "nf4" for linear layers in 4 bits, which needs bitsandbytes and a GPU (`quantised`); None for
            weights as they are.
        dtype: of the weights in memory, or of the computation where they are quantised.
        device: where the weights go.
        tokenizer: a folder that may hold the tokenizer where that of the weights does not.

    Raises:
        InputError: as `load_vision_part`; an unknown quantisation, or one that this machine cannot do.
    """
    given, what = str(where), "the language model"
    settings = quantised(quantisation, dtype, device)
    folder = find_part(where, what)
    kind = read_config(folder, given).get("model_type")
    if kind not in ("gemma3_text", "gemma3"):
        raise InputError(f"{given}: a model of type {kind!r}, where {what} must be a {_MADE_OF}; give {LANGUAGE_PART}")
    holder = Gemma3ForCausalLM if kind == "gemma3_text" else Gemma3ForConditionalGeneration
    with _refusing(given, what, folder):
        model, info = holder.from_pretrained(
            folder, dtype=dtype, output_loading_info=True, local_files_only=True, **settings
        )
    _check_keys(given, what, [*info["missing_keys"], *info["mismatched_keys"]])
    words = load_tokenizer(folder if tokenizer is None or has_tokenizer(folder) else tokenizer, given)
    causal = model if kind == "gemma3_text" else _text_half(model)
    return LanguagePart((causal if settings else causal.to(device)).eval(), words)


def has_tokenizer(folder: Path) -> bool:
    """Whether a folder holds the files of a tokenizer."""
    return any((folder / name).is_file() for name in ("tokenizer.json", "tokenizer.model"))


def load_tokenizer(folder: Path, given: str) -> PreTrainedTokenizerBase:
    """The tokenizer in a folder; what pads is the end of sequence where nothing else is named.

    Raises:
        InputError: there is none, or it is damaged or without an end of sequence.
    """
    if not has_tokenizer(folder):
        raise InputError(f"{given}: no tokenizer, tokenizer.json is missing; download or copy it there")
    with _refusing(given, "the tokenizer", folder):
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    if tokenizer.eos_token_id is None:
        raise InputError(f"{given}: its tokenizer names no end of sequence (eos_token); export the tokenizer again")
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def assemble(
    vision: str | Path | SiglipVisionModel = VISION_PART,
    language: str | Path | LanguagePart = LANGUAGE_PART,
    *,
    quantisation: str | None = None,
    dtype: torch.dtype | None = None,
    device: torch.device | str = "cpu",
    **choices: Any,
) -> tuple[Brain3DForConditionalGeneration, PreTrainedTokenizerBase]:
    """One composite model, and its tokenizer, out of the two parts.

    The parts' weights are kept and not copied where they need not be: parts given as models are used up. The
    projector, its scale and a perceiver start fresh, from torch's global generator: seed it first.

    Args:
        vision, language: hub names, folders, or what `load_vision_part` and `load_language_part` returned.
        quantisation: as for `load_language_part`; the tower and the projector are never quantised.
        dtype: of all parts; None takes that of a language model that is given as such, else `pick_dtype` chooses.
        device: where the model goes.
        choices: fields of `Brain3DConfig`: `compression` "grid" | "sequence" | "perceiver", `positions` "kept" |
            "published", `inflation` "average" | "center", `colour` "summed" | "averaged", the volume's shape and so on.
            What is not given is this project's own (`full_size_choices`); `**PUBLISHED` is the published system.

    Returns:
        The model in evaluation mode with `config` filled, and the tokenizer; `Brain3DProcessor.from_config(tokenizer,
        model.config)` makes batches for it.

    Raises:
        InputError: a part cannot be loaded, or the choices do not fit the parts.
    """
    if dtype is None:
        dtype = language.model.dtype if isinstance(language, LanguagePart) else pick_dtype(device)[0]
    if not isinstance(vision, SiglipVisionModel):
        vision = load_vision_part(vision, dtype=dtype)
    if not isinstance(language, LanguagePart):
        language = load_language_part(language, quantisation=quantisation, dtype=dtype, device=device)
    config = _composite_config(vision, language, choices)
    model = _composite(vision, language.model, config, dtype)
    moved: tuple[torch.nn.Module, ...] = (
        model.model.vision_tower,
        model.model.compression,
        model.model.projector,
        *_optional(model),
    )
    for part in moved if model.is_loaded_in_4bit else (model,):  # such weights lie where they were loaded
        part.to(device)
    return model.eval(), language.tokenizer


def full_size_choices(patch_size: int) -> dict[str, Any]:
    """This project's own choices for a tower with patches of that many pixels, as fields of `Brain3DConfig`.

    A volume of 2 mm voxels that holds a head of 176 x 192 x 192 mm, its plane a whole number of patches, an even
    number of them across; patches of 8 slices; a grid of 4 x 2 x 4 boxes.
    """
    rows, pairs = (-(-HEAD_VOXELS // width) for width in (patch_size, 2 * patch_size))
    return {"volume_shape": (88, rows * patch_size, 2 * pairs * patch_size), "spacing_mm": 2.0}


def _composite_config(vision: SiglipVisionModel, language: LanguagePart, choices: dict[str, Any]) -> Brain3DConfig:
    text = language.model.config
    settings = {
        **full_size_choices(vision.config.patch_size),
        "image_token_id": text.vocab_size,  # beyond the vocabulary: no text can hold it
        "tie_word_embeddings": text.tie_word_embeddings,
        **choices,
    }
    try:
        return Brain3DConfig(vision_config=vision.config, text_config=text, **settings)
    except ValueError as error:
        raise InputError(f"the parts and the choices do not fit together: {error}") from error


def _composite(
    vision: SiglipVisionModel, language: Gemma3ForCausalLM, config: Brain3DConfig, dtype: torch.dtype
) -> Brain3DForConditionalGeneration:
    """Built without memory first, then given the parts themselves: 4 billion parameters are not copied."""
    with torch.device("meta"):
        model = Brain3DForConditionalGeneration(config)
    body = model.model
    body.vision_tower = inflate(vision, config).to(dtype)
    body.language_model, model.lm_head = language.model, language.lm_head
    body.compression = build_compression(config)
    body.projector = Brain3DProjector(config)
    if config.feature_standardisation:
        body.standardiser = FeatureStandardiser(config.compressed_size)
    if config.evidence_head:
        body.evidence_head = torch.nn.Linear(config.vision_config.hidden_size, 1)
    for part in (body.compression, body.projector, *_optional(model)):
        part.apply(model._init_weights).to(dtype)
    with torch.no_grad():
        body.projector.vis_scale.fill_(initial_scale(config, language.get_input_embeddings().weight))
    model.generation_config = GenerationConfig(
        eos_token_id=language.generation_config.eos_token_id, top_k=language.generation_config.top_k
    )
    model.is_loaded_in_4bit = bool(getattr(language, "is_loaded_in_4bit", False))  # what PEFT asks
    return model


def _optional(model: Brain3DForConditionalGeneration) -> list[torch.nn.Module]:
    return [part for part in (model.model.standardiser, model.model.evidence_head) if part is not None]


def _text_half(model: Gemma3ForConditionalGeneration) -> Gemma3ForCausalLM:
    """The language model of a multimodal Gemma 3, as a model of its own with the same weights."""
    with torch.device("meta"):
        causal = Gemma3ForCausalLM(model.config.text_config)
    causal.model, causal.lm_head = model.model.language_model, model.lm_head
    causal.generation_config = model.generation_config
    causal.is_loaded_in_4bit = bool(getattr(model, "is_loaded_in_4bit", False))
    return causal


@contextmanager
def _refusing(given: str, what: str, folder: Path) -> Iterator[None]:
    """Whatever a library raises over damaged files becomes one line; its bars and advice are not shown."""
    try:
        with quiet():
            yield
    except Exception as error:  # each file's library raises what it likes; all of it means a damaged folder
        reason = (str(error).strip() or type(error).__name__).split("\n")[0].replace(str(folder), "the folder")
        raise InputError(f"{given}: {what} cannot be loaded ({reason}); download it again") from error


def _check_keys(given: str, what: str, wrong: Iterable[Any]) -> None:
    names = sorted(map(str, wrong))
    if names:
        raise InputError(
            f"{given}: the weights are not those that its config.json describes for {what} ({len(names)} differ, "
            f"first {names[0]}); download it again"
        )
