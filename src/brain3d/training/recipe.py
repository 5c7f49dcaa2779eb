"""Recipes: a YAML file that names a run completely, with `key=value` overrides from the command line."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from brain3d.scans import InputError, VolumeSpec

SEED_LIMIT = 2**31
SLABS_EACH = 6  # of every volume in a batch of the task slices
TASKS = ("slices", "volumes", "language", "grounding", "anchoring", "captioning")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*")
SCIENTIFIC = re.compile(r"[+-]?\d+(\.\d*)?[eE][+-]?\d+")
OWN_FOLDERS = ("bank", "held-out", "features", "tokenizer", "model")
TRAINABLE = ("projector", "patch_embedding", "compression", "lora")


@dataclass(frozen=True)
class Phantoms:
    train: int
    train_seed: int
    held_out: int
    held_out_seed: int
    aligned: int = 0  # how many of `train` are kept from the tower, for the alignment stages; 0: they read what it read


@dataclass(frozen=True)
class Sizes:
    """Sizes of a model that is built from nothing."""

    volume_shape: tuple[int, int, int]
    spacing_mm: float
    patch: int
    depth_patch: int
    vision_hidden: int
    vision_layers: int
    vision_heads: int
    grid: tuple[int, int, int]
    grid_reduce: str
    grid_context: bool
    contralateral: bool
    skip_empty: bool
    text_hidden: int
    text_layers: int
    text_heads: int
    vocabulary: int
    finding_weight: float

    @property
    def spec(self) -> VolumeSpec:
        return VolumeSpec(shape=self.volume_shape, spacing_mm=self.spacing_mm)


@dataclass(frozen=True)
class Stage:
    """One stage. `trainable` names what learns in the alignment stages; the pretraining tasks train all they have."""

    name: str
    task: str
    steps: int
    lr: float
    batch: int
    validate_every: int = 500
    warmup: int = 100
    weight_decay: float = 0.01
    clip: float = 1.0
    precision: str = "float32"
    compile: bool = False
    trainable: tuple[str, ...] = ("projector",)
    temperature: float = 0.07
    lora_rank: int = 16
    lora_alpha: int = 32
    # Volumes: how much more a small lesion weighs; see training/dense.py. Above zero, small visible lesions are also
    # drawn oftener, there and in captioning.
    focus: float = 0.0
    parts: int = 1  # volumes: the batch in so many parts, computed at once on as many cores; see training/at_once.py
    average: str | None = None  # volumes: an earlier such stage; the result is the mean of its weights and these
    anchor: float = 0.0  # captioning: weight of the anchoring loss beside that of the text
    # Language, grounding, captioning: the one seed that phrases all reports, so that words differ by findings alone.
    phrasing: int | None = None
    thin: float = 0.0  # slices: the share of images that are one slice; the others are the mean of four


@dataclass(frozen=True)
class Recipe:
    name: str
    seed: int
    output: str
    phantoms: Phantoms
    model: Sizes
    stages: tuple[Stage, ...] = field(default_factory=tuple)
    workers: int = 2
    version: str = "1"  # of the finished model, as its reports state it


def build(kind: type, values: Any, where: str) -> Any:
    """A dataclass out of keys and values. InputError that names the key that is unknown, missing or of a wrong kind."""
    if not isinstance(values, dict):
        raise InputError(f"{where}: expected keys and values, found {values!r}")
    names = {f.name: f for f in fields(kind)}
    unknown = sorted(set(values) - set(names))
    if unknown:
        raise InputError(f"{where}: unknown key {unknown[0]!r}; known keys: {', '.join(names)}")
    single = [key for key, v in values.items() if str(names[key].type).startswith("tuple") and not isinstance(v, list)]
    if single and single != ["stages"]:
        raise InputError(f"{where}.{single[0]}: expected a list such as [a, b], found {values[single[0]]!r}")
    converted = {key: _converted(v, str(names[key].type)) for key, v in values.items()}
    try:
        built = kind(**converted)
    except TypeError as error:
        raise InputError(f"{where}: {str(error).split('__init__() ')[-1]}") from error
    for name in names:
        _check_number(getattr(built, name), names[name].type, f"{where}.{name}")
    return built


def _converted(value: Any, kind: str) -> Any:
    """Lists as tuples; and 5e-5, which is a text to YAML, as the number that is meant."""
    if kind.startswith("float") and isinstance(value, str) and SCIENTIFIC.fullmatch(value):
        return float(value)
    return tuple(value) if isinstance(value, list) else value


def _check_number(value: Any, kind: Any, where: str) -> None:
    kinds: dict[str, tuple[type, ...]] = {"int": (int,), "float": (int, float), "bool": (bool,), "str": (str,)}
    kind, _, optional = str(kind).partition(" | ")
    expected = kinds.get(kind)
    if optional and value is None:
        return
    if expected is not None and (not isinstance(value, expected) or (kind != "bool" and isinstance(value, bool))):
        raise InputError(f"{where}: expected {kind}, found {value!r}")
    if isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"{where}: expected a finite number, found {value!r}")


def _override(raw: dict[str, Any], assignment: str) -> None:
    key, sign, text = assignment.partition("=")
    if not sign or not key:
        raise InputError(f"{assignment!r}: an override is key=value, such as output=runs/a or stages.slices.steps=10")
    target: Any = raw
    parts = key.split(".")
    for part in parts[:-1]:
        if isinstance(target, list):
            target = next((stage for stage in target if isinstance(stage, dict) and stage.get("name") == part), None)
        else:
            target = target.setdefault(part, {})  # a group that the recipe leaves at its defaults, such as lora
        if not isinstance(target, (dict, list)):
            raise InputError(f"{assignment!r}: the recipe has no {part!r}")
    if not isinstance(target, dict):
        raise InputError(f"{assignment!r}: name a stage and one of its keys, such as stages.slices.steps=10")
    try:
        target[parts[-1]] = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InputError(f"{assignment!r}: the value is not valid YAML; quote it if it is a text") from error


def read_raw(path: Path, overrides: list[str]) -> dict[str, Any]:
    """A recipe's keys and values, with overrides such as `output=runs/a` or `stages.slices.steps=10`.

    Raises InputError for a missing file, invalid YAML, and an override that reaches nothing.
    """
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); give a recipe file") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not valid YAML; give a recipe file such as recipes/brain3d-mini.yaml") from error
    if not isinstance(raw, dict):
        raise InputError(f"{path}: a recipe is a set of keys and values")
    for assignment in overrides:
        _override(raw, assignment)
    return raw


def load_recipe(path: Path, overrides: list[str]) -> Recipe:
    """Read a recipe over phantoms and apply overrides.

    Raises InputError for a missing file, invalid YAML, unknown keys, unknown tasks and values of the wrong kind.
    """
    return parse_recipe(read_raw(path, overrides), path)


def parse_recipe(raw: dict[str, Any], path: Path) -> Recipe:
    """A recipe over phantoms out of its keys and values. InputError as `load_recipe`."""
    stages = parse_stages(raw.pop("stages", None), path)
    raw["phantoms"] = build(Phantoms, raw.get("phantoms"), f"{path}: phantoms")
    raw["model"] = build(Sizes, raw.get("model"), f"{path}: model")
    recipe: Recipe = build(Recipe, {**raw, "stages": list(stages)}, str(path))
    _check_counts(recipe, path)
    for stage in recipe.stages:
        _check_average(stage, recipe, path)
        _check_bank(stage, recipe.phantoms, path)
        _check_slabs(stage, recipe.model, path)
    return recipe


def parse_stages(raw: Any, path: Path) -> tuple[Stage, ...]:
    """Stages out of a recipe's list. InputError for an empty one, unknown keys and values that make no sense."""
    if not isinstance(raw, list) or not raw:
        raise InputError(f"{path}: the recipe names no stages")
    stages = tuple(build(Stage, s, f"{path}: stages[{i}]") for i, s in enumerate(raw))
    for stage in stages:
        _check_stage(stage, path)
    return stages


