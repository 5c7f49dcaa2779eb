"""Two processes with the same global batch learn what one learns, over gloo: DistributedDataParallel, and FSDP2."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from accelerate import Accelerator, DistributedType, FullyShardedDataParallelPlugin
from accelerate.commands.launch import _validate_launch_command, launch_command_parser
from accelerate.utils.launch import prepare_multi_gpu_env
from safetensors.torch import load_file

from brain3d.scans import InputError
from brain3d.training.devices import check_sharding, start_accelerator
from brain3d.training.plan import Plan
from brain3d.training.run import run_recipe

from .small_parts import small_cohort
from .test_cohort_run import RECIPES, full
from .tiny_folders import tiny_parts

ROOT = Path(__file__).resolve().parents[2]
STILL = ["stages.specialisation.lora.dropout=0.0", "stages.grounding.micro_batch=1", "stages.specialisation.batch=3"]
SHARDED = ["sharded", "whole", "sharded"]  # grounding's tower; warm-up's projector; specialisation's LoRA


class Alone(NamedTuple):
    """What one process made of a cohort: the folder above its run, and how to give the same run another output."""

    folder: Path
    cohort: Path
    parts: list[str]

    def overrides(self, name: str) -> list[str]:
        return [*full(self.cohort, self.parts, self.folder / name), *STILL]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Alone:
    folder = tmp_path_factory.mktemp("processes")
    made = Alone(folder, small_cohort(folder / "cohort").folder, tiny_parts(folder / "parts"))
    run_recipe(RECIPES / "full.yaml", made.overrides("run-1"))
    return made


def sharding(environment: dict[str, str]) -> dict[str, str]:
    """What `accelerate launch` tells its processes by the config that comes with the recipes."""
    config = str(RECIPES / "accelerate" / "fsdp2.yaml")
    given = launch_command_parser().parse_args(["--config_file", config, "--num_processes", "2", "brain3d"])
    set_there = prepare_multi_gpu_env(_validate_launch_command(given)[0])
    return {**environment, **{name: value for name, value in set_there.items() if name.startswith("FSDP_")}}


def launch(arguments: list[str], environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    settings = {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT / "src")}
    return subprocess.run(
        [*launcher, str(ROOT / "tests/training/two_processes.py"), *arguments],
        env={**os.environ, **(environment or {}), **settings},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )


def rows(run: Path) -> list[dict]:
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


def check_same(alone: Alone, name: str, by_one: str = "run-1") -> None:
    """Every step's loss to 1e-5, what was learned to 1e-4; validations are logged with four digits."""
    one, two = (rows(alone.folder / run) for run in (by_one, name))
    losses = [[row["step_loss"] for row in log if "step_loss" in row] for log in (one, two)]
    assert len(losses[0]) == 2 + 4 + 2
    assert losses[1] == pytest.approx(losses[0], abs=1e-5)
    validations = [[row["validation"]["loss"] for row in log if "validation" in row] for log in (one, two)]
    assert validations[1] == pytest.approx(validations[0], abs=1e-4)
    for file in ("warm-up/weights-4.safetensors", "best/model.safetensors"):
        first, second = (load_file(alone.folder / run / file) for run in (by_one, name))
        assert first.keys() == second.keys()
        assert all(torch.allclose(first[key], second[key], atol=1e-4) for key in first)


@pytest.mark.slow
def test_two_processes_log_the_losses_of_one(alone: Alone) -> None:
    """Every stage; batches that do not divide by two too. In float32, to 1e-5."""
    done = launch([str(RECIPES / "full.yaml"), *alone.overrides("run-2")])
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("trained in 2 processes") == 2
    check_same(alone, "run-2")
    reports = [json.loads((alone.folder / run / "run-report.json").read_text()) for run in ("run-1", "run-2")]
    added = [report["stages"][0]["cache"]["added"] for report in reports]  # by the first process, for the statistics
    assert added == [6, 3]  # three studies and their mirror images: two processes share them


