"""A step in parts is the mean of its parts' gradients, whatever the order in which threads finish."""

from __future__ import annotations

import time

import pytest
import torch
from torch import Tensor, nn

from brain3d.training.at_once import InParts


class Line:
    """Fits one number by another; every batch has its own data, and odd ones finish first."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.module = nn.ModuleDict({"used": nn.Linear(3, 1), "odd": nn.Linear(3, 1), "unused": nn.Linear(2, 2)})
        self.threads: list[int] = []

    def parameter_groups(self) -> list[dict]:
        return [{"params": list(self.module.parameters())}]

    def loss(self, step: int) -> tuple[Tensor, dict[str, float]]:
        if step % 2 == 0:
            time.sleep(0.02)
        self.threads.append(torch.get_num_threads())
        data = torch.randn(4, 3, generator=torch.Generator().manual_seed(step))
        said = self.module["used"](data)
        if step % 2:
            said = said + self.module["odd"](data)
        return (said - data.sum(1, keepdim=True)).square().mean(), {"number": float(step)}

    def validate(self) -> dict[str, float]:
        return {"loss": 1.0}


def gradients(task: Line) -> dict[str, Tensor | None]:
    return {name: p.grad for name, p in task.module.named_parameters()}


@pytest.mark.parametrize("parts", [2, 3])
def test_a_step_is_the_mean_of_its_parts(parts: int) -> None:
    task, wanted = Line(), Line()
    loss, figures = InParts(task, parts=parts).backward(5)
    numbers = range(5 * parts, 6 * parts)
    whole = torch.stack([wanted.loss(number)[0] for number in numbers]).mean()
    whole.backward()
    assert loss == pytest.approx(float(whole.detach()))
    assert figures == {"number": pytest.approx(sum(numbers) / parts)}
    for name, gradient in gradients(wanted).items():
        found = gradients(task)[name]
        assert (gradient is None) == (found is None), name
        if gradient is not None and found is not None:
            torch.testing.assert_close(found, gradient)


def test_the_same_step_gives_the_same_bits() -> None:
    one, other = Line(), Line()
    for task in (one, other):
        InParts(task, parts=2).backward(3)
    for name, gradient in gradients(one).items():
        assert gradient is None or torch.equal(gradient, gradients(other)[name])


def test_every_part_has_a_thread_of_its_own_and_the_caller_keeps_its_threads() -> None:
    before, task = torch.get_num_threads(), Line()
    InParts(task, parts=2).backward(0)
    assert task.threads == [1, 1]
    assert torch.get_num_threads() == before


def test_a_part_that_fails_ends_the_step() -> None:
    class Failing(Line):
        def loss(self, step: int) -> tuple[Tensor, dict[str, float]]:
            if step == 1:
                raise ValueError("no such phantom")
            return super().loss(step)

    with pytest.raises(ValueError, match="no such phantom"):
        InParts(Failing(), parts=2).backward(0)
