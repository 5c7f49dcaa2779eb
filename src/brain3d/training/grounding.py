"""Grounding: images find their reports among all of a batch, and among these reports' mirror images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from brain3d.model.modeling_brain3d import Brain3DForConditionalGeneration
from brain3d.scans import InputError
from brain3d.training.batches import View
from brain3d.training.gradient_cache import Encoder, gather, gradient_cached
from brain3d.training.losses import alike, info_nce, pairs, side_swapped, sigmoid_loss
from brain3d.training.plan import CohortStage
from brain3d.training.retrieval import grounding_scores
from brain3d.training.stages import Material, StageTask, Visual, validation_views


class GroundingTask(StageTask):
    """Images find their reports among all of a batch, and their reports' mirror images."""

    def __init__(self, stage: CohortStage, model: Brain3DForConditionalGeneration, material: Material) -> None:
        for split, texts in _told_apart(stage, material).items():
            if all(alike(texts[0], other) for other in texts[1:]):
                raise InputError(
                    f"stage {stage.name!r}: all {split} reports say the same: grounding has nothing to tell apart; "
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
        self.exchange()
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
        views = validation_views(self.validation.data, self.stage)
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


def _told_apart(stage: CohortStage, material: Material) -> dict[str, list[str]]:
    """Of either split the texts that its loss compares. Of a single one it is always zero, and so of validation the
    start would be the best."""
    train = [View(row, mirrored) for row in range(len(material.train)) for mirrored in (False, stage.mirror > 0)]
    found = {}
    for split, data, views in (
        ("training", material.train, train),
        ("validation", material.validation, validation_views(material.validation, stage)),
    ):
        texts = data.reports(views)
        found[split] = [*texts, *(side_swapped(texts)[0] if stage.hard_negatives else [])]
    return found
