"""Running a recipe: phantoms, then its stages in order, each from the last one's result."""

from __future__ import annotations

import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from tqdm import tqdm
from transformers import PreTrainedTokenizerFast

from brain3d.model.configuration_brain3d import PROMPT
from brain3d.scans import InputError
from brain3d.training.at_once import InParts
from brain3d.training.bank import Bank, claim, draw_bank, load_bank
from brain3d.training.checkpoint import naming_a_full_disk
from brain3d.training.loop import LossTask, Schedule, Task, WholeBatch, run_stage
from brain3d.training.plan import Plan, read_recipe
from brain3d.training.recipe import Recipe, Stage
from brain3d.training.sizes import check_sizes, composite_config, text_config, vision_config


class Run:
    """A recipe under way: where its files lie and what its stages share."""

    def __init__(self, recipe: Recipe) -> None:
        check_sizes(recipe.model)
        self.recipe, self.folder = recipe, Path(recipe.output)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"{recipe.output}: cannot be made ({error.strerror}); give another output") from error
        phantoms, spec = recipe.phantoms, recipe.model.spec
        draw_bank(self.folder / "held-out", phantoms.held_out, phantoms.held_out_seed, spec, recipe.workers)
        draw_bank(self.folder / "bank", phantoms.train, phantoms.train_seed, spec, recipe.workers)
        self.train: Bank = load_bank(self.folder / "bank", phantoms.train)
        self.held_out: Bank = load_bank(self.folder / "held-out", phantoms.held_out)
        # What the tower was taught on it knows too well: alignment learns from tokens of phantoms that it never saw.
        first = phantoms.train - phantoms.aligned
        self.dense = self.train.part(0, first)
        self.aligned = self.train.part(first, phantoms.train) if phantoms.aligned else self.train

    def tokenizer(self) -> PreTrainedTokenizerFast:
        """The tokenizer in `output/tokenizer`, built from the training phantoms' narratives where it is missing."""
        from brain3d.training.cells import describe_truth
        from brain3d.training.language import build_tokenizer

        folder = self.folder / "tokenizer"
        if not folder.exists():
            texts = [
                describe_truth(self.train, i, bool(k % 2), 10 * i + k) for i in range(len(self.train)) for k in range(6)
            ]
            partial = self.folder / "tokenizer.partial"
            shutil.rmtree(partial, ignore_errors=True)
            build_tokenizer([PROMPT, *texts], self.recipe.model.vocabulary).save_pretrained(partial)
            partial.rename(folder)
        return PreTrainedTokenizerFast.from_pretrained(folder)

    def result(self, task: str, before: Stage | None = None) -> dict[str, torch.Tensor]:
        """The final weights of the recipe's last stage with this task (`before` a stage).

        Where that stage names another to average with, the mean of both: weights of one course of training, which
        lie in one valley of the loss (model soups, arXiv 2203.05482).
        InputError where there is none, or it is not finished.
        """
        stages = self.recipe.stages[: self.recipe.stages.index(before)] if before else self.recipe.stages
        stage = next((s for s in reversed(stages) if s.task == task), None)
        if stage is None:
            raise InputError(f"the recipe needs a finished stage with task {task!r} before this one")
        own = self._final(stage)
        if stage.average is None:
            return own
        other = self._final(next(s for s in stages if s.name == stage.average))
        return {name: (own[name] + other[name]) / 2 if own[name].is_floating_point() else own[name] for name in own}

    def _final(self, stage: Stage) -> dict[str, torch.Tensor]:
        weights = self.folder / stage.name / f"weights-{stage.steps}.safetensors"
        if not weights.exists():
            raise InputError(f"the recipe needs a finished stage with task {stage.task!r} before this one")
        return load_file(weights)


def _slices(run: Run, stage: Stage) -> LossTask:
    from brain3d.training.tower import SliceTask

    config = vision_config(run.recipe.model)
    return SliceTask(config, run.dense, run.held_out, stage.batch, run.recipe.seed, stage.compile, stage.thin)


