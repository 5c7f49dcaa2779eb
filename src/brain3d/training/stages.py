"""The stages over a cohort as tasks of the loop: grounding, and captioning, which warm-up and specialisation are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from brain3d.model.modeling_brain3d import Brain3DForConditionalGeneration
from brain3d.model.processing_brain3d import Brain3DProcessor
from brain3d.model.quiet import quiet
from brain3d.scans import InputError
from brain3d.training.batches import View, batch_at, shard, views_of
from brain3d.training.cohort_data import CohortData
from brain3d.training.gallery import Shown, lesion_point, write_gallery
from brain3d.training.gradient_cache import Encoder, gather, gradient_cached
from brain3d.training.learner import Learner
from brain3d.training.loop import plain_attention, reduced_precision
from brain3d.training.losses import LogitScale, alike, info_nce, pairs, side_swapped, sigmoid_loss
from brain3d.training.parts_trained import composite_of, holder, set_learning, with_adapters
from brain3d.training.plan import CohortStage
from brain3d.training.retrieval import grounding_scores
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


class _Shared:
    """What grounding and captioning have in common: the module that learns, its batches, its share of each."""

    def __init__(self, stage: CohortStage, model: Brain3DForConditionalGeneration, material: Material) -> None:
        self.stage, self.material, self.accelerator = stage, material, material.accelerator
        torch.manual_seed(material.seed)
        self.wrapped = with_adapters(model, stage)
        self.composite = composite_of(self.wrapped, stage)
        scale = LOSS_SCALES.get(stage.loss)
        self.scale = None if scale is None else LogitScale(*scale).to(self.accelerator.device)
        self.groups = set_learning(self.wrapped, stage)
        if not self.groups:
            raise InputError(f"stage {stage.name!r}: what learns has no weights in this model; let another part learn")
        self.wrapped.to(self.accelerator.device)
        if material.checkpointing:
            with quiet():
                self.composite.gradient_checkpointing_enable({"use_reentrant": False})
        self.learner: Any = self.accelerator.prepare_model(Learner(self.wrapped, self.composite))
        self._holder = holder(self.wrapped, self.scale)
        self.train, self.validation = (self._visual(data) for data in (material.train, material.validation))
        tokenizer = material.processor.tokenizer
        self.step = 0  # of the loop: how many are done
        self.lengths = [len(tokenizer(item.report)["input_ids"]) for item in material.train.items]

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


class CaptioningTask(_Shared):
    """Next-token cross-entropy on the reports' tokens alone."""

    def backward(self, step: int) -> tuple[float, dict[str, float]]:
        self.prepare_step()
        views = self.batch(step)
        reports = self.train.data.reports(views)
        total, chunks = self._tokens(reports), self.own_chunks(len(views))
        value = torch.zeros((), device=self.accelerator.device)
        for number, (places, counted) in enumerate(chunks, 1):
            with self.attention(), nullcontext() if number == len(chunks) else self.unsynchronised():
                loss = self._loss(self.train, [views[i] for i in places], counted, total)
                # Gradients are averaged over the processes, and each has its part of the sum.
                self.accelerator.backward(loss * self.accelerator.num_processes)
            value += loss.detach()
        return float(self.accelerator.reduce(value)), {}

    def _tokens(self, reports: Sequence[str]) -> int:
        """How many tokens of the reports are learned from."""
        labels = self.material.processor(reports=reports, max_report_tokens=self.stage.max_tokens)["labels"]
        return int((labels >= 0).sum())

    def _loss(self, visual: Visual, views: list[View], counted: Tensor, total: int) -> Tensor:
        reports = self.material.processor(reports=visual.data.reports(views), max_report_tokens=self.stage.max_tokens)
        reports = {name: tensor.to(self.accelerator.device) for name, tensor in reports.items()}
        with self.numbers():
            loss: Tensor = self.learner(
                "caption", visual=visual.inputs(views), reports=reports, counted=counted, total=total
            )
        return loss

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """The loss per token on the validation split, every other study mirrored; and some reports, written out."""
        self.wrapped.eval()
        self.material.cache.release()
        views = validation_views(self.validation.data)
        total = self._tokens(self.validation.data.reports(views))
        value = torch.zeros((), device=self.accelerator.device)
        for places, counted in self.own_chunks(len(views)):
            value += self._loss(self.validation, [views[i] for i in places], counted, total)
        if self.accelerator.is_main_process:
            self._show()
        return {"loss": float(self.accelerator.reduce(value))}

    def _show(self) -> None:
        """Write what the model makes of the first validation studies as pictures with text, RUN/gallery/STAGE-STEP."""
        data = self.validation.data
        views = [View(row) for row in range(min(self.material.samples, len(data)))]
        if not views:
            return
        inputs = {k: v.to(self.accelerator.device) for k, v in self.material.processor(batch_size=len(views)).items()}
        with self.numbers():
            ids = self.composite.generate(
                **inputs, **self.validation.inputs(views), max_new_tokens=self.stage.max_tokens, do_sample=False
            )
        texts = self.material.processor.decode(ids)
        folder = self.material.folder / "gallery" / f"{self.stage.name}-{self.step}"
        studies = [shown(data, view.row, text) for view, text in zip(views, texts, strict=True)]
        write_gallery(folder, f"{self.stage.name}, step {self.step}", studies)


