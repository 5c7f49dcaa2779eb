"""One loop for every stage: steps, schedules, clipping, early stopping, a log, checkpoints that survive a kill."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from tqdm import tqdm

from brain3d.training.checkpoint import (
    Progress,
    naming_a_full_disk,
    read_state,
    read_weights,
    remove_older,
    save_checkpoint,
)
from brain3d.training.run_log import Log
from brain3d.training.sharding import agreed, clip_gradients, gathered, is_sharded, load_optimizer, load_weights

DECAYS = ("cosine", "constant")
LEAST = 0.05  # of the peak is what a cosine ends at
MEMORY = 0.98  # of the loss in the running mean that is logged


class Task(Protocol):
    """What a stage is: the module that learns, its batches, its loss. Batches depend on (seed, step) alone."""

    @property
    def module(self) -> nn.Module:
        """Everything that a checkpoint holds."""
        ...

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Parameter groups with `params` and `lr_scale`."""
        ...

    def backward(self, step: int) -> tuple[float, dict[str, float]]:
        """Add the gradients of step `step` to the parameters; returns its loss, and what to log beside it."""
        ...

    def validate(self) -> dict[str, float]:
        """Figures on studies that no step sees; `loss` decides which checkpoint is the best."""
        ...


class LossTask(Protocol):
    """A task whose loss is one forward pass over one batch."""

    @property
    def module(self) -> nn.Module: ...

    def parameter_groups(self) -> list[dict[str, Any]]: ...

    def loss(self, step: int) -> tuple[Tensor, dict[str, float]]:
        """The loss of step `step`, and what to log beside it."""
        ...

    def validate(self) -> dict[str, float]: ...


@dataclass(frozen=True)
class Schedule:
    """What the loop has to know. `patience`: so many validations without an improvement of the loss by `min_delta`
    end the stage; 0 lets it run to its last step. `validate_first`: also before the first step, so that the best
    weights are never worse than those that the stage began with."""

    steps: int
    lr: float
    warmup: int = 100
    weight_decay: float = 0.01
    clip: float = 1.0
    validate_every: int = 500
    precision: str = "float32"
    save_every_s: float = 120.0
    seed: int = 0
    decay: str = "cosine"
    betas: tuple[float, float] = (0.9, 0.98)
    patience: int = 0
    min_delta: float = 0.0
    log_every: int = 25
    tensorboard: bool = False
    validate_first: bool = False


class NonFiniteLoss(RuntimeError):
    """The loss or its gradient became NaN or infinite: the run stops rather than going on in silence."""


@contextmanager
def _naming_the_stage(name: str) -> Iterator[None]:
    try:
        yield
    except NonFiniteLoss as error:
        raise NonFiniteLoss(f"{name}: {error}") from error


def learning_rate(schedule: Schedule, step: int) -> float:
    """Linear warm-up, then constant, or a cosine down to a twentieth of the peak."""
    if step < schedule.warmup:
        return schedule.lr * (step + 1) / schedule.warmup
    if schedule.decay == "constant":
        return schedule.lr
    progress = (step - schedule.warmup) / max(1, schedule.steps - schedule.warmup)
    return schedule.lr * (LEAST + (1 - LEAST) * 0.5 * (1 + math.cos(math.pi * min(1.0, progress))))


@contextmanager
def plain_attention(device: str, enabled: bool) -> Iterator[None]:
    """On a CPU attention as two matrix products, since its fused kernel there gains nothing from bfloat16. A backward
    pass that computes activations again (gradient checkpointing) needs it as the forward pass did."""
    if not enabled:
        yield
        return
    plain = torch.backends.cuda.fp16_bf16_reduction_math_sdp_allowed()
    torch.backends.cuda.allow_fp16_bf16_reduction_math_sdp(True)
    try:
        with sdpa_kernel(SDPBackend.MATH) if device == "cpu" else nullcontext():
            yield
    finally:
        torch.backends.cuda.allow_fp16_bf16_reduction_math_sdp(plain)


@contextmanager
def reduced_precision(device: str, enabled: bool) -> Iterator[None]:
    """Matrix products in bfloat16, attention as `plain_attention`."""
    with plain_attention(device, enabled), torch.autocast(device, torch.bfloat16) if enabled else nullcontext():
        yield


@dataclass(frozen=True)
class WholeBatch:
    """A `LossTask` as the loop takes it: its batch goes through at once."""

    task: LossTask
    precision: str = "float32"

    @property
    def module(self) -> nn.Module:
        return self.task.module

    def parameter_groups(self) -> list[dict[str, Any]]:
        return self.task.parameter_groups()

    def backward(self, step: int) -> tuple[float, dict[str, float]]:
        with reduced_precision(next(self.module.parameters()).device.type, self.precision == "bfloat16"):
            loss, figures = self.task.loss(step)
        loss.backward()
        return float(loss.detach()), figures

    def validate(self) -> dict[str, float]:
        return self.task.validate()


def _check_finite(what: str, value: float, step: int) -> None:
    if not math.isfinite(value):
        raise NonFiniteLoss(f"the {what} is {value} at step {step}; the checkpoint before is kept; lower lr or clip")


def _step(
    task: Task, optimizer: torch.optim.Optimizer, schedule: Schedule, step: int
) -> tuple[float, dict[str, float]]:
    for group in optimizer.param_groups:
        group["lr"] = learning_rate(schedule, step) * group["lr_scale"]
    torch.manual_seed(schedule.seed * 1_000_003 + step)  # dropout too follows from seed and step alone
    loss, figures = task.backward(step)
    _check_finite("loss", loss, step)
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    _check_finite("gradient's norm", clip_gradients(parameters, schedule.clip), step)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return loss, figures


