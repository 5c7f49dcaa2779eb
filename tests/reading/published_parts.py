"""Tiny parts in the layout of the published system, and its arithmetic written plainly from the facts about it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch
from peft import LoraConfig, get_peft_model
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from torch import nn
from torch.nn import functional
from transformers import (
    AutoTokenizer,
    Gemma3Config,
    Gemma3ForCausalLM,
    Gemma3ForConditionalGeneration,
    Gemma3TextConfig,
    PreTrainedTokenizerFast,
    SiglipConfig,
    SiglipModel,
    SiglipVisionConfig,
    SiglipVisionModel,
)

PROMPT = "Generate a radiology report for this brain MRI FLAIR scan. \n"
SAID = "lesion in the left right lobe edema frontal parietal signal mixed high with necrosis and mild compression is no"
SPECIALS = ["<pad>", "<eos>", "<bos>", "<unk>"]
WORDS = [*SPECIALS, *dict.fromkeys([*PROMPT.replace(".", " . ").split(), *SAID.split()])]
HIDDEN, TEXT_HIDDEN = 32, 24


def tokenizer(pad: bool = True) -> PreTrainedTokenizerFast:
    """Whole words; it puts <bos> before a text by itself."""
    words = Tokenizer(models.WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation()])
    words.post_processor = processors.TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", 2)])
    names = {"eos_token": "<eos>", "bos_token": "<bos>", "unk_token": "<unk>"} | ({"pad_token": "<pad>"} if pad else {})
    return PreTrainedTokenizerFast(tokenizer_object=words, **names)


def vision(patch: int = 32, **changes: Any) -> SiglipVisionModel:
    torch.manual_seed(0)
    config = SiglipVisionConfig(
        hidden_size=HIDDEN,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        image_size=4 * patch,
        patch_size=patch,
        **changes,
    )
    model = SiglipVisionModel(config)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.2)
    return model


def whole_siglip(tower: SiglipVisionModel) -> SiglipModel:
    """The tower with a text half beside it, as google/medsiglip-448 is stored."""
    text = {"vocab_size": 30, "hidden_size": HIDDEN, "intermediate_size": 32, "num_hidden_layers": 1}
    text |= {"num_attention_heads": 2, "max_position_embeddings": 8, "bos_token_id": 2, "eos_token_id": 1}
    model = SiglipModel(SiglipConfig(vision_config=tower.config.to_dict(), text_config=text))
    model.vision_model.load_state_dict(tower.state_dict())
    return model


def text_config(vocabulary: int = len(WORDS), **changes: Any) -> Gemma3TextConfig:
    return Gemma3TextConfig(
        vocab_size=vocabulary,
        hidden_size=TEXT_HIDDEN,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=12,
        layer_types=["sliding_attention", "full_attention"],
        sliding_window=16,
        initializer_range=0.3,
        pad_token_id=0,
        eos_token_id=1,
        bos_token_id=2,
        **changes,
    )


def language(**changes: Any) -> Gemma3ForCausalLM:
    torch.manual_seed(1)
    return Gemma3ForCausalLM(text_config(**changes))


def multimodal() -> Gemma3ForConditionalGeneration:
    """A Gemma 3 with an image tower of its own, as google/medgemma-1.5-4b-it is stored."""
    torch.manual_seed(5)
    count = len(WORDS) + 8
    tower = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    ids = {"image_token_index": count - 1, "boi_token_index": count - 2, "eoi_token_index": count - 3}
    config = Gemma3Config(
        text_config=text_config(count).to_dict(),
        vision_config=tower | {"image_size": 28, "patch_size": 14},
        mm_tokens_per_image=4,
        **ids,
    )
    return Gemma3ForConditionalGeneration(config)


def projector(scale: Any = 1.7) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(2)
    shapes = {"0.weight": (TEXT_HIDDEN, HIDDEN), "0.bias": (TEXT_HIDDEN,)}
    shapes |= {"2.weight": (TEXT_HIDDEN, TEXT_HIDDEN), "2.bias": (TEXT_HIDDEN,)}
    layers = {name: torch.randn(shape, generator=generator) / 5 for name, shape in shapes.items()}
    return {"vision_projector": layers, "vis_scale": scale}


def write_release(folder: Path, dtype: torch.dtype = torch.float32, patch: int = 32) -> Path:
    """A whole release, without adapters."""
    vision(patch).to(dtype).save_pretrained(folder / "vision_model")
    language().to(dtype).save_pretrained(folder / "language_model")
    tokenizer().save_pretrained(folder / "language_model")
    torch.save(projector(), folder / "projector_vis_scale.pt")
    return folder


def add_adapters(folder: Path, model: Any, rank: int = 4) -> Any:
    """Writes lora_adapters/ with weights that change something; returns the model under its adapters."""
    torch.manual_seed(7)
    modules = ["q_proj", "k_proj", "v_proj", "o_proj"]
    wrapped = get_peft_model(model, LoraConfig(r=rank, lora_alpha=8, target_modules=modules, task_type="CAUSAL_LM"))
    for name, parameter in wrapped.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(parameter, std=0.3)
    wrapped.save_pretrained(folder / "lora_adapters")
    return wrapped.eval()


@torch.no_grad()
def plain_visual_tokens(scan: Path, tower: SiglipVisionModel, stored: dict[str, Any]) -> torch.Tensor:
    """(32, d): the published arithmetic in float32, from the file to what the language model is given."""
    image = nib.as_closest_canonical(nib.load(scan))
    data = np.asarray(image.dataobj, dtype=np.float32).transpose(2, 1, 0)
    low, high = np.percentile(data, [1, 99])
    data = ((np.clip(data, low, high) - low) / (high - low)).astype(np.float32)
    volume = functional.interpolate(
        torch.from_numpy(data)[None, None], size=(64, 128, 128), mode="trilinear", align_corners=False
    )
    flat = tower.embeddings.patch_embedding
    patch = flat.weight.shape[-1]
    kernel = flat.weight.unsqueeze(2).repeat(1, 1, 2, 1, 1).div(2).mean(dim=1, keepdim=True)
    grid = functional.conv3d(volume, kernel, flat.bias, stride=(1, patch, patch), padding=(1, 0, 0))
    _, hidden, depth, rows, columns = grid.shape
    tokens = grid.permute(0, 2, 3, 4, 1)
    place = torch.linspace(-1, 1, depth).view(depth, 1, 1, 1).expand(depth, rows, columns, hidden).clone()
    place[..., 0] += torch.linspace(-1, 1, rows).view(1, rows, 1)
    place[..., 1] += torch.linspace(-1, 1, columns).view(1, 1, columns)
    tokens = (tokens + place).reshape(1, depth * rows * columns, hidden)
    tokens = tower.post_layernorm(tower.encoder(inputs_embeds=tokens).last_hidden_state)
    pooled = functional.adaptive_avg_pool1d(tokens.transpose(1, 2), 32).transpose(1, 2)
    layer = {name: tensor.float() for name, tensor in stored["vision_projector"].items()}
    inner = functional.gelu(functional.linear(pooled, layer["0.weight"], layer["0.bias"]))
    return (functional.linear(inner, layer["2.weight"], layer["2.bias"]) * stored["vis_scale"])[0]


@torch.no_grad()
def plain_text(visual: torch.Tensor, model: Any, words: Any, most: int) -> str:
    """Greedy decoding step by step, without a cache: the penalties over the new words, no end before the tenth."""
    prompt = model.get_input_embeddings()(torch.tensor(words(PROMPT)["input_ids"]))
    given = torch.cat([visual, prompt])[None]
    new: list[int] = []
    while len(new) < most:
        said = model.get_input_embeddings()(torch.tensor([new], dtype=torch.long))
        scores = model(inputs_embeds=torch.cat([given, said], dim=1)).logits[0, -1].float()
        for token in set(new):
            scores[token] = scores[token] * 1.2 if scores[token] < 0 else scores[token] / 1.2
        for start in range(len(new) - 2):
            if new[start : start + 2] == new[-2:]:
                scores[new[start + 2]] = -torch.inf
        if len(new) < 10:
            scores[words.eos_token_id] = -torch.inf
        new.append(int(scores.argmax()))
        if new[-1] == words.eos_token_id:
            break
    return str(words.decode(new, skip_special_tokens=True)).strip()


def published(folder: Path, scan: Path, model: Any = None, tower: Any = None, most: int = 48) -> tuple[Any, str]:
    """What the published program makes of a scan: visual tokens (32, d), and the text decoded greedily."""
    tower = tower or SiglipVisionModel.from_pretrained(folder / "vision_model", dtype=torch.float32).eval()
    model = model or Gemma3ForCausalLM.from_pretrained(folder / "language_model", dtype=torch.float32).eval()
    stored = torch.load(folder / "projector_vis_scale.pt", weights_only=True)
    visual = plain_visual_tokens(scan, tower, stored)
    words = AutoTokenizer.from_pretrained(folder / "language_model")
    return visual.numpy(), plain_text(visual, model, words, most)
