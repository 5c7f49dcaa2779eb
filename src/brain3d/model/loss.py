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
    return token_loss(logits[:, :-1][predicts(labels)], labels, weights, num_items)


def predicts(labels: torch.Tensor) -> torch.Tensor:
    """Labels (B, L) -> (B, L - 1) bool: the positions whose next token is learned."""
    return labels[:, 1:] != IGNORED


def token_loss(
    logits: torch.Tensor,
    labels: torch.Tensor,
    weights: torch.Tensor | None = None,
    num_items: int | torch.Tensor | None = None,
) -> torch.Tensor:
    """As `report_loss`, of logits (n, vocabulary) at the positions that `predicts(labels)` names, in their order."""
    learned = predicts(labels)
    losses = nn.functional.cross_entropy(logits.float(), labels[:, 1:][learned], reduction="none")
    if weights is None:
        return losses.sum() / (len(losses) if num_items is None else num_items)
    if weights.shape != labels.shape:
        raise ValueError(f"loss_weights have shape {tuple(weights.shape)}, the labels {tuple(labels.shape)}")
    counted = weights[:, 1:][learned].to(losses.dtype)
    return (losses * counted).sum() / (counted.sum() if num_items is None else num_items)
