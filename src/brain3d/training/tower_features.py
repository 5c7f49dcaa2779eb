"""Compressed tokens of views: the frozen tower runs once for each, the result is kept in a cache."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from brain3d.model.modeling_brain3d import Brain3DModel
from brain3d.training.batches import View
from brain3d.training.cohort_data import CohortData
from brain3d.training.digest import tower_digest
from brain3d.training.token_cache import TokenCache, entry_key

PRECISIONS = ("float32", "bfloat16")


class TowerFeatures:
    """What the tower and compression of a model make of views of a cohort, from a cache where they are in it.

    Each view is encoded by itself, so that its features are the same bit for bit whichever others are missing: a run
    that was killed while they were built ends as one that was not. Two sets of data, such as the training and the
    validation split, may share a cache, and so may models: the key holds the view's content and the digest of the
    tower. The tower must not learn meanwhile.

    Args:
        model: whose tower and compression are frozen; it is put into evaluation mode while it encodes.
        precision: "bfloat16" encodes under autocast; the tokens come out float32 all the same.
    """

    def __init__(self, model: Brain3DModel, data: CohortData, cache: TokenCache, *, precision: str = "float32") -> None:
        if precision not in PRECISIONS:
            raise ValueError(f"precision is {precision!r}, expected one of {', '.join(PRECISIONS)}")
        self.model, self.data, self.cache, self.precision = model, data, cache, precision
        self.digest = tower_digest(model, precision)

    def build(self, views: Iterable[View], title: str = "encoding") -> int:
        """Encode every view that the cache lacks, with a progress bar; returns how many those were."""
        wanted = list(dict.fromkeys(views))
        missing = [view for view in wanted if self._key(view) not in self.cache]
        for view in tqdm(missing, desc=title, unit="volume", disable=not missing):
            self._encode(view)
        return len(missing)

    def tokens(self, views: Sequence[View]) -> Tensor:
        """Compressed tokens (B, K, in) float32 of the views, on the model's device; what is missing is encoded."""
        rows = [torch.from_numpy(self._one(view).astype(np.float32)) for view in views]
        return torch.stack(rows).to(self._device())

    def statistics(self, views: Iterable[View]) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation (in,) over all tokens of the views, for `set_feature_statistics`."""
        total, squares, count = 0.0, 0.0, 0
        for view in views:
            tokens = self._one(view).astype(np.float64)
            total, squares, count = total + tokens.sum(0), squares + (tokens**2).sum(0), count + len(tokens)
        mean = total / count
        deviation = np.sqrt(np.maximum(squares / count - mean**2, 0))
        first, second = (torch.from_numpy(np.asarray(values, np.float32)) for values in (mean, deviation))
        return first.to(self._device()), second.clamp(min=1e-3).to(self._device())

    def _device(self) -> torch.device:
        return next(self.model.vision_tower.parameters()).device

    def _key(self, view: View) -> str:
        return entry_key(content=self.data.content(view), tower=self.digest, dtype=str(self.cache.dtype))

    def _one(self, view: View) -> np.ndarray:
        kept = self.cache.get(self._key(view))
        return self._encode(view) if kept is None else kept

    def _encode(self, view: View) -> np.ndarray:
        """As the cache would give it, so that nothing depends on whether it was there."""
        compressed = encode(self.model, self.data.volume(view), self.precision).astype(self.cache.dtype)
        self.cache.add(self._key(view), compressed)
        return compressed


@torch.inference_mode()
def encode(model: Brain3DModel, volume: np.ndarray, precision: str = "float32") -> np.ndarray:
    """A volume (1, D, H, W) -> its compressed tokens (K, in) float32, by tower and compression in evaluation mode."""
    parts: tuple[nn.Module, nn.Module] = (model.vision_tower, model.compression)
    learning = [part.training for part in parts]
    device = next(model.vision_tower.parameters()).device
    for part in parts:
        part.eval()
    try:
        pixels = torch.tensor(volume)[None].to(device)  # a copy: volumes from a memory map cannot be written
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16"):
            compressed = model.compress(model.encode(pixels))
    finally:
        for part, was in zip(parts, learning, strict=True):
            part.train(was)
    return compressed[0].float().cpu().numpy()