def _check_counts(recipe: Recipe, path: Path) -> None:
    names = [stage.name for stage in recipe.stages]
    odd = [name for name in names if not NAME.fullmatch(name) or name in OWN_FOLDERS]
    if odd:
        raise InputError(
            f"{path}: a stage is named {odd[0]!r}; use letters, digits and dashes, and no name of the run's own folders"
        )
    if not 0 <= recipe.seed < SEED_LIMIT:
        raise InputError(f"{path}: seed {recipe.seed}: give a whole number from 0 to {SEED_LIMIT - 1}")
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise InputError(f"{path}: two stages are named {twice[0]!r}; their folders would be one")
    phantoms = recipe.phantoms
    if min(recipe.workers, phantoms.train, phantoms.held_out) < 1:
        raise InputError(f"{path}: workers, phantoms.train and phantoms.held_out must be at least 1")
    if not 0 <= phantoms.aligned < phantoms.train:
        raise InputError(f"{path}: phantoms.aligned is {phantoms.aligned}, of {phantoms.train} phantoms; leave some")
    for first, count in ((phantoms.train_seed, phantoms.train), (phantoms.held_out_seed, phantoms.held_out)):
        if not 0 <= first <= SEED_LIMIT - count:
            raise InputError(f"{path}: phantom seeds must lie below {SEED_LIMIT}: those above are for evaluation")
    if _overlap(phantoms):
        raise InputError(f"{path}: held-out phantoms would be training phantoms; move held_out_seed")


