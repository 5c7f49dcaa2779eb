"""Recipes load, and say what is wrong where they cannot."""

from pathlib import Path

import pytest

from brain3d.scans import InputError
from brain3d.training.recipe import load_recipe

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("path", sorted((ROOT / "recipes").glob("*.yaml")), ids=lambda p: p.name)
def test_every_shipped_recipe_loads(path: Path) -> None:
    assert load_recipe(path, []).stages


def test_overrides_reach_the_stage_they_name(recipe_path: Path) -> None:
    recipe = load_recipe(recipe_path, ["stages.warm-up.steps=3", "seed=4", "output=elsewhere"])
    assert next(s for s in recipe.stages if s.name == "warm-up").steps == 3
    assert (recipe.seed, recipe.output) == (4, "elsewhere")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("sed=4", "unknown key 'sed'"),
        ("seed", "key=value"),
        ("seed=many", "expected int"),
        ("stages.nowhere.steps=1", "has no 'nowhere'"),
        ("stages.slices.task=magic", "task 'magic'"),
        ("stages.slices.steps=0", "at least 1"),
        ("stages.slices.precision=int8", "precision 'int8'"),
        ("stages.grounding.batch=1", "negatives"),
        ("stages.warm-up.trainable=[tower]", "trains 'tower'"),
        ("stages=3", "no stages"),
        ("stages.volumes.name=slices", "two stages are named 'slices'"),
        ("workers=0", "at least 1"),
        ("phantoms.aligned=999999", "phantoms.aligned"),
        ("phantoms.held_out_seed=1000001", "would be training phantoms"),
        ("phantoms.train_seed=4000000000", "below 2147483648"),
        ("model=3", "expected keys"),
    ],
)
def test_a_wrong_override_is_named(recipe_path: Path, override: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_recipe(recipe_path, [override])


@pytest.mark.parametrize(
    ("text", "message"), [("a: [", "not valid YAML"), ("- 1", "keys and values"), ("", "keys and values")]
)
def test_a_broken_file_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        load_recipe(path, [])


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.yaml: cannot be read"):
        load_recipe(tmp_path / "none.yaml", [])
