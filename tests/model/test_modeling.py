from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional
from transformers import Gemma3ForCausalLM, SiglipVisionModel

from brain3d.model import Brain3DForConditionalGeneration, Brain3DModel
from brain3d.model.loss import report_loss
from brain3d.model.projector import GELU_RMS, initial_scale

PROMPT_IDS = [2, 5, 6, 7, 8]


def ids(rows: int = 3, images: int = 4) -> torch.Tensor:
    return torch.tensor([[3] * images + PROMPT_IDS] * rows)


def test_visual_tokens_are_the_projected_standardised_boxes(make_model, volumes):
    model = make_model(grid_reduce="mean_max", feature_standardisation=True).model
    mean, std = torch.randn(32), torch.rand(32) + 0.5
    model.set_feature_statistics(mean, std)
    features = model.get_image_features(volumes)
    assert features.last_hidden_state.shape == (3, 48, 16)

    projector = model.projector
    inputs = (model.compression(features.last_hidden_state) - mean) / std
    hidden = inputs @ projector.linear_1.weight.T + projector.linear_1.bias
    hidden = hidden * 0.5 * (1 + torch.erf(hidden / math.sqrt(2)))
    expected = (hidden @ projector.linear_2.weight.T + projector.linear_2.bias) * projector.vis_scale
    torch.testing.assert_close(features.pooler_output, expected, atol=1e-5, rtol=1e-5)


def test_the_arithmetic_has_not_drifted(make_model):
    model = make_model()
    with torch.no_grad():
        for index, (_, parameter) in enumerate(sorted(model.named_parameters())):
            steps = torch.arange(parameter.numel(), dtype=torch.float64)
            parameter.copy_((0.3 * torch.sin(steps * 0.37 + index)).reshape(parameter.shape))
    steps = torch.arange(8 * 12 * 16, dtype=torch.float64)
    volume = torch.cos(steps**2 * 0.11).reshape(1, 1, 8, 12, 16).float()
    with torch.no_grad():
        outputs = model(ids(1), pixel_values=volume)
    golden = torch.tensor(GOLDEN_VISUAL), torch.tensor(GOLDEN_LOGITS)
    torch.testing.assert_close(outputs.image_hidden_states[0, :, 0], golden[0], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(outputs.logits[0, -1, :5], golden[1], atol=1e-5, rtol=1e-4)


def test_initial_visual_tokens_are_as_large_as_text_embeddings(make_config, make_model):
    torch.testing.assert_close(
        functional.gelu(torch.randn(200_000)).square().mean().sqrt(),
        torch.tensor(GELU_RMS),
        atol=3e-3,
        rtol=0,
    )
    model = make_model(projector_hidden_size=512).model
    visual = model.project(torch.randn(64, 4, 16))
    text = model.get_input_embeddings()(torch.arange(1, 20))
    ratio = visual.square().mean().sqrt() / text.square().mean().sqrt()
    assert 0.6 < ratio < 1.6
    assert initial_scale(make_config(vis_scale_init=0.25)) == 0.25


def test_cached_features_give_what_pixels_give(make_model, volumes):
    model = make_model(grid_reduce="mean_max", feature_standardisation=True)
    compressed = model.model.compress(model.model.encode(volumes))
    with torch.no_grad():
        pixels = model(ids(), pixel_values=volumes)
        features = model(ids(), image_features=pixels.image_hidden_states)
        tokens = model(ids(), compressed_tokens=compressed)
        half = model(ids(), compressed_tokens=compressed.half())
    torch.testing.assert_close(features.logits, pixels.logits)
    torch.testing.assert_close(tokens.logits, pixels.logits)
    torch.testing.assert_close(half.logits, pixels.logits, atol=1e-2, rtol=1e-2)


def test_visual_tokens_are_attended_to_causally(make_model):
    model = make_model().model
    features = torch.randn(1, 4, 24)
    later = features.clone()
    later[:, 2] += 1.0
    before = model(ids(1), image_features=features).last_hidden_state
    after = model(ids(1), image_features=later).last_hidden_state
    torch.testing.assert_close(after[:, :2], before[:, :2])
    assert (after[:, 2:] - before[:, 2:]).abs().amax(-1).min() > 1e-4


def test_the_loss_is_cross_entropy_over_the_labelled_tokens(make_model):
    model = make_model()
    labels = ids(2)
    labels[:, :6] = -100
    labels[1, 6:8] = -100
    outputs = model(ids(2), image_features=torch.randn(2, 4, 24), labels=labels)
    log_probabilities = outputs.logits.log_softmax(-1)
    wanted = [(0, 6), (0, 7), (0, 8), (1, 8)]
    picked = torch.stack([-log_probabilities[row, at - 1, labels[row, at]] for row, at in wanted])
    torch.testing.assert_close(outputs.loss, picked.mean())

    weights = torch.rand(2, 9)
    weighted = report_loss(outputs.logits, labels, weights)
    shares = torch.stack([weights[row, at] for row, at in wanted])
    torch.testing.assert_close(weighted, (picked * shares).sum() / shares.sum())
    torch.testing.assert_close(report_loss(outputs.logits, labels, None, 8), picked.sum() / 8)


@pytest.mark.parametrize("cap", [None, 2.0])
def test_the_loss_alone_is_the_loss_beside_all_logits(make_model, text_config, cap):
    model = make_model(text_config={**text_config.to_dict(), "final_logit_softcapping": cap})
    features, labels, weights = torch.randn(2, 4, 24, requires_grad=True), ids(2), torch.rand(2, 9)
    labels[:, :6] = -100
    labels[1, 6:8] = -100
    for settings in ({}, {"loss_weights": weights}, {"loss_weights": weights, "num_items_in_batch": 8}):
        whole, alone = (
            model(ids(2), image_features=features, labels=labels, loss_only=loss_only, **settings)
            for loss_only in (False, True)
        )
        assert alone.logits is None
        torch.testing.assert_close(alone.loss, whole.loss, atol=1e-6, rtol=1e-6)
        one, other = (torch.autograd.grad(outputs.loss, features)[0] for outputs in (alone, whole))
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-5)
    with pytest.raises(ValueError, match="no labels"):
        model(ids(2), image_features=features, loss_only=True)
    for loss_only in (False, True):
        with pytest.raises(ValueError, match=r"labels have shape \(2, 8\), what predicts them \(2, 9\)"):
            model(ids(2), image_features=features, labels=labels[:, 1:], loss_only=loss_only)


