"""Recipes load, and say what is wrong where they cannot."""

import re
from pathlib import Path

import pytest

from brain3d.cli.main import main
from brain3d.scans import InputError
from brain3d.training.ablation.recipe import read_ablation
from brain3d.training.plan import Lora, Plan, read_recipe
from brain3d.training.recipe import load_recipe
from brain3d.training.run import run_recipe

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("path", sorted((ROOT / "recipes").glob("*.yaml")), ids=lambda p: p.name)
def test_every_shipped_recipe_loads(path: Path) -> None:
    assert (read_ablation if "ablation" in path.name else read_recipe)(path, []).stages


def test_an_ablation_is_not_trained_and_says_which_command_takes_it() -> None:
    with pytest.raises(InputError, match="brain3d ablate"):
        read_recipe(ROOT / "recipes/ablation.yaml", [])


def test_the_published_recipe_has_the_papers_hyper_parameters() -> None:
    plan = read_recipe(ROOT / "recipes/published.yaml", [])
    assert isinstance(plan, Plan)
    grounding, warm_up, special = plan.stages
    assert (grounding.loss, grounding.temperature, grounding.parts.vision) == ("infonce", 0.07, "patch_embedding")
    assert (grounding.lr.projector, grounding.lr.vision, grounding.lr.scale) == (5e-4, 0.2 * 5e-4, 2 * 5e-4)
    assert [stage.epochs for stage in plan.stages] == [5, 10, 15]
    assert (warm_up.batch, warm_up.micro_batch, warm_up.max_tokens, warm_up.lr.projector) == (8, 1, 192, 2e-4)
    assert (special.lora.rank, special.max_tokens) == (4, 256)
    assert (special.lr.projector, special.lr.language) == (2e-4, 5e-5)
    assert {(s.weight_decay, s.patience, s.min_delta) for s in plan.stages} == {(0.01, 5, 0.001)}
    assert (plan.seed, plan.quantisation, plan.choices["num_visual_tokens"]) == (42, "nf4", 32)


def test_scientific_notation_without_a_dot_is_a_number(recipe_path: Path) -> None:
    """YAML reads it as a text."""
    assert load_recipe(recipe_path, ["stages.warm-up.lr=5e-5"]).stages[-3].lr == 5e-5
    with pytest.raises(InputError, match="expected float, found '5e'"):
        load_recipe(recipe_path, ["stages.warm-up.lr=5e"])


def test_overrides_may_stand_before_and_behind_options(capsys: pytest.CaptureFixture[str]) -> None:
    recipe = str(ROOT / "recipes/brain3d-mini.yaml")
    for order in (
        ["seed=x", "--stage", "slices"],
        ["--stage", "slices", "seed=x"],
        ["--resume", "workers=1", "seed=x"],
    ):
        assert main(["train", recipe, *order]) == 2
        assert "seed: expected int, found 'x'" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["train", recipe, "seed=1", "--stages", "slices"])
    with pytest.raises(SystemExit):
        main(["inspect", "a.nii", "seed=1"])


def test_overrides_reach_the_stage_they_name(recipe_path: Path) -> None:
    recipe = load_recipe(recipe_path, ["stages.warm-up.steps=3", "seed=4", "output=elsewhere"])
    assert next(s for s in recipe.stages if s.name == "warm-up").steps == 3
    assert (recipe.seed, recipe.output) == (4, "elsewhere")


def test_an_override_reaches_a_group_that_the_recipe_leaves_at_its_defaults() -> None:
    path = ROOT / "recipes/finetune.yaml"
    assert read_recipe(path, ["stages.warm-up.lora.rank=2"]).stages[0].lora == Lora(rank=2)
    with pytest.raises(InputError, match=r"unknown key 'lorra'; known keys: .*lora"):
        read_recipe(path, ["stages.warm-up.lorra.rank=2"])
    with pytest.raises(InputError, match="the recipe has no 'seed'"):
        read_recipe(path, ["seed.rank=2"])


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
        ("output=[a", "not valid YAML"),
        ("seed=-1", "seed -1"),
        ("seed=99999999999999999999", "seed 9999"),
        ("stages.slices.name=bank", "named 'bank'"),
        ("stages.slices.name=../x", r"named '\.\./x'"),
        ("stages.slices.validate_every=0", "at least 1"),
        ("stages.specialisation.lora_rank=0", "at least 1"),
        ("stages.grounding.temperature=0.0", "above zero"),
        ("stages.warm-up.trainable=projector", "expected a list"),
        ("phantoms.train=4005", "takes 16 phantoms a batch"),
        ("stages.slices.batch=3", "slabs of one volume"),
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


def test_stages_that_are_words_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text("name: x\nstages: [a, b]\n")
    with pytest.raises(InputError, match="has no 'a'"):
        load_recipe(path, ["stages.a.steps=1"])


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.vision_heads=3", "multiple of the heads"),
        ("model.text_layers=0", "0 layers"),
        ("model.patch=0", "both must be 4"),
        ("model.grid=[4,4,3]", "odd number"),
        ("model.volume_shape=[36,40,44]", "multiple of two patches"),
        ("model.grid_reduce=median", "expected one of"),
    ],
)
def test_sizes_that_make_no_model_are_refused_before_anything_is_drawn(
    recipe_path: Path, tmp_path: Path, override: str, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        run_recipe(recipe_path, [f"output={tmp_path / 'x'}", override])
    assert not (tmp_path / "x").exists()


def test_every_documented_command_names_a_recipe_that_loads() -> None:
    text = "\n".join(path.read_text() for path in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
    commands = re.findall(r"brain3d train (recipes/\S+)([^\n#`|]*)", text)
    assert commands
    for recipe, rest in commands:
        read_recipe(ROOT / recipe, [word for word in rest.split() if "=" in word])


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.yaml: cannot be read"):
        load_recipe(tmp_path / "none.yaml", [])


@pytest.mark.parametrize(
    "change",
    ["stages.grounding.anchor=1.0", "stages.volumes.phrasing=3", "stages.anchoring.focus=1.0", "stages.slices.parts=2"],
)
def test_an_option_of_another_task_is_refused(recipe_path: Path, change: str) -> None:
    with pytest.raises(InputError, match="leave it out"):
        load_recipe(recipe_path, [change])


@pytest.mark.parametrize(
    "change",
    [
        "stages.steadying.average=language",
        "stages.steadying.average=steadying",
        "stages.refinement.average=steadying",
        "stages.warm-up.average=volumes",
    ],
)
def test_a_mean_with_no_earlier_round_is_refused(recipe_path: Path, change: str) -> None:
    with pytest.raises(InputError, match="has average"):
        load_recipe(recipe_path, [change])


@pytest.mark.parametrize("parts", [0, 5])
def test_parts_that_a_batch_does_not_divide_into_are_refused(recipe_path: Path, parts: int) -> None:
    with pytest.raises(InputError, match=r"cannot split its batch of 12"):
        load_recipe(recipe_path, [f"stages.steadying.parts={parts}"])


def test_a_negative_anchor_is_refused(recipe_path: Path) -> None:
    with pytest.raises(InputError, match="anchor"):
        load_recipe(recipe_path, ["stages.warm-up.anchor=-1.0"])
