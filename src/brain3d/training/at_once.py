"""A step whose batch is drawn and computed in parts, all at once, each by a thread of its own.

On two cores a small model trains half as fast again in two halves as with both cores on every product: what lies
between the products runs twice at once too.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from brain3d.training.loop import WholeBatch, plain_attention

Part = tuple[float, dict[str, float], Sequence[Tensor | None]]


@dataclass(frozen=True)
class InParts(WholeBatch):
    """A `LossTask` whose step is the mean of `parts` of its batches: step s takes parts * s, parts * s + 1, ...

    The result depends on the number of parts, and on nothing else: not on how threads take turns. The task must draw
    no random numbers of torch's own, since those would.
    """

    parts: int = 2

    def backward(self, step: int) -> tuple[float, dict[str, float]]:
        learning = [p for group in self.parameter_groups() for p in group["params"]]
        device, reduced = learning[0].device.type, self.precision == "bfloat16"
        held = [_accumulator(parameter) for parameter in learning]

        def part(number: int) -> Part:
            with torch.autocast(device, torch.bfloat16, enabled=reduced):  # of a thread, unlike the kind of attention
                loss, figures = self.task.loss(number)
            return float(loss.detach()), figures, torch.autograd.grad(loss, learning, allow_unused=True)

        with (
            plain_attention(device, reduced),
            ThreadPoolExecutor(self.parts, initializer=torch.set_num_threads, initargs=(1,)) as threads,
        ):
            done = list(threads.map(part, range(self.parts * step, self.parts * (step + 1))))
        del held
        losses, figures, gradients = zip(*done, strict=True)
        for parameter, found in zip(learning, zip(*gradients, strict=True), strict=True):
            parameter.grad = _mean(found, self.parts)
        named = {name: sum(each[name] for each in figures) / self.parts for name in figures[0]}
        return sum(losses) / self.parts, named


def _accumulator(parameter: nn.Parameter) -> Any:
    """The node of the graph that a parameter's gradient would go to, which all threads share.

    Whoever needs it first makes it, under a lock of the parameter and needing Python's own lock, while another thread
    that has Python's may wait for the parameter's: both then wait for ever (seen with torch 2.13). So it is made before
    the threads begin, and kept while they run.
    """
    return parameter.expand_as(parameter).grad_fn.next_functions[0][0]  # type: ignore[union-attr]


def _mean(gradients: Sequence[Tensor | None], parts: int) -> Tensor | None:
    """The sum over the parts, in their order, over their number: a part that has no say of a parameter counts zero."""
    found = [gradient for gradient in gradients if gradient is not None]
    return torch.stack(found).sum(0) / parts if found else None
