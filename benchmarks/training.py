"""Epochs of warm-up (2A) and specialisation (2B) with the feature cache, against the published way of training.

The published way, written plainly, encodes every volume in every epoch, one at a time, and reads one report at a time,
accumulating gradients over 8. This package's own stages encode each volume and its mirror image once, keep the tokens
in a cache, and learn from 8 reports of like length a step. Both see as many studies an epoch, with the same weights,
losses and optimizer. The parts are small. In `--parts paper` encoding a volume costs as many times a training step as
with the paper's parts; in `--parts grid` the tower keeps the paper's tokens alone, and its cost is nearly all. Volumes
are of phantoms without their skulls, as BraTS gives heads; noise has no air, and every token has to be encoded. Seconds
are those of the processor.
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
from accelerate import Accelerator
from torch import nn
from tqdm import tqdm

import machine
from brain3d.cohort import Study
from brain3d.model import Brain3DConfig, Brain3DForConditionalGeneration, Brain3DProcessor
from brain3d.reports import Findings
from brain3d.scans.cache import VolumeCache
from brain3d.training.batches import View, batches_per_epoch
from brain3d.training.captioning import CaptioningTask
from brain3d.training.cohort_data import CohortData, Item
from brain3d.training.parts_trained import composite_of, set_learning, with_adapters
from brain3d.training.plan import CohortStage, Lora, Parts
from brain3d.training.stages import Material
from brain3d.training.token_cache import TokenCache
from parts import full_size, language_step_flops, processor_of, random_reports, tiny, tiny_on_the_full_grid, tower_flops
from published import published_language, published_loss, published_tokens
from volumes import KINDS, tokens_that_differ, volumes

EPOCHS = {"2A": 10, "2B": 15}  # of the paper
ALONE = 5
BATCH = 8
MICRO_BATCH = 4
PARTS = {"paper": tiny, "grid": tiny_on_the_full_grid}
TOKENS, PREFIX = 200, 44  # of a sequence, and of them before the report, where operations are counted
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}  # bfloat16 is how it was released
LEARNS = {"2A": Parts(), "2B": Parts(language="lora")}


def stage_of(name: str) -> CohortStage:
    """2A learns the projector, 2B LoRA on the language model's attention too."""
    return CohortStage(
        name=name,
        task="captioning",
        loss="next_token",
        epochs=EPOCHS[name],
        parts=LEARNS[name],
        lora=Lora(dropout=0.0),
        batch=BATCH,
        micro_batch=MICRO_BATCH,
    )


def random_model(config: Brain3DConfig) -> Brain3DForConditionalGeneration:
    torch.manual_seed(0)
    return Brain3DForConditionalGeneration(config).requires_grad_(False)


def optimizer_of(groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
    return torch.optim.AdamW([parameter for group in groups for parameter in group["params"]], lr=1e-4)


@dataclass
class Published:
    """A stage in the published way: the model, transformers' own language model around its parts, the optimizer."""

    model: Brain3DForConditionalGeneration
    language: Any
    processor: Brain3DProcessor
    optimizer: torch.optim.Optimizer

    @classmethod
    def make(cls, name: str, config: Brain3DConfig, dtype: torch.dtype) -> Published:
        stage, model = stage_of(name), random_model(config)
        wrapped = with_adapters(model, stage)
        groups, inner = set_learning(wrapped, stage), composite_of(wrapped, stage)
        wrapped.to(dtype).train()
        return cls(inner, published_language(inner), processor_of(config), optimizer_of(groups))

    def loss(self, data: CohortData, view: View) -> torch.Tensor:
        with torch.no_grad():
            tokens = published_tokens(self.model, torch.from_numpy(data.volume(view).copy())[None])
        return published_loss(self.model, self.language, self.processor, tokens, data.report(view))

    def epoch(self, data: CohortData) -> None:
        """Every volume through the tower, one at a time; gradients accumulated over 8."""
        order = np.random.default_rng(0).permutation(len(data)).tolist()
        for place, row in enumerate(order, 1):
            (self.loss(data, View(row)) / BATCH).backward()
            if place % BATCH == 0 or place == len(order):
                self.optimizer.step()
                self.optimizer.zero_grad(set_to_none=True)


class Cached:
    """A stage as this package trains it."""

    def __init__(
        self, name: str, config: Brain3DConfig, data: CohortData, cache: TokenCache, precision: str = "float32"
    ) -> None:
        material = Material(
            train=data,
            validation=data,
            processor=processor_of(config),
            accelerator=Accelerator(cpu=True),
            cache=cache,
            seed=0,
            precision=precision,
            checkpointing=False,
            samples=0,
            folder=cache.folder,
        )
        self.data = data
        self.task = CaptioningTask(stage_of(name), random_model(config), material)
        self.optimizer = optimizer_of(self.task.parameter_groups())

    def build(self) -> None:
        """Encode every study and its mirror image."""
        views = [View(row, mirrored) for row in range(len(self.data)) for mirrored in (False, True)]
        assert self.task.train.features is not None
        self.task.train.features.build(views)

    def epoch(self, number: int) -> None:
        """Tokens from the cache, half of them mirrored; 8 reports of like length a step."""
        steps = batches_per_epoch(len(self.data), BATCH)
        for step in range(number * steps, (number + 1) * steps):
            self.task.backward(step)
            nn.utils.clip_grad_norm_([p for group in self.optimizer.param_groups for p in group["params"]], 1.0)
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)


