"""Large contrastive batches on a small device (Gao et al. 2021, arXiv 2101.06983), and negatives of all processes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor


class Encoder(NamedTuple):
    """A way to embed, `embed(chunk)` -> (rows, d), and the chunks that it is given one after the other.

    `learns` False: there is nothing to learn in it, so that its chunks are embedded once only.
    """

    embed: Callable[[Any], Tensor]
    chunks: Sequence[Any]
    learns: bool = True


class _Job(NamedTuple):
    encoder: Encoder
    chunk: Any
    random: list[Tensor]
    gradient: Tensor


def gradient_cached(
    encoders: Sequence[Encoder],
    loss: Callable[..., Tensor],
    *,
    factor: float = 1.0,
    unsynchronised: Callable[[], AbstractContextManager[Any]] = nullcontext,
) -> Tensor:
    """Adds the gradient of a loss over a whole batch to the parameters, holding one chunk's activations at a time.

    All chunks are embedded without a graph; `loss(first, second, ...)` of the embeddings, each (B, d), gives their
    gradient; then each chunk is embedded again, with the same random numbers, and its part of it is sent back. The
    result is the gradient of the whole batch in one piece, to rounding. What the loss itself learns gets its gradient
    too. The random numbers that follow are those that would have followed one pass over the chunks.

    Args:
        encoders: often two, the texts' and the images'. The last one has to use all that learns, where gradients are
            exchanged between processes.
        loss: a scalar of the encoders' embeddings; it may gather them from other processes (`gather`).
        factor: multiplies the gradient, not the loss returned, such as 1 / steps accumulated.
        unsynchronised: entered around every chunk but the last, to hold back the exchange of gradients between
            processes: `model.no_sync` of DistributedDataParallel.

    Returns:
        The loss, (), without a graph.
    """
    embedded, states = _without_graph(encoders)
    value = loss(*embedded)
    after = _random_state()
    (value * factor).backward()
    jobs = []
    for encoder, whole, saved in zip(encoders, embedded, states, strict=True):
        if encoder.learns and whole.grad is not None:
            parts = whole.grad.split([rows for _, rows in saved])
            jobs += [
                _Job(encoder, chunk, random, part)
                for chunk, (random, _), part in zip(encoder.chunks, saved, parts, strict=True)
            ]
    for number, job in enumerate(jobs, 1):
        with nullcontext() if number == len(jobs) else unsynchronised():
            _restore(job.random)
            job.encoder.embed(job.chunk).backward(job.gradient)
    _restore(after)
    return value.detach()


@torch.no_grad()
def _without_graph(encoders: Sequence[Encoder]) -> tuple[list[Tensor], list[list[tuple[list[Tensor], int]]]]:
    """Each encoder's embeddings as a leaf, and of each chunk the random state before it and its number of rows."""
    embedded, states = [], []
    for encoder in encoders:
        parts, saved = [], []
        for chunk in encoder.chunks:
            random = _random_state()
            parts.append(encoder.embed(chunk))
            saved.append((random, len(parts[-1])))
        embedded.append(torch.cat(parts).requires_grad_())
        states.append(saved)
    return embedded, states


def _random_state() -> list[Tensor]:
    """Of torch's generators: the CPU's, and the present GPU's where one is in use."""
    used = torch.cuda.is_available() and torch.cuda.is_initialized()
    return [torch.get_rng_state(), *([torch.cuda.get_rng_state()] if used else [])]


def _restore(state: list[Tensor]) -> None:
    torch.set_rng_state(state[0])
    if len(state) > 1:
        torch.cuda.set_rng_state(state[1])


def gather(embeddings: Tensor) -> Tensor:
    """The embeddings (B, d) of all processes behind one another, (world * B, d), with gradients back to each.

    Every process must have as many rows (see `batches.shard`). Where there is one process, they are returned as they
    are. The gradient that arrives at each process's rows is the sum over the processes; if all reckon the same loss of
    the gathered embeddings, DistributedDataParallel's mean over them makes it that of one process with the whole batch.
    """
    if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
        return embeddings
    from torch.distributed.nn.functional import all_gather

    return torch.cat(list(all_gather(embeddings.contiguous())))
