"""A real, very small training run, shared by the tests of this folder."""

from pathlib import Path

import pytest
import yaml

RECIPES = Path(__file__).resolve().parents[2] / "recipes"
ALIGNMENT = ("grounding", "warm-up", "anchoring", "specialisation")


def tiny_overrides(output: Path) -> list[str]:
    changes = [
        f"output={output}",
        "workers=2",
        "phantoms.train=24",
        "phantoms.held_out=12",
        "phantoms.aligned=0",
        "model.vision_hidden=32",
        "model.vision_layers=1",
        "model.text_hidden=32",
        "model.text_layers=1",
        "model.vocabulary=320",
        "stages.slices.batch=12",
        "stages.volumes.batch=2",
        "stages.refinement.batch=2",
        "stages.steadying.batch=2",
        "stages.settling.batch=2",
    ]
    for name, steps in (
        ("slices", 30),
        ("volumes", 6),
        ("refinement", 3),
        ("steadying", 3),
        ("settling", 3),
        ("language", 40),
        *((n, 12) for n in ALIGNMENT),
    ):
        changes += [
            f"stages.{name}.steps={steps}",
            f"stages.{name}.validate_every={steps}",
            f"stages.{name}.warmup=2",
        ]
        changes += [f"stages.{name}.precision=float32"]
        if name not in ("slices", "volumes", "refinement", "steadying", "settling"):
            changes.append(f"stages.{name}.batch=8")
    return changes


@pytest.fixture(scope="session")
def recipe_path() -> Path:
    return RECIPES / "brain3d-mini.yaml"


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory, recipe_path: Path) -> Path:
    """The output folder of a finished tiny run of the embedded model's own recipe."""
    from brain3d.training.run import run_recipe

    output = tmp_path_factory.mktemp("run")
    run_recipe(recipe_path, tiny_overrides(output))
    return output


@pytest.fixture(scope="session")
def raw_recipe(recipe_path: Path) -> dict:
    return yaml.safe_load(recipe_path.read_text())
