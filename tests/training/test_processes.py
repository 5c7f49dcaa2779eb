"""Two processes with the same global batch learn what one learns (accelerate: DistributedDataParallel over gloo)."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from brain3d.training.run import run_recipe

from .small_parts import small_cohort
from .test_cohort_run import RECIPES, full
from .tiny_folders import tiny_parts

ROOT = Path(__file__).resolve().parents[2]
STILL = ["stages.specialisation.lora.dropout=0.0", "stages.grounding.micro_batch=1", "stages.specialisation.batch=3"]


def launch(processes: int, arguments: list[str]) -> None:
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
    environment = {**os.environ, "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(
        [
            sys.executable,
            *launcher,
            str(ROOT / "tests/training/two_processes.py"),
            str(RECIPES / "full.yaml"),
            *arguments,
        ],
        env=environment,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count(f"trained in {processes} processes") == processes


def rows(run: Path) -> list[dict]:
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


@pytest.mark.slow
def test_two_processes_log_the_losses_of_one(tmp_path: Path) -> None:
    """Every stage; batches that do not divide by two too. In float32, to 1e-5."""
    cohort, parts = small_cohort(tmp_path / "cohort").folder, tiny_parts(tmp_path / "parts")
    run_recipe(RECIPES / "full.yaml", [*full(cohort, parts, tmp_path / "run-1"), *STILL])
    launch(2, [*full(cohort, parts, tmp_path / "run-2"), *STILL])
    one, two = (rows(tmp_path / f"run-{processes}") for processes in (1, 2))
    losses = [[row["step_loss"] for row in log if "step_loss" in row] for log in (one, two)]
    assert len(losses[0]) == 2 + 4 + 2
    assert losses[1] == pytest.approx(losses[0], abs=1e-5)
    validations = [[row["validation"]["loss"] for row in log if "validation" in row] for log in (one, two)]
    assert validations[1] == pytest.approx(validations[0], abs=1e-4)  # they are logged with four digits
    first, second = (load_file(tmp_path / f"run-{n}/warm-up/weights-4.safetensors") for n in (1, 2))
    assert all(torch.allclose(first[name], second[name], atol=1e-4) for name in first)
