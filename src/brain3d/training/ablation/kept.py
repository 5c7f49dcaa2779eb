"""The finished runs of an ablation on disk: one folder for each arm and seed, there whole or not at all."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from brain3d.scans import InputError
from brain3d.training.ablation.arms import Arm, arm_named
from brain3d.training.ablation.recipe import Ablation
from brain3d.training.ablation.shared import Shared
from brain3d.training.cells import describe_truth
from brain3d.training.checkpoint import write_durably

PAIRS, RESULT = "pairs.jsonl", "result.json"


class Kept(NamedTuple):
    """A finished run: what it was, and its reports beside the references, as `brain3d score` reads them."""

    arm: str
    seed: int
    result: dict[str, Any]
    pairs: Path


def run_folder(recipe: Ablation, arm: str, seed: int) -> Path:
    return Path(recipe.output) / "runs" / f"{arm}-{seed}"


def keep_run(recipe: Ablation, arm: Arm, seed: int, pairs: Sequence[dict[str, Any]], result: dict[str, Any]) -> None:
    """Write a finished run's folder; it appears complete."""
    target = run_folder(recipe, arm.name, seed)
    partial = target.with_name(f"{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    lines = "".join(json.dumps(pair) + "\n" for pair in pairs)
    write_durably(partial / PAIRS, lambda file: file.write(lines.encode()))
    write_durably(partial / RESULT, lambda file: file.write(json.dumps(result, indent=2).encode() + b"\n"))
    partial.rename(target)


def is_finished(recipe: Ablation, arm: str, seed: int) -> bool:
    return (run_folder(recipe, arm, seed) / RESULT).is_file()


def finished(recipe: Ablation) -> list[Kept]:
    """The finished runs of the recipe's arms and seeds, in their order. InputError for a damaged one."""
    found = []
    for arm in recipe.arms:
        for seed in recipe.seeds:
            folder = run_folder(recipe, arm, seed)
            if not is_finished(recipe, arm, seed):
                continue
            try:
                result = json.loads((folder / RESULT).read_text(encoding="utf-8"))
            except ValueError as error:
                raise InputError(f"{folder}: damaged; delete that folder, and its run is done again") from error
            found.append(Kept(arm, seed, result, folder / PAIRS))
    return found


def steps_of(recipe: Ablation, name: str) -> int:
    """The optimizer's steps of a run; those of a stage that an arm leaves out are not given to the others."""
    return sum(recipe.stage(stage).steps for stage in arm_named(name).stages)


def references(recipe: Ablation, shared: Shared, split: str) -> list[dict[str, Any]]:
    """The reports of the phantoms of a split, "train" or "test", phrased as the recipe says."""
    bank = shared.train if split == "train" else shared.test
    return [
        {
            "id": f"{split}-{index:05d}",
            "reference": describe_truth(bank, index, False, recipe.phrasing),
            "healthy": truth.findings().normal,
        }
        for index, truth in enumerate(bank.truths)
    ]
