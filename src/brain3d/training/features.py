"""The feature cache: the frozen tower runs once per phantom and mirror image; later stages read the result."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from brain3d.model.modeling_brain3d import Brain3DModel
from brain3d.training.bank import Bank


def tower_digest(model: Brain3DModel) -> str:
    """A short hash of every weight of tower and compression: features of another never pass for this one's."""
    digest = hashlib.sha256()
    weights = {**model.vision_tower.state_dict(), **model.compression.state_dict(prefix="compression.")}
    for name, tensor in sorted(weights.items()):
        digest.update(name.encode())
        digest.update(tensor.detach().float().cpu().numpy().tobytes())
    return digest.hexdigest()[:16]


@torch.inference_mode()
def _encode(model: Brain3DModel, images: np.ndarray, precision: str) -> Tensor:
    volumes = torch.from_numpy(images).float()[:, None]
    both = torch.cat([volumes, volumes.flip(-1)])
    with torch.autocast(volumes.device.type, torch.bfloat16, enabled=precision == "bfloat16"):
        compressed = model.compress(model.encode(both))
    return compressed.half().unflatten(0, (2, len(volumes))).transpose(0, 1)


def compressed_features(
    model: Brain3DModel, bank: Bank, folder: Path, name: str, precision: str = "float32", chunk: int = 100
) -> Tensor:
    """Compressed tokens (N, 2, K, in) float16 of every phantom and its mirror image, kept in `folder`.

    Chunks are written as they are finished, so that an interrupted run goes on.
    """
    target = folder / f"{name}-{len(bank)}-{tower_digest(model)}"
    target.mkdir(parents=True, exist_ok=True)
    model.eval()
    parts = []
    for start in tqdm(range(0, len(bank), chunk), desc=f"encoding {name}", unit=f" x{chunk}"):
        file = target / f"{start:06d}.npy"
        if not file.exists():
            rows = [bank.images[i : i + 10] for i in range(start, min(start + chunk, len(bank)), 10)]
            features = torch.cat([_encode(model, images, precision) for images in rows])
            partial = file.with_suffix(".partial.npy")
            np.save(partial, features.numpy())
            partial.replace(file)
        parts.append(torch.from_numpy(np.load(file)))
    return torch.cat(parts)
