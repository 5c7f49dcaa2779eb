"""Dense adaptation of the inflated tower: whole volumes, so that depth and compression learn what slices taught."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import SiglipVisionModel

from brain3d.model.compression import build_compression
from brain3d.model.configuration_brain3d import Brain3DConfig
from brain3d.model.inflation import inflate
from brain3d.phantom.truth import Truth
from brain3d.training.bank import Bank
from brain3d.training.cells import (
    CASE_FEATURES,
    CASE_PARTS,
    CELL_FEATURES,
    SIDES_SEEN,
    SKETCH_FEATURES,
    case_features,
    is_clear,
    sampling_odds,
    sketches,
    split_case,
)
from brain3d.training.dense import (
    CELLS,
    DenseHead,
    dense_loss,
    lesion_scores,
    patch_amounts,
    patch_masks,
    pick,
    totals_loss,
)
from brain3d.training.tower import side_from_evidence

AMOUNT_WEIGHT = 2.0
LEAST_LESION = 0.05  # patches: from 0.3 mL on, shares of a lesion are worth asking for
PRIOR_LR = 20.0  # priors of places are log-odds of several units, which Adam's steps would take too long to reach
CASE_WEIGHT = 4.0  # so that what a report says of the case weighs about as much as where the lesion lies
# Whether there is anything to be seen is one number of the case's many, and decides over all the others.
CASE_WEIGHTS = torch.tensor([10.0] * CASE_PARTS["visible"] + [1.0] * (CASE_FEATURES - CASE_PARTS["visible"]))


def sketch_head(compressed: int) -> nn.Module:
    """Reads a sketch from a compressed token, with as much power as the projector has. Used in training only."""
    return nn.Sequential(
        nn.LayerNorm(compressed),
        nn.Linear(compressed, compressed // 2),
        nn.GELU(),
        nn.Linear(compressed // 2, SKETCH_FEATURES),
    )


class VolumeTask:
    """Dense targets per patch, lesion evidence per patch, and from every compressed token the sketch of its box."""

    def __init__(
        self,
        config: Brain3DConfig,
        vision_model: SiglipVisionModel,
        head: DenseHead,
        train: Bank,
        held_out: Bank,
        batch: int,
        seed: int,
        compiled: bool,
        focus: float = 0.0,
    ) -> None:
        torch.manual_seed(seed)
        hidden = config.vision_config.hidden_size
        self.config, self.batch, self.seed, self.focus = config, batch, seed, focus
        self.odds = sampling_odds(train.truths, focused=focus > 0)
        self.module = nn.ModuleDict(
            {
                "tower": inflate(vision_model, config),
                "head": head,
                "evidence": nn.Linear(hidden, 1),
                "compression": build_compression(config),
                "sketch": sketch_head(config.compressed_size),
            }
        )
        compress: Any = self.module["compression"]
        self.context = compress.context if config.grid_context and config.context_amounts else None
        if config.grid_context:
            compress.context.score = self.module["evidence"]  # what matters is where a lesion is suspected
        self.compress = compress
        self.train, self.held_out = train, held_out
        self.sketches = sketches(train, config.grid_size)
        tower = self.module["tower"]
        self.encode = torch.compile(tower) if compiled else tower

    def parameter_groups(self) -> list[dict[str, Any]]:
        named = list(self.module.named_parameters())
        priors = [p for name, p in named if name.endswith("context.prior")]
        rest = [p for name, p in named if not name.endswith("context.prior")]
        return [{"params": rest}, *([{"params": priors, "lr_scale": PRIOR_LR, "weight_decay": 0.0}] if priors else [])]

    def loss(self, step: int) -> tuple[Tensor, dict[str, float]]:
        self.module.train()
        rng = np.random.default_rng([self.seed, step])
        index = rng.choice(len(self.train), self.batch, replace=False, p=self.odds)
        volumes, masks, regions, flip = pick(self.train, index, rng)
        cells, case = self.sketches[index, flip.astype(int)].float().tensor_split([CELL_FEATURES], dim=-1)
        tokens = self.encode(volumes[:, None]).last_hidden_state
        b = len(index)
        dense = dense_loss(self.module["head"], tokens, masks.reshape(b, -1, masks.shape[-1]), regions, self.focus)
        target = masks[..., :CELLS].amax(-1).reshape(b, -1)
        logits = self.module["evidence"](tokens).squeeze(-1).float()
        evidence = F.binary_cross_entropy_with_logits(logits, target)
        if self.focus > 0:
            evidence = evidence + self._presence(logits, index)
        measured, totals = self._measured(tokens, logits, index, flip)
        boxes, said = self.module["sketch"](self.compress(tokens)).float().tensor_split([CELL_FEATURES], dim=-1)
        place = F.smooth_l1_loss(boxes, cells, beta=0.1)
        findings = F.binary_cross_entropy_with_logits(said, case, weight=CASE_WEIGHTS)
        return dense + evidence + measured + totals + 8.0 * place + CASE_WEIGHT * findings, {
            "cells": float(place.detach()),
            "case": float(findings.detach()),
            "dense": float(dense.detach()),
            "amounts": float(measured.detach()),
            "totals": float(totals.detach()),
        }

    def _measured(self, tokens: Tensor, scores: Tensor, index: np.ndarray, flip: np.ndarray) -> tuple[Tensor, Tensor]:
        """How well every patch says what share of it each amount fills, and how right the sums are.

        The first is cross-entropy, summed over the amounts; unweighted, so that the sums over the head, which the
        context takes, are right on average. The second is over visible lesions, and zero where the batch has none.
        """
        if self.context is None:
            return torch.zeros(()), torch.zeros(())
        target = patch_amounts(self.train.amounts[index], flip)
        said, wanted = self.context.measure(tokens), target.sum(1)
        each = F.binary_cross_entropy_with_logits(said, target, reduction="none")
        visible = torch.tensor([self.train.truths[i].visible for i in index]) & (wanted[:, :2].sum(1) > LEAST_LESION)
        if not bool(visible.any()):
            return AMOUNT_WEIGHT * each.mean((0, 1)).sum(), torch.zeros(())
        totals = self.context.totals(scores, said).unflatten(1, (-1, said.shape[-1]))
        return AMOUNT_WEIGHT * each.mean((0, 1)).sum(), totals_loss(totals[visible, :3], wanted[visible])

    def _presence(self, logits: Tensor, index: np.ndarray) -> Tensor:
        """Is there a lesion to be seen at all: the strongest evidence anywhere, against the truth."""
        truths = [self.train.truths[i] for i in index]
        seen = torch.tensor([float(t.visible) for t in truths])
        counted = torch.tensor([float(t.visible or t.normal) for t in truths])
        each = F.binary_cross_entropy_with_logits(logits.amax(1), seen, reduction="none")
        return (each * counted).sum() / counted.sum().clamp(min=1)

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Dice; over clear lesions left against right by evidence and by boxes, and what tokens say of the case."""
        self.module.eval()
        count = min(len(self.held_out), 300)
        logits, boxes = [], []
        for rows in np.array_split(np.arange(count), max(1, count // 5)):
            tokens = self.module["tower"](
                torch.from_numpy(self.held_out.images[rows]).float()[:, None]
            ).last_hidden_state
            logits.append(self.module["head"](tokens)[0][..., :CELLS])
            boxes.append(self.module["sketch"](self.compress(tokens)))
        lesion, (sketch, case) = torch.cat(logits), torch.cat(boxes).tensor_split([CELL_FEATURES], dim=-1)
        masks = patch_masks(self.held_out.masks[:count])
        lesion = lesion.reshape(*masks.shape[:4], CELLS)
        truths = self.held_out.truths[:count]
        halves = sketch[..., 0].clamp(min=0).square().unflatten(1, self.config.grid_size)
        shares = {
            "side": side_from_evidence(lesion.sigmoid().sum(-1)),
            "side_boxes": side_from_evidence(halves),
        }
        sided = [i for i, t in enumerate(truths) if is_clear(t) and t.side in ("left", "right")]
        figures = {
            name: float(np.mean([(float(share[i]) > 0.5) == (truths[i].side == "left") for i in sided]))
            for name, share in shares.items()
        }
        return {**lesion_scores(lesion, masks[..., :CELLS]), **figures, **case_scores(case.mean(1), truths)}


def case_scores(logits: Tensor, truths: list[Truth]) -> dict[str, float]:
    """What the tokens say of the case, (N, CASE_FEATURES) logits averaged over boxes, before any text is written.

    Over lesions of at least 1 mL and a contrast-to-noise of at least 1.5, and healthy ones.
    """
    clear = [i for i, t in enumerate(truths) if is_clear(t)]
    said, meant = split_case(logits), split_case(case_features(truths))
    seen = said["visible"][:, 0] > 0
    side = said["side"].argmax(1)
    hits = [SIDES_SEEN[int(side[i])] == truths[i].side for i in clear]
    named, wanted = said["regions"][clear] > 0, meant["regions"][clear] > 0
    healthy = [i for i, t in enumerate(truths) if t.normal]
    scores = {
        "sensitivity": float(seen[clear].float().mean()),
        "specificity": 1 - float(seen[healthy].float().mean()),
        "side_case": float(np.mean(hits)),
        "regions_f1": 2 * float((named & wanted).sum()) / max(1.0, float(named.sum() + wanted.sum())),
    }
    for sign in ("signal", "edema", "necrosis", "ventricular_compression"):
        scores[sign] = float((said[sign][clear].argmax(1) == meant[sign][clear].argmax(1)).float().mean())
    return scores
