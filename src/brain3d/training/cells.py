"""What the generator knows of a patient, as numbers for every box of the compression grid: the sketch.

It says what lies in the box, and, the same in every box, what the report has to say of the case. The same numbers
teach the tower's compressed tokens and stand before the text while the language model is pretrained, so that both
sides of the projector speak of the same things.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from brain3d.phantom.truth import Truth
from brain3d.phantom.volume import MASKS
from brain3d.reports.findings import REGIONS
from brain3d.training.bank import Bank

CROSSING = 1.8  # how much oftener a lesion across the midline is drawn: few are, and they are the hardest to side
SIGNALS_SEEN = ("high", "low", "mixed", "iso")
SIDES_SEEN = ("left", "right", "bilateral", "midline")
DEGREES_SEEN = ("none", "mild", "moderate", "severe")
CELL_FEATURES = 2 * len(MASKS) + len(REGIONS) + len(SIGNALS_SEEN) + 1
CASE_PARTS = {
    "visible": 1,
    "left_share": 1,
    "several": 1,
    "regions": len(REGIONS),
    "side": len(SIDES_SEEN),
    "signal": len(SIGNALS_SEEN),
    "edema": len(DEGREES_SEEN),
    "necrosis": len(DEGREES_SEEN),
    "ventricular_compression": len(DEGREES_SEEN),
}
CASE_FEATURES = sum(CASE_PARTS.values())
SKETCH_FEATURES = CELL_FEATURES + CASE_FEATURES


def sketches(bank: Bank, grid: tuple[int, int, int]) -> Tensor:
    """Sketches (N, 2, K, SKETCH_FEATURES) float16 of every phantom and of its mirror image."""
    cells = cell_features(bank, grid)
    both = torch.stack([cells, mirror_cells(cells, grid)], dim=1)
    own, turned = case_features(bank.truths), case_features([t.mirrored() for t in bank.truths])
    case = torch.stack([own, turned], dim=1)[:, :, None].expand(-1, -1, both.shape[2], -1)
    return torch.cat([both, case.half()], dim=-1)


def case_features(truths: list[Truth]) -> Tensor:
    """(N, CASE_FEATURES) in 0..1, in the order of CASE_PARTS: zeros where there is nothing to be seen, else which
    side, regions, signal and degrees a perfect report states, the left share, and whether there are several foci."""
    rows = torch.zeros(len(truths), CASE_FEATURES)
    for row, truth in zip(rows, truths, strict=True):
        if not truth.visible:
            continue
        flags = [1.0, float(truth.left_share or 0.0), float(truth.lesion_count > 1)]
        flags += [float(name in truth.regions) for name in REGIONS]
        flags += [float(truth.side == s) for s in SIDES_SEEN] + [float(truth.signal == s) for s in SIGNALS_SEEN]
        for sign in (truth.edema, truth.necrosis, truth.ventricular_compression):
            flags += [float(sign == degree) for degree in DEGREES_SEEN]
        row[:] = torch.tensor(flags)
    return rows


def is_clear(truth: Truth) -> bool:
    """A lesion that validation asks for: at least 1 mL, a contrast-to-noise of at least 1.5."""
    return truth.volume_ml >= 1 and (truth.contrast_to_noise or 0) >= 1.5


def split_case(case: Tensor) -> dict[str, Tensor]:
    """(..., CASE_FEATURES) -> its parts by name."""
    return dict(zip(CASE_PARTS, case.split(list(CASE_PARTS.values()), dim=-1), strict=True))


def cell_features(bank: Bank, grid: tuple[int, int, int], chunk: int = 250) -> Tensor:
    """What lies in every box, (N, K, CELL_FEATURES) float16, boxes in (d, h, w) order.

    Per box: square root of the mean and the maximum of whole lesion, core, necrosis and ventricle; square root
    of the lesion's share by region; the same by signal; the maximum again where the lesion can be seen.
    """
    parts = [_features(bank, slice(i, i + chunk), grid) for i in range(0, len(bank), chunk)]
    return torch.cat(parts)


def _features(bank: Bank, rows: slice, grid: tuple[int, int, int]) -> Tensor:
    masks = torch.from_numpy(bank.masks[rows]).float() / 255
    truths = bank.truths[rows]
    patches = F.avg_pool3d(masks, 2)
    mean, top = F.adaptive_avg_pool3d(patches, grid), F.adaptive_max_pool3d(masks, grid)
    whole, ventricle = patches[:, :1], masks[:, 3:4]
    labels = F.one_hot(torch.from_numpy(bank.regions[rows]).long(), len(REGIONS) + 1)[..., 1:]
    share = labels.permute(0, 4, 1, 2, 3).float() * whole
    near = F.max_pool3d(F.max_pool3d(ventricle, 3, stride=1, padding=1), 2) > 0.3
    share[:, REGIONS.index("periventricular")] = (whole * near)[:, 0]
    regions = F.adaptive_avg_pool3d(share, grid)
    signal = torch.tensor([[t.signal == s for s in SIGNALS_SEEN] for t in truths]).float()
    visible = torch.tensor([float(t.visible) for t in truths])[:, None, None, None, None]
    by_signal = mean[:, :1] * signal[:, :, None, None, None]
    columns = [mean.sqrt(), top, regions.sqrt(), by_signal.sqrt(), top[:, :1] * visible]
    return torch.cat(columns, dim=1).flatten(2).transpose(1, 2).half()


def mirror_cells(cells: Tensor, grid: tuple[int, int, int]) -> Tensor:
    """Values by box (B, K, F) with the boxes' columns reversed: the mirror image of every box's place."""
    return cells.unflatten(1, grid).flip(3).flatten(1, 3)


def describe_truth(bank: Bank, index: int, mirrored: bool, seed: int) -> str:
    """One narrative of phantom `index`, or of its mirror image; other seeds phrase it otherwise."""
    import random

    from brain3d.phantom.narrative import narrate

    truth = bank.truths[index]
    return narrate(truth.mirrored() if mirrored else truth, random.Random(seed))


def sampling_odds(truths: list[Truth], focused: bool) -> np.ndarray:
    """How often each phantom is drawn: all alike, or small visible lesions and those across the midline oftener and
    invisible ones seldom."""
    if not focused:
        return np.full(len(truths), 1 / len(truths))
    odds = np.array([1.0 if t.normal else 0.3 if not t.visible else 2.0 if t.volume_ml < 20 else 0.8 for t in truths])
    odds *= np.array([CROSSING if t.visible and t.side in ("bilateral", "midline") else 1.0 for t in truths])
    return odds / odds.sum()


def draw_index(
    rng: np.random.Generator, count: int, size: int, odds: np.ndarray | None = None, mirror: float = 0.5
) -> tuple[np.ndarray, np.ndarray]:
    """A batch: which phantoms (by their odds, where given), and which of them mirrored (a share `mirror`)."""
    return rng.choice(count, size, replace=count < size, p=odds), rng.random(size) < mirror
