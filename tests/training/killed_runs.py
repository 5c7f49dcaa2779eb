"""Run by `test_survival.py`, in a process of its own: trains, is killed in many places in turn, and goes on.

Each attempt is a fork that was made before torch started any thread. In the fork the functions that touch the disk, and
the optimizer's step, count their calls; at the call with a given number the process sends itself SIGKILL. A write is
killed once it has written half of its bytes.
"""

import io
import os
import pathlib
import signal
import sys
from pathlib import Path

import torch
from torch import nn

from brain3d.training import checkpoint, run_log
from brain3d.training.loop import Schedule, WholeBatch, run_stage

STEPS, MOST = 5, 500
STRIDE = 3  # of some 16 calls a step: over five steps every kind of call is met
HUNTED = 30  # calls are more than one step, with what a start tidies up, and less than two


class Toy:
    """Regression with dropout: every source of randomness that a stage has, in a few numbers."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.module = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.2), nn.Linear(8, 1))

    def parameter_groups(self) -> list[dict]:
        return [{"params": list(self.module.parameters())}]

    def _loss(self, seed: int) -> torch.Tensor:
        x = torch.randn(6, 4, generator=torch.Generator().manual_seed(seed))
        return (self.module(x)[:, 0] - x.sum(1)).square().mean()

    def loss(self, step: int) -> tuple[torch.Tensor, dict[str, float]]:
        self.module.train()
        return self._loss(step), {}

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        self.module.eval()
        return {"loss": float(self._loss(10**6))}


def train(folder: Path) -> None:
    schedule = Schedule(steps=STEPS, lr=0.05, warmup=2, validate_every=2, log_every=1, save_every_s=0.0, patience=9)
    run_stage(WholeBatch(Toy()), schedule, folder / "toy", "toy")


def die_at(number: int) -> list[int]:
    """Have this process killed at the call with that number; returns a list that holds how many calls there were."""
    calls = [0]

    def counted(function):
        def call(*args, **kwargs):
            calls[0] += 1
            if calls[0] == number:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*args, **kwargs)

        return call

    def write_durably(path, write):
        whole = io.BytesIO()
        write(whole)

        def in_halves(file):
            content = whole.getvalue()
            file.write(content[: len(content) // 2])
            file.flush()
            os.fsync(file.fileno())
            file.write(content[len(content) // 2 :])

        really(path, in_halves)

    really = checkpoint.write_durably
    checkpoint.write_durably = run_log.write_durably = write_durably
    os.fsync, os.replace = counted(os.fsync), counted(os.replace)
    pathlib.Path.unlink = counted(pathlib.Path.unlink)
    run_log.Log.write = counted(run_log.Log.write)
    torch.optim.AdamW.step = counted(torch.optim.AdamW.step)
    return calls


def attempt(folder: Path, number: int) -> int:
    """Train in a fork that dies at its call `number`; returns the signal that ended it, 0 if it came to the end."""
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        die_at(number)
        train(folder)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        raise SystemExit(f"call {number}: the run failed with {os.WEXITSTATUS(status)}")
    return os.WTERMSIG(status)


def main(output: Path) -> None:
    """`undisturbed` runs through; `killed-N` is killed at call N and started again; `hunted` at every start."""
    torch.set_num_threads(1)
    parameter = nn.Parameter(torch.zeros(1))
    parameter.grad = torch.zeros(1)
    torch.optim.AdamW([parameter]).step()  # imports what a fork would have to import each time
    attempt(output / "undisturbed", 0)
    for number in range(1, MOST, STRIDE):
        folder = output / f"killed-{number}"
        if attempt(folder, number) == 0:
            break
        attempt(folder, 0)
    while attempt(output / "hunted", HUNTED) != 0:
        pass


if __name__ == "__main__":
    main(Path(sys.argv[1]))
