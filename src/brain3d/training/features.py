"""The feature cache: the frozen tower runs once per view of a phantom; later stages read the result."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from brain3d.model.modeling_brain3d import Brain3DModel
from brain3d.training.bank import Bank
from brain3d.training.jitter import jitter_intensity

ROWS = 10  # phantoms encoded at once


def tower_digest(model: Brain3DModel) -> str:
    """A short hash of every weight of tower and compression: features of another never pass for this one's."""
    digest = hashlib.sha256()
    weights = {**model.vision_tower.state_dict(), **model.compression.state_dict(prefix="compression.")}
    for name, tensor in sorted(weights.items()):
        digest.update(name.encode())
        digest.update(tensor.detach().float().cpu().numpy().tobytes())
    return digest.hexdigest()[:16]


@torch.inference_mode()
def _encode(model: Brain3DModel, volumes: Tensor, precision: str) -> Tensor:
    both = torch.cat([volumes, volumes.flip(-1)])[:, None]
    with torch.autocast(volumes.device.type, torch.bfloat16, enabled=precision == "bfloat16"):
        compressed = model.compress(model.encode(both))
    return compressed.half().unflatten(0, (2, len(volumes))).transpose(0, 1)


def _views(model: Brain3DModel, bank: Bank, rows: slice, changed: int, precision: str) -> Tensor:
    volumes = torch.from_numpy(bank.images[rows]).float()
    rng = np.random.default_rng(rows.start)
    others = [jitter_intensity(volumes, bank.levels[rows], rng) for _ in range(changed)]
    return torch.cat([_encode(model, each, precision) for each in (volumes, *others)], dim=1)


def compressed_features(
    model: Brain3DModel,
    bank: Bank,
    folder: Path,
    name: str,
    changed: int = 0,
    precision: str = "float32",
    chunk: int = 100,
) -> Tensor:
    """Compressed tokens (N, 2 + 2 * changed, K, in) float16, kept in `folder`.

    Of every phantom first itself and its mirror image, then as many times both again with the intensities changed.
    Chunks are written as they are finished, so that an interrupted run goes on.
    """
    target = folder / f"{name}-{len(bank)}-{changed}-{tower_digest(model)}"
    target.mkdir(parents=True, exist_ok=True)
    model.eval()
    parts = []
    for start in tqdm(range(0, len(bank), chunk), desc=f"encoding {name}", unit=f" x{chunk}"):
        file = target / f"{start:06d}.npy"
        if not file.exists():
            stop = min(start + chunk, len(bank))
            rows = [slice(i, min(i + ROWS, stop)) for i in range(start, stop, ROWS)]
            features = torch.cat([_views(model, bank, each, changed, precision) for each in rows])
            partial = file.with_suffix(".partial.npy")
            np.save(partial, features.numpy())
            partial.replace(file)
        parts.append(torch.from_numpy(np.load(file)))
    return torch.cat(parts)
