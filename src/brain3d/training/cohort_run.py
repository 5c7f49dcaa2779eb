"""Running a recipe over a cohort: its stages in order, each from the last one's best checkpoint."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path

import torch
from accelerate import Accelerator
from tqdm import tqdm

from brain3d.cohort import Cohort, Study, open_cohort, open_volumes
from brain3d.cohort.splits import person_of
from brain3d.model.modeling_brain3d import Brain3DForConditionalGeneration
from brain3d.scans import InputError, VolumeSpec
from brain3d.training.bank import claim
from brain3d.training.base_model import load_base
from brain3d.training.batches import View, batches_per_epoch
from brain3d.training.captioning import CaptioningTask
from brain3d.training.checkpoint import best_file, naming_a_full_disk, read_best, read_progress
from brain3d.training.cohort_data import CohortData, StudyError, load_data
from brain3d.training.deliver import export_both
from brain3d.training.devices import naming_a_full_gpu, start_accelerator
from brain3d.training.digest import file_digest, settings_digest, tensors_digest
from brain3d.training.grounding import GroundingTask
from brain3d.training.locks import alone_in
from brain3d.training.loop import Schedule, run_stage
from brain3d.training.parts_trained import merged, settled
from brain3d.training.plan import CohortStage, Plan, check_ready
from brain3d.training.run_log import check_tensorboard, validations
from brain3d.training.run_report import RunReport, StageReport, write_run_report
from brain3d.training.stages import Material
from brain3d.training.token_cache import TokenCache
from brain3d.training.tower_features import TowerFeatures

BETAS = (0.9, 0.999)  # AdamW's own, as in the released code
VALIDATION_SHARE = 0.2  # of the subjects, where a cohort has no splits


def pick_precision(plan: Plan, device: torch.device) -> str:
    """bfloat16 on GPUs that have it, float32 elsewhere, unless the recipe says which."""
    if plan.precision != "auto":
        return plan.precision
    return "bfloat16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "float32"


def with_splits(cohort: Cohort, plan: Plan) -> tuple[Sequence[Study], Sequence[Study]]:
    """Training and validation studies. A cohort that is not split, such as one of phantoms, whose studies are all for
    testing, is divided by subject (`person_of`: the sessions of one stay together), and that is said, as it is where
    given splits share a subject."""
    people = {study.id: person_of(study.subject) for study in cohort.studies}
    if len({study.split for study in cohort.studies}) > 1:
        train, validation = cohort.split(plan.train_split), cohort.split(plan.validation_split)
        shared = {people[study.id] for study in train} & {people[study.id] for study in validation}
        if shared:
            tqdm.write(
                f"{plan.data}: {len(shared)} subjects are in {plan.train_split} and in {plan.validation_split}: what "
                "validation says is flattered; split again (`brain3d prepare manifest`)"
            )
        return train, validation
    several = sorted(set(people.values()))
    if len(several) < 2:
        raise InputError(f"{plan.data}: one subject, and not split; training and validation need two at least")
    order = torch.randperm(len(several), generator=torch.Generator().manual_seed(plan.seed)).tolist()
    held_out = {several[i] for i in order[: max(1, int(VALIDATION_SHARE * len(several)))]}
    tqdm.write(
        f"{plan.data}: not split; {len(held_out)} of its {len(several)} subjects are kept for validation, the rest is "
        "trained on: do not test on this cohort afterwards"
    )
    return (
        [study for study in cohort.studies if people[study.id] not in held_out],
        [study for study in cohort.studies if people[study.id] in held_out],
    )


def load_splits(plan: Plan, model: Brain3DForConditionalGeneration) -> tuple[CohortData, CohortData, list[StudyError]]:
    """Both splits, prepared; and what was left out, where the recipe allows that."""
    assert plan.data is not None
    cohort = open_cohort(plan.data)
    published = model.config.preprocessing == "published"  # then voxels are no cubes, whatever the config says
    spec = VolumeSpec(model.config.volume_shape, 0.0) if published else model.config.volume_spec()
    volumes = open_volumes(cohort, spec)
    left_out: list[StudyError] = []
    kept = left_out if plan.faulty == "leave_out" else None
    train, validation = (
        load_data(studies, volumes, seed=plan.seed, left_out=kept) for studies in with_splits(cohort, plan)
    )
    for fault in left_out:
        tqdm.write(f"left out: {fault}")
    return train, validation, left_out


def schedule_of(stage: CohortStage, plan: Plan, studies: int) -> Schedule:
    """What the loop has to know: epochs in steps, a validation at the end of each."""
    each = batches_per_epoch(studies, stage.batch)
    return Schedule(
        steps=stage.epochs * each,
        lr=1.0,  # every group of parameters has its own, as `lr_scale`
        warmup=stage.warmup,
        weight_decay=stage.weight_decay,
        clip=stage.clip,
        validate_every=each,
        seed=plan.seed,
        decay=stage.decay,
        betas=BETAS,
        patience=stage.patience,
        min_delta=stage.min_delta,
        log_every=plan.log_every,
        tensorboard=plan.tensorboard,
        validate_first=True,
    )


class CohortRun:
    """A plan under way."""

    def __init__(self, plan: Plan, accelerator: Accelerator) -> None:
        if plan.tensorboard:
            check_tensorboard()
        self.plan, self.accelerator, self.folder = plan, accelerator, Path(plan.output)
        device = accelerator.device
        self.precision = pick_precision(plan, device)
        self.dtype = torch.bfloat16 if self.precision == "bfloat16" and device.type == "cuda" else torch.float32
        self.model, self.processor = load_base(plan, device, self.dtype, plan.quantisation)
        self.model.requires_grad_(False)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"{plan.output}: cannot be made ({error.strerror}); give another output") from error
        with accelerator.main_process_first():
            self.train, self.validation, self.left_out = load_splits(plan, self.model)
        self.base = tensors_digest(self.model.state_dict())  # quantised weights and their scales, where they are
        self.cache_counts: dict[str, dict[str, int]] = {}  # up to the end of each stage
        self._claim()
        checkpointing = plan.gradient_checkpointing
        self.material = Material(
            train=self.train,
            validation=self.validation,
            processor=self.processor,
            accelerator=accelerator,
            cache=TokenCache(self.folder / "features", max_gb=plan.cache_gb),
            seed=plan.seed,
            precision=self.precision,
            checkpointing=device.type == "cuda" if checkpointing is None else checkpointing,
            samples=plan.samples,
            folder=self.folder,
        )

    def _claim(self) -> None:
        """Refuse a folder whose weights were made from another model, other studies or another seed."""
        settings = {
            "model": self.base,
            "choices": settings_digest(self.model.config),
            "train": _digest(self.train),
            "validation": _digest(self.validation),
            "seed": self.plan.seed,
            "precision": self.precision,
        }
        with self.accelerator.main_process_first():
            claim(self.folder / "run.json", settings, "weights")

    def run(self, stage: CohortStage) -> None:
        """Train one stage, or take it as it is where it is finished; the model goes on from its best weights."""
        folder = self.folder / stage.name
        folder.mkdir(parents=True, exist_ok=True)
        settings = {"seed": self.plan.seed, "stage_before": self._stage_before(stage), **asdict(stage)}
        with self.accelerator.main_process_first():
            claim(folder / "stage.json", settings, "weights")
        progress = read_progress(folder)
        if progress.finished:
            tqdm.write(f"{stage.name}: finished already")
            if not self._stays_apart(stage):
                self.model = merged(self.model, stage, read_best(folder, progress))
            return
        self._standardise(stage)
        task = (GroundingTask if stage.task == "grounding" else CaptioningTask)(stage, self.model, self.material)
        schedule = schedule_of(stage, self.plan, len(self.train))
        run_stage(task, schedule, folder, stage.name, main=self.accelerator.is_main_process)
        self.cache_counts[stage.name] = self.material.cache.counts.to_dict()
        self.accelerator.wait_for_everyone()
        self.accelerator.free_memory()  # it holds on to every model that it spread
        if self.accelerator.is_fsdp2:  # in pieces, and stays so
            del task  # with its pieces, before a whole model is loaded beside them
            self.model = self._anew(stage)
        elif not self._stays_apart(stage):
            self.model = settled(task.wrapped, stage, read_best(folder, read_progress(folder)))

    def _stage_before(self, stage: CohortStage) -> str | None:
        """The stage that this one goes on from, and a hash of what that passed on: over other weights, such as those
        of a stage that was trained again, this one's own mean nothing."""
        place = self.plan.stages.index(stage)
        if place == 0:
            return None
        before = self.folder / self.plan.stages[place - 1].name
        return f"{before.name} {file_digest(best_file(before, read_progress(before)))}"

    def _stays_apart(self, stage: CohortStage) -> bool:
        """Whether LoRA is not merged: into 4 bits, after the last stage, it is not; `deliver.rebuilt` merges it."""
        return self.plan.quantisation is not None and stage.parts.language == "lora"

    def _anew(self, last: CohortStage) -> Brain3DForConditionalGeneration:
        """The model loaded again, with the best of what every stage up to `last` learned."""
        del self.model
        model, _ = load_base(self.plan, self.accelerator.device, self.dtype, self.plan.quantisation)
        model.requires_grad_(False)
        for stage in self.plan.stages[: self.plan.stages.index(last) + 1]:
            place = self.folder / stage.name
            model = merged(model, stage, read_best(place, read_progress(place)))
        return model

    def _standardise(self, stage: CohortStage) -> None:
        """Before the first stage of an assembled model: the compressed tokens' mean and deviation."""
        body = self.model.model
        if self.plan.model is not None or body.standardiser is None or stage != self.plan.stages[0]:
            return
        features = TowerFeatures(body, self.train, self.material.cache, precision=self.precision)
        views = [View(row, mirrored) for row in range(len(self.train)) for mirrored in (False, True)]
        features.build(views[self.accelerator.process_index :: self.accelerator.num_processes])
        self.accelerator.wait_for_everyone()
        body.set_feature_statistics(*features.statistics(views))