def _overlap(phantoms: Phantoms) -> bool:
    train = range(phantoms.train_seed, phantoms.train_seed + phantoms.train)
    held_out = range(phantoms.held_out_seed, phantoms.held_out_seed + phantoms.held_out)
    return max(train.start, held_out.start) < min(train.stop, held_out.stop)


def _check_bank(stage: Stage, phantoms: Phantoms, path: Path) -> None:
    volumes = {"slices": stage.batch // SLABS_EACH, "volumes": stage.batch}.get(stage.task, 0)
    if stage.task == "slices" and stage.batch < SLABS_EACH:
        raise InputError(
            f"{path}: stage {stage.name!r} needs a batch of at least {SLABS_EACH}, the slabs of one volume"
        )
    if volumes > phantoms.train - phantoms.aligned:
        raise InputError(
            f"{path}: stage {stage.name!r} takes {volumes} phantoms a batch, the tower has "
            f"{phantoms.train - phantoms.aligned}; raise phantoms.train or lower batch"
        )


def _check_slabs(stage: Stage, sizes: Sizes, path: Path) -> None:
    slabs = sizes.volume_shape[0] // max(1, sizes.depth_patch)
    if stage.task == "slices" and slabs < SLABS_EACH:
        raise InputError(
            f"{path}: stage {stage.name!r} takes {SLABS_EACH} slabs of every volume; {sizes.volume_shape[0]} slices "
            f"make {slabs}: raise model.volume_shape"
        )


def _check_average(stage: Stage, recipe: Recipe, path: Path) -> None:
    earlier = [s.name for s in recipe.stages[: recipe.stages.index(stage)] if s.task == "volumes"]
    if stage.average is not None and (stage.task != "volumes" or stage.average not in earlier):
        raise InputError(
            f"{path}: stage {stage.name!r} has average {stage.average!r}; it is for volumes, and names an earlier "
            "stage with that task"
        )


def _check_stage(stage: Stage, path: Path) -> None:
    if stage.task not in TASKS:
        raise InputError(f"{path}: stage {stage.name!r} has task {stage.task!r}; known: {', '.join(TASKS)}")
    unknown = sorted(set(stage.trainable) - set(TRAINABLE))
    if unknown:
        raise InputError(f"{path}: stage {stage.name!r} trains {unknown[0]!r}; known: {', '.join(TRAINABLE)}")
    if stage.precision not in ("float32", "bfloat16"):
        raise InputError(f"{path}: stage {stage.name!r} has precision {stage.precision!r}; float32 or bfloat16")
    if min(stage.steps, stage.batch, stage.validate_every, stage.lora_rank, stage.lora_alpha) < 1:
        raise InputError(
            f"{path}: stage {stage.name!r} needs steps, batch, validate_every, lora_rank and lora_alpha of at least 1"
        )
    if (
        min(stage.lr, stage.clip, stage.temperature) <= 0
        or min(stage.warmup, stage.weight_decay, stage.focus, stage.anchor) < 0
    ):
        raise InputError(
            f"{path}: stage {stage.name!r} needs lr, clip and temperature above zero, and no negative warmup, "
            "weight_decay, focus or anchor"
        )
    _check_shares(stage, path)
    for key, given, tasks in (
        ("focus", stage.focus > 0, ("volumes", "captioning")),
        ("anchor", stage.anchor > 0, ("captioning",)),
        ("phrasing", stage.phrasing is not None, ("language", "grounding", "captioning")),
        ("thin", stage.thin > 0, ("slices",)),
        ("parts", stage.parts > 1, ("volumes",)),
    ):
        if given and stage.task not in tasks:
            raise InputError(f"{path}: stage {stage.name!r}: {key} is for {' and '.join(tasks)}; leave it out")
    if stage.task == "grounding" and stage.batch < 2:
        raise InputError(f"{path}: stage {stage.name!r} has batch 1: a contrastive loss without negatives is zero")


def _check_shares(stage: Stage, path: Path) -> None:
    if stage.parts < 1 or stage.batch % stage.parts:
        raise InputError(
            f"{path}: stage {stage.name!r} cannot split its batch of {stage.batch} into {stage.parts} parts"
        )
    if not 0 <= stage.thin <= 1:
        raise InputError(f"{path}: stage {stage.name!r} has thin {stage.thin}: give a share from 0 to 1")
