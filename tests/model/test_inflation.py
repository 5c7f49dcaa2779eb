from __future__ import annotations

import pytest
import torch
from torch.nn import functional
from transformers import SiglipVisionModel

from brain3d.model import Brain3DVisionTower, inflate, inflate_kernel
from brain3d.model.positions import resample_positions


@pytest.fixture
def flat(vision_config) -> SiglipVisionModel:
    return SiglipVisionModel(vision_config).eval()


@pytest.mark.parametrize("how", ["average", "center"])
@pytest.mark.parametrize(("depth", "stride"), [(2, 2), (3, 1), (8, 1)])
def test_equal_slices_give_the_2d_embeddings_on_every_plane(flat, make_config, how, depth, stride):
    config = make_config(
        inflation=how, depth_patch_size=depth, depth_stride=stride, grid_size=(1, 1, 2), num_visual_tokens=2
    )
    image = torch.rand(2, 1, 12, 16) * 2 - 1
    expected = flat.embeddings(image.expand(-1, 3, -1, -1), interpolate_pos_encoding=True)
    stacked = image[:, :, None].expand(-1, -1, 8, -1, -1)
    planes = inflate(flat, config).embeddings(stacked).unflatten(1, (config.token_grid[0], -1))
    for plane in planes.unbind(1):
        torch.testing.assert_close(plane, expected, atol=1e-5, rtol=0)


def test_the_encoder_is_siglips_own(flat, make_config):
    config = make_config(depth_patch_size=8, depth_stride=8, grid_size=(1, 1, 2), num_visual_tokens=2)
    image = torch.rand(1, 1, 12, 16) * 2 - 1
    expected = flat(image.expand(-1, 3, -1, -1), interpolate_pos_encoding=True).last_hidden_state
    tower = inflate(flat, config).eval()
    actual = tower(image[:, :, None].expand(-1, -1, 8, -1, -1)).last_hidden_state
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("depth", "stride"), [(2, 2), (3, 2), (4, 1)])
def test_patches_are_those_of_a_convolution(make_config, volumes, depth, stride):
    config = make_config(depth_patch_size=depth, depth_stride=stride)
    patches = Brain3DVisionTower(config).embeddings.patch_embedding
    with torch.no_grad():
        patches.bias.normal_()
    convolved = functional.conv3d(volumes, patches.weight, patches.bias, stride=(stride, 4, 4))
    torch.testing.assert_close(patches(volumes), convolved.flatten(3).permute(0, 2, 3, 1), atol=1e-5, rtol=1e-5)


def test_a_remainder_that_fills_no_patch_is_left_out(make_config):
    config = make_config(compression="sequence", num_visual_tokens=4, volume_shape=(9, 14, 15))
    volume = torch.rand(1, 1, 9, 14, 15)
    patches = Brain3DVisionTower(config).embeddings.patch_embedding
    convolved = functional.conv3d(volume, patches.weight, patches.bias, stride=(2, 4, 4))
    assert convolved.shape[2:] == config.token_grid == (4, 3, 3)
    torch.testing.assert_close(patches(volume), convolved.flatten(3).permute(0, 2, 3, 1), atol=1e-5, rtol=1e-5)


def test_colour_planes_are_summed_and_spread_or_centred():
    kernel = torch.arange(2 * 3 * 2 * 2, dtype=torch.float32).reshape(2, 3, 2, 2)
    spread = inflate_kernel(kernel, 4)
    assert spread.shape == (2, 1, 4, 2, 2)
    assert spread[0, 0, :, 0, 0].tolist() == [3.0, 3.0, 3.0, 3.0]
    assert torch.allclose(inflate_kernel(kernel, 4, colour="averaged") * 3, spread)
    with pytest.raises(ValueError, match="summed, averaged"):
        inflate_kernel(kernel, 4, colour="grey")
    assert inflate_kernel(kernel, 3, "center")[0, 0, :, 0, 0].tolist() == [0.0, 12.0, 0.0]
    assert inflate_kernel(kernel, 4, "center")[0, 0, :, 0, 0].tolist() == [0.0, 0.0, 12.0, 0.0]
    with pytest.raises(ValueError, match="'edge'"):
        inflate_kernel(kernel, 2, "edge")
    with pytest.raises(ValueError, match="depth 0"):
        inflate_kernel(kernel, 0)


def test_depth_positions_start_at_zero_and_move_whole_planes(flat, make_config, volumes):
    tower = inflate(flat, make_config())
    depth = tower.embeddings.positions.depth
    assert depth.shape == (4, 16)
    assert not depth.any()
    before = tower.embeddings(volumes)
    with torch.no_grad():
        depth[2] = 1.0
    moved = (tower.embeddings(volumes) - before).unflatten(1, (4, 12))
    torch.testing.assert_close(moved[:, 2], torch.ones_like(moved[:, 2]))
    assert not moved[:, [0, 1, 3]].any()


def test_positions_keep_their_grid_or_name_a_table_that_is_not_square():
    table = torch.randn(16, 5)
    assert torch.equal(resample_positions(table, 4, 4), table)
    assert resample_positions(table, 3, 6).shape == (18, 5)
    with pytest.raises(ValueError, match="15 rows"):
        resample_positions(table[:15], 4, 4)


def test_a_2d_model_of_another_size_is_refused(flat, make_config, vision_config):
    wider = vision_config.to_dict() | {"hidden_size": 32}
    with pytest.raises(ValueError, match=r"hidden_size is 16.*says 32"):
        inflate(flat, make_config(vision_config=wider))


@pytest.mark.parametrize("shape", [(1, 1, 8, 12, 15), (1, 3, 8, 12, 16), (1, 8, 12, 16)])
def test_a_volume_of_another_shape_is_refused(make_config, shape):
    with pytest.raises(ValueError, match=r"pixel_values have shape .*expected \(batch, \*\(1, 8, 12, 16\)\)"):
        Brain3DVisionTower(make_config())(torch.zeros(shape))
