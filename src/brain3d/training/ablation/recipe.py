"""The recipe of an ablation: what all runs share, the paper's three stages, which arms and which seeds."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from brain3d.scans import InputError
from brain3d.training.ablation.arms import NAMES, STAGES
from brain3d.training.recipe import SEED_LIMIT, SLABS_EACH, Recipe, Stage, build, parse_recipe, parse_stages, read_raw

SHARED_TASKS = ("slices", "language")
TASKS = ("grounding", "captioning", "captioning")
TRAINED = (("projector",), ("projector",), ("projector", "lora"))


@dataclass(frozen=True)
class Ablation:
    """`shared` is the recipe of what is made once: phantoms, the 2-D tower, the language model. `flat_grid` are the
    rows and columns of boxes of the arm on slices; `phrasing` the seed that phrases reports, in training and tests."""

    name: str
    output: str
    seeds: tuple[int, ...]
    test: int
    test_seed: int
    phrasing: int
    flat_grid: tuple[int, int]
    shared: Recipe
    stages: tuple[Stage, ...]
    arms: tuple[str, ...] = NAMES
    jobs: int = 1  # runs at a time

    @property
    def tokens(self) -> int:
        """How many visual tokens every arm gives to the language model."""
        depth, rows, columns = self.shared.model.grid
        return depth * rows * columns

    def stage(self, name: str) -> Stage:
        return self.stages[STAGES.index(name)]

    def facts(self) -> dict[str, Any]:
        """What the result of a run follows from, flat: another value makes another run. Arms and seeds may be added."""
        values = asdict(self)
        values["shared"] = {key: value for key, value in values["shared"].items() if key not in ("output", "workers")}
        values["shared"]["stages"] = {stage["name"]: stage for stage in values["shared"]["stages"]}
        values["stages"] = {stage["name"]: stage for stage in values["stages"]}
        return _flat(
            {key: value for key, value in values.items() if key not in ("name", "output", "arms", "seeds", "jobs")}
        )


def _flat(values: dict[str, Any], before: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= _flat(value, f"{before}{key}.") if isinstance(value, dict) else {f"{before}{key}": value}
    return flat


def read_ablation(path: Path, overrides: list[str]) -> Ablation:
    """Read an ablation's recipe, with overrides such as `output=runs/a` or `stages.warm-up.steps=10`.

    Raises InputError for a missing file, invalid YAML, unknown keys, unknown arms and what makes no sense.
    """
    raw = read_raw(path, overrides)
    shared = raw.pop("shared", None)
    if not isinstance(shared, dict):
        raise InputError(f"{path}: shared: expected keys and values, what all runs have in common")
    own = {"name": raw.get("name"), "output": f"{raw.get('output')}/shared"}
    twice = sorted(set(own) & set(shared))
    if twice:
        raise InputError(f"{path}: shared.{twice[0]}: follows from the ablation's own; leave it out")
    stages = parse_stages(raw.pop("stages", None), path)
    recipe: Ablation = build(
        Ablation, {**raw, "shared": parse_recipe({**own, **shared}, path), "stages": list(stages)}, str(path)
    )
    _check_stages(recipe, path)
    _check_runs(recipe, path)
    _check_phantoms(recipe, path)
    return recipe


def _check_stages(recipe: Ablation, path: Path) -> None:
    shared = tuple(stage.task for stage in recipe.shared.stages)
    if shared != SHARED_TASKS:
        raise InputError(f"{path}: shared.stages have the tasks {', '.join(shared)}; give {', '.join(SHARED_TASKS)}")
    found = tuple((stage.name, stage.task, stage.trainable) for stage in recipe.stages)
    wanted = tuple(zip(STAGES, TASKS, TRAINED, strict=True))
    if found != wanted:
        said = "; ".join(f"{name} ({task}; trainable: {', '.join(parts)})" for name, task, parts in wanted)
        raise InputError(f"{path}: stages: give these three, in this order: {said}")
    extra = [s.name for s in recipe.stages if s.anchor or s.focus or s.phrasing is not None]
    if extra:
        raise InputError(
            f"{path}: stage {extra[0]!r}: anchor, focus and phrasing are not for ablations; leave them out"
        )


def _check_runs(recipe: Ablation, path: Path) -> None:
    for key, values in (("arms", recipe.arms), ("seeds", recipe.seeds)):
        if not values or len(set(values)) != len(values):
            raise InputError(f"{path}: {key}: give at least one, each once")
    unknown = [name for name in recipe.arms if name not in NAMES]
    if unknown:
        raise InputError(f"{path}: no arm {unknown[0]!r}; known: {', '.join(NAMES)}")
    if recipe.jobs < 1:
        raise InputError(f"{path}: jobs {recipe.jobs}: give at least 1")
    bad = [seed for seed in recipe.seeds if type(seed) is not int or not 0 <= seed < SEED_LIMIT]
    if bad:
        raise InputError(f"{path}: seeds: {bad[0]!r} is no whole number from 0 to {SEED_LIMIT - 1}")
    sizes = recipe.shared.model
    if sizes.grid_context or sizes.contralateral:
        raise InputError(f"{path}: shared.model: grid_context and contralateral belong to a tower taught in 3-D; false")
    rows, columns = recipe.flat_grid if len(recipe.flat_grid) == 2 else (0, 0)
    side = sizes.volume_shape[1] // sizes.patch
    if rows * columns != recipe.tokens or columns % 2 or max(rows, columns) > side:
        raise InputError(
            f"{path}: flat_grid {list(recipe.flat_grid)}: give rows and columns that make {recipe.tokens} boxes, as "
            f"model.grid does, an even number of columns, at most {side} of each"
        )


def _check_phantoms(recipe: Ablation, path: Path) -> None:
    known, batch = recipe.shared.phantoms, max(stage.batch for stage in recipe.stages)
    if recipe.test < 2 or not 0 <= recipe.test_seed <= SEED_LIMIT - recipe.test:
        raise InputError(f"{path}: test {recipe.test}, test_seed {recipe.test_seed}: two at least, below {SEED_LIMIT}")
    for first, count in ((known.train_seed, known.train), (known.held_out_seed, known.held_out)):
        if max(first, recipe.test_seed) < min(first + count, recipe.test_seed + recipe.test):
            raise InputError(f"{path}: test phantoms would be training or held-out phantoms; move test_seed")
    if not known.train >= SLABS_EACH or batch > (known.aligned or known.train):
        raise InputError(f"{path}: a batch of {batch}, but only {known.aligned or known.train} phantoms to align on")
