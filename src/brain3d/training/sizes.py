"""From a recipe's sizes to the configs of the model's parts, and whether they fit together."""

from __future__ import annotations

from typing import Any

from transformers import Gemma3TextConfig, PreTrainedTokenizerFast, SiglipVisionConfig

from brain3d.model.configuration_brain3d import PROMPT, Brain3DConfig
from brain3d.phantom.volume import AMOUNTS, PATCH
from brain3d.scans import InputError
from brain3d.training.recipe import Sizes


def vision_config(sizes: Sizes) -> SiglipVisionConfig:
    """The 2-D tower's config: a SigLIP without its pooling head, square in the plane of the volume."""
    return SiglipVisionConfig(
        hidden_size=sizes.vision_hidden,
        intermediate_size=4 * sizes.vision_hidden,
        num_hidden_layers=sizes.vision_layers,
        num_attention_heads=sizes.vision_heads,
        image_size=sizes.volume_shape[1],
        patch_size=sizes.patch,
        vision_use_head=False,
    )


def text_config(sizes: Sizes, tokenizer: PreTrainedTokenizerFast) -> Gemma3TextConfig:
    """The language model's config: a small Gemma 3 whose layers all see the whole sequence."""
    return Gemma3TextConfig(
        vocab_size=len(tokenizer),
        hidden_size=sizes.text_hidden,
        intermediate_size=3 * sizes.text_hidden,
        num_hidden_layers=sizes.text_layers,
        num_attention_heads=sizes.text_heads,
        num_key_value_heads=sizes.text_heads,
        head_dim=sizes.text_hidden // sizes.text_heads,
        query_pre_attn_scalar=sizes.text_hidden // sizes.text_heads,
        max_position_embeddings=512,
        sliding_window=512,
        layer_types=["full_attention"] * sizes.text_layers,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=tokenizer.bos_token_id,
        initializer_range=0.05,
    )


def composite_config(sizes: Sizes, tokenizer: PreTrainedTokenizerFast, **choices: Any) -> Brain3DConfig:
    """The composite's config; `choices` are fields of it that the sizes do not say, or say otherwise."""
    said: dict[str, Any] = {
        "vision_config": vision_config(sizes),
        "text_config": text_config(sizes, tokenizer),
        "volume_shape": sizes.volume_shape,
        "spacing_mm": sizes.spacing_mm,
        "depth_patch_size": sizes.depth_patch,
        "depth_stride": sizes.depth_patch,
        "compression": "grid",
        "grid_size": sizes.grid,
        "grid_reduce": sizes.grid_reduce,
        "grid_context": sizes.grid_context,
        "context_amounts": len(AMOUNTS) if sizes.grid_context else 0,
        "contralateral": sizes.contralateral,
        "skip_empty": sizes.skip_empty,
        "projector_hidden_size": 2 * sizes.text_hidden,
        "feature_standardisation": True,
        "evidence_head": True,
        "image_token_id": tokenizer.convert_tokens_to_ids("<image>"),
        "prompt": PROMPT,
    }
    return Brain3DConfig(**(said | choices))


def check_sizes(sizes: Sizes) -> None:
    """InputError for sizes that make no model, before anything is drawn or trained for it."""
    if (sizes.patch, sizes.depth_patch) != (PATCH, PATCH):
        raise InputError(f"model.patch {sizes.patch}, depth_patch {sizes.depth_patch}: both must be {PATCH}")
    for part in ("vision", "text"):
        layers, hidden, heads = (getattr(sizes, f"{part}_{what}") for what in ("layers", "hidden", "heads"))
        if min(layers, hidden, heads) < 1 or hidden % heads:
            raise InputError(
                f"model.{part}_hidden {hidden}, {heads} heads, {layers} layers: give a multiple of the heads"
            )
    try:
        Brain3DConfig(
            vision_config=vision_config(sizes),
            text_config=Gemma3TextConfig(vocab_size=8, hidden_size=sizes.text_hidden),
            volume_shape=sizes.volume_shape,
            depth_patch_size=sizes.depth_patch,
            depth_stride=sizes.depth_patch,
            grid_size=sizes.grid,
            grid_reduce=sizes.grid_reduce,
            image_token_id=3,
        )
    except (ValueError, TypeError) as error:
        raise InputError(f"model: {error}") from error
