"""The tower's two options: the mirror image's patch beside each patch, and air left out."""

from __future__ import annotations

import pytest
import torch

from brain3d.model.tower import TOGETHER, Brain3DVisionTower


@pytest.fixture
def make_tower(make_config):
    def make(**changes):
        torch.manual_seed(0)
        return Brain3DVisionTower(make_config(**changes)).eval()

    return make


def head_in_air(batch: int) -> torch.Tensor:
    """Volumes (batch, 1, 8, 12, 16) of noise in the middle and background around it, each of another extent."""
    volumes = torch.full((batch, 1, 8, 12, 16), -1.0)
    for index, volume in enumerate(volumes):
        volume[:, : 4 + 2 * (index % 3), :8, 4 : 8 + 4 * (index % 2)] = torch.rand(1)
    return volumes


@torch.no_grad()
def test_the_contralateral_kernel_starts_at_zero_and_sees_the_other_half(make_tower):
    plain, both = make_tower(), make_tower(contralateral=True)
    both.load_state_dict(plain.state_dict(), strict=False)
    volume = torch.rand(1, 1, 8, 12, 16)
    patch = both.embeddings.patch_embedding
    torch.testing.assert_close(patch(volume), plain.embeddings.patch_embedding(volume))
    patch.contralateral.copy_(-patch.weight)
    even = torch.cat([volume[..., :8], volume[..., :8].flip(-1)], dim=-1)
    kernel = patch.weight
    patch.weight.copy_((kernel + kernel.flip(-1)) / 2)  # a kernel that does not know left from right
    patch.contralateral.copy_(-patch.weight)
    difference = patch(even) - patch.bias
    torch.testing.assert_close(difference, torch.zeros_like(difference), atol=1e-5, rtol=0)
    even[..., 0, 0, 0] += 1.0
    assert (patch(even) - patch.bias).abs().amax((0, 1, 3)).gt(1e-3).nonzero().flatten().tolist() == [0, 3]


@torch.no_grad()
def test_air_is_left_out_whatever_the_company(make_tower):
    tower = make_tower(skip_empty=True)
    tower.empty.copy_(torch.arange(16.0))
    volumes = head_in_air(TOGETHER + 2)
    together = tower(volumes).last_hidden_state
    alone = torch.cat([tower(v[None]).last_hidden_state for v in volumes])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)
    occupied = tower.embeddings.patch_embedding.occupied(volumes)
    assert torch.equal(together[~occupied], tower.empty.expand(int((~occupied).sum()), 16))
    assert not (together[occupied] == tower.empty).all(-1).any()


@torch.no_grad()
def test_a_full_volume_is_encoded_as_without_the_option(make_tower):
    plain, skipping = make_tower(), make_tower(skip_empty=True)
    skipping.load_state_dict(plain.state_dict(), strict=False)
    volumes = torch.rand(2, 1, 8, 12, 16)
    torch.testing.assert_close(skipping(volumes).last_hidden_state, plain(volumes).last_hidden_state)


def test_nothing_at_all_gives_numbers(make_tower):
    tower = make_tower(skip_empty=True)
    tokens = tower(torch.full((2, 1, 8, 12, 16), -1.0)).last_hidden_state
    tokens.sum().backward()
    assert tokens.isfinite().all()
    assert all(p.grad is None or p.grad.isfinite().all() for p in tower.parameters())
