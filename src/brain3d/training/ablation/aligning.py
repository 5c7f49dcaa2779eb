"""One run: an arm's stages, in order, from one seed; then a report of every test phantom and of its mirror image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from brain3d.model.modeling_brain3d import Brain3DForConditionalGeneration
from brain3d.model.processing_brain3d import Brain3DProcessor
from brain3d.training.ablation.arms import STAGES, Arm
from brain3d.training.ablation.recipe import Ablation
from brain3d.training.ablation.shared import Shared, composite_of
from brain3d.training.ablation.tokens import statistics
from brain3d.training.alignment import AlignmentTask
from brain3d.training.bank import Bank
from brain3d.training.loop import WholeBatch, run_stage
from brain3d.training.recipe import Stage
from brain3d.training.run import schedule_of

LAST = 20  # steps whose mean loss is written down as where a stage ended
LONGEST = 140  # tokens of a report


class ArmTask(AlignmentTask):
    """A stage of one arm. Nothing is chosen on a validation split: every run takes all its steps."""

    learns_compression = False

    def begin(self, tick: Callable[[], object], learns_compression: bool) -> None:
        self.tick, self.learns_compression = tick, learns_compression
        self.losses: list[float] = []

    def loss(self, step: int) -> tuple[Tensor, dict[str, float]]:
        loss, figures = super().loss(step)
        self.losses.append(float(loss.detach()))
        self.tick()
        return loss, figures

    def validate(self) -> dict[str, float]:
        return {}

    def _compressed(self, bank: Bank, features: Tensor, index: np.ndarray, flip: np.ndarray) -> Tensor:
        tokens = features[index, flip.astype(int)].float()
        return self.composite.model.compress(tokens) if self.learns_compression else tokens


def standardised(tokens: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """(N, 2, K, in) float16, each channel less its mean and over its deviation, a part at a time."""
    return torch.cat([((part.float() - mean) / std).half() for part in tokens.split(100)])


def run_arm(
    recipe: Ablation, arm: Arm, seed: int, shared: Shared, train: Tensor, test: Tensor, tick: Callable[[], object]
) -> tuple[list[str], list[str], dict[str, float]]:
    """Train an arm; `train` and `test` are its tokens (N, 2, K, in), `tick` is called at every step.

    Returns the reports of the test phantoms, those of their mirror images, and the loss each stage ended with.
    """
    mean, std = statistics(train)
    train, test = standardised(train, mean, std), standardised(test, mean, std)
    model = composite_of(recipe, arm, shared, seed)
    processor = Brain3DProcessor.from_config(shared.tokenizer, model.config)
    ended = {}
    for name in arm.stages:
        stage = _stage_of(recipe, arm, name)
        own = seed * len(STAGES) + STAGES.index(name)  # every stage sees batches of its own
        task = ArmTask(
            stage, model, processor, shared.train, shared.test, train, test, own,
            recipe.shared.model.finding_weight, mirror=arm.mirror,
        )  # fmt: skip
        task.begin(tick, arm.compression == "perceiver")
        nowhere = Path(recipe.output) / "unwritten"  # no checkpoint is read or left: a run that is killed starts again
        run_stage(WholeBatch(task, stage.precision), schedule_of(stage, own), nowhere, name, main=False)
        ended[name] = float(np.mean(task.losses[-LAST:]))
        if "lora" in stage.trainable:
            model = task.module.merge_and_unload()
    plain, mirrored = (written(model, processor, test[:, side], arm) for side in (0, 1))
    return plain, mirrored, ended


def _stage_of(recipe: Ablation, arm: Arm, name: str) -> Stage:
    stage = replace(recipe.stage(name), phrasing=recipe.phrasing)
    learned = (*stage.trainable, "compression") if arm.compression == "perceiver" else stage.trainable
    return replace(stage, trainable=learned)


@torch.inference_mode()
def written(model: Brain3DForConditionalGeneration, processor: Brain3DProcessor, tokens: Tensor, arm: Arm) -> list[str]:
    """A report of each row of standardised tokens (N, K, in), the likeliest word each time, all in one batch.

    Every scan is read by itself, without the mirror check of `reading`, which looks at it and its mirror image.
    """
    model.eval()
    compressed = tokens.float()
    if arm.compression == "perceiver":
        compressed = torch.cat([model.model.compress(part) for part in compressed.split(20)])
    inputs = processor(batch_size=len(tokens))
    ids = model.generate(**inputs, compressed_tokens=compressed, max_new_tokens=LONGEST, do_sample=False)
    return processor.decode(ids)
