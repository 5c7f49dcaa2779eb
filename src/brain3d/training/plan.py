"""Recipes over a prepared cohort: which model, which stages, and in each stage which parts learn."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from brain3d.scans import InputError
from brain3d.training.recipe import NAME, SEED_LIMIT, Recipe, build, parse_recipe, read_raw

MODES = {
    "vision": ("frozen", "patch_embedding", "full"),
    "compression": ("frozen", "full"),
    "projector": ("frozen", "full"),
    "language": ("frozen", "lora", "full"),
}
LOSSES = {"grounding": ("infonce", "sigmoid"), "captioning": ("next_token",)}
EQUALS = ("soft", "mask")
DECAYS = ("constant", "cosine")
PRECISIONS = ("auto", "float32", "bfloat16")
FAULTY = ("stop", "leave_out")
OWN_NAMES = ("best", "last", "features", "gallery", "tensorboard", "volumes", "lock")


@dataclass(frozen=True)
class Parts:
    """What learns: of each part nothing (`frozen`), everything (`full`), or a piece of it. LoRA is for the language
    model alone. The projector's learned scale goes with the projector."""

    vision: str = "frozen"
    compression: str = "frozen"
    projector: str = "full"
    language: str = "frozen"


@dataclass(frozen=True)
class Rates:
    """Peak learning rates. `scale` is that of the projector's learned scale; null: the projector's own."""

    projector: float = 2.0e-4
    scale: float | None = None
    vision: float = 1.0e-4
    compression: float = 1.0e-4
    language: float = 5.0e-5


@dataclass(frozen=True)
class Lora:
    rank: int = 4
    alpha: int = 8
    dropout: float = 0.05


@dataclass(frozen=True)
class CohortStage:
    """One stage: what learns, from which batches, by which loss.

    `batch` studies, over all devices, make a step; at most `micro_batch` of them are on a device at once, which changes
    memory and time alone. `mirror` is how often a study is seen mirrored, words and image; `augmentations` how many
    versions of its intensities there are. `patience` validations, one an epoch, that do not lower the loss by
    `min_delta` end the stage; 0 never.
    """

    name: str
    task: str
    loss: str
    epochs: int
    parts: Parts = field(default_factory=Parts)
    lr: Rates = field(default_factory=Rates)
    lora: Lora = field(default_factory=Lora)
    batch: int = 8
    micro_batch: int = 1
    decay: str = "constant"
    warmup: int = 0
    weight_decay: float = 0.01
    clip: float = 1.0
    patience: int = 5
    min_delta: float = 0.001
    max_tokens: int = 256
    mirror: float = 0.5
    augmentations: int = 0
    cache: bool = True
    temperature: float = 0.07
    equals: str = "soft"
    hard_negatives: bool = True

    @property
    def tower_learns(self) -> bool:
        return self.parts.vision != "frozen" or self.parts.compression != "frozen"


@dataclass(frozen=True)
class Plan:
    """A run over a cohort. Either `model` is given, a name or a folder, or `vision` and `language`, out of which the
    model is assembled with the `choices`. Beside a stage's checkpoint of the published system they are its bases."""

    name: str
    output: str
    stages: tuple[CohortStage, ...]
    data: str | None = None
    model: str | None = None
    vision: str | None = None
    language: str | None = None
    choices: dict[str, Any] = field(default_factory=dict)
    version: str = "1"
    seed: int = 42
    faulty: str = "stop"
    train_split: str = "train"
    validation_split: str = "validation"
    precision: str = "auto"
    quantisation: str | None = None
    gradient_checkpointing: bool | None = None
    cache_gb: float = 20.0
    samples: int = 4
    log_every: int = 10
    tensorboard: bool = False


def read_recipe(path: Path, overrides: list[str]) -> Recipe | Plan:
    """Read a recipe of either kind: with `phantoms` it trains the embedded model from nothing, else on a cohort.

    Raises InputError for a missing file, invalid YAML, unknown keys, and values of the wrong kind.
    """
    raw = read_raw(path, overrides)
    if "shared" in raw:
        raise InputError(f"{path}: the recipe of an ablation; give it to `brain3d ablate`")
    return parse_recipe(raw, path) if "phantoms" in raw else parse_plan(raw, path)


def parse_plan(raw: dict[str, Any], path: Path) -> Plan:
    """A plan out of a recipe's keys and values. InputError for what is unknown, of the wrong kind or makes no sense."""
    stages = raw.pop("stages", None)
    if not isinstance(stages, list) or not stages:
        raise InputError(f"{path}: the recipe names no stages")
    built = [_stage(stage, f"{path}: stages[{i}]") for i, stage in enumerate(stages)]
    plan: Plan = build(Plan, {**raw, "stages": built}, str(path))
    _check_plan(plan, path)
    for stage in built:
        _check_stage(stage, f"{path}: stage {stage.name!r}")
    return plan