def test_generation_from_features_is_generation_from_pixels(make_model, volumes):
    model = make_model()
    settings = {"max_new_tokens": 6, "do_sample": False, "eos_token_id": None, "pad_token_id": 0}
    prompt = {"input_ids": ids(), "attention_mask": torch.ones_like(ids())}
    features = model.get_image_features(volumes).pooler_output
    compressed = model.model.compress(model.model.encode(volumes))
    expected = model.generate(**prompt, pixel_values=volumes, **settings)
    assert expected.shape == (3, 15)
    assert torch.equal(model.generate(**prompt, image_features=features, **settings), expected)
    assert torch.equal(model.generate(**prompt, compressed_tokens=compressed, **settings), expected)
    assert torch.equal(model.generate(**prompt, image_features=features, use_cache=False, **settings), expected)

    step = torch.cat([ids(), model(ids(), image_features=features).logits[:, -1:].argmax(-1)], dim=1)
    assert torch.equal(expected[:, :10], step)
    blank = model(ids(), image_features=torch.zeros_like(features)).logits
    assert (blank - model(ids(), image_features=features).logits).abs().max() > 1e-3


def test_beams_and_samples_carry_their_image_along(make_model, volumes):
    model = make_model()
    prompt = {"input_ids": ids(), "attention_mask": torch.ones_like(ids()), "pad_token_id": 0}
    many = model.generate(**prompt, pixel_values=volumes, num_beams=2, num_return_sequences=2, max_new_tokens=3)
    assert len(many) == 6


def test_a_row_padded_on_the_left_is_answered_as_alone(make_model, volumes):
    model = make_model()
    short, long = ids(1)[0, :7], ids(1)[0]
    batch = torch.stack([torch.cat([torch.zeros(2, dtype=torch.long), short]), long])
    settings = {"max_new_tokens": 5, "do_sample": False, "eos_token_id": None, "pad_token_id": 0}
    together = model.generate(input_ids=batch, attention_mask=(batch != 0).long(), pixel_values=volumes[:2], **settings)
    for row, (alone, volume) in enumerate(zip((short, long), volumes[:2].split(1), strict=True)):
        single = model.generate(
            input_ids=alone[None], attention_mask=torch.ones(1, len(alone)), pixel_values=volume, **settings
        )
        assert torch.equal(together[row, -5:], single[0, -5:])