@pytest.mark.slow
def test_a_sharded_run_logs_the_losses_of_one_process_which_can_go_on_from_its_checkpoints(alone: Alone) -> None:
    """Killed in warm-up; gone on, killed in specialisation; and finished by one process that shards nothing."""
    command = ["--shard", str(RECIPES / "full.yaml"), *alone.overrides("sharded")]
    environment = sharding({})
    killed = launch(["--killed-at", "6", *command], environment)
    assert killed.returncode != 0, killed.stderr[-3000:]
    states = sorted(path.name for path in (alone.folder / "sharded" / "warm-up").glob("state-*"))
    assert states == ["state-2.pt"], killed.stderr[-3000:]
    killed = launch(["--killed-at", "3", *command], environment)
    assert [line for line in killed.stdout.split() if line in SHARDED] == [s for s in SHARDED[1:] for _ in range(2)]
    assert (alone.folder / "sharded" / "specialisation" / "state-0.pt").exists(), killed.stderr[-3000:]
    shutil.copytree(alone.folder / "sharded", alone.folder / "half")
    run_recipe(RECIPES / "full.yaml", alone.overrides("half"))
    check_same(alone, "half")
    done = launch(command, environment)
    assert done.stdout.count("trained in 2 processes") == 2, done.stderr[-3000:]
    check_same(alone, "sharded")
    shown = [sorted(path.name for path in (alone.folder / r / "gallery").iterdir()) for r in ("run-1", "sharded")]
    assert shown[0] == shown[1]


@pytest.mark.slow
def test_every_part_may_learn_in_full_where_it_is_sharded(alone: Alone) -> None:
    """The tied embeddings too. In grounding the projector alone learns here, which stays whole on every device."""
    parts = "{vision: full, compression: full, projector: full, language: full}"
    changes = ["choices.compression=perceiver", f"stages.warm-up.parts={parts}", "stages.grounding.parts.vision=frozen"]
    changes += ["gradient_checkpointing=true"]
    run_recipe(RECIPES / "full.yaml", [*alone.overrides("all-1"), *changes])
    done = launch(["--shard", str(RECIPES / "full.yaml"), *alone.overrides("all-2"), *changes], sharding({}))
    assert done.stdout.count("trained in 2 processes") == 2, done.stderr[-3000:]
    assert done.stdout.split().count("whole") == 2
    check_same(alone, "all-2", "all-1")


def plan(**changes: object) -> Plan:
    return Plan(**{"name": "x", "output": "run", "stages": (), **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("settings", "changes", "message"),
    [
        ({"fsdp_version": 1}, {}, "fsdp_version: 2"),
        ({"cpu_ram_efficient_loading": True}, {}, "fsdp_cpu_ram_efficient_loading: false"),
        ({"activation_checkpointing": True}, {}, "fsdp_activation_checkpointing: false"),
        ({"cpu_offload": True}, {}, "fsdp_offload_params: false"),
        (
            {"auto_wrap_policy": "SIZE_BASED_WRAP", "min_num_params": 500},
            {},
            "fsdp_auto_wrap_policy: TRANSFORMER_BASED_WRAP",
        ),
        (
            {"auto_wrap_policy": "TRANSFORMER_BASED_WRAP", "transformer_cls_names_to_wrap": ["SiglipEncoderLayer"]},
            {},
            "fsdp_transformer_layer_cls_to_wrap: Gemma3DecoderLayer",
        ),
        ({}, {"quantisation": "nf4"}, "distributed_type: MULTI_GPU"),
    ],
)
def test_a_setting_of_fsdp_that_training_does_not_go_with_is_named(
    monkeypatch: pytest.MonkeyPatch, settings: dict, changes: dict, message: str
) -> None:
    monkeypatch.setenv("FSDP_CPU_RAM_EFFICIENT_LOADING", "false")  # which the plugin writes
    layers = {"auto_wrap_policy": "TRANSFORMER_BASED_WRAP", "transformer_cls_names_to_wrap": ["Gemma3DecoderLayer"]}
    for fine in ({}, layers, {"reshard_after_forward": False}):
        check_sharding(FullyShardedDataParallelPlugin(fsdp_version=2, **fine), plan())
    plugin = FullyShardedDataParallelPlugin(**{"fsdp_version": 2, **settings})
    with pytest.raises(InputError, match=f"set {message}"):
        check_sharding(plugin, plan(**changes))


def test_processes_wait_for_one_that_prepares_a_cohort() -> None:
    """By default NCCL ends those that wait for ten minutes, and gloo for thirty: the first one may prepare hundreds of
    scans, or write a model of 17 GB, meanwhile."""
    accelerator = start_accelerator(plan())
    assert accelerator.init_handler.timeout.total_seconds() >= 3600


def test_accumulation_in_the_environment_does_not_divide_the_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    """A recipe's batch says it all; accelerate would divide what captioning sends back, and grounding's not."""
    monkeypatch.setenv("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "4")
    weight = torch.nn.Parameter(torch.ones(()))
    start_accelerator(plan()).backward(8 * weight)
    assert float(weight.grad) == 8


def test_another_way_of_spreading_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Accelerator, "distributed_type", property(lambda _: DistributedType.DEEPSPEED))
    with pytest.raises(InputError, match="configured for DEEPSPEED"):
        start_accelerator(plan())
