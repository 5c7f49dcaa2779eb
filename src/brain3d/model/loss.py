"""The one loss of the language side."""

from __future__ import annotations

import torch
from torch import nn

IGNORED = -100


def report_loss(
    logits: torch.Tensor,
    labels: torch.Tensor,
    weights: torch.Tensor | None = None,
    num_items: int | torch.Tensor | None = None,
) -> torch.Tensor:
    """Next-token cross-entropy, in float32, over the labels that are not -100.

    Args:
        logits: (B, L, vocabulary); position i predicts label i + 1.
        labels: (B, L).
        weights: (B, L), the weight of each label; the loss is then the weighted mean.
        num_items: divides the (weighted) sum instead of the count, or the sum of weights, of this batch.

    Raises:
        ValueError: lengths differ.
    """
    if logits.shape[:2] != labels.shape:
        raise ValueError(f"labels have shape {tuple(labels.shape)}, the logits {tuple(logits.shape[:2])}")
    targets = labels[:, 1:]
    losses = nn.functional.cross_entropy(
        logits[:, :-1].float().transpose(1, 2), targets, ignore_index=IGNORED, reduction="none"
    )
    counted = (targets != IGNORED).to(losses.dtype)
    if weights is not None:
        if weights.shape != labels.shape:
            raise ValueError(f"loss_weights have shape {tuple(weights.shape)}, the labels {tuple(labels.shape)}")
        counted = counted * weights[:, 1:]
    total = counted.sum() if num_items is None else num_items
    return (losses * counted).sum() / total
