"""Tokens that stand many times in a volume: encoded once, and attended to as often as they stand there."""

from __future__ import annotations

from typing import NamedTuple

import torch


class Distinct(NamedTuple):
    """Which of N tokens are encoded, `kept` (n,), ascending; how many each of them stands for, `copies` (n,); and which
    of the n stands for each of the N, `whose` (N,)."""

    kept: torch.Tensor
    copies: torch.Tensor
    whose: torch.Tensor

    def attention_bias(self, dtype: torch.dtype) -> torch.Tensor:
        """(1, 1, 1, n), added to the logits of attention: a key that counts m times weighs exp(s + log m)."""
        return self.copies.log().to(dtype)[None, None, None]


def one_for_each_column(blank: torch.Tensor) -> Distinct:
    """The tokens of one volume, of which all blank ones of a column are the same: its first one stands for them.

    Args:
        blank: (D', H' * W') bool.
    """
    own = torch.arange(blank.numel(), device=blank.device).view(blank.shape)
    first = own.gather(0, blank.int().argmax(0, keepdim=True))
    kept, whose, copies = torch.where(blank, first, own).unique(return_inverse=True, return_counts=True)
    return Distinct(kept, copies, whose.flatten())
