"""Run by torchrun in `test_processes.py`: one recipe, whatever number of processes it was started in.

With `--shard` first, as accelerate's config for FSDP2 says it (the environment variables that `accelerate launch` sets).
Accelerate itself switches FSDP on for GPUs alone (1.15: of `MULTI_CPU` it takes no notice of these variables); so what
it does for GPUs is done here for CPUs.
"""

import sys
from pathlib import Path

from accelerate import Accelerator, DistributedType, FullyShardedDataParallelPlugin, PartialState
from accelerate.state import AcceleratorState

from brain3d.training.run import run_recipe


def shard() -> None:
    """Have every later `Accelerator` shard by the plugin that the environment describes."""
    Accelerator(mixed_precision="no")
    plugin = FullyShardedDataParallelPlugin()
    AcceleratorState._shared_state.update(distributed_type=DistributedType.FSDP, fsdp_plugin=plugin)
    PartialState._shared_state["distributed_type"] = DistributedType.FSDP


if __name__ == "__main__":
    arguments = sys.argv[1:]
    if arguments[0] == "--shard":
        shard()
        arguments = arguments[1:]
    run_recipe(Path(arguments[0]), arguments[1:])
    print(f"trained in {PartialState().num_processes} processes")
