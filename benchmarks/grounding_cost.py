"""What it would cost an ablation's run to train the patch embedding in stage 1, as the paper does.

python benchmarks/grounding_cost.py recipes/ablation.yaml

A gradient through the tower for every volume of every step, and, since the tower is then another one in each run, its
tokens of all phantoms and mirror images anew. CPU seconds of this process on one thread, medians over repeats.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from transformers import SiglipVisionModel

from brain3d.model.inflation import inflate
from brain3d.training.ablation.recipe import read_ablation
from brain3d.training.language import build_tokenizer
from brain3d.training.loop import reduced_precision
from brain3d.training.sizes import composite_config, vision_config

BATCH = 4


def median_cpu_seconds(work: Callable[[], object], repeats: int) -> float:
    work()
    found = []
    for _ in range(repeats):
        began = time.process_time()
        work()
        found.append(time.process_time() - began)
    return statistics.median(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(1)
    recipe = read_ablation(args.recipe, [])
    sizes, stage = recipe.shared.model, recipe.stage("grounding")
    config = composite_config(sizes, build_tokenizer(["a report"], sizes.vocabulary), evidence_head=False)
    tower = inflate(SiglipVisionModel(vision_config(sizes)), config)
    tower.requires_grad_(False)
    kernel = tower.embeddings.patch_embedding.requires_grad_(True)
    volumes = torch.rand(BATCH, 1, *sizes.volume_shape) * 2 - 1

    def learn() -> None:
        with reduced_precision("cpu", stage.precision == "bfloat16"):
            loss = tower(volumes).last_hidden_state.float().square().mean()
        loss.backward()
        kernel.zero_grad()

    @torch.inference_mode()
    def encode() -> None:
        tower(volumes)

    step, once = (median_cpu_seconds(work, args.repeats) / BATCH for work in (learn, encode))
    again = 2 * (recipe.shared.phantoms.aligned + recipe.test)
    print(f"gradient to the patch embedding: {step:.3f} CPU s a volume, {stage.precision}")
    print(f"encoding: {once:.3f} CPU s a volume, float32")
    print(
        f"stage 1: {stage.steps} steps of {stage.batch}: {stage.steps * stage.batch * step / 60:.1f} CPU minutes a run"
    )
    print(f"and {again} volumes encoded anew: {again * once / 60:.1f} CPU minutes a run")


if __name__ == "__main__":
    main()
