"""The 3-D vision tower: volume patches in front of SigLIP's own encoder."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from transformers import initialization as init
from transformers.modeling_outputs import BaseModelOutput
from transformers.models.siglip.modeling_siglip import SiglipEncoder, SiglipPreTrainedModel

from brain3d.model.configuration_brain3d import Brain3DConfig
from brain3d.model.positions import VolumePositions


class VolumePatchEmbedding(nn.Module):
    """A Conv3d over one channel, without padding, computed as one matrix product.

    `weight` (hidden, 1, kd, p, p) and `bias` (hidden,) are those of `nn.Conv3d` with kernel (kd, p, p) and
    stride (depth_stride, p, p). On one CPU core, encoding with small patches is then faster than the
    convolution; with large ones it costs about the same.
    """

    def __init__(self, config: Brain3DConfig) -> None:
        super().__init__()
        hidden, patch = config.vision_config.hidden_size, config.patch_size
        self.token_grid = config.token_grid
        self.depth_stride = config.depth_stride
        self.weight = nn.Parameter(torch.empty(hidden, 1, config.depth_patch_size, patch, patch))
        self.bias = nn.Parameter(torch.zeros(hidden))
        nn.init.normal_(self.weight, std=self.weight[0].numel() ** -0.5)

    def forward(self, volume: torch.Tensor) -> torch.Tensor:
        """(B, 1, D, H, W) -> (B, D', H' * W', hidden); a remainder that fills no patch is left out."""
        hidden, _, kernel_depth, patch, _ = self.weight.shape
        planes, rows, columns = self.token_grid
        cropped = volume[:, 0, :, : rows * patch, : columns * patch]
        slabs = cropped.unfold(1, kernel_depth, self.depth_stride)
        split = slabs.reshape(-1, planes, rows, patch, columns, patch, kernel_depth)
        patches = split.permute(0, 1, 2, 4, 6, 3, 5).reshape(-1, planes, rows * columns, self.weight[0].numel())
        return nn.functional.linear(patches, self.weight.reshape(hidden, -1), self.bias)


class VolumeEmbeddings(nn.Module):
    """Patches plus positions: (B, 1, D, H, W) -> (B, D' * H' * W', hidden), in (d, h, w) order."""

    def __init__(self, config: Brain3DConfig) -> None:
        super().__init__()
        self.volume_shape = config.volume_shape
        self.patch_embedding = VolumePatchEmbedding(config)
        self.positions = VolumePositions(config.token_grid, config.vision_config.hidden_size)

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """Embeds volumes with values in [-1, 1], SigLIP's own range.

        Raises:
            ValueError: the shape is not (B, 1, D, H, W) with the configured D, H, W.
        """
        expected = (1, *self.volume_shape)
        if tuple(pixel_values.shape[1:]) != expected or pixel_values.ndim != 5:
            raise ValueError(f"pixel_values have shape {tuple(pixel_values.shape)}, expected (batch, *{expected})")
        patches = self.patch_embedding(pixel_values.to(self.patch_embedding.weight.dtype))
        return self.positions(patches).flatten(1, 2)


class Brain3DVisionTower(SiglipPreTrainedModel):
    """`VolumeEmbeddings`, then SigLIP's encoder and last norm, unchanged, so that its weights fit.

    The tower's `config` is the SigLIP one, so that attention and initialisation are SigLIP's own.
    """

    main_input_name = "pixel_values"
    base_model_prefix = ""
    _no_split_modules = ["VolumeEmbeddings", "SiglipEncoderLayer"]  # noqa: RUF012

    def __init__(self, config: Brain3DConfig) -> None:
        super().__init__(config.vision_config)
        self.embeddings = VolumeEmbeddings(config)
        self.encoder = SiglipEncoder(config.vision_config)
        self.post_layernorm = nn.LayerNorm(config.vision_config.hidden_size, eps=config.vision_config.layer_norm_eps)
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        """The patch embedding, in transformers' sense of the word."""
        return self.embeddings.patch_embedding

    def forward(self, pixel_values: torch.Tensor) -> BaseModelOutput:
        """Volumes (B, 1, D, H, W) in [-1, 1] -> `last_hidden_state` (B, N, hidden), in (d, h, w) order."""
        encoded = self.encoder(inputs_embeds=self.embeddings(pixel_values))
        return BaseModelOutput(last_hidden_state=self.post_layernorm(encoded.last_hidden_state))

    @torch.no_grad()
    def _init_weights(self, module: Any) -> None:
        super()._init_weights(module)
        if isinstance(module, VolumePatchEmbedding):
            init.normal_(module.weight, std=module.weight[0].numel() ** -0.5)
            init.zeros_(module.bias)
        elif isinstance(module, VolumePositions):
            init.normal_(module.plane, std=module.plane.shape[-1] ** -0.5)
            init.zeros_(module.depth)
