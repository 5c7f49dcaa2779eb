"""The finished model as a folder that `brain3d.load` reads."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from brain3d.model.processing_brain3d import Brain3DProcessor

if TYPE_CHECKING:
    from brain3d.training.run import Run


def export_model(run: Run) -> Path:
    """Write output/model: config, float16 weights, tokenizer, processor, name and version. Returns the folder."""
    from brain3d.training.alignment import after_stages, alignment_stages, assemble

    model = after_stages(run, assemble(run), alignment_stages(run))
    target, partial = run.folder / "model", run.folder / "model.partial"
    shutil.rmtree(partial, ignore_errors=True)
    model.eval().to(torch.float16).save_pretrained(partial)
    Brain3DProcessor.from_config(run.tokenizer(), model.config).save_pretrained(partial)
    about = {"name": run.recipe.name, "version": run.recipe.version, "seed": run.recipe.seed, "dtype": "float16"}
    (partial / "brain3d.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    shutil.rmtree(target, ignore_errors=True)
    partial.rename(target)
    return target
