"""Epochs of warm-up (2A) and specialisation (2B) with the feature cache, against the published way of training.

The published way encodes every volume in every epoch, one at a time, and reads one report at a time, accumulating
gradients over 8. This package encodes each volume and its mirror image once, keeps the tokens in a cache, and reads
8 reports of like length at a time. Both see as many studies an epoch, with the same model, losses and optimizer. The
parts are small. In `--parts paper` encoding a volume costs as many times a training step as with the paper's parts; in
`--parts grid` the tower keeps the paper's tokens alone, and its cost is nearly all. Seconds are those of the processor.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peft import LoraConfig, get_peft_model
from tqdm import tqdm

import machine
from brain3d.cohort import Study
from brain3d.model import Brain3DConfig, Brain3DForConditionalGeneration, Brain3DProcessor
from brain3d.model.modeling_brain3d import LORA_TARGET_PATTERN
from brain3d.reports import Findings
from brain3d.scans import Volume
from brain3d.scans.cache import VolumeCache
from brain3d.training.batches import View, epoch_batches, views_of
from brain3d.training.cohort_data import CohortData, Item
from brain3d.training.token_cache import TokenCache
from brain3d.training.tower_features import TowerFeatures
from parts import full_size, language_step_flops, processor_of, random_reports, tiny, tiny_on_the_full_grid, tower_flops

EPOCHS = {"2A": 10, "2B": 15}  # of the paper
ALONE = 5
BATCH = 8
PARTS = {"paper": tiny, "grid": tiny_on_the_full_grid}
TOKENS = 200  # of a sequence, where operations are counted


@dataclass
class Stage:
    """A model as a stage trains it: 2A its projector, 2B LoRA on the language model's attention too."""

    model: Any
    inner: Brain3DForConditionalGeneration
    processor: Brain3DProcessor
    optimizer: torch.optim.Optimizer

    @classmethod
    def make(cls, name: str, config: Brain3DConfig, dtype: torch.dtype) -> Stage:
        torch.manual_seed(0)
        inner = Brain3DForConditionalGeneration(config).to(dtype)
        inner.requires_grad_(False)
        model: Any = inner
        if name == "2B":
            model = get_peft_model(inner, LoraConfig(r=4, lora_alpha=8, target_modules=LORA_TARGET_PATTERN))
        inner.model.projector.requires_grad_(True)
        learns = [p for p in model.parameters() if p.requires_grad]
        return cls(model.train(), inner, processor_of(config), torch.optim.AdamW(learns, lr=1e-4))

    def learn(self, reports: list[str], compressed: torch.Tensor, share: float) -> None:
        """Forward and backward of one batch, its loss weighed with `share`."""
        loss = self.model(compressed_tokens=compressed, **self.processor(reports=reports)).loss
        (loss * share).backward()

    def step(self) -> None:
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)


def noise_data(folder: Path, config: Brain3DConfig, count: int) -> CohortData:
    """Volumes of noise with reports of random words: what they hold makes no difference to the time."""
    cache, rng = VolumeCache(folder, config.volume_spec()), np.random.default_rng(0)
    items = []
    for number, report in enumerate(random_reports(count)):
        data = rng.random((1, *config.volume_shape), dtype=np.float32)
        cache.add(str(number), Volume(data, np.eye(4)))
        study = Study(str(number), folder)
        items.append(Item(study, str(number), str(number), report, report, Findings(False), False, "none"))
    return CohortData(items, cache)


def published_epoch(stage: Stage, data: CohortData) -> None:
    """Every volume through the tower, one at a time; gradients accumulated over 8."""
    order = np.random.default_rng(0).permutation(len(data)).tolist()
    for place, row in enumerate(order, 1):
        view = View(row)
        with torch.no_grad():
            pixels = torch.from_numpy(data.volume(view).copy())[None]
            compressed = stage.inner.model.compress(stage.inner.model.encode(pixels))
        stage.learn([data.report(view)], compressed, 1 / BATCH)
        if place % BATCH == 0 or place == len(order):
            stage.step()


def cached_epoch(stage: Stage, data: CohortData, features: TowerFeatures, epoch: int) -> None:
    """Tokens from the cache, half of them mirrored; 8 reports of like length at a time."""
    lengths = [len(item.report.split()) for item in data.items]
    for rows in epoch_batches(lengths, BATCH, seed=0, epoch=epoch):
        views = views_of(rows, seed=0, epoch=epoch)
        stage.learn(data.reports(views), features.tokens(views), 1.0)
        stage.step()