def random_data(folder: Path, config: Brain3DConfig, count: int, kind: str) -> CohortData:
    """Volumes with reports of random words: what those say makes no difference to the time."""
    cache, items = VolumeCache(folder, config.volume_spec()), []
    for number, (report, volume) in enumerate(
        zip(random_reports(count), volumes(kind, config.volume_shape), strict=False)
    ):
        cache.add(str(number), volume)
        study = Study(str(number), folder)
        items.append(Item(study, str(number), str(number), report, report, Findings(False), False, "none"))
    return CohortData(items, cache)


def clock(work: Callable[[], Any]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


Times = dict[str, float]
Row = tuple[str, float, str, str]


def measure_once(config: Brain3DConfig, data: CohortData, folder: Path, repeat: int, precision: str) -> Times:
    """Seconds of: building the cache, mirrored features too, and an epoch of each stage in each way."""
    found: Times = {}
    with TokenCache(folder / f"tokens-{repeat}") as cache:
        own = {name: Cached(name, config, data, cache, precision) for name in EPOCHS}
        found["building the cache"] = clock(own["2A"].build)
        for name, stage in own.items():
            found[f"{name}, cached"] = clock(lambda stage=stage: stage.epoch(repeat))
    for words, dtype in PRECISIONS.items():
        for name in EPOCHS:
            plain = Published.make(name, config, dtype)
            found[f"{name}, published, {words}"] = clock(lambda plain=plain: plain.epoch(data))
    return found


def whole_runs(times: Times, precision: str) -> tuple[float, float, float]:
    """How many times faster: over 10 + 15 epochs sharing one cache, and over 5 epochs of 2A, and of 2B, alone."""

    def ratio(epochs: dict[str, int]) -> float:
        before = sum(count * times[f"{name}, published, {precision}"] for name, count in epochs.items())
        after = sum(count * times[f"{name}, cached"] for name, count in epochs.items())
        return before / (after + times["building the cache"])

    return ratio(EPOCHS), ratio({"2A": ALONE}), ratio({"2B": ALONE})


def difference(config: Brain3DConfig, data: CohortData, folder: Path) -> float:
    """How far the losses of a study are apart in the two ways, before anything is learned, in float32."""
    plain, view = Published.make("2A", config, torch.float32), View(0)
    with torch.no_grad(), TokenCache(folder / "difference") as cache:
        task = Cached("2A", config, data, cache).task
        inputs = task.material.processor(reports=[data.report(view)])
        own = task.composite(**task.train.inputs([view]), **inputs, loss_only=True).loss
        return abs(float(own) - float(plain.loss(data, view)))


def distinct(config: Brain3DConfig, data: CohortData) -> list[int]:
    """How many tokens of each study, as it is and mirrored, have to be encoded."""
    model = random_model(config)
    views = [View(row, mirrored) for row in range(len(data)) for mirrored in (False, True)]
    return [tokens_that_differ(model, data.volume(view)) for view in views]


def bounds(config: Brain3DConfig, tokens: list[int]) -> list[Row]:
    """What operations alone allow, were nothing else counted."""
    step, volume = language_step_flops(config, TOKENS), tower_flops(config)
    own_step = language_step_flops(config, TOKENS, TOKENS - PREFIX)
    own_volume = statistics.mean(tower_flops(config, n) for n in tokens)
    paper = tower_flops(full_size()) / language_step_flops(full_size(), TOKENS)
    return [
        ("tokens that differ", statistics.median(tokens), "", f"of {config.num_tower_tokens}"),
        ("operations: a volume, over a training step", volume / step, "x", f"the paper's parts {paper:.2f}"),
        ("operations: a volume, over this package's", volume / own_volume, "x", ""),
        *(
            (f"operations: times fewer, {title}", n * (volume + step) / (2 * own_volume + n * own_step), "x", "")
            for title, n in (("10 epochs of 2A and 15 of 2B", sum(EPOCHS.values())), ("5 epochs of one", ALONE))
        ),
    ]


def rows(found: list[Times]) -> list[Row]:
    """Medians of the seconds, and of the ratios within each repeat."""
    table = [(name, statistics.median(times[name] for times in found), "s", "") for name in found[0]]
    for words in PRECISIONS:
        runs = np.median([whole_runs(times, words) for times in found], axis=0)
        for title, value, target in (
            ("10 epochs of 2A and 15 of 2B", runs[0], "at least 10"),
            ("5 epochs of 2A alone", runs[1], "at least 3"),
            ("5 epochs of 2B alone", runs[2], "at least 3"),
        ):
            table.append((f"times faster, {title} (over {words})", float(value), "x", target))
    return table


def main() -> None:
    parser = machine.parser(__doc__)
    parser.add_argument("--studies", type=int, default=32, help="how many studies (default: 32)")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--parts", choices=list(PARTS), default="paper")
    parser.add_argument("--volume", choices=KINDS, default="phantoms")
    parser.add_argument("--precision", choices=list(PRECISIONS), default="float32", help="of this package's stages")
    arguments = parser.parse_args()
    machine.show(run(arguments), arguments.json)


def run(arguments: argparse.Namespace) -> list[Row]:
    """The table of figures."""
    torch.set_num_threads(1)
    config = PARTS[arguments.parts]()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = random_data(folder, config, arguments.studies, arguments.volume)
        few = CohortData(data.items[:BATCH], data.volumes)
        measure_once(config, few, folder / "warm", 0, arguments.precision)
        found = [
            measure_once(config, data, folder, repeat, arguments.precision)
            for repeat in tqdm(range(arguments.repeats), desc="measuring", unit="repeat")
        ]
        apart = 1e6 * difference(config, data, folder)
        tokens = distinct(config, data)
    return [*bounds(config, tokens), *rows(found), ("difference of a loss, 1e-6", apart, "", "target < 10")]


if __name__ == "__main__":
    main()
