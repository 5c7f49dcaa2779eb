"""Pretraining the embedded model's 2-D tower: slices of phantoms, taught densely."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import SiglipVisionConfig, SiglipVisionModel

from brain3d.training.bank import Bank
from brain3d.training.dense import CELLS, DenseHead, dense_loss, lesion_scores, patch_masks, pick
from brain3d.training.recipe import SLABS_EACH

SLAB = 4  # slices averaged into one image: the depth of the inflated patch


def slabs_of(volumes: Tensor) -> Tensor:
    """Volumes (B, D, H, W) -> the mean of every four slices as three equal colour planes, (B, D/4, 3, H, W)."""
    b, d, h, w = volumes.shape
    return volumes.reshape(b, d // SLAB, SLAB, h, w).mean(2)[:, :, None].expand(-1, -1, 3, -1, -1)


def with_thin(images: Tensor, volumes: Tensor, share: float, rng: np.random.Generator) -> Tensor:
    """Slabs (B, D/4, 3, H, W) of volumes (B, D, H, W), a `share` of them replaced by one slice, any of their four."""
    if share == 0:
        return images
    b, planes = images.shape[:2]
    thin = torch.from_numpy(rng.random((b, planes)) < share)
    place = torch.arange(planes) * SLAB + torch.from_numpy(rng.integers(SLAB, size=(b, planes)))
    single = volumes[torch.arange(b)[:, None], place][:, :, None].expand_as(images)
    return torch.where(thin[..., None, None, None], single, images)


def side_from_evidence(evidence: Tensor) -> Tensor:
    """Share of the summed lesion probability (B, D', H', W') that lies left, in the lower half of W'."""
    half = evidence.shape[-1] // 2
    left, right = evidence[..., :half].flatten(1).sum(1), evidence[..., half:].flatten(1).sum(1)
    return left / (left + right).clamp(min=1e-6)


class SliceTask:
    """Dense lesion, core, necrosis, ventricle and region targets for every patch of a 2-D slab."""

    def __init__(
        self,
        config: SiglipVisionConfig,
        train: Bank,
        held_out: Bank,
        batch: int,
        seed: int,
        compiled: bool,
        thin: float = 0.0,
    ) -> None:
        torch.manual_seed(seed)
        self.module = nn.ModuleDict({"tower": SiglipVisionModel(config), "head": DenseHead(config.hidden_size)})
        self.train, self.held_out, self.batch, self.seed, self.thin = train, held_out, batch, seed, thin
        tower = self.module["tower"]
        self.encode = torch.compile(tower) if compiled else tower

    def parameter_groups(self) -> list[dict[str, Any]]:
        return [{"params": list(self.module.parameters())}]

    def loss(self, step: int) -> tuple[Tensor, dict[str, float]]:
        self.module.train()
        rng = np.random.default_rng([self.seed, step])
        index = np.sort(rng.choice(len(self.train), self.batch // SLABS_EACH, replace=False))
        volumes, masks, regions, _ = pick(self.train, index, rng)
        images = with_thin(slabs_of(volumes), volumes, self.thin, rng)
        # Six of the slabs of every volume, more often those that hold a lesion.
        weight = masks[..., :CELLS].sum((2, 3, 4)).sqrt() + 1.0
        planes = torch.stack(
            [
                torch.from_numpy(rng.choice(len(w), SLABS_EACH, replace=False, p=(w / w.sum()).numpy()))
                for w in weight.double()
            ]
        )
        rows = torch.arange(len(planes))[:, None]
        images, masks, regions = (
            images[rows, planes].flatten(0, 1),
            masks[rows, planes].flatten(0, 1),
            regions[rows, planes],
        )
        device = next(self.module.parameters()).device
        images, masks, regions = images.to(device), masks.to(device), regions.to(device)
        tokens = self.encode(pixel_values=images).last_hidden_state
        b, h, w, _ = masks.shape
        return dense_loss(self.module["head"], tokens, masks.reshape(b, h * w, -1), regions), {}

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Dice of the lesion, and how often the summed evidence lies on the right side of one-sided phantoms."""
        self.module.eval()
        count = min(len(self.held_out), 120)
        volumes = torch.from_numpy(self.held_out.images[:count]).float()
        masks = patch_masks(self.held_out.masks[:count])
        images = slabs_of(volumes).to(next(self.module.parameters()).device)
        b, d, h, w = masks.shape[:4]
        logits = torch.cat(
            [
                self.module["head"](self.module["tower"](pixel_values=x).last_hidden_state)[0].cpu()
                for x in images.flatten(0, 1).split(132)
            ]
        )
        logits = logits.reshape(b, d, h, w, -1)[..., :CELLS]
        shares = side_from_evidence(logits.sigmoid().sum(-1))
        truths = self.held_out.truths[:count]
        sided = [i for i, t in enumerate(truths) if t.visible and t.side in ("left", "right")]
        hits = [(float(shares[i]) > 0.5) == (truths[i].side == "left") for i in sided]
        mass = logits.sigmoid().amax((1, 2, 3, 4))
        ill = [float(mass[i]) for i, t in enumerate(truths) if t.visible]
        well = [float(mass[i]) for i, t in enumerate(truths) if t.normal]
        separation = float(np.mean([[a > b for b in well] for a in ill])) if ill and well else float("nan")
        return {
            **lesion_scores(logits, masks[..., :CELLS]),
            "side": float(np.mean(hits)),
            "auc_max": separation,
        }
