from __future__ import annotations

import json
import subprocess
import sys

import pytest
import torch
from transformers import Gemma3TextConfig, SiglipVisionConfig

from brain3d.model import Brain3DConfig, Brain3DForConditionalGeneration
from brain3d.scans.types import VolumeSpec


def test_sizes_follow_from_the_volume_and_the_patch(make_config):
    config = make_config()
    assert config.token_grid == (4, 3, 4)
    assert config.num_tower_tokens == 48
    assert config.num_visual_tokens == 4
    assert config.compressed_size == 16
    assert make_config(grid_reduce="mean_max").compressed_size == 32
    assert make_config(depth_patch_size=3, depth_stride=1).token_grid == (6, 3, 4)
    assert make_config(depth_patch_size=2, depth_stride=1, depth_padding=1).token_grid == (9, 3, 4)
    assert config.volume_spec() == VolumeSpec((8, 12, 16), 4.0)


def test_sequence_takes_odd_columns_and_32_tokens_unless_told(make_config):
    assert make_config(compression="sequence").num_visual_tokens == 32
    assert make_config(compression="sequence", volume_shape=(8, 12, 12)).token_grid == (4, 3, 3)


@pytest.mark.parametrize(
    ("changes", "numbers"),
    [
        ({"grid_size": (2, 1, 3)}, ["3 columns"]),
        ({"volume_shape": (8, 12, 12)}, ["12", "8", "3 columns"]),
        ({"volume_shape": (8, 12, 18)}, ["18", "8"]),
        ({"grid_size": (2, 4, 2)}, ["(2, 4, 2)", "(4, 3, 4)"]),
        ({"num_visual_tokens": 5}, ["5", "makes 4"]),
        ({"compression": "sequence", "num_visual_tokens": 49}, ["49", "48"]),
        ({"compression": "perceiver", "perceiver_heads": 3}, ["16", "3"]),
        ({"image_token_id": 400}, ["400", "vocabulary of"]),
        ({"depth_patch_size": 9}, ["9", "8"]),
        ({"depth_stride": 0}, ["0"]),
        ({"volume_shape": (8, 3, 16)}, ["4", "(3, 16)"]),
        ({"depth_padding": 2}, ["depth_padding 2", "0..1"]),
        ({"colour": "grey"}, ["'grey'", "summed, averaged"]),
        ({"positions": "none"}, ["'none'", "kept, published"]),
        ({"preprocessing": "mine"}, ["'mine'", "own, published"]),
        ({"inflation": "mean"}, ["'mean'", "average, center"]),
        ({"compression": "none"}, ["'none'", "grid, sequence, perceiver"]),
        ({"grid_reduce": "max"}, ["'max'", "mean, mean_max"]),
        ({"grid_size": (2, 2)}, ["(2, 2)", "three"]),
    ],
)
def test_sizes_that_do_not_fit_are_refused_with_both_numbers(make_config, changes, numbers):
    with pytest.raises(ValueError, match=r".") as caught:
        make_config(**changes)
    for number in numbers:
        assert number in str(caught.value)


def test_a_language_model_that_attends_both_ways_is_refused(make_config, text_config):
    both_ways = text_config.to_dict() | {"use_bidirectional_attention": True}
    with pytest.raises(ValueError, match="causal"):
        make_config(text_config=both_ways)


@pytest.mark.parametrize("compression", ["grid", "sequence", "perceiver"])
def test_a_saved_config_comes_back_equal(make_config, tmp_path, compression):
    config = make_config(compression=compression, grid_reduce="mean_max", evidence_head=True, vis_scale_init=0.5)
    config.save_pretrained(tmp_path)
    loaded = Brain3DConfig.from_pretrained(tmp_path)
    assert json.loads(loaded.to_json_string()) == json.loads(Brain3DConfig.from_pretrained(tmp_path).to_json_string())
    for name in (
        "volume_shape",
        "grid_size",
        "num_visual_tokens",
        "compressed_size",
        "vis_scale_init",
        "prompt",
    ):
        assert getattr(loaded, name) == getattr(config, name)
    assert loaded.text_config.hidden_size == 24
    assert loaded.vision_config.patch_size == 4


def test_the_full_size_builds_on_the_meta_device():
    config = Brain3DConfig(
        vision_config=SiglipVisionConfig(
            hidden_size=1152,
            intermediate_size=4304,
            num_hidden_layers=27,
            num_attention_heads=16,
            image_size=448,
            patch_size=14,
        ),
        text_config=Gemma3TextConfig(
            vocab_size=262_208,
            hidden_size=2560,
            intermediate_size=10_240,
            num_hidden_layers=34,
            num_attention_heads=8,
            num_key_value_heads=4,
            head_dim=256,
        ),
        volume_shape=(96, 112, 112),
        spacing_mm=1.75,
        depth_patch_size=8,
        depth_stride=8,
        grid_size=(4, 4, 4),
        grid_reduce="mean_max",
    )
    with torch.device("meta"):
        model = Brain3DForConditionalGeneration(config)
        features = model.get_image_features(torch.zeros(2, 1, 96, 112, 112))
    assert features.last_hidden_state.shape == (2, 12 * 8 * 8, 1152)
    assert features.pooler_output.shape == (2, 64, 2560)
    assert model.model.vision_tower.embeddings.patch_embedding.weight.shape == (1152, 1, 8, 14, 14)
    assert len(model.model.vision_tower.encoder.layers) == 27
    assert 4.2e9 < sum(p.numel() for p in model.parameters()) < 4.5e9


def test_importing_the_package_imports_no_torch():
    code = "import sys, brain3d.model; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_an_unknown_name_is_an_attribute_error():
    import brain3d.model

    with pytest.raises(AttributeError, match="Brain4D"):
        _ = brain3d.model.Brain4D  # type: ignore[attr-defined]
    assert "Brain3DModel" in dir(brain3d.model)
