"""One run: an arm's stages, in order, from one seed; then a report of every test phantom and of its mirror image."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from brain3d.model.modeling_brain3d import Brain3DForConditionalGeneration
from brain3d.model.processing_brain3d import Brain3DProcessor
from brain3d.reading.engine import pick_device
from brain3d.training.ablation.arms import STAGES, Arm
from brain3d.training.ablation.begun import Cost, begun_file, load_begun, save_begun
from brain3d.training.ablation.recipe import Ablation
from brain3d.training.ablation.shared import Shared, composite_of
from brain3d.training.ablation.tokens import statistics
from brain3d.training.alignment import AlignmentTask
from brain3d.training.bank import Bank
from brain3d.training.loop import WholeBatch, run_stage
from brain3d.training.recipe import Stage
from brain3d.training.run import schedule_of

LAST = 20  # steps whose mean loss is written down as where a stage ended
ASSERTING = (
    "a"  # "there is a ...", where a healthy report has "no", a finding word: they weigh alike, or all are healthy
)
LONGEST = 140  # tokens of a report


class ArmTask(AlignmentTask):
    """A stage of one arm. Nothing is chosen on a validation split: every run takes all its steps."""

    learns_compression = False

    def begin(self, tick: Callable[[], object], learns_compression: bool) -> None:
        self.tick, self.learns_compression = tick, learns_compression
        self.losses: list[float] = []
        for token, index in self.processor.tokenizer.get_vocab().items():
            if token.replace("Ġ", "").lower() == ASSERTING:
                self.weights[index] = self.weights.max()

    def loss(self, step: int) -> tuple[Tensor, dict[str, float]]:
        loss, figures = super().loss(step)
        self.losses.append(float(loss.detach()))
        self.tick()
        return loss, figures

    def validate(self) -> dict[str, float]:
        return {}

    def _compressed(self, bank: Bank, features: Tensor, index: np.ndarray, views: np.ndarray) -> Tensor:
        tokens = features[index, views].float().to(self.device)
        return self.composite.model.compress(tokens) if self.learns_compression else tokens


def standardised(tokens: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """(N, 2, K, in) float16, each channel less its mean and over its deviation, a part at a time."""
    return torch.cat([((part.float() - mean) / std).half() for part in tokens.split(100)])


def placed(tokens: Tensor) -> Tensor:
    """Standardised tokens (N, 2, K, in), each with the mark of its place added: K fixed random vectors of deviation 1.

    A tower that was taught on slices, whose targets know no side, need not say in a token where it lies; and the
    projector, which reads each token by itself, is not told.
    """
    marks = torch.randn(tokens.shape[2:], generator=torch.Generator().manual_seed(0)).half()
    return torch.cat([part + marks for part in tokens.split(100)])


class Trained(NamedTuple):
    """What came of a run: reports of the test phantoms and of their mirror images, and of each stage what it cost.

    `taken` are the stages that another arm's run had done before.
    """

    plain: list[str]
    mirrored: list[str]
    stages: dict[str, Cost]
    taken: tuple[str, ...]


def run_arm(
    recipe: Ablation, arm: Arm, seed: int, shared: Shared, train: Tensor, test: Tensor, tick: Callable[[], object]
) -> Trained:
    """Train an arm; `train` and `test` are its tokens (N, 2, K, in), `tick` is called at every step.

    Stages that another arm began with in the same way, from the same seed, are taken from there.
    """
    mean, std = statistics(train)
    train, test = (placed(standardised(tokens, mean, std)) for tokens in (train, test))
    model = composite_of(recipe, arm, shared, seed).to(pick_device("auto"))
    processor = Brain3DProcessor.from_config(shared.tokenizer, model.config)
    costs: dict[str, Cost] = {}
    taken: list[str] = []
    for number, name in enumerate(arm.stages, 1):
        begun = begun_file(recipe, arm, seed, arm.stages[:number])
        known = load_begun(begun, model)
        if known is not None:
            costs[name] = known
            taken.append(name)
            continue
        stage, own = _stage_of(recipe, arm, name), seed * len(STAGES) + STAGES.index(name)  # batches of its own
        task = ArmTask(
            stage, model, processor, shared.train, shared.test, train, test, own,
            recipe.shared.model.finding_weight, mirror=arm.mirror,
        )  # fmt: skip
        task.begin(tick, arm.compression == "perceiver")
        model, costs[name] = _train(task, stage, own)
        if "lora" not in stage.trainable:
            save_begun(begun, model, costs[name])
    plain, mirrored = (written(model, processor, test[:, side], arm) for side in (0, 1))
    return Trained(plain, mirrored, costs, tuple(taken))


def _train(task: ArmTask, stage: Stage, seed: int) -> tuple[Brain3DForConditionalGeneration, Cost]:
    """The model after a stage, LoRA merged, and what it cost. No checkpoint is read or left."""
    began = time.process_time()
    run_stage(WholeBatch(task, stage.precision), schedule_of(stage, seed), Path("unwritten"), stage.name, main=False)
    model = task.module.merge_and_unload() if "lora" in stage.trainable else task.module
    return model, Cost(float(np.mean(task.losses[-LAST:])), time.process_time() - began)


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
    compressed = tokens.float().to(model.device)
    if arm.compression == "perceiver":
        compressed = torch.cat([model.model.compress(part) for part in compressed.split(20)])
    inputs = {name: tensor.to(model.device) for name, tensor in processor(batch_size=len(tokens)).items()}
    ids = model.generate(**inputs, compressed_tokens=compressed, max_new_tokens=LONGEST, do_sample=False)
    return processor.decode(ids)