class GroundingTask(_Shared):
    """Images find their reports among all of a batch, and their reports' mirror images."""

    def __init__(self, stage: CohortStage, model: Brain3DForConditionalGeneration, material: Material) -> None:
        first, *others = [text for item in material.train.items for text in (item.report, item.mirrored_report)]
        if all(alike(first, other) for other in others):
            raise InputError(
                f"stage {stage.name!r}: all training reports say the same: grounding has nothing to tell apart; "
                "leave the stage out, or add studies with other findings"
            )
        super().__init__(stage, model, material)

    def backward(self, step: int) -> tuple[float, dict[str, float]]:
        self.prepare_step()
        views = self.batch(step)
        chunks = self.own_chunks(len(views))
        places = [i for chunk, _ in chunks for i in chunk]
        own = self.train.data.reports([views[i] for i in places])
        encoders = [
            Encoder(self._texts, self._split(own), learns=False),
            Encoder(self._texts, self._split(side_swapped(own)[0]), learns=False),
            Encoder(partial(self._images, self.train), self._split([views[i] for i in places])),
        ]
        loss_of = partial(self._loss, self.train.data.reports(views))
        with self.attention():
            loss = gradient_cached(encoders, loss_of, unsynchronised=self.unsynchronised)
        return float(loss), {}

    def _split(self, rows: Sequence[Any]) -> list[Sequence[Any]]:
        most = self.stage.micro_batch
        return [rows[i : i + most] for i in range(0, len(rows), most)]

    def _texts(self, reports: Sequence[str]) -> Tensor:
        tokenizer, most = self.material.processor.tokenizer, self.stage.max_tokens
        rows = [tokenizer(report, add_special_tokens=False)["input_ids"][:most] for report in reports]
        width, device = max(map(len, rows)), self.accelerator.device
        ids = torch.tensor([row + [tokenizer.pad_token_id] * (width - len(row)) for row in rows], device=device)
        mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows], device=device)
        with self.numbers():
            embedded: Tensor = self.learner("text", input_ids=ids, attention_mask=mask)
        return embedded

    def _images(self, visual: Visual, views: Sequence[View]) -> Tensor:
        with self.numbers():
            embedded: Tensor = self.learner("image", visual=visual.inputs(views))
        return embedded

    def _loss(self, reports: Sequence[str], texts: Tensor, swapped: Tensor, images: Tensor) -> Tensor:
        """The stage's loss of a whole batch, its embeddings gathered from all processes."""
        count, stage = len(reports), self.stage
        texts, swapped, images = (gather(part)[:count] for part in (texts, swapped, images))
        turned, differ = side_swapped(reports)
        extra = [text for text, other in zip(turned, differ, strict=True) if other and stage.hard_negatives]
        if extra:
            texts = torch.cat([texts, swapped[torch.tensor(differ, device=swapped.device)]])
        paired = pairs(reports, extra, stage.equals)
        if self.scale is not None:
            return sigmoid_loss(images, texts, paired, *self.scale())
        return info_nce(images, texts, paired, 1 / stage.temperature)

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Loss, recall at 1 and 5 beside chance, and how often its own report is nearer than its mirror's."""
        self.wrapped.eval()
        self.material.cache.release()
        views = validation_views(self.validation.data)
        reports = self.validation.data.reports(views)
        swapped = side_swapped(reports)[0]
        images = torch.cat([self._images(self.validation, part) for part in self._split(views)])
        texts, turned = (torch.cat([self._texts(part) for part in self._split(rows)]) for rows in (reports, swapped))
        loss = self._whole_loss(reports, texts, turned, images)
        scores = grounding_scores(images, texts, turned, reports)
        return {"loss": loss, **{name: score for name, score in scores.items() if not math.isnan(score)}}

    def _whole_loss(self, reports: Sequence[str], texts: Tensor, swapped: Tensor, images: Tensor) -> float:
        """The loss of embeddings that every process has all of, in batches of the stage's own size.

        `gather` then puts equal copies behind one another, of which `_loss` keeps the first.
        """
        starts = range(0, len(reports), self.stage.batch)
        parts = [slice(start, start + self.stage.batch) for start in starts]
        values = [float(self._loss(reports[p], texts[p], swapped[p], images[p])) * len(reports[p]) for p in parts]
        return sum(values) / len(reports)


def shown(data: CohortData, row: int, text: str) -> Shown:
    """A study with a generated text, cut through its lesion where the cohort has a mask."""
    item, volume = data.items[row], data.volumes.get(data.items[row].key)
    assert volume is not None
    return Shown(item.study.id, volume, item.report, text, lesion_point(item.study, volume))


def validation_views(data: CohortData) -> list[View]:
    """Every study of a validation split once, every other one mirrored."""
    return [View(i, i % 2 == 1) for i in range(len(data))]


def build_task(
    stage: CohortStage, model: Brain3DForConditionalGeneration, material: Material
) -> CaptioningTask | GroundingTask:
    """The task of a stage over a model as the stages before it left it."""
    kind = GroundingTask if stage.task == "grounding" else CaptioningTask
    return kind(stage, model, material)
