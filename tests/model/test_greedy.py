"""The decoder with a static cache writes what `generate` writes; what a graph of it may not do is found out."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy

import pytest
import torch
from torch import Tensor
from transformers import GenerationConfig

from brain3d.model import Brain3DConfig, Brain3DForConditionalGeneration
from brain3d.model.greedy import LOOK_EVERY, GreedyDecoder, Shape, fits, has_rules

ROWS, NEW = 3, 40
VISUAL, PROMPT = 4, 7  # tokens


@pytest.fixture(scope="module")
def model(make_config: Callable[..., Brain3DConfig]) -> Brain3DForConditionalGeneration:
    """One whose greedy words are not all the same; with both kinds of Gemma layers."""
    torch.manual_seed(3)
    model = Brain3DForConditionalGeneration(make_config()).eval()
    with torch.no_grad():
        for parameter in model.model.language_model.layers.parameters():
            parameter.normal_(std=0.4)
    return model


@torch.inference_mode()
def prompts(model: Brain3DForConditionalGeneration, seed: int, rows: int = ROWS) -> Tensor:
    features = torch.randn(rows, VISUAL, 24, generator=torch.Generator().manual_seed(seed))
    ids = torch.tensor([[3] * VISUAL + [5, 6, 7]] * rows)
    return model.model.merge(ids.to(model.device), features.to(model.device))


def generated(model: Brain3DForConditionalGeneration, embeds: Tensor, ends: list[int] | None, new: int) -> Tensor:
    settings = {"min_new_tokens": new} if ends is None else {}
    ids: Tensor = model.generate(
        inputs_embeds=embeds,
        attention_mask=torch.ones(embeds.shape[:2], dtype=torch.long, device=embeds.device),
        max_new_tokens=new,
        do_sample=False,
        eos_token_id=ends,
        pad_token_id=0,
        **settings,
    )
    return ids


def test_it_writes_what_generate_writes(model: Brain3DForConditionalGeneration) -> None:
    """One decoder for several prompts, each time with the cache of the one before."""
    decoder = GreedyDecoder(model, Shape(ROWS, PROMPT, NEW), "plain")
    for seed in range(3):
        embeds = prompts(model, seed)
        expected = generated(model, embeds, None, NEW)
        assert len(set(expected.flatten().tolist())) > 1
        assert torch.equal(decoder(embeds), expected)


def test_a_row_ends_at_its_own_end_and_the_text_at_the_last(model: Brain3DForConditionalGeneration) -> None:
    """Ends that the rows meet at once, later, at different times, some of them or none at all."""
    decoder, embeds = GreedyDecoder(model, Shape(ROWS, PROMPT, NEW), "plain"), prompts(model, 0)
    free = decoder(embeds)
    widths = set()
    for column in (0, 1, 2, 5, 10, 20, NEW - 1):
        for ends in (free[:, column].tolist(), free[:1, column].tolist(), free[::2, column].tolist()):
            expected = generated(model, embeds, ends, NEW)
            assert torch.equal(decoder(embeds, ends), expected)
            widths.add(expected.shape[1])
    assert min(widths) < LOOK_EVERY
    assert len(widths) > 3
    one = GreedyDecoder(model, Shape(1, PROMPT, 1), "plain")
    assert torch.equal(one(embeds[:1], [1]), generated(model, embeds[:1], [1], 1))


def test_a_text_beyond_the_sliding_window_is_not_for_it(model: Brain3DForConditionalGeneration) -> None:
    window = model.config.text_config.sliding_window
    longest = Shape(1, PROMPT, window - PROMPT)
    assert fits(model, longest)
    embeds = prompts(model, 5, rows=1)
    assert torch.equal(GreedyDecoder(model, longest, "plain")(embeds), generated(model, embeds, None, longest.new))
    beyond = longest._replace(new=longest.new + 1)
    assert not fits(model, beyond)
    with pytest.raises(ValueError, match="more than the sliding window"):
        GreedyDecoder(model, beyond)
    with pytest.raises(ValueError, match="way is 'fast'"):
        GreedyDecoder(model, longest, "fast")


def test_attention_that_adds_masks_up_is_not_for_it(make_config: Callable[..., Brain3DConfig]) -> None:
    """`eager` adds the mask to the logits: one of truth values would let a little of everything through."""
    model = Brain3DForConditionalGeneration(make_config()).eval()
    assert fits(model, Shape(1, PROMPT, 1))
    model.set_attn_implementation("eager")
    assert not fits(model, Shape(1, PROMPT, 1))
    with pytest.raises(ValueError, match="attention is not sdpa"):
        GreedyDecoder(model, Shape(1, PROMPT, 1), "plain")


def test_what_a_model_rules_on_words_is_seen() -> None:
    """MedGemma's own settings are no rules where the likeliest word is taken."""
    usual = {"do_sample": True, "top_k": 64, "top_p": 0.95, "eos_token_id": [1, 106], "cache_implementation": "hybrid"}
    assert not has_rules(GenerationConfig(**usual))
    for rule in ({"suppress_tokens": [7]}, {"forced_eos_token_id": 1}, {"min_length": 20}, {"bad_words_ids": [[7]]}):
        assert has_rules(GenerationConfig(**usual, **rule))


