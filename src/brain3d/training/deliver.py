"""What a run over a cohort delivers: model folders that `brain3d report --model` reads, the best and the last."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from brain3d.model.modeling_brain3d import Brain3DForConditionalGeneration
from brain3d.model.processing_brain3d import Brain3DProcessor
from brain3d.reading.models import ABOUT_FILE, CONFIG_FILE
from brain3d.training.base_model import load_base
from brain3d.training.checkpoint import flush_folder, read_best, read_progress, read_weights
from brain3d.training.parts_trained import merged
from brain3d.training.plan import Plan

BEST, LAST = "best", "last"


def rebuilt(plan: Plan, folder: Path, which: str) -> tuple[Brain3DForConditionalGeneration, Brain3DProcessor]:
    """The model as its files have it: the base, not quantised, and what every stage learned, LoRA merged.

    Stages pass on their best weights; of the last one they are the best or the last, as `which` says.
    """
    dtype = torch.float32 if plan.quantisation is None else torch.bfloat16
    model, processor = load_base(plan, "cpu", dtype, None)
    for stage in plan.stages:
        place = folder / stage.name
        progress = read_progress(place)
        last = which == LAST and stage == plan.stages[-1]
        weights = read_weights(place, progress.step) if last else read_best(place, progress)
        model = merged(model, stage, weights)
    return model, processor


def export_both(plan: Plan, folder: Path, best: Brain3DForConditionalGeneration, processor: Brain3DProcessor) -> None:
    """Write `folder/best` and `folder/last`; the second only where the last step was not the best."""
    if plan.quantisation is not None:
        best, processor = rebuilt(plan, folder, BEST)
    export(best, processor, folder / BEST, about(plan, folder, BEST))
    final = read_progress(folder / plan.stages[-1].name)
    if final.best_step in (None, final.step):
        shutil.rmtree(folder / LAST, ignore_errors=True)  # of an earlier run, whose last stage was trained again since
        return
    model, processor = rebuilt(plan, folder, LAST)
    export(model, processor, folder / LAST, about(plan, folder, LAST))


def about(plan: Plan, folder: Path, which: str) -> dict[str, Any]:
    """What a model folder says of itself besides its config: of what, how and how far it was trained."""
    stages = []
    for stage in plan.stages:
        progress = read_progress(folder / stage.name)
        last = which == LAST and stage == plan.stages[-1]
        step = progress.step if last or progress.best_step is None else progress.best_step
        stages.append({**asdict(stage), "step": step, "steps": progress.step, "best_loss": progress.best})
    given = {"model": plan.model, "vision": plan.vision, "language": plan.language}
    base = {key: value for key, value in given.items() if value is not None}
    names = {key: Path(str(value)).name if Path(str(value)).exists() else value for key, value in base.items()}
    return {"name": plan.name, "version": plan.version, "seed": plan.seed, "base": names, "stages": stages}


def export(
    model: Brain3DForConditionalGeneration, processor: Brain3DProcessor, target: Path, facts: dict[str, Any]
) -> None:
    """Write a model folder, whole or not at all: a folder that is there already is replaced."""
    partial = target.with_name(target.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    model.eval().save_pretrained(partial)
    processor.save_pretrained(partial)
    (partial / ABOUT_FILE).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    assert (partial / CONFIG_FILE).exists()
    for path in partial.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
    flush_folder(partial)
    old = target.with_name(target.name + ".old")
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        target.rename(old)
    partial.rename(target)
    flush_folder(target.parent)
    shutil.rmtree(old, ignore_errors=True)
