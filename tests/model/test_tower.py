"""The tower's two options, the mirror image's patch beside each patch and air left out; and, of the published one, air
that is encoded once for each column."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from brain3d.model.configuration_brain3d import PUBLISHED
from brain3d.model.repeated import one_for_each_column
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


def stripped_heads(batch: int) -> torch.Tensor:
    """Volumes (batch, 1, 8, 12, 16) in [0, 1], zero outside a box that differs from one to the next."""
    volumes = torch.zeros(batch, 1, 8, 12, 16)
    for index, volume in enumerate(volumes):
        part = volume[:, 1 : 3 + 2 * (index % 3), :8, 4 : 8 + 4 * (index % 2)]
        part.copy_(torch.rand(part.shape))
    return volumes


@pytest.fixture
def make_published(make_tower):
    def make(**changes):
        tower = make_tower(**(PUBLISHED | {"volume_shape": (8, 12, 16), "num_visual_tokens": 4} | changes))
        with torch.no_grad():
            for parameter in tower.parameters():  # no bias is zero, no norm the identity
                parameter.add_(0.1 * torch.randn_like(parameter))
        return tower

    return make


def every_token(tower: Brain3DVisionTower, volumes: torch.Tensor) -> torch.Tensor:
    """The published arithmetic, written plainly."""
    states = tower.embeddings(volumes)
    return tower.post_layernorm(tower.encoder(inputs_embeds=states).last_hidden_state)


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_repeated_air_is_encoded_once_and_nothing_changes(make_published, attention):
    tower, volumes, read = make_published(), stripped_heads(4), []
    tower.set_attn_implementation(attention)
    expected = every_token(tower, volumes)
    tower.encoder.register_forward_hook(
        lambda _, __, given, ___: read.append(given["inputs_embeds"].shape[1]), with_kwargs=True
    )
    found = tower(volumes).last_hidden_state
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=0)
    blank = tower.embeddings.patch_embedding.blank(volumes)
    assert read == [int((~b).sum() + b.any(0).sum()) for b in blank]
    assert max(read) < expected.shape[1]
    weights = torch.randn_like(found)
    learning = [*tower.parameters()]
    pairs = zip(
        torch.autograd.grad((found * weights).sum(), learning),
        torch.autograd.grad((expected * weights).sum(), learning),
        strict=True,
    )
    for one, other in pairs:
        torch.testing.assert_close(one, other, atol=1e-3, rtol=1e-3)


def test_dropout_in_attention_is_drawn_for_each_token_by_itself(make_published):
    tower, volumes = make_published(), stripped_heads(2)
    tower.config.attention_dropout = 0.5
    for layer in tower.encoder.layers:
        layer.self_attn.dropout = 0.5
    for training in (True, False):
        tower.train(training)
        torch.manual_seed(1)
        expected = every_token(tower, volumes)
        torch.manual_seed(1)
        torch.testing.assert_close(tower(volumes).last_hidden_state, expected, atol=2e-5, rtol=0)


@torch.no_grad()
def test_what_is_no_air_is_encoded_as_ever(make_published):
    tower, noise = make_published(), torch.rand(2, 1, 8, 12, 16)
    torch.testing.assert_close(tower(noise).last_hidden_state, every_token(tower, noise), atol=0, rtol=0)
    nothing = torch.zeros(1, 1, 8, 12, 16)
    torch.testing.assert_close(tower(nothing).last_hidden_state, every_token(tower, nothing), atol=2e-5, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize("changes", [{"contralateral": True}, {"positions": "kept"}, {"preprocessing": "own"}])
def test_blank_patches_that_differ_are_kept_apart(make_published, changes):
    tower = make_published(**changes)
    volumes = stripped_heads(3) - (1 if "preprocessing" in changes else 0)  # air is -1 there
    torch.testing.assert_close(tower(volumes).last_hidden_state, every_token(tower, volumes), atol=2e-5, rtol=0)


@given(st.lists(st.lists(st.booleans(), min_size=3, max_size=3), min_size=1, max_size=6))
def test_every_token_is_stood_for(rows):
    blank = torch.tensor(rows)
    found, columns = one_for_each_column(blank), blank.shape[1]
    assert int(found.copies.sum()) == blank.numel() == len(found.whose)
    assert torch.equal(found.whose.bincount(minlength=len(found.kept)), found.copies)
    for place, owner in enumerate(found.kept[found.whose].tolist()):
        both_blank = bool(blank.flatten()[place]) and bool(blank.flatten()[owner])
        assert owner == place or (both_blank and owner % columns == place % columns and owner < place)
    assert len(found.kept) == int((~blank).sum() + blank.any(0).sum())
