"""What the frozen tower is shown in each arm, and that mirror images are encoded as such."""

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import SiglipVisionModel

from brain3d.training.ablation.arms import View, arm_named
from brain3d.training.ablation.recipe import Ablation, read_ablation
from brain3d.training.ablation.shared import Shared
from brain3d.training.ablation.tokens import WHOLE, Encoder, encode_bank, read_tokens, statistics
from brain3d.training.bank import Bank
from brain3d.training.language import build_tokenizer
from brain3d.training.sizes import vision_config
from brain3d.training.tower import slabs_of, with_thin

from .test_ablation import RECIPE, tiny

SHAPE = (24, 24, 24)


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Ablation:
    return read_ablation(RECIPE, tiny(tmp_path_factory.mktemp("out")))


@pytest.fixture(scope="module")
def shared(recipe: Ablation) -> Shared:
    torch.manual_seed(0)
    vision = SiglipVisionModel(vision_config(recipe.shared.model)).eval()
    bank = bank_of(np.random.default_rng(0).uniform(-1, 1, (3, *SHAPE)))
    return Shared(bank, bank, vision, {}, build_tokenizer(["a lesion"], 300))


def bank_of(images: np.ndarray) -> Bank:
    nothing = np.zeros(len(images))
    return Bank(images.astype(np.float16), nothing, nothing, nothing, nothing, [None] * len(images))  # type: ignore[list-item]


@pytest.mark.parametrize("name", ["all-stages", "slices-mean", "sequence", "perceiver"])
def test_the_second_row_is_the_mirror_image(recipe: Ablation, shared: Shared, tmp_path: Path, name: str) -> None:
    """A bank, and the bank of its mirror images: rows exchanged, nothing else."""
    arm = arm_named(name)
    encoder = Encoder(recipe, shared, arm.view, {WHOLE if name == "perceiver" else arm.compression})
    encode_bank(encoder, shared.train, tmp_path, "train")
    encode_bank(encoder, bank_of(shared.train.images[..., ::-1].copy()), tmp_path, "mirrored")
    one, other = (read_tokens(tmp_path, arm, split, 3) for split in ("train", "mirrored"))
    assert one.shape[:2] == (3, 2)
    torch.testing.assert_close(one, other.flip(1))
    assert not torch.equal(one[:, 0], one[:, 1])


def test_the_grid_keeps_left_and_right_apart_and_the_sequence_does_not(recipe: Ablation, shared: Shared) -> None:
    """What is pooled, without the tower's attention: tokens that are 1 on the left half and 0 on the right."""
    encoder = Encoder(recipe, shared, View(), {"grid", "sequence"})
    columns = recipe.shared.model.volume_shape[2] // 4
    left = (torch.arange(columns) < columns // 2).float().expand(6, 6, columns).reshape(1, -1, 1)
    boxes, runs = (encoder.compressions[form](left)[..., :1] for form in ("grid", "sequence"))
    assert set(boxes.flatten().tolist()) == {0.0, 1.0}
    assert bool(((runs > 0.4) & (runs < 0.6)).all())


def test_slices_are_seen_one_by_one_and_averaged_in_their_places(recipe: Ablation, shared: Shared) -> None:
    encoder = Encoder(recipe, shared, View("slices"), {WHOLE})
    volume = torch.from_numpy(shared.train.images[:1]).float()
    alone = [shared.vision(pixel_values=image[None]).last_hidden_state for image in slabs_of(volume)[0]]
    torch.testing.assert_close(encoder(volume)[WHOLE].float(), torch.stack(alone).mean(0), atol=2e-3, rtol=1e-3)
    shuffled = slabs_of(volume)[:, torch.tensor([3, 1, 2, 0, 5, 4]), 0].repeat_interleave(4, dim=1)
    torch.testing.assert_close(encoder(shuffled)[WHOLE], encoder(volume)[WHOLE], atol=2e-3, rtol=1e-3)


def test_each_view_gives_other_tokens(recipe: Ablation, shared: Shared) -> None:
    volume = torch.from_numpy(shared.train.images[:1]).float()
    views = (View(), View(inflation="center"), View(positions="published"))
    seen = [Encoder(recipe, shared, view, {"grid"})(volume)["grid"] for view in views]
    assert not any(torch.allclose(seen[i], seen[j], atol=1e-2) for i in range(3) for j in range(i))


def test_statistics_are_those_of_all_tokens_together() -> None:
    tokens = torch.randn(230, 2, 3, 5).half() * 3 + 1
    mean, std = statistics(tokens)
    flat = tokens.float().flatten(0, 2)
    torch.testing.assert_close(mean, flat.mean(0), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(std, flat.std(0, correction=0), atol=1e-3, rtol=1e-3)


def test_thin_images_are_one_slice_of_their_slab() -> None:
    volumes = torch.arange(24.0)[None, :, None, None].expand(2, 24, 8, 8)
    thin = with_thin(slabs_of(volumes), volumes, 1.0, np.random.default_rng(0))[:, :, 0, 0, 0]
    assert torch.equal(thin // 4, torch.arange(6.0).expand(2, 6))
    assert torch.equal(thin, thin.round()), "a mean of four would be a half"
    mixed = with_thin(slabs_of(volumes), volumes, 0.5, np.random.default_rng(0))[:, :, 0, 0, 0]
    assert 0 < int((mixed % 1 == 0.5).sum()) < mixed.numel()
