"""A model small enough to build in milliseconds, and a tokenizer of whole words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import Gemma3TextConfig, PreTrainedTokenizerFast, SiglipVisionConfig

from brain3d.model import Brain3DConfig, Brain3DForConditionalGeneration, Brain3DProcessor

SPECIALS = ["<pad>", "<eos>", "<bos>", "<image>", "<unk>"]
SENTENCE = "Generate a radiology report for this brain MRI FLAIR scan . lesion in the left right lobe edema"
WORDS = [*SPECIALS, *SENTENCE.split()]


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def vision_config() -> SiglipVisionConfig:
    return SiglipVisionConfig(
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=16,
        patch_size=4,
        vision_use_head=False,
    )


@pytest.fixture(scope="session")
def text_config() -> Gemma3TextConfig:
    return Gemma3TextConfig(
        vocab_size=len(WORDS),
        hidden_size=24,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=12,
        layer_types=["sliding_attention", "full_attention"],
        sliding_window=64,
        initializer_range=0.2,
        pad_token_id=0,
        eos_token_id=1,
        bos_token_id=2,
    )


@pytest.fixture(scope="session")
def make_config(vision_config: Any, text_config: Any) -> Callable[..., Brain3DConfig]:
    def make(**changes: Any) -> Brain3DConfig:
        settings: dict[str, Any] = {
            "vision_config": vision_config.to_dict(),
            "text_config": text_config.to_dict(),
            "volume_shape": (8, 12, 16),
            "spacing_mm": 4.0,
            "depth_patch_size": 2,
            "depth_stride": 2,
            "grid_size": (2, 1, 2),
            "image_token_id": 3,
        }
        return Brain3DConfig(**(settings | changes))

    return make


@pytest.fixture
def make_model(make_config: Callable[..., Brain3DConfig]) -> Callable[..., Brain3DForConditionalGeneration]:
    def make(**changes: Any) -> Brain3DForConditionalGeneration:
        torch.manual_seed(0)
        return Brain3DForConditionalGeneration(make_config(**changes)).eval()

    return make


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    words = Tokenizer(models.WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation()])
    words.post_processor = processors.TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", 2)])
    return PreTrainedTokenizerFast(
        tokenizer_object=words,
        pad_token="<pad>",
        eos_token="<eos>",
        bos_token="<bos>",
        unk_token="<unk>",
        additional_special_tokens=["<image>"],
    )


@pytest.fixture
def processor(tokenizer: Any, make_config: Callable[..., Brain3DConfig]) -> Brain3DProcessor:
    return Brain3DProcessor.from_config(tokenizer, make_config())


@pytest.fixture
def volumes() -> torch.Tensor:
    """Three volumes (3, 1, 8, 12, 16) in [-1, 1]."""
    return torch.rand(3, 1, 8, 12, 16, generator=torch.Generator().manual_seed(7)) * 2 - 1
