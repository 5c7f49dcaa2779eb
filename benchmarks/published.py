"""The published system's arithmetic (arXiv 2602.22098), written plainly over the parts of a model of this package."""

from __future__ import annotations

import torch
from torch.nn import functional
from transformers import Gemma3ForCausalLM

from brain3d.model import Brain3DForConditionalGeneration, Brain3DProcessor


def published_tokens(model: Brain3DForConditionalGeneration, volume: torch.Tensor) -> torch.Tensor:
    """(1, 1, D, H, W) -> (1, 32, hidden): a 3-D convolution, the position, SigLIP's encoder, pooling."""
    tower = model.model.vision_tower
    patches = tower.embeddings.patch_embedding
    stride = (patches.depth_stride, *patches.weight.shape[3:])
    padding = (patches.depth_padding, 0, 0)
    dtype = patches.weight.dtype
    grid = functional.conv3d(volume.to(dtype), patches.weight, patches.bias, stride=stride, padding=padding)
    _, hidden, depth, rows, columns = grid.shape
    place = torch.linspace(-1, 1, depth).view(depth, 1, 1, 1).repeat(1, rows, columns, hidden)
    place[..., 0] += torch.linspace(-1, 1, rows).view(1, rows, 1)
    place[..., 1] += torch.linspace(-1, 1, columns).view(1, 1, columns)
    tokens = (grid.permute(0, 2, 3, 4, 1) + place.to(dtype)).flatten(1, 3)
    tokens = tower.post_layernorm(tower.encoder(inputs_embeds=tokens).last_hidden_state)
    return functional.adaptive_avg_pool1d(tokens.transpose(1, 2), 32).transpose(1, 2)


def published_language(model: Brain3DForConditionalGeneration) -> Gemma3ForCausalLM:
    """transformers' own causal model around the language model and its head."""
    with torch.device("meta"):
        causal = Gemma3ForCausalLM(model.config.text_config)
    causal.model, causal.lm_head = model.model.language_model, model.lm_head
    return causal


def published_loss(
    model: Brain3DForConditionalGeneration,
    language: Gemma3ForCausalLM,
    processor: Brain3DProcessor,
    tokens: torch.Tensor,
    report: str,
) -> torch.Tensor:
    """The loss of one report after pooled tokens (1, 32, hidden), by transformers' own arithmetic."""
    batch = processor(reports=[report])
    words = batch["input_ids"][:, processor.num_visual_tokens :]
    embedded = torch.cat([model.model.projector(tokens), language.get_input_embeddings()(words)], dim=1)
    mask = torch.ones(embedded.shape[:2], dtype=torch.long)
    loss: torch.Tensor = language(
        inputs_embeds=embedded, attention_mask=mask, labels=batch["labels"], use_cache=False
    ).loss
    return loss
