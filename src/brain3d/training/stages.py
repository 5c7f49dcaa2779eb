"""What every stage over a cohort has in common: its data, the module that learns, its share of each batch."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn
from tqdm import tqdm

from brain3d.model.modeling_brain3d import Brain3DForConditionalGeneration
from brain3d.model.processing_brain3d import Brain3DProcessor
from brain3d.model.quiet import quiet
from brain3d.scans import InputError
from brain3d.training.batches import View, batch_at, shard, views_of
from brain3d.training.cohort_data import CohortData
from brain3d.training.learner import Learner
from brain3d.training.loop import plain_attention, reduced_precision
from brain3d.training.losses import LogitScale
from brain3d.training.parts_trained import composite_of, holder, set_learning, with_adapters
from brain3d.training.plan import CohortStage
from brain3d.training.sharding import average_whole, spread
from brain3d.training.token_cache import TokenCache
from brain3d.training.tower_features import TowerFeatures, encode

RANK_SEED = 7_919  # between the dropout of one process and the next
LOSS_SCALES = {"sigmoid": (10.0, -10.0)}


@dataclass(frozen=True)
class Material:
    """What the stages of a run share: data, tools, and how numbers are computed."""

    train: CohortData
    validation: CohortData
    processor: Brain3DProcessor
    accelerator: Accelerator
    cache: TokenCache
    seed: int
    precision: str
    checkpointing: bool
    samples: int
    folder: Path


@dataclass(frozen=True)
class Visual:
    """A split as the language side sees it: cached compressed tokens, or, where the tower learns, volumes."""

    data: CohortData
    model: Brain3DForConditionalGeneration
    features: TowerFeatures | None
    tower_learns: bool
    precision: str

    def inputs(self, views: Sequence[View]) -> dict[str, Tensor]:
        """`compressed_tokens` (B, K, in), or `pixel_values` (B, 1, D, H, W)."""
        if self.features is not None:
            return {"compressed_tokens": self.features.tokens(views)}
        device = next(self.model.parameters()).device
        volumes = [self.data.volume(view) for view in views]
        if self.tower_learns:
            return {"pixel_values": torch.from_numpy(np.stack(volumes)).to(device)}
        rows = [torch.from_numpy(encode(self.model.model, volume, self.precision)) for volume in volumes]
        return {"compressed_tokens": torch.stack(rows).to(device)}


class StageTask:
    """What grounding and captioning have in common: the module that learns, its batches, its share of each."""

    def __init__(self, stage: CohortStage, model: Brain3DForConditionalGeneration, material: Material) -> None:
        self.stage, self.material, self.accelerator = stage, material, material.accelerator
        torch.manual_seed(material.seed)
        self.wrapped = with_adapters(model, stage)
        self.composite = composite_of(self.wrapped, stage)
        scale = LOSS_SCALES.get(stage.loss)
        self.scale = None if scale is None else LogitScale(*scale).to(self.accelerator.device)
        if not set_learning(self.wrapped, stage):
            raise InputError(f"stage {stage.name!r}: what learns has no weights in this model; let another part learn")
        self.wrapped.to(self.accelerator.device)
        if material.checkpointing:
            with quiet():
                self.composite.gradient_checkpointing_enable({"use_reentrant": False})
        self.learner = spread(Learner(self.wrapped, self.composite, stage.tower_learns), self.accelerator)
        self.groups = set_learning(self.wrapped, stage)  # where the model is sharded, these are the shards
        self._holder = holder(self.wrapped, self.scale)
        self.train, self.validation = (self._visual(data) for data in (material.train, material.validation))
        self.step = 0  # of the loop: how many are done
        self.lengths = self._lengths(material.train)
        if self.accelerator.is_main_process:
            self._tell_what_is_cut()

    def _lengths(self, data: CohortData) -> list[int]:
        """Tokens of each study's report, its end among them where that is learned."""
        tokenizer, end = self.material.processor.tokenizer, int(self.stage.task == "captioning")
        return [len(tokenizer(item.report, add_special_tokens=False)["input_ids"]) + end for item in data.items]

    def _tell_what_is_cut(self) -> None:
        """Say how many reports are longer than the stage takes them: what it writes may then come to no end."""
        most = self.stage.max_tokens
        for split, data in (("training", self.material.train), ("validation", self.material.validation)):
            lengths = self._lengths(data)
            cut = sum(length > most for length in lengths)
            if cut:
                tqdm.write(
                    f"{self.stage.name}: {cut} of {len(lengths)} {split} reports are cut at max_tokens {most}, the "
                    f"longest has {max(lengths)}: raise it"
                )

    def _visual(self, data: CohortData) -> Visual:
        stage, material = self.stage, self.material
        cached = stage.cache and not stage.tower_learns
        body = self.composite.model
        features = TowerFeatures(body, data, material.cache, precision=material.precision) if cached else None
        return Visual(data, self.composite, features, stage.tower_learns, material.precision)

    @property
    def module(self) -> nn.Module:
        return self._holder

    def parameter_groups(self) -> list[dict[str, Any]]:
        if self.scale is None:
            return self.groups
        return [*self.groups, {"params": list(self.scale.parameters()), "lr_scale": self.stage.lr.projector}]

    def batch(self, step: int) -> list[View]:
        """The whole step's views, of all processes together."""
        self.step = step + 1
        stage, seed = self.stage, self.material.seed
        epoch, rows = batch_at(self.lengths, stage.batch, seed=seed, step=step)
        return views_of(rows, seed=seed, epoch=epoch, mirror=stage.mirror, augmentations=stage.augmentations)

    def own_chunks(self, count: int) -> list[tuple[list[int], Tensor]]:
        """This process's places in a batch of `count`, a device's load at a time, and which of them count."""
        accelerator, most = self.accelerator, self.stage.micro_batch
        own = shard(np.arange(count), accelerator.process_index, accelerator.num_processes)
        return [
            (own.rows[i : i + most].tolist(), torch.from_numpy(own.counted[i : i + most]).to(accelerator.device))
            for i in range(0, len(own.rows), most)
        ]

    def prepare_step(self) -> None:
        """Dropout on, and its random numbers others in every process."""
        self.wrapped.train()
        if self.stage.parts.vision == "frozen":
            self.composite.model.vision_tower.eval()
        if self.accelerator.num_processes > 1:
            torch.manual_seed(torch.initial_seed() + RANK_SEED * self.accelerator.process_index)

    def numbers(self) -> AbstractContextManager[None]:
        """The arithmetic of the forward passes."""
        return reduced_precision(self.accelerator.device.type, self.material.precision == "bfloat16")

    def attention(self) -> AbstractContextManager[None]:
        """The attention of the forward passes, also where the backward pass repeats them."""
        return plain_attention(self.accelerator.device.type, self.material.precision == "bfloat16")

    def unsynchronised(self) -> AbstractContextManager[Any]:
        """Holds back the exchange of gradients between processes."""
        held: AbstractContextManager[Any] = self.accelerator.no_sync(self.learner)
        return held

    def exchange(self) -> None:
        """What a backward pass did not exchange between processes, after the last one of a step."""
        if self.accelerator.is_fsdp2:
            average_whole(self.accelerator, (p for group in self.parameter_groups() for p in group["params"]))


def validation_views(data: CohortData, stage: CohortStage) -> list[View]:
    """Every study of a validation split once, every other one mirrored where the stage learns from mirror images."""
    return [View(i, stage.mirror > 0 and i % 2 == 1) for i in range(len(data))]
