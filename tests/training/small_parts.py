"""A cohort of coarse phantoms, and a model that reads them in milliseconds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import Gemma3TextConfig, SiglipVisionConfig

from brain3d.cohort import Cohort, open_cohort
from brain3d.model import Brain3DConfig, Brain3DForConditionalGeneration
from brain3d.phantom.cohort import write_cohort

COUNT = 4
SHAPE, SPACING_MM = (20, 24, 24), 8.0


def small_cohort(folder: Path) -> Cohort:
    """Four phantoms at 6 mm; some healthy, some not."""
    write_cohort(folder, COUNT, seed=7, spacing_mm=6.0, workers=1, healthy_share=0.25)
    return open_cohort(folder)


def small_model(**changes: Any) -> Brain3DForConditionalGeneration:
    """A composite model of one layer each, weights from seed 0, in evaluation mode."""
    torch.manual_seed(0)
    vision = SiglipVisionConfig(
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        image_size=24,
        patch_size=4,
        vision_use_head=False,
    )
    text = Gemma3TextConfig(
        vocab_size=64,
        hidden_size=24,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=12,
        layer_types=["full_attention"],
        pad_token_id=0,
        eos_token_id=1,
        bos_token_id=2,
    )
    settings: dict[str, Any] = {
        "vision_config": vision.to_dict(),
        "text_config": text.to_dict(),
        "volume_shape": SHAPE,
        "spacing_mm": SPACING_MM,
        "depth_patch_size": 4,
        "depth_stride": 4,
        "grid_size": (2, 2, 2),
        "image_token_id": 3,
    }
    return Brain3DForConditionalGeneration(Brain3DConfig(**(settings | changes))).eval()