def with_graph(
    model: Brain3DForConditionalGeneration, monkeypatch: pytest.MonkeyPatch, replay: Callable[[GreedyDecoder], object]
) -> GreedyDecoder:
    """A decoder whose graph is what `replay` makes of it, captured or not: these tests have no GPU."""

    def tried(decoder: GreedyDecoder, embeds: Tensor, step: Callable[[], None], tokens: int) -> Tensor:
        decoder._prefill(embeds)
        for _ in range(tokens - 1):
            step()
        return decoder.written[:, :tokens].clone()

    monkeypatch.setattr(GreedyDecoder, "_tried", tried)
    monkeypatch.setattr(GreedyDecoder, "_capture", lambda decoder, embeds, step: replay(decoder))
    return GreedyDecoder(model, Shape(ROWS, PROMPT, NEW), "graph")


def test_a_graph_that_writes_the_same_is_replayed(
    model: Brain3DForConditionalGeneration, monkeypatch: pytest.MonkeyPatch
) -> None:
    replayed = []

    def replay(decoder: GreedyDecoder) -> Callable[[], None]:
        return lambda: (decoder._step(), replayed.append(1))[0]

    decoder, embeds = with_graph(model, monkeypatch, replay), prompts(model, 0)
    assert torch.equal(decoder(embeds), generated(model, embeds, None, NEW))
    tried = len(replayed) - (NEW - 1)
    assert tried == 7
    decoder(prompts(model, 1))
    assert len(replayed) == tried + 2 * (NEW - 1)  # captured and tried once


@pytest.mark.parametrize("fault", ["others", "cannot"])
def test_a_graph_that_is_no_good_is_not_used(
    model: Brain3DForConditionalGeneration, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    def replay(decoder: GreedyDecoder) -> Callable[[], None]:
        if fault == "cannot":
            raise RuntimeError("operation not permitted when stream is capturing\nmore")
        return lambda: decoder._write(torch.zeros(ROWS, 1, model.config.text_config.vocab_size))

    decoder, embeds = with_graph(model, monkeypatch, replay), prompts(model, 0)
    told = "would write others" if fault == "others" else "cannot be captured: operation not permitted"
    with pytest.warns(UserWarning, match=told):
        first = decoder(embeds)
    assert torch.equal(first, generated(model, embeds, None, NEW))
    assert torch.equal(decoder(prompts(model, 1)), generated(model, prompts(model, 1), None, NEW))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="a CUDA graph needs a CUDA GPU")
@pytest.mark.filterwarnings("error:words are chosen without a CUDA graph")
@pytest.mark.parametrize("way", ["graph", "compiled graph"])
def test_a_graph_on_a_gpu_writes_what_generate_writes(model: Brain3DForConditionalGeneration, way: str) -> None:
    there = deepcopy(model).to("cuda")
    decoder = GreedyDecoder(there, Shape(ROWS, PROMPT, NEW), way)
    for seed in range(3):
        embeds = prompts(there, seed)
        free = generated(there, embeds, None, NEW)
        assert torch.equal(decoder(embeds), free)
        ends = free[:, 20].tolist()
        assert torch.equal(decoder(embeds, ends), generated(there, embeds, ends, NEW))
