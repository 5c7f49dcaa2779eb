"""What the measurements of `gpu.py` share: figures, how time is taken, and what becomes of a measurement that fails."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch

from brain3d.model import Brain3DForConditionalGeneration
from parts import full_size, tiny

DTYPE = torch.bfloat16
FAILURES = (RuntimeError, ValueError, TypeError, AttributeError, KeyError, ImportError, OSError, AssertionError)


class Figure(NamedTuple):
    """A measured figure, or, where `value` is None, in `note` why there is none."""

    what: str
    value: float | None
    unit: str = ""
    note: str = ""


class Missing(RuntimeError):
    """What a measurement needs is not here: it is skipped, and has not failed."""


@dataclass
class Bench:
    """What the measurements share. `rate` and `bandwidth` are filled in by the first two."""

    device: str
    small: bool
    repeats: int
    tokens: int
    batches: list[int]
    rate: float | None = None  # operations a second
    bandwidth: float | None = None  # bytes a second
    peaks: dict[str, dict[int, float]] = field(default_factory=dict)  # bytes by batch, for bf16 and NF4

    @property
    def on_gpu(self) -> bool:
        return self.device.startswith("cuda")

    def seconds(self, work: Callable[[], Any]) -> float:
        """The median over the repeats, after one call that does not count."""
        work()
        found = []
        for _ in range(self.repeats):
            self.wait()
            start = time.perf_counter()
            work()
            self.wait()
            found.append(time.perf_counter() - start)
        return statistics.median(found)

    def wait(self) -> None:
        if self.on_gpu:
            torch.cuda.synchronize()

    def model(self) -> Brain3DForConditionalGeneration:
        """The composite model in bfloat16 with random weights, made on the device."""
        torch.manual_seed(0)
        with torch.device(self.device):
            made = Brain3DForConditionalGeneration._from_config(tiny() if self.small else full_size(), dtype=DTYPE)
        return made.to(self.device).eval()


def attempt(title: str, work: Callable[[], Iterator[Figure]]) -> Iterator[Figure]:
    """The figures of a measurement; where it fails, a row that says why."""
    try:
        yield from work()
    except FAILURES as error:
        line = " ".join(str(error).split())[:160]
        word = "skipped" if isinstance(error, Missing) else f"failed, {type(error).__name__}"
        yield Figure(title, None, note=f"{word}: {line}")


def release() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
