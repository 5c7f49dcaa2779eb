"""What all runs have in common, made once: phantoms, the 2-D tower, the language model."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from transformers import PreTrainedTokenizerFast, SiglipVisionModel

from brain3d.model.modeling_brain3d import Brain3DForConditionalGeneration
from brain3d.model.projector import initial_scale
from brain3d.reading.engine import pick_device
from brain3d.training.ablation.arms import Arm
from brain3d.training.ablation.recipe import Ablation
from brain3d.training.bank import Bank, draw_bank, load_bank
from brain3d.training.run import Run, finish_stage
from brain3d.training.sizes import composite_config, vision_config


class Shared(NamedTuple):
    """Phantoms to align on, which the tower never saw, and to test on; the frozen parts."""

    train: Bank
    test: Bank
    vision: SiglipVisionModel
    language: dict[str, torch.Tensor]  # weights of the language model, by its own names
    tokenizer: PreTrainedTokenizerFast


def prepare_shared(recipe: Ablation) -> Shared:
    """Draw the phantoms, and train both parts, or go on where that was stopped."""
    run = Run(recipe.shared)
    spec = recipe.shared.model.spec
    draw_bank(run.folder / "test", recipe.test, recipe.test_seed, spec, recipe.shared.workers)
    for stage in recipe.shared.stages:
        finish_stage(run, stage, pick_device("auto"))
    return _read(recipe, run)


def read_shared(recipe: Ablation) -> Shared:
    """What `prepare_shared` made."""
    return _read(recipe, Run(recipe.shared))


def _read(recipe: Ablation, run: Run) -> Shared:
    return Shared(
        train=run.aligned,
        test=load_bank(run.folder / "test", recipe.test),
        vision=_vision(run),
        language={
            name.removeprefix("language.model."): value
            for name, value in run.result("language").items()
            if name.startswith("language.model.")
        },
        tokenizer=run.tokenizer(),
    )


def _vision(run: Run) -> SiglipVisionModel:
    model = SiglipVisionModel(vision_config(run.recipe.model))
    weights = {n.removeprefix("tower."): v for n, v in run.result("slices").items() if n.startswith("tower.")}
    model.load_state_dict(weights)
    return model.eval().requires_grad_(False)


def composite_of(recipe: Ablation, arm: Arm, shared: Shared, seed: int) -> Brain3DForConditionalGeneration:
    """The composite that a run begins with: the language model as it was pretrained, the rest fresh from the seed.

    Its tower is not the shared one: runs are given the tokens that that one made. For the arm on slices, which no 3-D
    tower sees, only the number and the width of tokens count.
    """
    choices: dict[str, Any] = {"compression": arm.compression, "evidence_head": False}
    if arm.compression != "grid":
        heads = recipe.shared.model.vision_heads
        choices |= {"num_visual_tokens": recipe.tokens, "perceiver_heads": heads}
    torch.manual_seed(seed)
    model = Brain3DForConditionalGeneration(composite_config(recipe.shared.model, shared.tokenizer, **choices))
    model.model.language_model.load_state_dict(shared.language)
    scale = initial_scale(model.config, shared.language["embed_tokens.weight"])
    model.model.projector.vis_scale.data.fill_(scale)
    return model
