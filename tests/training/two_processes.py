"""Run by torchrun in `test_processes.py`: one recipe, whatever number of processes it was started in.

`--shard`: by FSDP2, as the environment describes it in the words of `accelerate launch`. Accelerate switches FSDP on
for GPUs alone (1.15 takes no notice of these variables in several CPU processes); what it does for GPUs is done here.
`--killed-at N`: all processes are killed while the N-th checkpoint is written.
"""

import argparse
import os
import signal
import sys
from pathlib import Path

from accelerate import Accelerator, DistributedType, FullyShardedDataParallelPlugin, PartialState
from accelerate.state import AcceleratorState

import brain3d.training.checkpoint as checkpoint
import brain3d.training.loop as loop
from brain3d.training.run import run_recipe


def shard() -> None:
    """Have every later `Accelerator` shard by the plugin that the environment describes."""
    Accelerator(mixed_precision="no")
    plugin = FullyShardedDataParallelPlugin()
    AcceleratorState._shared_state.update(distributed_type=DistributedType.FSDP, fsdp_plugin=plugin)
    PartialState._shared_state["distributed_type"] = DistributedType.FSDP


def kill_at(count: int) -> None:
    """Kill this process, and so the others, in the `count`-th checkpoint, when its weights are there and no state."""
    seen = []

    def killing(path: Path, tensors: dict) -> None:
        save(path, tensors)
        seen.extend([path] if path.name.startswith("weights") else [])
        if len(seen) == count:
            os.kill(os.getpid(), signal.SIGKILL)

    save, checkpoint.save_tensors = checkpoint.save_tensors, killing


def tell_shards() -> None:
    """Print of each stage whether what learns in it is divided among the processes."""

    def telling(parameters: object) -> bool:
        told = found(parameters)
        sys.stdout.write(f"\n{'sharded' if told else 'whole'}\n")  # at once, since others write there too
        sys.stdout.flush()  # it may be killed
        return told

    found, loop.is_sharded = loop.is_sharded, telling


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--shard", action="store_true")
    parser.add_argument("--killed-at", type=int)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("overrides", nargs="*")
    args = parser.parse_args()
    if args.shard:
        shard()
        tell_shards()
    if args.killed_at is not None:
        kill_at(args.killed_at)
    run_recipe(args.recipe, args.overrides)
    print(f"trained in {PartialState().num_processes} processes")