def _stage(values: Any, where: str) -> CohortStage:
    if isinstance(values, dict):
        values = dict(values)
        for key, kind in (("parts", Parts), ("lr", Rates), ("lora", Lora)):
            if key in values:
                values[key] = build(kind, values[key], f"{where}.{key}")
    stage: CohortStage = build(CohortStage, values, where)
    return stage


def _choose(where: str, key: str, value: Any, allowed: tuple[Any, ...]) -> None:
    if value not in allowed:
        raise InputError(f"{where}: {key} is {value!r}; give one of {', '.join(map(str, allowed))}")


def _check_plan(plan: Plan, path: Path) -> None:
    names = [stage.name for stage in plan.stages]
    odd = [name for name in names if not NAME.fullmatch(name) or name in OWN_NAMES or names.count(name) > 1]
    if odd:
        raise InputError(
            f"{path}: a stage is named {odd[0]!r}; use letters, digits and dashes, each name once, and none of "
            f"{', '.join(OWN_NAMES)}"
        )
    if not 0 <= plan.seed < SEED_LIMIT:
        raise InputError(f"{path}: seed {plan.seed}: give a whole number from 0 to {SEED_LIMIT - 1}")
    _choose(str(path), "precision", plan.precision, PRECISIONS)
    _choose(str(path), "quantisation", plan.quantisation, (None, "nf4"))
    _choose(str(path), "faulty", plan.faulty, FAULTY)
    if plan.quantisation and any(stage.parts.language == "full" for stage in plan.stages):
        raise InputError(f"{path}: a quantised language model cannot learn in full; give lora, or quantisation=null")
    if plan.quantisation and any(stage.parts.language == "lora" for stage in plan.stages[:-1]):
        raise InputError(
            f"{path}: what LoRA adds to a weight of 4 bits is lost when it is merged for the next stage; let the last "
            "stage alone have it, or give quantisation=null"
        )
    if plan.cache_gb <= 0 or plan.samples < 0 or plan.log_every < 1:
        raise InputError(f"{path}: cache_gb must be above zero, log_every at least 1, samples not negative")
    if not isinstance(plan.choices, dict):
        raise InputError(f"{path}: choices: expected keys and values, found {plan.choices!r}")


def _check_stage(stage: CohortStage, where: str) -> None:
    _choose(where, "task", stage.task, tuple(LOSSES))
    _choose(where, "loss", stage.loss, LOSSES[stage.task])
    _choose(where, "decay", stage.decay, DECAYS)
    _choose(where, "equals", stage.equals, EQUALS)
    for part in fields(Parts):
        _choose(where, f"parts.{part.name}", getattr(stage.parts, part.name), MODES[part.name])
    if all(getattr(stage.parts, part.name) == "frozen" for part in fields(Parts)):
        raise InputError(f"{where}: every part is frozen; let one learn")
    if stage.task == "grounding" and stage.parts.language != "frozen":
        raise InputError(f"{where}: grounding holds images to the texts' embeddings; parts.language must be frozen")
    if stage.task == "grounding" and stage.batch < 2:
        raise InputError(f"{where}: batch 1: a contrastive loss without negatives is zero")
    least = (stage.epochs, stage.batch, stage.micro_batch, stage.lora.rank, stage.lora.alpha, stage.max_tokens)
    if min(least) < 1:
        raise InputError(f"{where}: epochs, batch, micro_batch, lora.rank, lora.alpha, max_tokens must be at least 1")
    if min(stage.warmup, stage.weight_decay, stage.patience, stage.min_delta, stage.augmentations) < 0:
        raise InputError(f"{where}: warmup, weight_decay, patience, min_delta and augmentations must not be negative")
    rates = [rate for rate in (getattr(stage.lr, f.name) for f in fields(Rates)) if rate is not None]
    if min(*rates, stage.clip, stage.temperature) <= 0:
        raise InputError(f"{where}: learning rates, clip and temperature must be above zero")
    if not 0 <= stage.mirror <= 1 or not 0 <= stage.lora.dropout < 1:
        raise InputError(f"{where}: mirror must be within 0..1, lora.dropout within 0..1")


def check_ready(plan: Plan, path: Path) -> None:
    """InputError where a plan lacks what only its user can give: the cohort, and a model or both its parts."""
    if plan.data is None:
        raise InputError(f"{path}: no cohort; give data=COHORT, a folder that `brain3d prepare` or `phantom` made")
    if plan.model is None and (plan.vision is None or plan.language is None):
        raise InputError(f"{path}: give either model=NAME|FOLDER, or both vision=... and language=...")
    if plan.model is not None and plan.choices:
        raise InputError(
            f"{path}: choices are for a model that is assembled out of parts, and {plan.model} has its own; give "
            "choices={}"
        )
