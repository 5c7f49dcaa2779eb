"""The model that a run over a cohort begins with."""

from __future__ import annotations

import torch

from brain3d.model.modeling_brain3d import Brain3DForConditionalGeneration
from brain3d.model.parts import assemble
from brain3d.model.processing_brain3d import Brain3DProcessor
from brain3d.reading.engine import ModelEngine
from brain3d.reading.models import find_model, find_published, identity, is_published
from brain3d.scans import InputError
from brain3d.training.plan import Plan


def load_base(
    plan: Plan, device: torch.device | str, dtype: torch.dtype, quantisation: str | None
) -> tuple[Brain3DForConditionalGeneration, Brain3DProcessor]:
    """The model before any stage: loaded whole, also from the published layout, or assembled out of its parts.

    InputError where it cannot be.
    """
    if plan.model is None:
        assert plan.vision is not None
        assert plan.language is not None
        torch.manual_seed(plan.seed)  # what the parts do not bring along starts from it
        choices = {"feature_standardisation": True, **plan.choices}
        model, tokenizer = assemble(
            plan.vision, plan.language, quantisation=quantisation, dtype=dtype, device=device, **choices
        )
        return model, Brain3DProcessor.from_config(tokenizer, model.config)
    folder = find_model(plan.model)
    where = torch.device(device)
    if is_published(folder):
        source = find_published(folder, plan.model, plan.vision, plan.language)
        engine = ModelEngine.from_published(source, source.identity(), where, quantisation=quantisation, dtype=dtype)
    elif plan.vision is not None or plan.language is not None:
        raise InputError(f"{plan.model}: has parts of its own; set vision=null and language=null, or model=null")
    else:
        known = identity(folder)
        engine = ModelEngine.from_folder(folder, known, where, plan.model, quantisation=quantisation, dtype=dtype)
    return engine.model, engine.processor