def test_evidence_is_one_logit_per_patch(make_model, volumes):
    model = make_model(evidence_head=True).model
    tokens = model.encode(volumes)
    evidence = model.evidence(tokens)
    assert evidence.shape == (3, 4, 3, 4)
    expected = tokens[1, (2 * 3 + 1) * 4 + 3] @ model.evidence_head.weight[0] + model.evidence_head.bias[0]
    torch.testing.assert_close(evidence[1, 2, 1, 3], expected)
    with pytest.raises(ValueError, match="evidence_head"):
        make_model().model.evidence(tokens)


def test_from_parts_keeps_both_parts(make_config, vision_config, text_config, volumes):
    flat, language = SiglipVisionModel(vision_config).eval(), Gemma3ForCausalLM(text_config).eval()
    model = Brain3DForConditionalGeneration.from_parts(flat, language, make_config()).eval()
    text = torch.tensor([PROMPT_IDS])
    torch.testing.assert_close(model(text).logits, language(text).logits)
    assert model.lm_head.weight is model.model.language_model.embed_tokens.weight
    kernel = model.model.vision_tower.embeddings.patch_embedding.weight
    torch.testing.assert_close(kernel.sum((1, 2)), flat.embeddings.patch_embedding.weight.sum(1))
    rms = language.model.embed_tokens.weight.square().mean().sqrt()
    torch.testing.assert_close(model.model.projector.vis_scale.detach(), rms * 24**0.5 / GELU_RMS)
    bare = Brain3DModel.from_parts(flat, language.model, make_config()).eval()
    assert bare(ids(), pixel_values=volumes).last_hidden_state.shape == (3, 9, 24)


def test_a_language_model_of_another_size_is_refused(make_config, vision_config, text_config):
    flat, language = SiglipVisionModel(vision_config), Gemma3ForCausalLM(text_config)
    larger = text_config.to_dict() | {"vocab_size": 500}
    with pytest.raises(ValueError, match=r"vocab_size is \d+.*says 500"):
        Brain3DModel.from_parts(flat, language, make_config(text_config=larger))


def test_tokens_and_features_that_do_not_match_are_refused(make_model, volumes):
    model = make_model()
    features = torch.randn(3, 4, 24)
    uneven = ids()
    uneven[0, 4], uneven[1, 3] = 3, 5
    cases = [
        ({"input_ids": ids(images=3), "image_features": features}, r"\[3, 3, 3\].*per row: 4"),
        ({"input_ids": uneven, "image_features": features}, r"\[5, 3, 4\].*per row: 4"),
        ({"input_ids": ids(2), "image_features": features}, "2 rows, the image features 3"),
        ({"input_ids": ids()}, "12 image tokens, but 0 image features"),
        ({"input_ids": ids(), "image_features": features, "pixel_values": volumes}, "2 of pixel_values"),
        ({"inputs_embeds": torch.randn(3, 9, 24), "image_features": features}, "input_ids instead"),
        ({}, "exactly one of input_ids"),
        ({"input_ids": ids(), "compressed_tokens": torch.randn(3, 4, 8)}, r"\(3, 4, 8\).*\(4, 16\)"),
    ]
    for inputs, message in cases:
        with pytest.raises(ValueError, match=message):
            model(**inputs)
    with pytest.raises(ValueError, match=r"\(3, 47, 16\).*\(48, 16\)"):
        model.model.compress(torch.randn(3, 47, 16))


def test_statistics_that_cannot_be_are_refused(make_model):
    model = make_model(feature_standardisation=True).model
    with pytest.raises(ValueError, match=r"\(3,\), expected \(16,\)"):
        model.set_feature_statistics(torch.zeros(3), torch.ones(16))
    with pytest.raises(ValueError, match="16 of 16"):
        model.set_feature_statistics(torch.zeros(16), torch.zeros(16))
    with pytest.raises(ValueError, match="feature_standardisation false"):
        make_model().model.set_feature_statistics(torch.zeros(16), torch.ones(16))


GOLDEN_VISUAL = [-0.2701077, -0.2495673, -0.2290264, -0.2596109]
GOLDEN_LOGITS = [0.1221401, 0.2835255, -0.6071062, 0.7549204, -0.6841735]