def _digest(data: CohortData) -> str:
    """A hash of a split's volumes and reports, in their order."""
    whole = hashlib.sha256()
    for item in data.items:
        whole.update(f"{item.content} {item.report}\n".encode())
    return whole.hexdigest()


def write_summary(plan: Plan, run: CohortRun) -> None:
    """Write run-report.json and run-report.md: versions, hashes, hardware, and how every stage went."""
    stages = []
    for stage in plan.stages:
        progress = read_progress(run.folder / stage.name)
        figures = validations(run.folder, stage.name)
        steps = schedule_of(stage, plan, len(run.train)).steps
        stages.append(
            StageReport(
                name=stage.name,
                steps=progress.step,
                seconds=progress.seconds,
                best={} if progress.best_step is None else figures.get(progress.best_step, {}),
                last=figures.get(progress.step, {}),
                best_step=progress.best_step,
                ended="steps" if progress.step == steps else "early stopping",
                cache=run.cache_counts.get(stage.name, {}),
            )
        )
    kinds = [fault.kind for fault in run.left_out]
    report = RunReport(
        recipe=asdict(plan),
        hashes={
            "base model": run.base,
            **{name: _digest(data) for name, data in (("train", run.train), ("validation", run.validation))},
        },
        stages=stages,
        data={"train": run.train.summary(), "validation": run.validation.summary()},
        left_out={kind: kinds.count(kind) for kind in sorted(set(kinds))},
        resumed=sum(read_progress(run.folder / stage.name).starts for stage in plan.stages),
    )
    write_run_report(run.folder, report)


