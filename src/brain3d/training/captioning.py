"""Captioning, which warm-up and specialisation are: next-token cross-entropy on reports."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext

import torch
from torch import Tensor

from brain3d.training.batches import View
from brain3d.training.cohort_data import CohortData
from brain3d.training.gallery import Shown, lesion_point, write_gallery
from brain3d.training.stages import StageTask, Visual, validation_views


class CaptioningTask(StageTask):
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
        self.exchange()
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
        """The loss per token on the validation split (`validation_views`); and some reports, written out."""
        self.wrapped.eval()
        self.material.cache.release()
        views = validation_views(self.validation.data, self.stage)
        total = self._tokens(self.validation.data.reports(views))
        value = torch.zeros((), device=self.accelerator.device)
        for places, counted in self.own_chunks(len(views)):
            value += self._loss(self.validation, [views[i] for i in places], counted, total)
        self._show()
        return {"loss": float(self.accelerator.reduce(value))}

    def _show(self) -> None:
        """Write what the model makes of the first validation studies as pictures with text, RUN/gallery/STAGE-STEP.

        All processes generate, since each may hold a piece of the model; the main one writes.
        """
        data, device = self.validation.data, self.accelerator.device
        views = [View(row) for row in range(min(self.material.samples, len(data)))]
        if not views:
            return
        with self.numbers():
            ids = self.learner(
                "write",
                visual=self.validation.inputs(views),
                prompt={k: v.to(device) for k, v in self.material.processor(batch_size=len(views)).items()},
                max_new_tokens=self.stage.max_tokens,
                synced_gpus=self.accelerator.is_fsdp2,
            )
        if not self.accelerator.is_main_process:
            return
        texts = self.material.processor.decode(ids)
        folder = self.material.folder / "gallery" / f"{self.stage.name}-{self.step}"
        studies = [shown(data, view.row, text) for view, text in zip(views, texts, strict=True)]
        write_gallery(folder, f"{self.stage.name}, step {self.step}", studies)


def shown(data: CohortData, row: int, text: str) -> Shown:
    """A study with a generated text, cut through its lesion where the cohort has a mask."""
    item, volume = data.items[row], data.volumes.get(data.items[row].key)
    assert volume is not None
    return Shown(item.study.id, volume, item.report, text, lesion_point(item.study, volume))
