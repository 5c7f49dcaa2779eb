"""From compressed tokens to the language model's embedding space, at the magnitude that it expects."""

from __future__ import annotations

import torch
from torch import nn

from brain3d.model.configuration_brain3d import Brain3DConfig

GELU_RMS = 0.6521
"""Root mean square of gelu(x) for x drawn from N(0, 1)."""

_SAMPLED_EMBEDDINGS = 4096


def initial_scale(config: Brain3DConfig, embedding: torch.Tensor | None = None) -> float:
    """The learned scale's first value, chosen so that visual tokens are as large as Gemma's text embeddings.

    Gemma multiplies its embedding table by sqrt(hidden) before the first layer; nothing multiplies a
    projector's output. With fan-in initialisation and inputs of unit variance that output has the root mean
    square of a GELU, `GELU_RMS`; so scale = rms(embedding) * sqrt(hidden) / GELU_RMS makes both alike.

    Args:
        config: `vis_scale_init` wins where it is set.
        embedding: the (vocabulary, hidden) table, unscaled; without it the table's initial deviation is used.
    """
    if config.vis_scale_init is not None:
        return config.vis_scale_init
    rms = config.text_config.initializer_range
    if embedding is not None:
        rows = embedding[:: max(1, len(embedding) // _SAMPLED_EMBEDDINGS)].detach().float()
        rms = float(rows.square().mean().sqrt())
    return float(rms * config.text_config.hidden_size**0.5 / GELU_RMS)


class Brain3DProjector(nn.Module):
    """Linear, exact GELU, Linear, times the learned scalar `vis_scale` (arXiv 2602.22098)."""

    def __init__(self, config: Brain3DConfig) -> None:
        super().__init__()
        width = config.projector_hidden_size
        assert width is not None
        self.linear_1 = nn.Linear(config.compressed_size, width)
        self.linear_2 = nn.Linear(width, config.text_config.hidden_size)
        self.vis_scale = nn.Parameter(torch.tensor(initial_scale(config)))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """(B, K, in) -> (B, K, d)."""
        return self.linear_2(nn.functional.gelu(self.linear_1(tokens))) * self.vis_scale


class FeatureStandardiser(nn.Module):
    """Subtracts a stored mean per channel, divides by a stored deviation; the identity until they are set."""

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("std", torch.ones(channels))

    def set(self, mean: torch.Tensor, std: torch.Tensor) -> None:
        """Stores both, each (channels,); ValueError for another shape or a deviation not above zero."""
        for name, given in (("mean", mean), ("std", std)):
            if given.shape != self.mean.shape:
                raise ValueError(f"{name} has shape {tuple(given.shape)}, expected {tuple(self.mean.shape)}")
        if not bool((std > 0).all()):
            raise ValueError(f"{int((std <= 0).sum())} of {len(std)} deviations are not above zero")
        self.mean.copy_(mean)
        self.std.copy_(std)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """(..., channels) -> the same shape."""
        return (tokens - self.mean) / self.std