def run_plan(plan: Plan, path: Path, only: str | None = None) -> Path:
    """Run every stage of a plan (or `only` one) that is not finished; returns the folder of the best model.

    Each stage goes on from its own checkpoint. Of several processes, started by accelerate, one writes. Raises
    InputError for a plan, a cohort or a model that cannot be used, and for a full disk.
    """
    check_ready(plan, path)
    if only is not None and only not in [stage.name for stage in plan.stages]:
        raise InputError(f"{path}: no stage {only!r}; its stages: {', '.join(s.name for s in plan.stages)}")
    with naming_a_full_disk(Path(plan.output)):
        run = CohortRun(plan, start_accelerator(plan))
        try:
            with alone_in(run.folder) if run.accelerator.is_main_process else nullcontext():
                return _run_stages(run, plan, only)
        finally:
            run.material.cache.close()


def _run_stages(run: CohortRun, plan: Plan, only: str | None) -> Path:
    for stage in plan.stages:
        with naming_a_full_gpu(stage.name):
            run.run(stage)
        if stage.name == only:
            _leave_together(run.accelerator)
            return run.folder
    if run.accelerator.is_main_process:
        export_both(plan, run.folder, run.model, run.processor)
        write_summary(plan, run)
    _leave_together(run.accelerator)
    return run.folder / "best"


def _leave_together(accelerator: Accelerator) -> None:
    """End what processes share before any of them ends: gloo may abort one whose partner has gone."""
    accelerator.wait_for_everyone()
    accelerator.end_training()
