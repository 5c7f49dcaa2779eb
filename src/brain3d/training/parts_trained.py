"""Which parts of the composite learn in a stage, and the checkpoint of what they learned."""

from __future__ import annotations

from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor, nn

from brain3d.model.modeling_brain3d import LORA_TARGET_PATTERN, Brain3DForConditionalGeneration
from brain3d.model.quiet import quiet
from brain3d.training.plan import CohortStage, Parts

SEPARATOR = "/"  # in the names of a checkpoint, where a module's own name cannot hold a dot
PARTS = ("vision", "patch_embedding", "compression", "projector", "scale", "language", "lora")


def part_of(name: str) -> str | None:
    """The part that a parameter of the composite belongs to, by its name; None for the lesion evidence, which stays
    as it was taught: the head, and the scores that compression pools the context by."""
    if ".lora_" in name:
        return "lora"
    if name.endswith("projector.vis_scale"):
        return "scale"
    if "evidence_head." in name or "context.score." in name:
        return None
    for mark, part in (
        (".patch_embedding.", "patch_embedding"),
        ("vision_tower.", "vision"),
        ("model.compression.", "compression"),
        ("model.projector.", "projector"),
        ("language_model.", "language"),
        ("lm_head.", "language"),
    ):
        if mark in name:
            return part
    return None


def learning(parts: Parts) -> set[str]:
    """The names of `part_of` that learn."""
    wanted = {
        "vision": {"full": {"vision", "patch_embedding"}, "patch_embedding": {"patch_embedding"}}.get(
            parts.vision, set()
        ),
        "compression": {"compression"} if parts.compression == "full" else set(),
        "projector": {"projector", "scale"} if parts.projector == "full" else set(),
        "language": {"full": {"language"}, "lora": {"lora"}}.get(parts.language, set()),
    }
    return set().union(*wanted.values())


def with_adapters(model: Brain3DForConditionalGeneration, stage: CohortStage) -> Any:
    """The model with LoRA on the language model's attention where the stage asks for it, and never elsewhere."""
    if stage.parts.language != "lora":
        return model
    settings = LoraConfig(
        r=stage.lora.rank,
        lora_alpha=stage.lora.alpha,
        lora_dropout=stage.lora.dropout,
        target_modules=LORA_TARGET_PATTERN,
    )
    with quiet():  # PEFT asks for a name that transformers has renamed
        return get_peft_model(model, settings)


def composite_of(model: Any, stage: CohortStage) -> Brain3DForConditionalGeneration:
    """The composite itself, with or without adapters around it."""
    inner: Brain3DForConditionalGeneration = model.get_base_model() if stage.parts.language == "lora" else model
    return inner


def set_learning(model: nn.Module, stage: CohortStage) -> list[dict[str, Any]]:
    """Let a stage's parts learn and freeze all others; parameter groups with each part's rate as `lr_scale`.

    What learns is kept in float32: steps of bfloat16 weights would be lost in rounding.
    """
    wanted, groups = learning(stage.parts), {part: list[nn.Parameter]() for part in PARTS}
    for name, parameter in model.named_parameters():
        part = part_of(name)
        parameter.requires_grad_(part in wanted)
        if part in wanted:
            if parameter.dtype != torch.float32:
                parameter.data = parameter.data.float()
            groups[part].append(parameter)
    rates = {
        "vision": stage.lr.vision,
        "patch_embedding": stage.lr.vision,
        "compression": stage.lr.compression,
        "projector": stage.lr.projector,
        "scale": stage.lr.projector if stage.lr.scale is None else stage.lr.scale,
        "language": stage.lr.language,
        "lora": stage.lr.language,
    }
    return [{"params": found, "lr_scale": rates[part], "part": part} for part, found in groups.items() if found]


def holder(model: nn.Module, extra: nn.Module | None = None) -> nn.Module:
    """A module of what a checkpoint holds: all that learns, and the standardiser's statistics, by reference.

    `extra` is what learns beside the model, such as a loss's own scale.
    """
    kept = nn.Module()
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            kept.register_parameter(name.replace(".", SEPARATOR), parameter)
    for name, buffer in model.named_buffers():
        if "standardiser." in name:
            kept.register_buffer(name.replace(".", SEPARATOR), buffer)
    if extra is not None:
        kept.add_module("loss", extra)
    return kept


@torch.no_grad()
def merged(
    model: Brain3DForConditionalGeneration, stage: CohortStage, weights: dict[str, Tensor]
) -> Brain3DForConditionalGeneration:
    """A model as it was before a stage, with what the stage learned: its checkpoint loaded, LoRA merged.

    Raises KeyError where a name of the checkpoint is none of the model's.
    """
    wrapped = with_adapters(model, stage)
    set_learning(wrapped, stage)
    return settled(wrapped, stage, weights)


@torch.no_grad()
def settled(wrapped: Any, stage: CohortStage, weights: dict[str, Tensor]) -> Brain3DForConditionalGeneration:
    """The composite out of a stage's model, with adapters where it has some, and the weights that the stage chose."""
    known = {**dict(wrapped.named_parameters()), **dict(wrapped.named_buffers())}
    for name, value in weights.items():
        if not name.startswith("loss."):
            known[name.replace(SEPARATOR, ".")].copy_(value)
    model: Brain3DForConditionalGeneration = wrapped.merge_and_unload() if stage.parts.language == "lora" else wrapped
    return model.requires_grad_(False)
