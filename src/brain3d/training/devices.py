"""How a run is spread over devices: by accelerate, and which of its ways these stages go with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
from accelerate import Accelerator, DistributedType, FullyShardedDataParallelPlugin
from accelerate.utils import GradientAccumulationPlugin, InitProcessGroupKwargs
from torch.distributed.fsdp import CPUOffloadPolicy
from torch.distributed.fsdp.wrap import size_based_auto_wrap_policy

from brain3d.scans import InputError
from brain3d.training.learner import Learner
from brain3d.training.plan import Plan

LAYERS = list(Learner._no_split_modules)
PATIENCE = timedelta(hours=2)  # of processes that wait while the first prepares scans, or writes a large model
WAYS = (DistributedType.NO, DistributedType.MULTI_CPU, DistributedType.MULTI_GPU, DistributedType.FSDP)


def start_accelerator(plan: Plan) -> Accelerator:
    """What spreads a run over devices, as accelerate is configured; the recipe alone decides on precision.

    Raises:
        InputError: a way of doing so that these stages do not go with; one line that says what to configure.
    """
    accelerator = Accelerator(
        mixed_precision="no",
        gradient_accumulation_plugin=GradientAccumulationPlugin(num_steps=1),  # the environment's would divide losses
        kwargs_handlers=[InitProcessGroupKwargs(timeout=PATIENCE)],  # NCCL's own ends them after ten minutes
    )
    kind = accelerator.distributed_type
    if kind not in WAYS:
        raise InputError(
            f"accelerate is configured for {kind.value}; configure DistributedDataParallel (MULTI_GPU) or FSDP 2"
        )
    if kind == DistributedType.FSDP:
        check_sharding(accelerator.state.fsdp_plugin, plan)
    return accelerator


@contextmanager
def naming_a_full_gpu(stage: str) -> Iterator[None]:
    """InputError, one line, where a stage asks a GPU for more memory than is free."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise InputError(
            f"stage {stage!r}: the GPU's memory is full; lower its micro_batch, which changes no result, or set "
            "gradient_checkpointing=true, quantisation=nf4 or a lower max_tokens; the checkpoint before is whole"
        ) from error


def check_sharding(plugin: FullyShardedDataParallelPlugin, plan: Plan) -> None:
    """InputError for a setting of FSDP that these stages do not go with."""
    offloaded = isinstance(plugin.cpu_offload, CPUOffloadPolicy)
    by_size = plugin.auto_wrap_policy is size_based_auto_wrap_policy
    layers = plugin.transformer_cls_names_to_wrap not in (None, [], LAYERS)
    for wrong, instead in (
        (plugin.fsdp_version != 2, "fsdp_version: 2, the first version is not supported"),
        (plugin.cpu_ram_efficient_loading, "fsdp_cpu_ram_efficient_loading: false, every process reads the weights"),
        (plugin.activation_checkpointing, "fsdp_activation_checkpointing: false, gradient_checkpointing=true does it"),
        (offloaded, "fsdp_offload_params: false, it is not supported"),
        (by_size, "fsdp_auto_wrap_policy: TRANSFORMER_BASED_WRAP"),
        (layers, f"fsdp_transformer_layer_cls_to_wrap: {LAYERS[0]}, or leave it out"),
        (plan.quantisation is not None, "distributed_type: MULTI_GPU, since 4-bit weights (nf4) are not sharded"),
    ):
        if wrong:
            raise InputError(f"accelerate's config does not go with this run: set {instead}")
