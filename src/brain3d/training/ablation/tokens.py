"""What the frozen tower makes of every phantom and of its mirror image, once for all runs that need it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm
from transformers import SiglipVisionModel

from brain3d.model.compression import GridCompression, SequenceCompression
from brain3d.model.inflation import inflate
from brain3d.model.tower import Brain3DVisionTower
from brain3d.reading.engine import pick_device
from brain3d.training.ablation.arms import Arm, View
from brain3d.training.ablation.recipe import Ablation
from brain3d.training.ablation.shared import Shared
from brain3d.training.bank import Bank
from brain3d.training.digest import tensors_digest
from brain3d.training.sizes import composite_config
from brain3d.training.tower import slabs_of

CHUNK, TOGETHER = 100, 5  # phantoms a file, and volumes that are encoded together
WHOLE = "none"  # tokens as they leave the tower, for a compression that learns


def kept_form(arm: Arm) -> str:
    """In which form an arm's tokens are kept: compressed, unless its compression learns."""
    return WHOLE if arm.compression == "perceiver" else arm.compression


class Encoder:
    """A view: (B, D, H, W) volumes to the tokens of each form that is wanted."""

    def __init__(self, recipe: Ablation, shared: Shared, view: View, forms: Iterable[str]) -> None:
        sizes = recipe.shared.model
        config = composite_config(
            sizes, shared.tokenizer, inflation=view.inflation, positions=view.positions, evidence_head=False
        )
        self.device = pick_device("auto")
        self.view, self.forms, self.vision = view, sorted(forms), shared.vision.to(self.device)
        self.tower: Brain3DVisionTower | SiglipVisionModel = self.vision
        grid, boxes = (1, *config.token_grid[1:]), (1, *recipe.flat_grid)
        if view.image == "volume":
            self.tower = inflate(shared.vision, config).to(self.device)
            grid, boxes = config.token_grid, config.grid_size
        self.compressions = {
            "grid": GridCompression(grid, boxes, sizes.grid_reduce),
            "sequence": SequenceCompression(recipe.tokens),
            WHOLE: torch.nn.Identity(),
        }

    def digest(self) -> str:
        """What the tokens follow from besides the volumes."""
        return tensors_digest(self.tower.state_dict())[:12]

    @torch.inference_mode()
    def __call__(self, volumes: Tensor) -> dict[str, Tensor]:
        """(B, D, H, W) -> by form, (B, K, in), or (B, N, hidden) as they are."""
        volumes = volumes.to(self.device)
        tokens = self._slices(volumes) if self.view.image == "slices" else self._whole(volumes)
        return {form: self.compressions[form](tokens).half().cpu() for form in self.forms}

    def _whole(self, volumes: Tensor) -> Tensor:
        encoded: Tensor = self.tower(volumes[:, None]).last_hidden_state
        return encoded

    def _slices(self, volumes: Tensor) -> Tensor:
        """Every slab as an image of its own; the mean over slabs at each place of the plane: (B, H' * W', hidden)."""
        images = slabs_of(volumes)
        encoded: Tensor = self.vision(pixel_values=images.flatten(0, 1)).last_hidden_state
        return encoded.unflatten(0, images.shape[:2]).mean(1)


def encode_bank(encoder: Encoder, bank: Bank, folder: Path, name: str) -> None:
    """Keep the tokens (n, 2, K, in) float16 of every phantom and its mirror image; what is there already is kept."""
    folder.mkdir(parents=True, exist_ok=True)
    for start in tqdm(range(0, len(bank), CHUNK), desc=f"{encoder.view.name}, {name}", unit=f" x{CHUNK}"):
        files = {form: folder / f"{form}-{name}-{start:06d}.npy" for form in encoder.forms}
        if all(file.exists() for file in files.values()):
            continue
        images = torch.from_numpy(bank.images[start : start + CHUNK]).float()
        both = torch.stack([images, images.flip(-1)], dim=1).flatten(0, 1)
        parts = [encoder(rows) for rows in both.split(TOGETHER)]
        for form, file in files.items():
            partial = file.with_suffix(".partial.npy")
            np.save(partial, torch.cat([part[form] for part in parts]).unflatten(0, (-1, 2)).numpy())
            partial.replace(file)


def _folder(recipe: Ablation, encoder: Encoder) -> Path:
    return Path(recipe.shared.output) / "tokens" / f"{encoder.view.name}-{encoder.digest()}"


def encode_all(recipe: Ablation, shared: Shared, arms: Iterable[Arm]) -> dict[View, Path]:
    """The tokens that these arms need; the folder of each view."""
    forms: dict[View, set[str]] = {}
    for arm in arms:
        forms.setdefault(arm.view, set()).add(kept_form(arm))
    folders = {}
    for view, wanted in forms.items():
        encoder = Encoder(recipe, shared, view, wanted)
        folders[view] = _folder(recipe, encoder)
        for name, bank in (("train", shared.train), ("test", shared.test)):
            encode_bank(encoder, bank, folders[view], name)
    return folders


def read_tokens(folder: Path, arm: Arm, name: str, count: int) -> Tensor:
    """The tokens (count, 2, K, in) float16 of an arm's view, as `encode_bank` kept them."""
    files = [folder / f"{kept_form(arm)}-{name}-{start:06d}.npy" for start in range(0, count, CHUNK)]
    return torch.cat([torch.from_numpy(np.load(file)) for file in files])


def statistics(tokens: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (in,) of each channel over (N, 2, K, in), a part at a time."""
    total, squares, count = torch.zeros(tokens.shape[-1]), torch.zeros(tokens.shape[-1]), 0
    for part in tokens.split(CHUNK):
        flat = part.float().flatten(0, 2)
        total, squares, count = total + flat.sum(0), squares + flat.square().sum(0), count + len(flat)
    mean = total / count
    return mean, (squares / count - mean.square()).clamp(min=0).sqrt().clamp(min=1e-3)
