"""Contrastive losses between images and reports: what counts as equal, as a negative, and as neither."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from brain3d.reports import SIDES, Findings, mirror_text, parse_findings

OVERLAP = 0.9  # shared words over all words, from where on two reports of the same side count as near-identical
EQUALS = ("soft", "mask")


class Pairs(NamedTuple):
    """What each image is to each text. The first B texts belong to the B images; others are hard negatives.

    `target` (B, T) float: an image's share in each text, each row summing to 1. `ignored` (B, T) bool: neither
    positive nor negative.
    """

    target: Tensor
    ignored: Tensor


@lru_cache(maxsize=2**20)  # the pairs of a cohort's reports come back in every epoch
def alike(one: str, other: str, overlap: float = OVERLAP) -> bool:
    """Whether two reports say the same: equal findings, or nearly the same words without another side.

    Reports that state nothing (neither a lesion nor that there is none) are alike only by their words. Words alone
    would make a report equal to its mirror image, which is what has to be told apart: so sides must agree as well.
    """
    first, second = _said(one), _said(other)
    if first.findings == second.findings and (first.findings.normal or first.findings.lesions):
        return True
    if first.findings.normal != second.findings.normal or first.sides != second.sides:
        return False
    return len(first.words & second.words) >= overlap * len(first.words | second.words)


class _Said(NamedTuple):
    findings: Findings
    sides: tuple[str, ...]  # of its lesions, and, where none is stated, of its words
    words: frozenset[str]


@lru_cache(maxsize=2**14)
def _said(report: str) -> _Said:
    findings = parse_findings(report)
    words = [word.strip(".,;:()").lower() for word in report.split()]
    sides = [lesion.side for lesion in findings.lesions] or [word for word in words if word in SIDES]
    return _Said(findings, tuple(sides), frozenset(words))


def equal_reports(images: Sequence[str], texts: Sequence[str], overlap: float = OVERLAP) -> Tensor:
    """(B, T) bool: which of the `texts` say the same as the report of each image; see `alike`."""
    return torch.tensor([[alike(report, text, overlap) for text in texts] for report in images])


def side_swapped(reports: Sequence[str]) -> tuple[list[str], list[bool]]:
    """Each report with left and right exchanged, and whether that makes it another one.

    A report without a side, or of both sides alike, says the same when swapped: it is no negative of itself.
    """
    swapped = [mirror_text(report) for report in reports]
    return swapped, [not alike(report, turned) for report, turned in zip(reports, swapped, strict=True)]


def pairs(reports: Sequence[str], extra: Sequence[str] = (), equals: str = "soft", overlap: float = OVERLAP) -> Pairs:
    """What B images are to the texts [their own reports | extra texts], such as the side-swapped reports.

    Args:
        equals: "soft" spreads an image's target over all texts that say what its own does, so that one healthy report
            is no negative of another; "mask" leaves those out.

    Raises:
        ValueError: `equals` is neither.
    """
    if equals not in EQUALS:
        raise ValueError(f"equals is {equals!r}, expected one of {', '.join(EQUALS)}")
    same = equal_reports(reports, [*reports, *extra], overlap)
    own = torch.eye(len(reports), same.shape[1], dtype=torch.bool)
    same |= own
    if equals == "mask":
        return Pairs(own.float(), same & ~own)
    return Pairs(same.float() / same.sum(1, keepdim=True), torch.zeros_like(same))


def similarities(images: Tensor, texts: Tensor) -> Tensor:
    """Cosines (B, T) of embeddings (B, d) and (T, d), in float32."""
    return F.normalize(images.float(), dim=-1) @ F.normalize(texts.float(), dim=-1).T


def contrastive_loss(images: Tensor, texts: Tensor, same: Tensor, temperature: float) -> Tensor:
    """Symmetric InfoNCE over (B, d) means. `same` (B, B) marks pairs whose findings are equal: each row's target is
    spread over them, so that one healthy report is no negative of another. Zero for a batch of one."""
    target = same.float() / same.float().sum(1, keepdim=True)
    return info_nce(images, texts, Pairs(target, torch.zeros_like(same)), 1 / temperature)


def info_nce(images: Tensor, texts: Tensor, paired: Pairs, scale: Tensor | float) -> Tensor:
    """Symmetric InfoNCE (arXiv 1807.03748, 2103.00020) with soft targets and masks.

    Images choose among all T texts; texts among the B images, and only the B own texts do: a hard negative has no
    image of its own. Zero, without a gradient, for one image and one text.

    Args:
        images, texts: (B, d) and (T, d), T >= B.
        scale: multiplies the cosines; one over the temperature.
    """
    logits = similarities(images, texts) * scale
    logits = logits.masked_fill(paired.ignored.to(logits.device), -math.inf)
    target = paired.target.to(logits)
    count = len(images)
    back = target[:, :count].T
    return (_soft(logits, target) + _soft(logits[:, :count].T, back / back.sum(1, keepdim=True))) / 2


def _soft(logits: Tensor, target: Tensor) -> Tensor:
    """Mean cross-entropy to soft targets; a target of zero asks nothing, also where the logit is -inf."""
    chances = torch.where(target > 0, logits.log_softmax(1), 0.0)
    return -(chances * target).sum(1).mean()


def sigmoid_loss(images: Tensor, texts: Tensor, paired: Pairs, scale: Tensor | float, bias: Tensor | float) -> Tensor:
    """The pairwise sigmoid loss of SigLIP (arXiv 2303.15343): every pair by itself, summed, over the B images.

    Every text in which an image has a share is a positive; ignored pairs do not count.
    """
    logits = similarities(images, texts) * scale + bias
    signs = torch.where(paired.target.to(logits) > 0, 1.0, -1.0)
    losses = -F.logsigmoid(signs * logits)
    return losses.masked_fill(paired.ignored.to(logits.device), 0.0).sum() / len(images)


class LogitScale(nn.Module):
    """A learned scale, kept as its logarithm, and a learned bias: for losses whose temperature is not fixed.

    `start` 10 and `bias` -10 are SigLIP's first values; 1 / 0.07 and 0 those of InfoNCE. The scale is held at 100 or
    below, as in CLIP.
    """

    def __init__(self, start: float = 10.0, bias: float = -10.0) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(math.log(start)))
        self.bias = nn.Parameter(torch.tensor(float(bias)))

    def forward(self) -> tuple[Tensor, Tensor]:
        """Scale and bias, each ()."""
        return self.log_scale.clamp(max=math.log(100.0)).exp(), self.bias
