"""One loop for every stage: steps, cosine schedule, clipping, a JSON Lines log, checkpoints that can be resumed."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from tqdm import tqdm


class Task(Protocol):
    """What a stage is: the module that learns, its batches, its loss. Batches depend on (seed, step) alone."""

    @property
    def module(self) -> nn.Module:
        """Everything that a checkpoint holds."""
        ...

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Parameter groups with `params` and `lr_scale`."""
        ...

    def loss(self, step: int) -> tuple[Tensor, dict[str, float]]:
        """The loss of step `step`, and what to log beside it."""
        ...

    def validate(self) -> dict[str, float]:
        """Figures on phantoms that no step sees."""
        ...


@dataclass(frozen=True)
class Schedule:
    steps: int
    lr: float
    warmup: int = 100
    weight_decay: float = 0.01
    clip: float = 1.0
    validate_every: int = 500
    precision: str = "float32"
    accumulate: int = 1
    save_every_s: float = 120.0
    seed: int = 0


class NonFiniteLoss(RuntimeError):
    """The loss became NaN or infinite: the run stops rather than going on in silence."""


def learning_rate(schedule: Schedule, step: int) -> float:
    """Linear warm-up, then a cosine down to a twentieth of the peak."""
    if step < schedule.warmup:
        return schedule.lr * (step + 1) / schedule.warmup
    progress = (step - schedule.warmup) / max(1, schedule.steps - schedule.warmup)
    return schedule.lr * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * min(1.0, progress))))


def _trained(task: Task) -> dict[str, Tensor]:
    return {name: tensor.detach().contiguous().clone() for name, tensor in task.module.state_dict().items()}


def save_checkpoint(folder: Path, task: Task, optimizer: torch.optim.Optimizer, step: int) -> None:
    """Write weights, optimizer and step beside each other; each file is replaced only when complete."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file(_trained(task), folder / "weights.partial", metadata={"step": str(step)})
    torch.save({"optimizer": optimizer.state_dict(), "step": step}, folder / "optimizer.partial")
    (folder / "weights.partial").replace(folder / f"weights-{step}.safetensors")
    (folder / "optimizer.partial").replace(folder / "optimizer.pt")
    for old in folder.glob("weights-*.safetensors"):
        if old.name != f"weights-{step}.safetensors":
            old.unlink()


def resume(folder: Path, task: Task, optimizer: torch.optim.Optimizer) -> int:
    """Load the last complete checkpoint and return the step to go on from, 0 where there is none."""
    if not (folder / "optimizer.pt").exists():
        return 0
    state = torch.load(folder / "optimizer.pt", weights_only=True)
    weights = folder / f"weights-{state['step']}.safetensors"
    if not weights.exists():
        return 0
    task.module.load_state_dict(load_file(weights))
    optimizer.load_state_dict(state["optimizer"])
    return int(state["step"])


class Log:
    """Appends one JSON object a line."""

    def __init__(self, path: Path, stage: str) -> None:
        self.path, self.stage, self.start = path, stage, time.monotonic()

    def write(self, **row: Any) -> None:
        row = {"stage": self.stage, "seconds": round(time.monotonic() - self.start, 1), **row}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")


@contextmanager
def reduced_precision(device: str, enabled: bool) -> Iterator[None]:
    """Matrix products in bfloat16. On a CPU attention becomes two of them, since its fused kernel there gains nothing
    from bfloat16."""
    if not enabled:
        yield
        return
    plain = torch.backends.cuda.fp16_bf16_reduction_math_sdp_allowed()
    torch.backends.cuda.allow_fp16_bf16_reduction_math_sdp(True)
    attention = sdpa_kernel(SDPBackend.MATH) if device == "cpu" else nullcontext()
    try:
        with torch.autocast(device, torch.bfloat16), attention:
            yield
    finally:
        torch.backends.cuda.allow_fp16_bf16_reduction_math_sdp(plain)


def _step(
    task: Task, optimizer: torch.optim.Optimizer, schedule: Schedule, step: int
) -> tuple[float, dict[str, float]]:
    for group in optimizer.param_groups:
        group["lr"] = learning_rate(schedule, step) * group["lr_scale"]
    total = 0.0
    figures: dict[str, float] = {}
    device = next(task.module.parameters()).device.type
    torch.manual_seed(schedule.seed * 1_000_003 + step)  # dropout too follows from seed and step alone
    for part in range(schedule.accumulate):
        with reduced_precision(device, schedule.precision == "bfloat16"):
            loss, figures = task.loss(step * schedule.accumulate + part)
        if not math.isfinite(float(loss.detach())):
            raise NonFiniteLoss(f"the loss is {float(loss.detach())} at step {step}; lower lr or raise clip")
        (loss / schedule.accumulate).backward()
        total += float(loss.detach()) / schedule.accumulate
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    nn.utils.clip_grad_norm_(parameters, schedule.clip)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return total, figures


def run_stage(task: Task, schedule: Schedule, folder: Path, name: str, until: int | None = None) -> dict[str, float]:
    """Train one stage to its last step (or `until`), resuming from `folder` where it holds a checkpoint.

    Returns the figures of the last validation. Raises NonFiniteLoss.
    """
    folder.mkdir(parents=True, exist_ok=True)
    groups = [{"lr_scale": 1.0, **group} for group in task.parameter_groups()]
    optimizer = torch.optim.AdamW(groups, lr=schedule.lr, weight_decay=schedule.weight_decay, betas=(0.9, 0.98))
    first = resume(folder, task, optimizer)
    log, saved, mean = Log(folder.parent / "log.jsonl", name), time.monotonic(), 0.0
    figures: dict[str, float] = {}
    last = schedule.steps if until is None else min(until, schedule.steps)
    with tqdm(total=schedule.steps, initial=first, desc=name, unit="step") as bar:
        for step in range(first, last):
            loss, extra = _step(task, optimizer, schedule, step)
            mean = loss if step == first else 0.98 * mean + 0.02 * loss
            bar.set_postfix(loss=f"{mean:.4f}", refresh=False)
            bar.update()
            done = step + 1
            if done % 25 == 0:
                log.write(step=done, loss=round(mean, 5), lr=learning_rate(schedule, step), **_rounded(extra))
            if done % schedule.validate_every == 0 or done == last:
                figures = task.validate()
                log.write(step=done, validation=_rounded(figures))
                tqdm.write(f"{name} {done}: " + "  ".join(f"{k} {v:.3f}" for k, v in figures.items()))
            if time.monotonic() - saved > schedule.save_every_s or done == last:
                save_checkpoint(folder, task, optimizer, done)
                saved = time.monotonic()
    return figures or task.validate()


def _rounded(figures: dict[str, float]) -> dict[str, float]:
    return {key: round(float(value), 4) for key, value in figures.items()}
