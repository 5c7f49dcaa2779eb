"""The embedded model's own recipe, run for real at a very small size."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from brain3d.model import Brain3DForConditionalGeneration, Brain3DProcessor
from brain3d.scans import InputError
from brain3d.training.loop import run_stage
from brain3d.training.recipe import load_recipe
from brain3d.training.run import Run, build_task, run_recipe, schedule_of

from .conftest import ALIGNMENT, tiny_overrides


def rows(run: Path) -> list[dict]:
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


def weights_of(run: Path, stage: str) -> dict[str, torch.Tensor]:
    return load_file(next((run / stage).glob("weights-*.safetensors")))


def test_every_stage_ran_and_logged_its_validation(tiny_run: Path) -> None:
    stages = {row["stage"] for row in rows(tiny_run) if "validation" in row}
    assert stages == {"slices", "volumes", "refinement", "steadying", "settling", "language", *ALIGNMENT}


def test_the_language_model_learns(tiny_run: Path) -> None:
    losses = [row["validation"]["loss"] for row in rows(tiny_run) if row["stage"] == "language" and "validation" in row]
    assert losses[-1] < np.log(320) * 0.8


def test_each_stage_trains_what_its_recipe_names_and_nothing_else(tiny_run: Path) -> None:
    before, after = weights_of(tiny_run, "grounding"), weights_of(tiny_run, "warm-up")
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    assert all(".projector." in name for name in changed), changed


def test_lora_never_lands_in_the_vision_tower(tiny_run: Path) -> None:
    adapters = [name for name in weights_of(tiny_run, "specialisation") if ".lora_" in name]
    assert adapters
    assert all("language_model" in name and "vision_tower" not in name for name in adapters)


def test_a_round_goes_on_from_the_mean_that_the_recipe_names(tiny_run: Path, recipe_path: Path) -> None:
    rounds = [weights_of(tiny_run, name) for name in ("refinement", "steadying")]
    run = Run(load_recipe(recipe_path, tiny_overrides(tiny_run)))
    settling = next(stage for stage in run.recipe.stages if stage.name == "settling")
    begun = build_task(run, settling).module.state_dict()
    assert any(not torch.equal(rounds[0][name], rounds[1][name]) for name in rounds[0])
    for name in rounds[0]:
        if rounds[0][name].is_floating_point():
            torch.testing.assert_close(begun[name], (rounds[0][name] + rounds[1][name]) / 2)


def test_the_tower_is_that_of_the_last_round(tiny_run: Path) -> None:
    last, tower = weights_of(tiny_run, "settling"), weights_of(tiny_run, "grounding")
    names = [name for name in last if name.startswith("tower.")]
    assert names
    assert all(torch.equal(tower["model.vision_tower." + name.removeprefix("tower.")], last[name]) for name in names)


def test_specialisation_moves_its_adapters(tiny_run: Path) -> None:
    raised = [t for name, t in weights_of(tiny_run, "specialisation").items() if ".lora_B." in name]
    assert any(float(t.abs().max()) > 0 for t in raised)


def test_the_finished_model_loads_and_writes(tiny_run: Path) -> None:
    model = Brain3DForConditionalGeneration.from_pretrained(tiny_run / "model").eval()
    processor = Brain3DProcessor.from_pretrained(tiny_run / "model")
    volume = np.full((1, *processor.volume_spec.shape), -1, dtype=np.float32)
    ids = model.generate(**processor(volumes=[volume]), max_new_tokens=5, do_sample=False)
    assert isinstance(processor.decode(ids)[0], str)
    assert all(torch.isfinite(p).all() for p in model.parameters())


def test_a_second_start_trains_nothing_again(tiny_run: Path, recipe_path: Path) -> None:
    count = len(rows(tiny_run))
    run_recipe(recipe_path, tiny_overrides(tiny_run))
    assert len(rows(tiny_run)) == count


@pytest.mark.parametrize("name", ["warm-up", "specialisation"])
def test_a_stage_cut_short_ends_like_an_undisturbed_one(
    tiny_run: Path, recipe_path: Path, tmp_path: Path, name: str
) -> None:
    """Stopped after five steps and started again: the same weights, bit for bit."""
    copy = tmp_path / "run"
    shutil.copytree(tiny_run, copy)
    whole = weights_of(copy, name)
    shutil.rmtree(copy / name)
    recipe = load_recipe(recipe_path, tiny_overrides(copy))
    run, stage = Run(recipe), next(s for s in recipe.stages if s.name == name)
    schedule = schedule_of(stage, recipe.seed)
    run_stage(build_task(run, stage), schedule, copy / name, name, until=5)
    run_stage(build_task(run, stage), schedule, copy / name, name)
    again = weights_of(copy, name)
    assert all(torch.equal(whole[key], again[key]) for key in whole)


def test_other_settings_in_the_same_folder_are_refused(tiny_run: Path, recipe_path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(tiny_run, copy)
    with pytest.raises(InputError, match=r"weights were made with lr"):
        run_recipe(recipe_path, [*tiny_overrides(copy), "stages.warm-up.lr=0.7"])
    with pytest.raises(InputError, match=r"phantoms were made with seed"):
        run_recipe(recipe_path, [*tiny_overrides(copy), "phantoms.train_seed=5"])


def test_an_unknown_stage_is_refused_before_anything_is_drawn(recipe_path: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no stage 'typo'"):
        run_recipe(recipe_path, [f"output={tmp_path / 'x'}"], only="typo")
    assert not (tmp_path / "x").exists()
