"""A Brain3D model of random weights, small enough to build and run in a moment, in its own folder."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import Gemma3TextConfig, PreTrainedTokenizerFast, SiglipVisionConfig

from brain3d.model import Brain3DConfig, Brain3DForConditionalGeneration, Brain3DProcessor
from brain3d.scans import affine_from_axes, write_scan

SPECIALS = ["<pad>", "<eos>", "<image>", "<unk>"]
SENTENCE = "Generate a radiology report for this brain MRI FLAIR scan . lesion in the left right frontal lobe edema no"
WORDS = [*SPECIALS, *SENTENCE.split()]
SHAPE = (44, 50, 46)  # right, anterior, superior
SPACING_MM = 4.0


def tokenizer() -> PreTrainedTokenizerFast:
    words = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=words, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>")


def config(evidence_head: bool = True) -> Brain3DConfig:
    vision = SiglipVisionConfig(
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        image_size=48,
        patch_size=8,
        vision_use_head=False,
    )
    text = Gemma3TextConfig(
        vocab_size=len(WORDS),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        head_dim=8,
        layer_types=["full_attention"] * 2,
        initializer_range=0.3,
        pad_token_id=0,
        eos_token_id=1,
        bos_token_id=None,
    )
    return Brain3DConfig(
        vision_config=vision,
        text_config=text,
        volume_shape=(44, 48, 48),
        spacing_mm=4.0,
        depth_patch_size=8,
        depth_stride=8,
        grid_size=(2, 2, 2),
        image_token_id=2,
        evidence_head=evidence_head,
    )


def build_model(folder: Path, *, evidence_head: bool = True, half: bool = False, seed: int = 0) -> Path:
    """Save the model, its processor and its name into `folder`."""
    torch.manual_seed(seed)
    settings = config(evidence_head)
    model = Brain3DForConditionalGeneration(settings).eval()
    model.to(torch.float16 if half else torch.float32).save_pretrained(folder)
    Brain3DProcessor.from_config(tokenizer(), settings).save_pretrained(folder)
    (folder / "brain3d.json").write_text(json.dumps({"name": "tiny", "version": "3"}))
    return folder


def head(spot_x: float = -30.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A brain with a bright spot `spot_x` mm right of its midline: RAS data and affine."""
    axes = [(np.arange(n) - (n - 1) / 2) * SPACING_MM for n in SHAPE]
    x, y, z = np.meshgrid(*axes, indexing="ij")
    radius = np.sqrt((x / 65) ** 2 + (y / 85) ** 2 + (z / 70) ** 2)
    noise = np.random.default_rng(seed).normal(0, 4, SHAPE)
    data = np.where(radius < 1, 100 + noise, 0.0)
    data[(x - spot_x) ** 2 + y**2 + (z - 15) ** 2 < 16**2] = 260
    return data.astype(np.float32), affine_from_axes("RAS", (SPACING_MM,) * 3)


def write_head(path: Path, spot_x: float = -30.0, seed: int = 0) -> Path:
    data, affine = head(spot_x, seed)
    write_scan(path, data, affine)
    return path


def write_without_orientation(path: Path) -> Path:
    """A head whose header does not say which side is left."""
    import nibabel as nib

    data, affine = head()
    image = nib.Nifti1Image(data, affine)
    image.set_sform(None, code=0)
    image.set_qform(None, code=0)
    image.header.set_zooms((SPACING_MM,) * 3)
    nib.save(image, path)
    return path
