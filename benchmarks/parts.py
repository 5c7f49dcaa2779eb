"""Parts with random weights for the benchmarks of training and of GPUs: sizes, tokenizer, reports, operations."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import Gemma3TextConfig, PreTrainedTokenizerFast, SiglipVisionConfig

from brain3d.model import Brain3DConfig, Brain3DProcessor
from brain3d.model.configuration_brain3d import PUBLISHED

SPECIALS = ("<pad>", "<eos>", "<bos>", "<image>")
WORDS_OF_A_REPORT = (53, 156)  # of the TextBraTS reports
TOKENS_A_WORD = 1.5


def full_size(**changes: Any) -> Brain3DConfig:
    """The paper's parts: SigLIP so400m/14 over 5,265 tokens, and the language model of Gemma 3 4B."""
    vision = SiglipVisionConfig(
        hidden_size=1152,
        intermediate_size=4304,
        num_hidden_layers=27,
        num_attention_heads=16,
        image_size=448,
        patch_size=14,
        vision_use_head=False,
    )
    text = Gemma3TextConfig(
        vocab_size=262_208,
        hidden_size=2560,
        intermediate_size=10_240,
        num_hidden_layers=34,
        num_attention_heads=8,
        num_key_value_heads=4,
        head_dim=256,
        sliding_window=1024,
    )
    settings = {**PUBLISHED, "image_token_id": 3, **changes}
    return Brain3DConfig(vision_config=vision, text_config=text, **settings)


def tiny(**changes: Any) -> Brain3DConfig:
    """The same architecture in miniature: widths 6 and 10 times smaller, a sixth of the tokens, fewer layers, so
    that encoding a volume costs as many times a training step of the language side as in the full size."""
    vision = SiglipVisionConfig(
        hidden_size=192,
        intermediate_size=717,
        num_hidden_layers=6,
        num_attention_heads=6,
        image_size=112,
        patch_size=14,
        vision_use_head=False,
    )
    text = Gemma3TextConfig(
        vocab_size=2740,
        hidden_size=256,
        intermediate_size=1200,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=64,
        sliding_window=512,
    )
    settings = {**PUBLISHED, "volume_shape": (13, 112, 112), "image_token_id": 3, **changes}
    return Brain3DConfig(vision_config=vision, text_config=text, **settings)


def tiny_on_the_full_grid(**changes: Any) -> Brain3DConfig:
    """Few layers of small width that read the published volume, 5,265 tokens: encoding it is nearly all attention, and
    costs some sixty times what a training step of the language side does."""
    vision = SiglipVisionConfig(
        hidden_size=64,
        intermediate_size=239,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=448,
        patch_size=14,
        vision_use_head=False,
    )
    text = Gemma3TextConfig(
        vocab_size=2740,
        hidden_size=64,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=32,
        sliding_window=512,
    )
    settings = {**PUBLISHED, "image_token_id": 3, **changes}
    return Brain3DConfig(vision_config=vision, text_config=text, **settings)


def processor_of(config: Brain3DConfig) -> Brain3DProcessor:
    """Whole words, "w0", "w1" and so on, each one token, as many as the vocabulary has room for (at most 20,000)."""
    words = [*SPECIALS, *(f"w{k}" for k in range(min(config.text_config.vocab_size, 20_000) - len(SPECIALS)))]
    plain = Tokenizer(models.WordLevel({word: k for k, word in enumerate(words)}, unk_token="w0"))
    plain.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=plain, pad_token="<pad>", eos_token="<eos>", bos_token="<bos>", unk_token="w0"
    )
    return Brain3DProcessor.from_config(tokenizer, config)


def random_reports(count: int, seed: int = 0, most: int = 2500) -> list[str]:
    """Reports of random words, as long in tokens as TextBraTS reports are."""
    rng = np.random.default_rng(seed)
    lengths = (rng.integers(*WORDS_OF_A_REPORT, count) * TOKENS_A_WORD).astype(int)
    return [" ".join(f"w{k}" for k in rng.integers(0, most, length)) for length in lengths]


def tower_flops(config: Brain3DConfig, tokens: int | None = None) -> float:
    """Floating-point operations of encoding one volume, or so many tokens of it: products of linear layers and of
    attention, 2 for each."""
    vision, tokens = config.vision_config, config.num_tower_tokens if tokens is None else tokens
    width, inner = vision.hidden_size, vision.intermediate_size
    linear = 2 * tokens * (4 * width**2 + 2 * width * inner)
    return float(vision.num_hidden_layers * (linear + 4 * tokens**2 * width))


def text_parameters(config: Brain3DConfig) -> tuple[int, int]:
    """Weights of the language model's layers, and of its head, that a token is multiplied with."""
    text = config.text_config
    attention = text.hidden_size * text.head_dim * 2 * (text.num_attention_heads + text.num_key_value_heads)
    layers = text.num_hidden_layers * (attention + 3 * text.hidden_size * text.intermediate_size)
    return layers, text.vocab_size * text.hidden_size


def language_step_flops(config: Brain3DConfig, tokens: int, learned: int | None = None) -> float:
    """Operations of one training step on a sequence of so many tokens, logits of all or of the `learned` ones: forward,
    and backward to the visual tokens alone, since the language model's own weights learn nothing (LoRA's few are left
    out)."""
    layers, head = text_parameters(config)
    return float(2 * 2 * (tokens * layers + (tokens if learned is None else learned) * head))


def on_device(inputs: dict[str, torch.Tensor], device: str) -> dict[str, torch.Tensor]:
    """Every tensor of a batch on a device."""
    return {name: tensor.to(device) for name, tensor in inputs.items()}
