from __future__ import annotations

import pytest
import torch
from torch import nn

from brain3d.model.compression import LEAST_AMOUNT, build_compression
from brain3d.model.configuration_brain3d import AMOUNT_FEATURES, CONTEXT_MOMENTS


def test_grid_means_and_maxima_are_those_of_the_boxes(make_config):
    tokens = torch.randn(2, 48, 16)
    grid = tokens.reshape(2, 2, 2, 3, 2, 2, 16)
    boxes = grid.permute(0, 1, 4, 2, 3, 5, 6).reshape(2, 4, -1, 16)
    means = build_compression(make_config())(tokens)
    torch.testing.assert_close(means, boxes.mean(2))
    both = build_compression(make_config(grid_reduce="mean_max"))(tokens)
    torch.testing.assert_close(both, torch.cat([boxes.mean(2), boxes.amax(2)], dim=-1))


@pytest.mark.parametrize("reduce", ["mean", "mean_max"])
@pytest.mark.parametrize(("width", "columns"), [(16, 2), (16, 4), (24, 4), (40, 4), (40, 6)])
def test_what_is_right_does_not_reach_the_left(make_config, reduce, width, columns):
    config = make_config(volume_shape=(8, 12, width), grid_size=(3, 2, columns), grid_reduce=reduce)
    pool = build_compression(config)
    tokens = torch.randn(1, *config.token_grid, 16)
    disturbed = tokens.clone()
    disturbed[:, :, :, config.token_grid[2] // 2 :] += 5.0
    before = pool(tokens.flatten(1, 3)).unflatten(1, config.grid_size)
    after = pool(disturbed.flatten(1, 3)).unflatten(1, config.grid_size)
    assert torch.equal(before[..., : columns // 2, :], after[..., : columns // 2, :])
    assert (before[..., columns // 2 :, :] != after[..., columns // 2 :, :]).any(-1).all()


def test_mirrored_tokens_give_mirrored_boxes(make_config):
    config = make_config(volume_shape=(8, 12, 40), grid_size=(3, 2, 4), grid_reduce="mean_max")
    pool = build_compression(config)
    tokens = torch.randn(1, *config.token_grid, 16)
    straight = pool(tokens.flatten(1, 3)).unflatten(1, config.grid_size)
    mirrored = pool(tokens.flip(3).flatten(1, 3)).unflatten(1, config.grid_size)
    torch.testing.assert_close(mirrored, straight.flip(3))


def test_the_context_follows_the_tokens_that_score(make_config):
    config = make_config(grid_context=True)
    pool = build_compression(config)
    assert config.compressed_size == 3 * 16 + CONTEXT_MOMENTS
    tokens = torch.randn(2, 48, 16)
    with torch.no_grad():
        pool.context.score.weight.zero_()
        pool.context.score.weight[0, 0] = 1.0
        pool.context.score.bias.zero_()
    tokens[..., 0] = -20.0
    tokens[0, [3, 40], 0] = 20.0
    pooled = pool(tokens)
    assert pooled.shape == (2, config.num_visual_tokens, config.compressed_size)
    assert torch.equal(pooled[..., 16:], pooled[:, :1, 16:].expand_as(pooled[..., 16:]))
    torch.testing.assert_close(pooled[0, 0, 16:32], tokens[0, [3, 40]].mean(0))
    torch.testing.assert_close(pooled[1, 0, 16:32], tokens[1].mean(0))  # where nothing scores, all count alike
    torch.testing.assert_close(pooled[:, 0, 32:48], tokens.mean(1))


def test_the_context_of_mirrored_tokens_differs_in_left_and_right_alone(make_config):
    config = make_config(grid_context=True)
    pool = build_compression(config)
    tokens = torch.randn(1, *config.token_grid, 16)
    straight, mirrored = (pool(x.flatten(1, 3))[0, 0, 16:] for x in (tokens, tokens.flip(3)))
    lateral = [2 * 16 + 2, 2 * 16 + 5]  # the difference of the two shares, and the mean place along W
    torch.testing.assert_close(straight[lateral], -mirrored[lateral])
    straight[lateral] = mirrored[lateral] = 0.0
    torch.testing.assert_close(straight, mirrored)


def test_moments_are_those_of_the_tokens_that_matter(make_config):
    config = make_config(volume_shape=(8, 12, 16), grid_context=True)
    context = build_compression(config).context
    depth, height, width = config.token_grid
    scores = torch.full((1, depth, height, width), -30.0)
    scores[0, 0, :, -1] = 30.0  # one row along H, at the lower end of D and the right end of W
    flat = scores.flatten(1)
    moments = context.moments(flat, (2 * torch.nn.functional.logsigmoid(flat)).softmax(1))[0]
    spread = float(torch.linspace(-1, 1, height).std(correction=0))
    expected = [30.0, float(torch.tensor(float(height)).log()), 1.0, -1.0, 0.0, 1.0, 0.001, spread, 0.001]
    torch.testing.assert_close(moments, torch.tensor(expected), atol=1e-4, rtol=1e-4)


def test_amounts_are_summed_over_the_head(make_config):
    config = make_config(grid_context=True, context_amounts=3)
    context = build_compression(config).context
    assert config.compressed_size == 3 * 16 + CONTEXT_MOMENTS + AMOUNT_FEATURES * 3 + 1
    scores, logits = torch.full((1, 48), -30.0), torch.full((1, 48, 3), -30.0)
    logits[0, :10, 0] = 0.0  # half of ten patches, four of which matter
    logits[0, 20:22, 1] = 30.0  # two whole ones that do not
    scores[0, :4] = 30.0
    *sums, centre = context.totals(scores, logits)[0].split(3)
    left, right, gated, total = (part.exp().sub(LEAST_AMOUNT) for part in sums)
    torch.testing.assert_close(left + right, gated)
    torch.testing.assert_close(gated, torch.tensor([2.0, 0.0, 0.0]), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(total, torch.tensor([5.0, 2.0, 0.0]), atol=1e-4, rtol=1e-4)
    assert centre.abs().max() <= 1


def test_shares_are_of_the_lesion_left_and_right_together(make_config):
    config = make_config(volume_shape=(8, 12, 24), grid_context=True, context_amounts=3)
    context = build_compression(config).context
    grid = config.token_grid
    scores, logits = torch.full((1, *grid), 30.0), torch.full((1, *grid, 3), -30.0)
    logits[0, 0, 0, 0, 0] = logits[0, 0, 1, 0, 0] = logits[0, 0, 2, 0, 0] = 30.0  # three patches of lesion at the left
    logits[0, 0, 0, -1, 1] = 30.0  # and one at the right
    logits[0, 0, 0, 0, 2] = 0.0  # half a patch of the third amount
    *shares, middle = context.shares(scores.flatten(1), logits.flatten(1, 3))[0].tolist()
    assert shares == pytest.approx([0.75, 0.25, 0.125], abs=0.01)
    assert middle == pytest.approx(-0.5, abs=0.01)
    scores[0, 0, 0, -1] = -30.0  # what does not matter is not counted
    assert context.shares(scores.flatten(1), logits.flatten(1, 3))[0, 0] == pytest.approx(1.0, abs=0.01)


def test_every_place_has_a_prior_for_what_it_holds(make_config):
    config = make_config(grid_context=True, context_amounts=2)
    context = build_compression(config).context
    tokens = torch.randn(2, 48, 16)
    before = context.measure(tokens)
    with torch.no_grad():
        context.prior[7, 1] = 3.0
    changed = context.measure(tokens) - before
    torch.testing.assert_close(changed[:, 7, 1], torch.full((2,), 3.0))
    changed[:, 7, 1] = 0.0
    assert not changed.any()


def test_amounts_of_mirrored_tokens_change_sides(make_config):
    config = make_config(volume_shape=(8, 12, 24), grid_context=True, context_amounts=2)
    context = build_compression(config).context
    scores, logits = torch.randn(1, *config.token_grid), torch.randn(1, *config.token_grid, 2)
    straight = context.totals(scores.flatten(1), logits.flatten(1, 3))[0].split(2)
    mirrored = context.totals(scores.flip(3).flatten(1), logits.flip(3).flatten(1, 3))[0].split(2)
    torch.testing.assert_close(mirrored[0], straight[1])
    torch.testing.assert_close(mirrored[1], straight[0])
    torch.testing.assert_close(mirrored[2:4], straight[2:4])
    torch.testing.assert_close(mirrored[4], -straight[4])


def test_sequence_is_adaptive_pooling_over_flattened_tokens(make_config):
    tokens = torch.randn(2, 48, 16)
    pooled = build_compression(make_config(compression="sequence", num_visual_tokens=7))(tokens)
    expected = nn.AdaptiveAvgPool1d(7)(tokens.transpose(1, 2)).transpose(1, 2)
    torch.testing.assert_close(pooled, expected)
    torch.testing.assert_close(pooled[:, 0], tokens[:, :7].mean(1))


def test_perceiver_does_not_care_about_the_tokens_order(make_config):
    attend = build_compression(make_config(compression="perceiver", num_visual_tokens=5, perceiver_heads=2))
    tokens = torch.randn(2, 48, 16)
    pooled = attend(tokens)
    assert pooled.shape == (2, 5, 16)
    torch.testing.assert_close(attend(tokens[:, torch.randperm(48)]), pooled, atol=1e-5, rtol=1e-5)
    pooled.square().sum().backward()
    assert all(parameter.grad is not None for parameter in attend.parameters())
