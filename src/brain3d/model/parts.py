"""The full-size composite out of its two pretrained parts: a 2-D SigLIP tower and a Gemma 3 language model.

Each part is given by its name on the hub, by a folder, or as the model itself; a name is looked up in the local hub
cache first. Parts of any size go the same way: what is tested on tiny ones is what happens to large ones.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import torch
from transformers import Gemma3ForCausalLM, PreTrainedTokenizerBase, SiglipVisionModel

from brain3d.model.modeling_brain3d import Brain3DForConditionalGeneration

VISION_PART = "google/medsiglip-448"
LANGUAGE_PART = "google/medgemma-1.5-4b-it"
QUANTISATIONS = ("nf4",)


class LanguagePart(NamedTuple):
    """A causal language model with the tokenizer that belongs to it."""

    model: Gemma3ForCausalLM
    tokenizer: PreTrainedTokenizerBase


def pick_dtype(device: torch.device | str) -> tuple[torch.dtype, str]:
    """The number type to compute in on a device, and why in one sentence.

    bfloat16 on GPUs that have it, float32 elsewhere: few CPUs have units for bfloat16, and without them it is slower.
    """
    raise NotImplementedError


def load_vision_part(where: str | Path = VISION_PART, *, dtype: torch.dtype = torch.float32) -> SiglipVisionModel:
    """The 2-D vision tower, from a SigLIP checkpoint (its vision half is taken) or a vision tower's own.

    Args:
        where: a hub name or a folder with config.json and weights.
        dtype: of the weights in memory, whatever they are stored in.

    Raises:
        InputError: not there, gated, half-downloaded or of another architecture; one line that says what to do.
    """
    raise NotImplementedError


def load_language_part(
    where: str | Path = LANGUAGE_PART,
    *,
    quantisation: str | None = None,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> LanguagePart:
    """The causal language model with its tokenizer, from a Gemma 3 text checkpoint or out of a multimodal one.

    Args:
        where: a hub name or a folder with config.json, weights and tokenizer.
        quantisation: "nf4" for 4-bit NormalFloat with double quantisation (arXiv 2305.14314), which needs bitsandbytes
            and a GPU; None for weights as they are.
        dtype: of the weights in memory, or of the computation where they are quantised.
        device: where the weights go.

    Raises:
        InputError: as `load_vision_part`; an unknown quantisation, or one that this machine cannot do.
    """
    raise NotImplementedError


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
        dtype: of all parts; None lets `pick_dtype` choose.
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
    raise NotImplementedError


def full_size_choices(patch_size: int) -> dict[str, Any]:
    """This project's own choices for a tower with patches of that many pixels, as fields of `Brain3DConfig`.

    A volume of 2 mm voxels that holds a head of 176 x 192 x 192 mm, its plane a whole number of patches, an even
    number of them across; patches of 8 slices; a grid of 4 x 2 x 4 boxes.
    """
    raise NotImplementedError
