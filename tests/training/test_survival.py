"""A stage that is killed, at whatever moment, and started again ends like one that was left alone."""

import errno
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError

from brain3d.scans import InputError
from brain3d.training.checkpoint import (
    Progress,
    naming_a_full_disk,
    read_best,
    read_progress,
    read_state,
    read_weights,
    save_checkpoint,
)
from brain3d.training.loop import NonFiniteLoss, Schedule, WholeBatch, judged, learning_rate, run_stage

from .killed_runs import STEPS, Toy

SHORT = Schedule(steps=6, lr=0.05, warmup=1, validate_every=2, log_every=1)


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("killed")
    command = [sys.executable, "-m", "tests.training.killed_runs", str(output)]
    root = Path(__file__).resolve().parents[2]
    paths = os.pathsep.join([str(root / "src"), str(root)])
    done = subprocess.run(
        command,
        cwd=root,
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return output


def rows(run: Path) -> list[dict]:
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return [{k: v for k, v in row.items() if k != "seconds"} for row in lines]


def test_killed_in_many_places_a_stage_ends_with_the_same_bits(killed: Path) -> None:
    runs = [*sorted(killed.glob("killed-*")), killed / "hunted"]
    whole = read_progress(killed / "undisturbed/toy")
    weights = read_weights(killed / "undisturbed/toy", STEPS)
    best = read_best(killed / "undisturbed/toy", whole)
    optimizer = read_state(killed / "undisturbed/toy")[0]
    assert len(runs) > 20
    assert read_progress(killed / "hunted/toy").starts > 1
    for run in runs:
        progress = read_progress(run / "toy")
        assert replace(progress, seconds=0, starts=0) == replace(whole, seconds=0), run.name
        again, again_best = read_weights(run / "toy", STEPS), read_best(run / "toy", progress)
        assert all(torch.equal(weights[key], again[key]) for key in weights), run.name
        assert all(torch.equal(best[key], again_best[key]) for key in best), run.name
        state = read_state(run / "toy")[0]["state"]
        assert all(torch.equal(v, state[i][k]) for i, s in optimizer["state"].items() for k, v in s.items()), run.name


def test_no_line_of_the_log_stands_twice_or_is_lost(killed: Path) -> None:
    whole = rows(killed / "undisturbed")
    assert [row["step"] for row in whole if "loss" in row] == list(range(1, STEPS + 1))
    for run in [*killed.glob("killed-*"), killed / "hunted"]:
        assert rows(run) == whole, run.name


def test_only_the_files_of_one_checkpoint_stay(killed: Path) -> None:
    for run in [*killed.glob("killed-*"), killed / "hunted"]:
        names = sorted(re.sub(r"\d+", "N", path.name) for path in (run / "toy").iterdir() if path.suffix != ".partial")
        assert names == ["best-N.safetensors", "state-N.pt", "weights-N.safetensors"], run.name


def test_what_was_logged_of_a_stage_that_starts_anew_is_forgotten(tmp_path: Path) -> None:
    """As where its folder was deleted, or it was killed between its first validation and the checkpoint of that."""
    schedule = replace(SHORT, validate_first=True)
    run_stage(WholeBatch(Toy()), schedule, tmp_path / "toy", "toy")
    whole = rows(tmp_path)
    shutil.rmtree(tmp_path / "toy")
    run_stage(WholeBatch(Toy()), schedule, tmp_path / "toy", "toy")
    assert rows(tmp_path) == whole


class Filling(Toy):
    """Before the checkpoint of the fourth step is written, the place of one of its files leads to a full disk."""

    def __init__(self, folder: Path, name: str) -> None:
        super().__init__()
        self.folder, self.name, self.count = folder, name, 0

    def validate(self) -> dict[str, float]:
        self.count += 1
        if self.count == 2:
            (self.folder / f"{self.name}.partial").symlink_to("/dev/full")
        return super().validate()


@pytest.mark.parametrize("name", ["best-4.safetensors", "weights-4.safetensors", "state-4.pt"])
def test_a_full_disk_is_named_and_the_checkpoint_before_it_stays(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "toy"
    with pytest.raises(InputError, match=r"toy: the disk is full .* give the same command again"):
        run_stage(WholeBatch(Filling(folder, name)), SHORT, folder, "toy")
    assert read_progress(folder).step == 2
    (folder / f"{name}.partial").unlink()
    run_stage(WholeBatch(Toy()), SHORT, folder, "toy")
    run_stage(WholeBatch(Toy()), SHORT, tmp_path / "whole", "whole")
    again, whole = read_weights(folder, 6), read_weights(tmp_path / "whole", 6)
    assert all(torch.equal(whole[key], again[key]) for key in whole)


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), InputError),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), InputError),
        (SafetensorError("I/O error: No space left on device (os error 28)"), InputError),
        (OSError(errno.EIO, "Input/output error"), OSError),
        (SafetensorError("InvalidHeader"), SafetensorError),
    ],
)
def test_a_full_disk_is_told_from_other_faults(error: Exception, raised: type[Exception]) -> None:
    with pytest.raises(raised), naming_a_full_disk(Path("run")):
        raise error


