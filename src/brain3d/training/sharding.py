"""What training does otherwise where a model is sharded over devices (FSDP2, by accelerate's config).

A sharded parameter is a DTensor: each process holds a piece of it, and pieces are gathered by all processes together.
Checkpoints hold whole tensors, so that any number of processes, and one, can go on from them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
import torch.distributed as dist
from accelerate import Accelerator
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor

from brain3d.training.learner import Learner


def spread(learner: Learner, accelerator: Accelerator) -> Any:
    """The learner as accelerate spreads it over devices: as it is, as DistributedDataParallel, or sharded in place.

    FSDP2 cannot shard a single number, which the projector's scale is: so the projector, a hundredth of the model at
    most, stays whole on every device, and `average_whole` exchanges its gradients.
    """
    if not accelerator.is_fsdp2:
        return accelerator.prepare_model(learner)
    accelerator.state.fsdp_plugin.ignored_modules = [learner.projector]
    # Accelerate shards a module only together with an optimizer. The loop makes its own, of the shards.
    optimizer = torch.optim.SGD([p for p in learner.parameters() if p.requires_grad])
    sharded, _ = accelerator.prepare(learner, optimizer)
    return sharded


def average_whole(accelerator: Accelerator, parameters: Iterable[Tensor]) -> None:
    """The mean over processes of the gradients of what a sharded model has whole on every device."""
    for parameter in parameters:
        if parameter.grad is not None and not isinstance(parameter, DTensor):
            parameter.grad = accelerator.reduce(parameter.grad, "mean")


def is_sharded(parameters: Iterable[Tensor]) -> bool:
    """Whether any parameter is divided among processes."""
    return any(isinstance(parameter, DTensor) for parameter in parameters)


def clip_gradients(parameters: list[Tensor], most: float) -> float:
    """Scale all gradients so that their norm is `most` or less; returns the norm that they had."""
    if not is_sharded(parameters):
        return float(nn.utils.clip_grad_norm_(parameters, most))
    kinds = ([p for p in parameters if isinstance(p, DTensor) is sharded] for sharded in (True, False))
    groups = [group for group in kinds if group]
    norms = [_whole(nn.utils.get_total_norm([p.grad for p in g if p.grad is not None])) for g in groups]
    norm = torch.stack([part.reshape(()) for part in norms]).norm()
    for group in groups:
        nn.utils.clip_grads_with_norm_(group, most, norm)
    return float(norm)


def _whole(tensor: Tensor) -> Tensor:
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def gathered(value: Any, keep: bool) -> Any:
    """A state dictionary with whole tensors in place of shards, on the CPU, for the processes that `keep` it.

    Every process has to call it, since each holds its pieces; the others get None in their place.
    """
    if isinstance(value, DTensor):
        whole = value.full_tensor()
        return whole.cpu() if keep else None
    if isinstance(value, Mapping):
        return {key: gathered(item, keep) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(gathered(item, keep) for item in value)
    return value


def sharded_as(tensor: Tensor, like: Tensor) -> Tensor:
    """A whole tensor divided as `like` is, or as it is where that is whole. Every process has to call it."""
    if not isinstance(like, DTensor):
        return tensor
    return distribute_tensor(tensor.to(like.device), like.device_mesh, like.placements)


def load_weights(module: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Whole tensors of a checkpoint into a module, whose parameters may be shards."""
    held = module.state_dict()
    module.load_state_dict({name: sharded_as(tensor, held.get(name, tensor)) for name, tensor in weights.items()})


def load_optimizer(optimizer: torch.optim.Optimizer, settings: dict[str, Any]) -> None:
    """An optimizer's whole state of a checkpoint, divided as its parameters are."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    state = {
        number: {
            name: sharded_as(value, parameters[number]) if value.shape == parameters[number].shape else value
            for name, value in kept.items()
        }
        for number, kept in settings["state"].items()
    }
    optimizer.load_state_dict({**settings, "state": state})


def agreed(decision: bool) -> bool:
    """The first process's decision, where several are at work together."""
    told = [decision]
    dist.broadcast_object_list(told, src=0)
    return bool(told[0])
