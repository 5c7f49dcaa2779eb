from __future__ import annotations

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file

from brain3d.model import LORA_TARGET_PATTERN, Brain3DForConditionalGeneration, Brain3DModel

EVERYTHING = {
    "evidence_head": True,
    "feature_standardisation": True,
    "grid_reduce": "mean_max",
    "grid_context": True,
}
INPUTS = torch.tensor([[3] * 4 + [2, 5, 6]])


def scramble(model: torch.nn.Module) -> None:
    """Gives every parameter and stored buffer a value that no initialisation would."""
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            tensor.copy_(torch.rand_like(tensor) + (0.5 if name.endswith("std") else -0.3))


@pytest.mark.parametrize("changes", [EVERYTHING, {"compression": "perceiver", "num_visual_tokens": 4}])
def test_every_tensor_survives_saving(make_model, volumes, tmp_path, changes):
    model = make_model(**changes)
    scramble(model)
    model.save_pretrained(tmp_path)
    assert not list(tmp_path.glob("*.bin"))
    loaded, report = Brain3DForConditionalGeneration.from_pretrained(tmp_path, output_loading_info=True)
    for problem in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        assert not report[problem]
    assert loaded.state_dict().keys() == model.state_dict().keys()
    for name, tensor in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor), name
    assert loaded.lm_head.weight is loaded.model.language_model.embed_tokens.weight
    with torch.no_grad():
        before, after = (one(INPUTS, pixel_values=volumes[:1]).logits for one in (model, loaded.eval()))
    assert torch.equal(before, after)


def test_buffers_that_are_not_stored_are_made_anew(make_model, tmp_path):
    model = make_model()
    model.save_pretrained(tmp_path)
    buffers = dict(Brain3DForConditionalGeneration.from_pretrained(tmp_path).named_buffers())
    assert buffers.keys() == dict(model.named_buffers()).keys()
    for name, buffer in model.named_buffers():
        assert torch.equal(buffers[name], buffer), name


def test_half_precision_on_disk_loads_as_float32_unless_asked(make_model, tmp_path):
    model = make_model(**EVERYTHING)
    scramble(model)
    model.half().save_pretrained(tmp_path)
    stored = load_file(tmp_path / "model.safetensors")
    assert {tensor.dtype for tensor in stored.values()} == {torch.float16}
    loaded = Brain3DForConditionalGeneration.from_pretrained(tmp_path)
    assert {parameter.dtype for parameter in loaded.parameters()} == {torch.float32}
    for name, tensor in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor.float()), name
    half = Brain3DForConditionalGeneration.from_pretrained(tmp_path, dtype="auto")
    assert half.dtype == torch.float16


def test_the_bare_model_loads_from_the_whole_and_back(make_model, tmp_path):
    model = make_model()
    model.save_pretrained(tmp_path / "whole")
    bare = Brain3DModel.from_pretrained(tmp_path / "whole")
    bare.save_pretrained(tmp_path / "bare")
    whole = Brain3DForConditionalGeneration.from_pretrained(tmp_path / "bare")
    for name, tensor in model.state_dict().items():
        assert torch.equal(whole.state_dict()[name], tensor), name


def test_generation_stops_at_the_text_models_end(make_model, tmp_path):
    model = make_model()
    assert (model.generation_config.eos_token_id, model.generation_config.pad_token_id) == (1, 0)


def test_adapters_land_on_the_language_models_attention_only(make_model, volumes, tmp_path):
    model = make_model()
    lora = LoraConfig(r=2, target_modules=LORA_TARGET_PATTERN, modules_to_save=["projector"])
    adapted = get_peft_model(model, lora)
    adapted_modules = {name.split(".lora_A")[0] for name, _ in adapted.named_parameters() if ".lora_A" in name}
    layers = "base_model.model.model.language_model.layers"
    assert adapted_modules == {f"{layers}.{layer}.self_attn.{letter}_proj" for layer in (0, 1) for letter in "qkvo"}
    trained = [name for name, parameter in adapted.named_parameters() if parameter.requires_grad]
    assert any(name.endswith("vis_scale") for name in trained)
    assert not any("vision_tower" in name for name in trained)

    with torch.no_grad():
        for parameter in adapted.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1)
        expected = adapted.eval()(INPUTS, pixel_values=volumes[:1]).logits
    adapted.save_pretrained(tmp_path)
    again = PeftModel.from_pretrained(make_model(), tmp_path).eval()
    with torch.no_grad():
        torch.testing.assert_close(again(INPUTS, pixel_values=volumes[:1]).logits, expected)
        merged = again.merge_and_unload()
        torch.testing.assert_close(merged(INPUTS, pixel_values=volumes[:1]).logits, expected, atol=1e-4, rtol=1e-4)


def test_gradients_reach_everything_with_and_without_checkpointing(make_model, volumes):
    gradients = []
    for checkpointing in (False, True):
        model = make_model().train()
        if checkpointing:
            model.gradient_checkpointing_enable()
        model(INPUTS, pixel_values=volumes[:1], labels=INPUTS, use_cache=False).loss.backward()
        assert all(parameter.grad is not None for parameter in model.parameters())
        gradients.append(model.model.vision_tower.embeddings.patch_embedding.weight.grad)
    torch.testing.assert_close(gradients[0], gradients[1])
