"""The 3-D vision tower: volume patches in front of SigLIP's own encoder."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from transformers import initialization as init
from transformers.masking_utils import create_bidirectional_mask
from transformers.modeling_outputs import BaseModelOutput
from transformers.models.siglip.modeling_siglip import SiglipEncoder, SiglipPreTrainedModel

from brain3d.model.configuration_brain3d import Brain3DConfig
from brain3d.model.positions import PublishedPositions, VolumePositions
from brain3d.model.repeated import one_for_each_column

TOGETHER = 3  # volumes that are encoded together where empty patches are skipped
NEARLY_EMPTY = -0.999  # outside the head a prepared volume is -1
BIASED_ATTENTION = ("sdpa", "eager")  # transformers' names of those that take a number for each key


class VolumePatchEmbedding(nn.Module):
    """A Conv3d over one channel, computed as one matrix product.

    `weight` (hidden, 1, kd, p, p) and `bias` (hidden,) are those of `nn.Conv3d` with kernel (kd, p, p),
    stride (depth_stride, p, p) and padding (depth_padding, 0, 0). On one CPU core, encoding with
    small patches is then faster than the convolution; with large ones it costs about the same.

    `contralateral`, where configured, is a second kernel of the same shape over the mirror image of the volume: what
    lies at the same place in the other half of the head. It starts at zero.
    """

    def __init__(self, config: Brain3DConfig) -> None:
        super().__init__()
        hidden, patch = config.vision_config.hidden_size, config.patch_size
        self.token_grid = config.token_grid
        self.depth_stride, self.depth_padding = config.depth_stride, config.depth_padding
        self.background = 0.0 if config.preprocessing == "published" else -1.0
        self.weight = nn.Parameter(torch.empty(hidden, 1, config.depth_patch_size, patch, patch))
        self.bias = nn.Parameter(torch.zeros(hidden))
        self.contralateral = nn.Parameter(torch.zeros_like(self.weight)) if config.contralateral else None
        nn.init.normal_(self.weight, std=self.weight[0].numel() ** -0.5)

    def forward(self, volume: torch.Tensor) -> torch.Tensor:
        """(B, 1, D, H, W) -> (B, D', H' * W', hidden); a remainder that fills no patch is left out."""
        embedded = nn.functional.linear(self.patches(volume), self.weight.flatten(1), self.bias)
        if self.contralateral is None:
            return embedded
        return embedded + nn.functional.linear(self.patches(volume.flip(-1)), self.contralateral.flatten(1))

    def patches(self, volume: torch.Tensor) -> torch.Tensor:
        """(B, 1, D, H, W) -> (B, D', H' * W', kd * p * p): the voxels of every patch."""
        _, _, kernel_depth, patch, _ = self.weight.shape
        planes, rows, columns = self.token_grid
        cropped = volume[:, 0, :, : rows * patch, : columns * patch]
        if self.depth_padding:
            cropped = nn.functional.pad(cropped, (0, 0, 0, 0, self.depth_padding, self.depth_padding))
        slabs = cropped.unfold(1, kernel_depth, self.depth_stride)
        split = slabs.reshape(-1, planes, rows, patch, columns, patch, kernel_depth)
        return split.permute(0, 1, 2, 4, 6, 3, 5).reshape(-1, planes, rows * columns, self.weight[0].numel())

    def occupied(self, volume: torch.Tensor) -> torch.Tensor:
        """(B, 1, D, H, W) -> (B, N) bool: the patches that hold anything but background."""
        return (self.patches(volume) > NEARLY_EMPTY).any(-1).flatten(1)

    def blank(self, volume: torch.Tensor) -> torch.Tensor:
        """(B, 1, D, H, W) -> (B, D', H' * W') bool: the patches of background alone, which are all embedded alike."""
        found = (self.patches(volume) == self.background).all(-1)
        if self.contralateral is None:
            return found
        return found & (self.patches(volume.flip(-1)) == self.background).all(-1)


class VolumeEmbeddings(nn.Module):
    """Patches plus positions: (B, 1, D, H, W) -> (B, D' * H' * W', hidden), in (d, h, w) order."""

    def __init__(self, config: Brain3DConfig) -> None:
        super().__init__()
        self.volume_shape = config.volume_shape
        self.patch_embedding = VolumePatchEmbedding(config)
        positions = VolumePositions if config.positions == "kept" else PublishedPositions
        self.positions = positions(config.token_grid, config.vision_config.hidden_size)

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """Embeds volumes with values in [-1, 1], SigLIP's own range, or whatever the config's preprocessing makes.

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
        self.empty = nn.Parameter(torch.zeros(config.vision_config.hidden_size)) if config.skip_empty else None
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        """The patch embedding, in transformers' sense of the word."""
        return self.embeddings.patch_embedding

    def forward(self, pixel_values: torch.Tensor) -> BaseModelOutput:
        """Volumes (B, 1, D, H, W) in [-1, 1] -> `last_hidden_state` (B, N, hidden), in (d, h, w) order."""
        states, patches = self.embeddings(pixel_values), self.embeddings.patch_embedding
        if self.empty is not None:
            encoded = self._encode_occupied(states, patches.occupied(pixel_values), self.empty)
        elif self._blanks_are_alike() and bool((blank := patches.blank(pixel_values)).any()):
            encoded = torch.cat([self._encode_distinct(states[i : i + 1], blank[i]) for i in range(len(states))])
        else:
            encoded = self._encode(states)
        return BaseModelOutput(last_hidden_state=encoded)

    def _encode(self, states: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        return self.post_layernorm(self.encoder(inputs_embeds=states, attention_mask=mask).last_hidden_state)

    def _blanks_are_alike(self) -> bool:
        """Whether all blank patches of a column are the same token to the encoder.

        The published signal adds the same number to every channel along depth. Every layer reads the tokens through a
        layer norm, and so does what comes after the last: that number is subtracted again, and nothing ever sees it.
        Dropout in attention would draw for each of them by itself.
        """
        config = self.encoder.config
        alike = isinstance(self.embeddings.positions, PublishedPositions)
        dropped = self.training and config.attention_dropout > 0
        return alike and not dropped and config._attn_implementation in BIASED_ATTENTION

    def _encode_distinct(self, states: torch.Tensor, blank: torch.Tensor) -> torch.Tensor:
        """One volume's tokens (1, N, hidden), those of blank patches once for each column: the same, for less work.

        Two thirds of a head without its skull are air, in the published volume.
        """
        found = one_for_each_column(blank)
        encoded = self._encode(states.index_select(1, found.kept), found.attention_bias(states.dtype))
        return encoded.index_select(1, found.whose)

    def _encode_occupied(self, states: torch.Tensor, occupied: torch.Tensor, empty: torch.Tensor) -> torch.Tensor:
        """Only the patches that hold something attend and are attended to; every other gets the token `empty`.

        Air around the head is half of a volume, and says nothing. A few volumes of like occupancy go through
        together, padded and masked to the fullest: padding all to one length would cost more than it saves.
        """
        occupied = occupied | ~occupied.any(1, keepdim=True)  # attention needs something to attend to
        ranked = occupied.sum(1).argsort()
        encoded = [self._encode_packed(states[i], occupied[i], empty) for i in ranked.split(TOGETHER)]
        return torch.cat(encoded)[ranked.argsort()]

    def _encode_packed(self, states: torch.Tensor, occupied: torch.Tensor, empty: torch.Tensor) -> torch.Tensor:
        order = occupied.int().argsort(dim=1, descending=True, stable=True)[:, : int(occupied.sum(1).max())]
        kept = occupied.gather(1, order)
        places = order[..., None].expand(-1, -1, states.shape[-1])
        packed = states.gather(1, places)
        encoded = self._encode(packed, create_bidirectional_mask(self.config, packed, kept))
        blank = empty.to(encoded.dtype)
        return blank.expand_as(states).scatter(1, places, torch.where(kept[..., None], encoded, blank))

    @torch.no_grad()
    def _init_weights(self, module: Any) -> None:
        super()._init_weights(module)
        if isinstance(module, VolumePatchEmbedding):
            init.normal_(module.weight, std=module.weight[0].numel() ** -0.5)
            init.zeros_(module.bias)
            if module.contralateral is not None:
                init.zeros_(module.contralateral)
        elif isinstance(module, Brain3DVisionTower) and module.empty is not None:
            init.zeros_(module.empty)
        elif isinstance(module, VolumePositions):
            init.normal_(module.plane, std=module.plane.shape[-1] ** -0.5)
            init.zeros_(module.depth)