def clock(work: Callable[[], Any]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


Times = dict[str, float]


def measure_once(config: Brain3DConfig, data: CohortData, folder: Path, repeat: int, half: bool) -> Times:
    """Seconds of: building the cache, mirrored features too, and an epoch of each stage in each way."""
    found: Times = {}
    stages = {name: Stage.make(name, config, torch.float32) for name in EPOCHS}
    both = [View(row, mirrored) for row in range(len(data)) for mirrored in (False, True)]
    with TokenCache(folder / f"tokens-{repeat}") as cache:
        features = TowerFeatures(stages["2A"].inner.model, data, cache)
        found["building the cache"] = clock(lambda: features.build(both))
        for name, stage in stages.items():
            found[f"{name}, cached"] = clock(lambda stage=stage: cached_epoch(stage, data, features, repeat))
    for name, stage in stages.items():
        found[f"{name}, published"] = clock(lambda stage=stage: published_epoch(stage, data))
    if half:
        few = CohortData(data.items[:BATCH], data.volumes)
        for name in EPOCHS:
            lower = Stage.make(name, config, torch.bfloat16)
            seconds = clock(lambda lower=lower: published_epoch(lower, few))
            found[f"{name}, published, bfloat16"] = seconds * len(data) / len(few)
    return found


def whole_runs(times: Times, published: str) -> tuple[float, float, float]:
    """How many times faster: over 10 + 15 epochs sharing one cache, and over 5 epochs of 2A, and of 2B, alone."""

    def ratio(epochs: dict[str, int]) -> float:
        before = sum(count * times[f"{name}, {published}"] for name, count in epochs.items())
        after = sum(count * times[f"{name}, cached"] for name, count in epochs.items())
        return before / (after + times["building the cache"])

    return ratio(EPOCHS), ratio({"2A": ALONE}), ratio({"2B": ALONE})


def rows(found: list[Times], config: Brain3DConfig) -> list[tuple[str, float, str, str]]:
    """Medians of the seconds, and of the ratios within each repeat."""
    cost = tower_flops(config) / language_step_flops(config, TOKENS)
    paper = tower_flops(full_size()) / language_step_flops(full_size(), TOKENS)
    table = [
        ("encoding a volume, over a training step", cost, "x", f"operations; the paper's parts {paper:.2f}"),
        *((name, statistics.median(times[name] for times in found), "s", "") for name in found[0]),
    ]
    volume, whole = f"{cost:.2f} times a step", sum(EPOCHS.values())
    bounds = (whole * (cost + 1) / (2 * cost + whole), ALONE * (cost + 1) / (2 * cost + ALONE))
    for title, bound in zip(("10 epochs of 2A and 15 of 2B", "5 epochs of one stage alone"), bounds, strict=True):
        words = f"were a volume {volume} and nothing else counted"
        table.append((f"times faster, by operations alone, {title}", bound, "x", words))
    ways = [name.removeprefix("2A, ") for name in found[0] if name.startswith("2A, published")]
    for way in ways:
        words = "float32, like for like" if way == "published" else "bfloat16, as released"
        runs = np.median([whole_runs(times, way) for times in found], axis=0)
        for title, value, target in (
            ("10 epochs of 2A and 15 of 2B", runs[0], "at least 10"),
            ("5 epochs of 2A alone", runs[1], "at least 3"),
            ("5 epochs of 2B alone", runs[2], "at least 3"),
        ):
            table.append((f"times faster, {title} ({words})", float(value), "x", target))
    return table


def main() -> None:
    parser = machine.parser(__doc__)
    parser.add_argument("--studies", type=int, default=32, help="how many studies (default: 32)")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--parts", choices=list(PARTS), default="paper")
    parser.add_argument("--no-bfloat16", action="store_true", help="leave out the published way in bfloat16")
    arguments = parser.parse_args()
    machine.show(run(arguments), arguments.json)


def run(arguments: argparse.Namespace) -> list[tuple[str, float, str, str]]:
    """The table of figures."""
    config = PARTS[arguments.parts]()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = noise_data(folder, config, arguments.studies)
        measure_once(config, CohortData(data.items[:BATCH], data.volumes), folder / "warm", 0, False)
        found = [
            measure_once(config, data, folder, repeat, not arguments.no_bfloat16)
            for repeat in tqdm(range(arguments.repeats), desc="measuring", unit="repeat")
        ]
    return rows(found, config)


if __name__ == "__main__":
    main()
