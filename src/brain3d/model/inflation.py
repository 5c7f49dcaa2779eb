"""From a 2-D SigLIP tower to a 3-D one: every weight is kept, nothing is learned anew but depth."""

from __future__ import annotations

import torch
from transformers import SiglipVisionModel

from brain3d.model.configuration_brain3d import Brain3DConfig
from brain3d.model.positions import VolumePositions, resample_positions
from brain3d.model.tower import Brain3DVisionTower


def inflate_kernel(kernel: torch.Tensor, depth: int, how: str = "average", colour: str = "summed") -> torch.Tensor:
    """Turns a 2-D patch kernel into a 3-D one that answers alike to a stack of equal slices.

    The colour planes are summed: a grey image shows the same value in every plane, so the sum gives it the
    whole of the pretrained response. The published system averages them and keeps a third (arXiv 2602.22098).

    Args:
        kernel: (hidden, colours, p, p).
        depth: slices under the new kernel.
        how: "average" repeats the kernel over depth and divides by `depth`; "center" puts it on slice
            `depth // 2` (the middle of an odd kernel, the slice just above the middle of an even one), zeros
            elsewhere.
        colour: "summed" or "averaged".

    Returns:
        (hidden, 1, depth, p, p).

    Raises:
        ValueError: `how` or `colour` is neither, or `depth` is below 1.
    """
    if depth < 1:
        raise ValueError(f"a kernel of depth {depth} cannot be made, expected at least 1")
    if colour not in ("summed", "averaged"):
        raise ValueError(f"colour is {colour!r}, expected one of summed, averaged")
    planes = kernel.sum(dim=1, keepdim=True) if colour == "summed" else kernel.mean(dim=1, keepdim=True)
    grey = planes.unsqueeze(2)
    if how == "average":
        return grey.repeat(1, 1, depth, 1, 1) / depth
    if how == "center":
        inflated = grey.new_zeros(grey.shape[0], 1, depth, *grey.shape[3:])
        inflated[:, :, depth // 2] = grey[:, :, 0]
        return inflated
    raise ValueError(f"inflation is {how!r}, expected one of average, center")


@torch.no_grad()
def inflate(
    vision_model: SiglipVisionModel, config: Brain3DConfig, tower: Brain3DVisionTower | None = None
) -> Brain3DVisionTower:
    """Builds the 3-D tower from a 2-D one, copying its weights.

    Args:
        vision_model: a `SiglipVisionModel` whose hidden size, layers and patch size are those of
            `config.vision_config`; its image size may differ (positions that are kept are resampled to the
            volume's plane).
        config: the composite's config.
        tower: filled where given, instead of a new one.

    Returns:
        The tower, in the 2-D model's dtype where it is new.

    Raises:
        ValueError: hidden size, layers or patch size differ; the message names both.
    """
    for name in ("hidden_size", "num_hidden_layers", "patch_size"):
        had, wanted = getattr(vision_model.config, name), getattr(config.vision_config, name)
        if had != wanted:
            raise ValueError(f"the 2-D model's {name} is {had}, the config's vision_config says {wanted}")
    if tower is None:
        tower = Brain3DVisionTower(config).to(vision_model.dtype)
    source, (_, rows, columns) = vision_model.embeddings, config.token_grid
    patches, positions = tower.embeddings.patch_embedding, tower.embeddings.positions
    kernel = inflate_kernel(source.patch_embedding.weight, config.depth_patch_size, config.inflation, config.colour)
    patches.weight.copy_(kernel)
    patches.bias.copy_(source.patch_embedding.bias)
    if isinstance(positions, VolumePositions):
        positions.plane.copy_(resample_positions(source.position_embedding.weight, rows, columns))
        positions.depth.zero_()
    tower.encoder.load_state_dict(vision_model.encoder.state_dict())
    tower.post_layernorm.load_state_dict(vision_model.post_layernorm.state_dict())
    return tower
