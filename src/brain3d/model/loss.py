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
    return token_loss(predicting(logits, labels), labels, weights, num_items)


def predicting(states: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Of states or logits (B, L, d) those (n, d) whose next token is learned, by labels (B, L).

    Raises:
        ValueError: lengths differ.
    """
    if states.shape[:2] != labels.shape:
        raise ValueError(f"labels have shape {tuple(labels.shape)}, what predicts them {tuple(states.shape[:2])}")
    return states[:, :-1][labels[:, 1:] != IGNORED]


def token_loss(
    logits: torch.Tensor,
    labels: torch.Tensor,
    weights: torch.Tensor | None = None,
    num_items: int | torch.Tensor | None = None,
) -> torch.Tensor:
    """As `report_loss`, of logits (n, vocabulary) where `predicting` takes them from, in its order."""
    learned = labels[:, 1:] != IGNORED
    losses = nn.functional.cross_entropy(logits.float(), labels[:, 1:][learned], reduction="none")
    if weights is None:
        return losses.sum() / (len(losses) if num_items is None else num_items)
    if weights.shape != labels.shape:
        raise ValueError(f"loss_weights have shape {tuple(weights.shape)}, the labels {tuple(labels.shape)}")
    counted = weights[:, 1:][learned].to(losses.dtype)
    return (losses * counted).sum() / (counted.sum() if num_items is None else num_items)
