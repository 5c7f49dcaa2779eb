"""Whether grounding learns to see: retrieval between images and reports, and telling a report from its mirror image."""

from __future__ import annotations

from collections.abc import Sequence
from math import comb

import torch
from torch import Tensor

from brain3d.training.losses import equal_reports, side_swapped, similarities

RANKS = (1, 5)


def retrieval_scores(images: Tensor, texts: Tensor, same: Tensor) -> dict[str, float]:
    """Recall at 1 and at 5, images to texts and texts to images, and what chance would score.

    Args:
        images, texts: embeddings (N, d); row i of both belong together.
        same: (N, N) bool, symmetric, true where two reports say the same; any of these is a hit. Healthy reports are
            many and alike, so that chance is far from 1 / N: read each figure beside its own.

    Returns:
        `image_to_text_r1`, `..._r5`, `text_to_image_r1`, `..._r5`, `chance_r1`, `chance_r5`, within 0..1. Of equally
        near candidates those that are no hits come first.
    """
    cosines = similarities(images, texts)
    hits = same.to(cosines.device) | torch.eye(len(same), dtype=torch.bool, device=cosines.device)
    scores = {}
    for name, table, right in (("image_to_text", cosines, hits), ("text_to_image", cosines.T, hits.T)):
        best = table.masked_fill(~right, -torch.inf).amax(1, keepdim=True)
        ahead = ((table >= best) & ~right).sum(1)
        scores.update({f"{name}_r{k}": float((ahead < k).float().mean()) for k in RANKS})
    for k in RANKS:
        scores[f"chance_r{k}"] = _chance(hits.sum(1).tolist(), k)
    return scores


def _chance(hits: Sequence[int], k: int) -> float:
    """The share of rows with a hit among k candidates drawn at random."""
    count = len(hits)
    drawn = min(k, count)
    return sum(1 - comb(count - of, drawn) / comb(count, drawn) for of in hits) / count


def side_discrimination(images: Tensor, texts: Tensor, swapped: Tensor, sided: Sequence[bool]) -> dict[str, float]:
    """How often an image (N, d) is nearer to its own report than to the same report with left and right exchanged.

    Only the studies with a side (`sided`) count; a tie counts half, so that chance scores 0.5. `sided` is how many
    there are; where there is none, `side_accuracy` is left out.
    """
    chosen = torch.tensor(list(sided), dtype=torch.bool, device=images.device)
    if not bool(chosen.any()):
        return {"sided": 0.0}
    own, other = (torch.cosine_similarity(images.float(), t.float(), dim=-1)[chosen] for t in (texts, swapped))
    return {"side_accuracy": float(((own > other) + 0.5 * (own == other)).mean()), "sided": float(chosen.sum())}


def grounding_scores(images: Tensor, texts: Tensor, swapped: Tensor, reports: Sequence[str]) -> dict[str, float]:
    """All of the above for a validation set: image embeddings, those of its reports and of their swapped twins."""
    return {
        **retrieval_scores(images, texts, equal_reports(reports, reports)),
        **side_discrimination(images, texts, swapped, side_swapped(reports)[1]),
    }