def judged(progress: Progress, figures: dict[str, float], schedule: Schedule) -> Progress:
    """The progress after a validation: whether it is the best so far, and whether patience is at its end.

    The lowest loss is the best, by however little; patience counts from the last one that was lower by `min_delta`.
    NonFiniteLoss for a loss that is neither.
    """
    loss = figures.get("loss")
    if loss is None:
        return progress
    _check_finite("validation loss", loss, progress.step)
    if progress.best is None or loss < progress.best:
        progress = replace(progress, best=loss, best_step=progress.step)
    if progress.mark is None or loss < progress.mark - schedule.min_delta:
        return replace(progress, mark=loss, worse=0)
    worse = progress.worse + 1
    return replace(progress, worse=worse, finished=progress.finished or 0 < schedule.patience <= worse)


def _resume(folder: Path, task: Task, optimizer: torch.optim.Optimizer) -> Progress:
    state = read_state(folder)
    if state is None:
        return Progress()
    settings, progress = state
    load_weights(task.module, read_weights(folder, progress.step))
    load_optimizer(optimizer, settings)
    return replace(progress, starts=progress.starts + 1)


class _Stage:
    """A stage under way."""

    def __init__(self, task: Task, schedule: Schedule, folder: Path, name: str, main: bool) -> None:
        groups = [{"lr_scale": 1.0, **group} for group in task.parameter_groups()]
        self.optimizer = torch.optim.AdamW(
            groups, lr=schedule.lr, weight_decay=schedule.weight_decay, betas=schedule.betas
        )
        self.task, self.schedule, self.folder, self.name, self.main = task, schedule, folder, name, main
        self.sharded = is_sharded(task.module.parameters())
        self.progress = _resume(folder, task, self.optimizer)
        if main and self.progress.step:
            remove_older(folder, self.progress)
        self.start = self.saved = time.monotonic()
        self.before = self.progress.seconds
        known = self.progress.step if self.progress.starts else -1  # a stage that starts anew knows of no line
        self.log = Log(folder.parent, name, known, schedule.tensorboard) if main else None

    def seconds(self) -> float:
        """Spent on this stage, also before it was interrupted."""
        return self.before + time.monotonic() - self.start

    def write(self, **row: Any) -> None:
        if self.log is not None:
            self.log.write(self.progress.step, self.seconds(), **row)

    def learn(self) -> float:
        """One step; returns the running mean of the loss."""
        step = self.progress.step
        loss, extra = _step(self.task, self.optimizer, self.schedule, step)
        mean = loss if self.progress.mean is None else MEMORY * self.progress.mean + (1 - MEMORY) * loss
        self.progress = replace(self.progress, step=step + 1, mean=mean, finished=step + 1 == self.schedule.steps)
        if (step + 1) % self.schedule.log_every == 0:
            rate = learning_rate(self.schedule, step)
            self.write(loss=round(mean, 5), step_loss=round(loss, 6), lr=rate, **_rounded(extra))
        return mean

    def validate(self) -> dict[str, float]:
        figures = self.task.validate()
        self.progress = judged(self.progress, figures, self.schedule)
        self.write(validation=_rounded(figures))
        if self.main:
            said = "  ".join(f"{key} {value:.3f}" for key, value in figures.items())
            tqdm.write(f"{self.name} {self.progress.step}: {said}")
        return figures

    def is_due(self) -> bool:
        """Whether the last checkpoint is old. What is sharded can only be saved by all processes together."""
        due = time.monotonic() - self.saved > self.schedule.save_every_s
        return agreed(due) if self.sharded else due

    def save(self) -> None:
        self.saved = time.monotonic()
        weights, optimizer = (gathered(part.state_dict(), self.main) for part in (self.task.module, self.optimizer))
        if not self.main:
            return
        progress = replace(self.progress, seconds=self.seconds())
        is_best = progress.best_step == progress.step
        save_checkpoint(self.folder, weights, optimizer, progress, is_best=is_best)


def run_stage(
    task: Task, schedule: Schedule, folder: Path, name: str, until: int | None = None, *, main: bool = True
) -> dict[str, float]:
    """Train one stage to its end (or `until` a step), going on from the checkpoint in `folder` where there is one.

    Of several processes that train together only the `main` one writes; what they compute does not differ.

    Returns the figures of the last validation. Raises NonFiniteLoss; InputError for a damaged checkpoint, a full disk.
    """
    with naming_a_full_disk(folder), _naming_the_stage(name):
        if main:
            folder.mkdir(parents=True, exist_ok=True)
        stage = _Stage(task, schedule, folder, name, main)
        last = schedule.steps if until is None else min(until, schedule.steps)
        figures: dict[str, float] = {}
        if schedule.validate_first and stage.progress.step == 0 and stage.progress.best is None:
            figures = stage.validate()
            stage.save()
        with tqdm(total=schedule.steps, initial=stage.progress.step, desc=name, unit="step", disable=not main) as bar:
            while stage.progress.step < last and not stage.progress.finished:
                bar.set_postfix(loss=f"{stage.learn():.4f}", refresh=False)
                bar.update()
                done = stage.progress.step
                validated = done % schedule.validate_every == 0 or done == last
                if validated:
                    figures = stage.validate()
                if validated or stage.is_due():
                    stage.save()
        if stage.log is not None:
            stage.log.close()
        return figures or task.validate()


def _rounded(figures: dict[str, float]) -> dict[str, float]:
    return {key: round(float(value), 4) for key, value in figures.items()}
