"""Dense teaching: what the generator knows about every patch, and the head that is asked for it."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from brain3d.phantom.volume import AMOUNTS, MASKS, PAIRS
from brain3d.reports.findings import REGIONS
from brain3d.training.bank import Bank
from brain3d.training.jitter import jitter_intensity

CELLS = 8  # 2 x 2 x 2 mask cells under one patch of 4 x 4 x 4 voxels
MOST_FOCUS = 40.0
OF_LESION = slice(AMOUNTS.index(REGIONS[0]), AMOUNTS.index("dark") + 1)  # amounts stated as shares of the lesion
MASK_WEIGHTS = (1.0, 0.5, 0.5, 0.3)  # in the order of MASKS


class DenseHead(nn.Module):
    """(..., hidden) -> mask logits (..., 4 * 8) and region logits (..., 11)."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(hidden)
        self.masks = nn.Linear(hidden, len(MASKS) * CELLS)
        self.regions = nn.Linear(hidden, len(REGIONS) + 1)
        nn.init.constant_(self.masks.bias, -3.0)

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        tokens = self.norm(tokens)
        return self.masks(tokens), self.regions(tokens)


def patch_masks(masks: np.ndarray) -> Tensor:
    """Cells (B, 4, D/2, H/2, W/2) uint8 -> occupancies in 0..1 by patch: (B, D/4, H/4, W/4, 4 * 8)."""
    b, c, d, h, w = masks.shape
    cells = torch.from_numpy(masks).reshape(b, c, d // 2, 2, h // 2, 2, w // 2, 2)
    return cells.permute(0, 2, 4, 6, 1, 3, 5, 7).reshape(b, d // 2, h // 2, w // 2, c * CELLS).float() / 255


def dense_loss(head: nn.Module, tokens: Tensor, masks: Tensor, regions: Tensor, focus: float = 0.0) -> Tensor:
    """Binary cross-entropy on occupancies plus 0.3 times cross-entropy on regions, over all patches.

    Masks (B, ..., 32) are soft targets in 0..1; a lesion is rare, so its cells weigh four times. `focus` is a
    further weight that every lesion shares out among its cells (at most 40 to each), so that a small lesion,
    which fills few, is worth learning too.
    """
    mask_logits, region_logits = head(tokens)
    weights = torch.tensor(MASK_WEIGHTS, device=masks.device).repeat_interleave(CELLS)
    each = F.binary_cross_entropy_with_logits(mask_logits.float(), masks, reduction="none")
    cells = masks[..., :CELLS].flatten(1).sum(1).clamp(min=1.0)
    share = (focus / cells).clamp(max=MOST_FOCUS).reshape(-1, *[1] * (masks.ndim - 1))
    occupancy = (each * (1 + (3 + share) * masks) * weights).mean() * len(MASKS)
    place = F.cross_entropy(region_logits.float().flatten(0, -2), regions.flatten().long())
    return occupancy + 0.3 * place


def mirrored(images: np.ndarray, masks: np.ndarray, regions: np.ndarray, flip: np.ndarray) -> tuple[np.ndarray, ...]:
    """Mirror the images of a batch where `flip` is true, together with every target that has a left and a right."""
    images, masks, regions = images.copy(), masks.copy(), regions.copy()
    images[flip], masks[flip], regions[flip] = (
        images[flip][..., ::-1],
        masks[flip][..., ::-1],
        regions[flip][..., ::-1],
    )
    return images, masks, regions


_TURNED = {**dict(PAIRS), **{right: left for left, right in PAIRS}}
MIRRORED_AMOUNTS = [AMOUNTS.index(_TURNED.get(name, name)) for name in AMOUNTS]


def patch_amounts(amounts: np.ndarray, flip: np.ndarray) -> Tensor:
    """Amounts (B, A, D', H', W') uint8, mirrored where `flip` is true -> shares in 0..1 by patch: (B, N, A)."""
    amounts = amounts.copy()
    amounts[flip] = amounts[flip][:, MIRRORED_AMOUNTS, ..., ::-1]
    return torch.from_numpy(amounts).flatten(2).transpose(1, 2).float() / 255


def totals_loss(halves: Tensor, wanted: Tensor) -> Tensor:
    """How far the summed amounts of lesions are from the truth, in what a report states of them.

    Args:
        halves: (B, 3, A), logarithms of every amount summed over the left half, the right half and the whole head.
        wanted: (B, A), the true sums in patches; each row holds a lesion.

    Cross-entropy of the share on the left, once by the amounts `left` and `right`, once by the halves of the grid;
    distance of the share of every region, part and signal; distance of the logarithm of the volume.
    """
    volume, share = wanted[:, :2].sum(1), wanted[:, 0] / wanted[:, :2].sum(1)
    by_half = halves[..., :2].logsumexp(-1)
    sides = (halves[:, 2, 0] - halves[:, 2, 1], by_half[:, 0] - by_half[:, 1])
    side = torch.stack([F.binary_cross_entropy_with_logits(each, share) for each in sides]).sum()
    shares = (halves[:, 2, OF_LESION] - by_half[:, 2:]).exp()
    apart = F.smooth_l1_loss(shares, wanted[:, OF_LESION] / volume[:, None], beta=0.1, reduction="none").sum(1).mean()
    return side + apart + F.smooth_l1_loss(by_half[:, 2], volume.log(), beta=0.5)


def pick(bank: Bank, index: np.ndarray, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor, np.ndarray]:
    """Images (B, D, H, W), patch masks (B, D', H', W', 32), regions (B, D', H', W'), half of them mirrored."""
    flip = rng.random(len(index)) < 0.5
    images, masks, regions = mirrored(bank.images[index], bank.masks[index], bank.regions[index], flip)
    volumes = jitter_intensity(torch.from_numpy(images).float(), bank.levels[index], rng)
    return volumes, patch_masks(masks), torch.from_numpy(regions), flip


def lesion_scores(whole_logits: Tensor, masks: Tensor) -> dict[str, float]:
    """Overlap of predicted and true lesion cells, over all patches: Dice at probability one half."""
    predicted, truth = whole_logits.sigmoid() > 0.5, masks > 0.5
    overlap = float((predicted & truth).sum())
    return {"dice": 2 * overlap / max(1.0, float(predicted.sum() + truth.sum()))}
