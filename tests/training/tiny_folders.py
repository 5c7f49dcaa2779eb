"""Both parts of a full-size model, built tiny from the same config classes and saved as their folders unpack."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import Gemma3ForCausalLM, Gemma3TextConfig, SiglipVisionConfig, SiglipVisionModel

from brain3d.model.configuration_brain3d import PROMPT
from brain3d.training.language import build_tokenizer

TEXTS = [
    PROMPT,
    "A lesion is seen in the left frontal lobe with high signal. There is moderate edema. No necrosis is seen.",
    "No lesion is seen in the brain. Both hemispheres are normal. Mild ventricular compression on the right side.",
]
OWN = [
    "choices.volume_shape=[20,24,24]",
    "choices.spacing_mm=8.0",
    "choices.depth_patch_size=4",
    "choices.depth_stride=4",
]


def tiny_parts(folder: Path, patch: int = 4) -> list[str]:
    """The overrides that give a recipe both parts, saved below `folder`."""
    torch.manual_seed(0)
    tokenizer = build_tokenizer(TEXTS, 300)
    vision = SiglipVisionConfig(
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=7 * patch,
        patch_size=patch,
        vision_use_head=False,
    )
    text = Gemma3TextConfig(
        vocab_size=len(tokenizer),
        hidden_size=24,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=12,
        sliding_window=256,
        layer_types=["sliding_attention", "full_attention"],
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=tokenizer.bos_token_id,
    )
    SiglipVisionModel(vision).save_pretrained(folder / "vision")
    Gemma3ForCausalLM(text).save_pretrained(folder / "language")
    tokenizer.save_pretrained(folder / "language")
    return [f"vision={folder / 'vision'}", f"language={folder / 'language'}"]