@pytest.mark.parametrize("name", ["weights-2.safetensors", "state-2.pt"])
def test_a_damaged_checkpoint_is_named(tmp_path: Path, name: str) -> None:
    run_stage(WholeBatch(Toy()), SHORT, tmp_path, "toy", until=2)
    path = tmp_path / name
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(InputError, match=rf"{name}: damaged"):
        run_stage(WholeBatch(Toy()), SHORT, tmp_path, "toy")


class Diverging(Toy):
    """A loss (or, with a finite loss, a gradient) that is not finite from the third step on."""

    def __init__(self, gradient: bool) -> None:
        super().__init__()
        self.gradient = gradient

    def loss(self, step: int) -> tuple[torch.Tensor, dict[str, float]]:
        loss, extra = super().loss(step)
        if step < 3:
            return loss, extra
        zero = self.module[0].weight.sum() * 0
        return (loss + zero.sqrt() if self.gradient else loss * float("nan")), extra


@pytest.mark.parametrize(("gradient", "what"), [(False, "loss is nan"), (True, "gradient's norm is nan")])
def test_what_is_not_finite_stops_the_stage_and_keeps_its_checkpoint(tmp_path: Path, gradient: bool, what: str) -> None:
    with pytest.raises(NonFiniteLoss, match=rf"{what} at step 3"):
        run_stage(WholeBatch(Diverging(gradient)), SHORT, tmp_path, "toy")
    assert all(bool(t.isfinite().all()) for t in read_weights(tmp_path, 2).values())


def test_patience_counts_from_the_last_clear_improvement_and_the_lowest_loss_is_the_best() -> None:
    schedule = replace(SHORT, patience=2, min_delta=0.1)
    progress = Progress()
    for step, loss in enumerate([1.0, 0.95, 0.8, 0.75], 1):
        progress = judged(replace(progress, step=step), {"loss": loss}, schedule)
    assert (progress.best, progress.best_step, progress.worse, progress.finished) == (0.75, 4, 1, False)
    progress = judged(replace(progress, step=5), {"loss": 0.9}, schedule)
    assert progress.finished
    assert progress.best_step == 4


def test_small_improvements_that_add_up_are_one() -> None:
    progress = Progress()
    for step, loss in enumerate([1.0, 0.94, 0.88], 1):
        progress = judged(replace(progress, step=step), {"loss": loss}, replace(SHORT, patience=2, min_delta=0.1))
    assert (progress.worse, progress.finished) == (0, False)


class Lost(Toy):
    """Every step is sound; its validation is not, from the fourth step on."""

    def validate(self) -> dict[str, float]:
        self.count = getattr(self, "count", 0) + 1
        return {"loss": 1.0 if self.count == 1 else float("nan")}


def test_a_validation_that_is_not_finite_stops_the_stage_before_a_checkpoint_of_it(tmp_path: Path) -> None:
    with pytest.raises(NonFiniteLoss, match="validation loss is nan at step 4"):
        run_stage(WholeBatch(Lost()), SHORT, tmp_path, "toy")
    assert read_progress(tmp_path).step == 2


class Worsening(Toy):
    """Validates worse every time."""

    def validate(self) -> dict[str, float]:
        self.count = getattr(self, "count", 0) + 1
        return {"loss": float(self.count)}


def test_a_stage_without_improvement_stops_early_and_keeps_its_best(tmp_path: Path) -> None:
    run_stage(WholeBatch(Worsening()), replace(SHORT, steps=40, patience=3), tmp_path, "toy")
    progress = read_progress(tmp_path)
    assert (progress.step, progress.best_step, progress.finished) == (8, 2, True)
    whole = Toy()
    run_stage(WholeBatch(whole), replace(SHORT, steps=40), tmp_path / "other", "toy", until=2)
    best = read_best(tmp_path, progress)
    assert all(torch.equal(best[key], value) for key, value in whole.module.state_dict().items())


def test_a_constant_rate_stays_where_warm_up_brought_it() -> None:
    schedule = replace(SHORT, steps=100, lr=1.0, warmup=10, decay="constant")
    assert [learning_rate(schedule, step) for step in (0, 9, 50, 99)] == [pytest.approx(0.1), 1.0, 1.0, 1.0]


def test_the_newest_of_two_checkpoints_counts(tmp_path: Path) -> None:
    """As after a kill between the new checkpoint and the removal of the old one."""
    for step in (9, 10):
        save_checkpoint(tmp_path, {"w": torch.tensor([float(step)])}, {}, Progress(step=step), is_best=False)
        (tmp_path / "state-9.pt").touch()
    (tmp_path / "state-9.pt").write_bytes(b"")
    assert read_progress(tmp_path).step == 10