def _volumes(run: Run, stage: Stage) -> LossTask:
    from brain3d.training.adaptation import VolumeTask
    from brain3d.training.tower import SliceTask

    slices = SliceTask(vision_config(run.recipe.model), run.dense, run.held_out, 6, run.recipe.seed, False)
    slices.module.load_state_dict(run.result("slices"))
    tower: Any = slices.module["tower"]
    head: Any = slices.module["head"]
    config = composite_config(run.recipe.model, run.tokenizer())
    place = run.recipe.stages.index(stage)
    goes_on = any(s.task == "volumes" for s in run.recipe.stages[:place])
    seed = run.recipe.seed + (place if goes_on else 0)
    task = VolumeTask(
        config, tower, head, run.dense, run.held_out, stage.batch // stage.parts, seed, stage.compile, stage.focus
    )
    if goes_on:
        task.module.load_state_dict(run.result("volumes", before=stage))
    return task


def _language(run: Run, stage: Stage) -> LossTask:
    from brain3d.training.language import LanguageTask

    sizes, tokenizer = run.recipe.model, run.tokenizer()
    config = text_config(sizes, tokenizer)
    return LanguageTask(
        config,
        tokenizer,
        PROMPT,
        sizes.grid,
        run.train,
        run.held_out,
        stage.batch,
        run.recipe.seed,
        sizes.finding_weight,
        stage.phrasing,
    )


def build_task(run: Run, stage: Stage) -> Task:
    """The task of a stage, its parts loaded from the stages before it."""
    task = _task(run, stage)
    return InParts(task, stage.precision, stage.parts) if stage.parts > 1 else WholeBatch(task, stage.precision)


def _task(run: Run, stage: Stage) -> LossTask:
    if stage.task == "slices":
        return _slices(run, stage)
    if stage.task == "volumes":
        return _volumes(run, stage)
    if stage.task == "language":
        return _language(run, stage)
    from brain3d.training.alignment import build_alignment

    return build_alignment(run, stage)


def schedule_of(stage: Stage, seed: int) -> Schedule:
    """The part of a stage that the loop needs."""
    return Schedule(
        steps=stage.steps,
        lr=stage.lr,
        warmup=stage.warmup,
        weight_decay=stage.weight_decay,
        clip=stage.clip,
        validate_every=stage.validate_every,
        precision=stage.precision,
        seed=seed,
    )


def run_recipe(path: Path, overrides: list[str], only: str | None = None) -> Path:
    """Run every stage of a recipe (or `only` one) that is not finished yet; returns the finished model's folder.

    Each stage resumes from its own checkpoints. Raises InputError for a recipe that cannot be run.
    """
    recipe = read_recipe(path, overrides)
    if isinstance(recipe, Plan):
        from brain3d.training.cohort_run import run_plan

        return run_plan(recipe, path, only)
    with naming_a_full_disk(Path(recipe.output)):
        return _run_phantoms(recipe, path, only)


def _run_phantoms(recipe: Recipe, path: Path, only: str | None) -> Path:
    from brain3d.training.export import export_model

    if only is not None and only not in [stage.name for stage in recipe.stages]:
        raise InputError(f"{path}: no stage {only!r}; its stages: {', '.join(s.name for s in recipe.stages)}")
    run = Run(recipe)
    for stage in recipe.stages:
        if only is None or stage.name == only:
            finish_stage(run, stage)
    return export_model(run) if only is None else run.folder


def finish_stage(run: Run, stage: Stage, device: torch.device | None = None) -> None:
    """Run a stage to its end, from where it was left, on a device. InputError where its folder holds another one's."""
    folder = run.folder / stage.name
    folder.mkdir(parents=True, exist_ok=True)
    claim(folder / "stage.json", {"seed": run.recipe.seed, **asdict(stage)}, "weights")
    if (folder / f"weights-{stage.steps}.safetensors").exists():
        tqdm.write(f"{stage.name}: finished already")
        return
    task = build_task(run, stage)
    if device is not None:
        task.module.to(device)
    run_stage(task, schedule_of(stage, run.recipe.seed), folder, stage.name)
