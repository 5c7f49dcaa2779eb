"""Recipes over a cohort, run for real: tiny parts, coarse phantoms, the shipped recipes."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

import brain3d
from brain3d.cli.main import main
from brain3d.cohort import Cohort, Study, open_cohort, open_volumes
from brain3d.cohort.splits import person_of
from brain3d.model import Brain3DForConditionalGeneration, Brain3DProcessor
from brain3d.scans import InputError, VolumeSpec, published_volume, read_scan
from brain3d.training.base_model import load_base
from brain3d.training.batches import View
from brain3d.training.captioning import CaptioningTask
from brain3d.training.checkpoint import read_progress
from brain3d.training.cohort_data import load_data
from brain3d.training.cohort_run import load_splits, with_splits
from brain3d.training.locks import alone_in
from brain3d.training.plan import CohortStage, Plan, check_ready, read_recipe
from brain3d.training.run import run_recipe
from brain3d.training.stages import validation_views

from .small_parts import SHAPE, SPACING_MM, small_cohort, small_model
from .tiny_folders import OWN, tiny_parts

RECIPES = Path(__file__).resolve().parents[2] / "recipes"
SHORT = ["stages.warm-up.epochs=2", "stages.specialisation.epochs=2", "samples=1", "log_every=1"]
SHORT += [f"stages.{name}.{key}" for name in ("warm-up", "specialisation") for key in ("max_tokens=24", "batch=2")]
SHORT += ["stages.warm-up.micro_batch=1", "stages.specialisation.micro_batch=2", "stages.warm-up.lr.projector=1e-2"]
SHORT += ["stages.specialisation.lr.language=2e-2", "stages.specialisation.patience=0", "stages.warm-up.patience=0"]
GROUND = ["stages.grounding.epochs=2", "stages.grounding.batch=3", "stages.grounding.max_tokens=32"]
GROUND += ["stages.grounding.lr.vision=1e-2"]


@pytest.fixture(scope="session")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_cohort(tmp_path_factory.mktemp("trained") / "cohort").folder


@pytest.fixture(scope="session")
def parts(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return tiny_parts(tmp_path_factory.mktemp("parts"))


def full(cohort: Path, parts: list[str], output: Path) -> list[str]:
    return [f"data={cohort}", f"output={output}", *parts, *OWN, "choices.grid_size=[2,2,2]", *GROUND, *SHORT]


@pytest.fixture(scope="session")
def full_run(cohort: Path, parts: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("full") / "run"
    assert run_recipe(RECIPES / "full.yaml", full(cohort, parts, output)) == output / "best"
    return output


def rows(run: Path) -> list[dict]:
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


def learned(run: Path, stage: str) -> dict[str, torch.Tensor]:
    return load_file(next((run / stage).glob("weights-*.safetensors")))


def test_every_stage_logs_its_losses_and_validations(full_run: Path) -> None:
    stages = ("grounding", "warm-up", "specialisation")
    assert {row["stage"] for row in rows(full_run) if "loss" in row} == set(stages)
    grounding = [row["validation"] for row in rows(full_run) if row["stage"] == "grounding" and "validation" in row]
    assert {"image_to_text_r1", "image_to_text_r5", "chance_r1", "loss"} <= set(grounding[0])
    assert [row["step"] for row in rows(full_run) if row["stage"] == "warm-up" and "validation" in row] == [0, 2, 4]


def test_a_checkpoint_holds_what_its_stage_trains_and_nothing_else(full_run: Path) -> None:
    grounding, warm_up, special = (learned(full_run, s) for s in ("grounding", "warm-up", "specialisation"))
    assert any("patch_embedding" in name for name in grounding)
    assert {"loss.log_scale", "loss.bias"} <= set(grounding)
    assert not any("patch_embedding" in name or "language_model" in name for name in warm_up)
    assert any("projector" in name for name in warm_up)
    assert any(name.endswith("vis_scale") for name in warm_up)
    assert any("lora_A" in name for name in special)


def test_lora_is_on_the_language_models_attention_and_never_in_the_tower(full_run: Path) -> None:
    adapters = [name for name in learned(full_run, "specialisation") if "lora_" in name]
    assert {name.split("/lora_")[0].rsplit("/", 1)[-1] for name in adapters} == {"q_proj", "k_proj", "v_proj", "o_proj"}
    assert all("language_model" in name and "vision" not in name for name in adapters)


def test_the_best_model_is_made_of_what_the_stages_learned(full_run: Path) -> None:
    """The patch embedding of stage 1, and LoRA merged, are in the folder; what was frozen is as it came."""
    claimed = json.loads((full_run / "best" / "brain3d.json").read_text())
    progress = read_progress(full_run / "grounding")
    best = load_file(full_run / "grounding" / f"best-{progress.best_step}.safetensors")
    model = Brain3DForConditionalGeneration.from_pretrained(full_run / "best")
    kept = "model/vision_tower/embeddings/patch_embedding/weight"
    assert torch.equal(model.model.vision_tower.embeddings.patch_embedding.weight, best[kept])
    assert [stage["name"] for stage in claimed["stages"]] == ["grounding", "warm-up", "specialisation"]


def test_the_best_model_reads_scans(full_run: Path, cohort: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scan = next(cohort.glob("*/flair.nii.gz"))
    assert main(["report", str(scan), "--model", str(full_run / "best"), "--without-side"]) == 0
    assert "Model brain3d-full 1" in capsys.readouterr().out
    assert brain3d.load(full_run / "last" if (full_run / "last").exists() else full_run / "best")


def test_validation_shows_reports_as_pictures(full_run: Path) -> None:
    folders = sorted((full_run / "gallery").iterdir())
    assert [f.name for f in folders] == [f"{s}-{n}" for s in ("specialisation", "warm-up") for n in (0, 2, 4)]
    assert all((folder / "01.png").stat().st_size > 1000 and (folder / "index.html").exists() for folder in folders)


def test_a_second_start_trains_nothing_again(full_run: Path, cohort: Path, parts: list[str]) -> None:
    before = (full_run / "best" / "model.safetensors").read_bytes()
    count = len(rows(full_run))
    run_recipe(RECIPES / "full.yaml", full(cohort, parts, full_run))
    assert len(rows(full_run)) == count
    assert (full_run / "best" / "model.safetensors").read_bytes() == before


def test_two_runs_do_not_work_in_one_folder(
    full_run: Path, cohort: Path, parts: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """As where a job was submitted twice: the checkpoints of both would be mixed."""
    command = ["train", str(RECIPES / "full.yaml"), *full(cohort, parts, full_run)]
    with alone_in(full_run):
        assert main(command) == 2
    assert "run: another run is under way in it" in capsys.readouterr().err
    assert main(command) == 0


def test_no_last_model_of_an_earlier_run_stays(full_run: Path, cohort: Path, parts: list[str], tmp_path: Path) -> None:
    """As where the last stage's folder was deleted, and it was trained again: now its last step is the best."""
    run = tmp_path / "run"
    shutil.copytree(full_run, run)
    shutil.rmtree(run / "specialisation")
    shutil.copytree(run / "best", run / "last", dirs_exist_ok=True)
    run_recipe(RECIPES / "full.yaml", [*full(cohort, parts, run), "stages.specialisation.epochs=1"])
    progress = read_progress(run / "specialisation")
    assert progress.best_step == progress.step == 2
    assert not (run / "last").exists()


def test_other_settings_or_studies_in_the_same_folder_are_refused(
    full_run: Path, cohort: Path, parts: list[str]
) -> None:
    with pytest.raises(InputError, match=r"weights were made with lr"):
        run_recipe(RECIPES / "full.yaml", [*full(cohort, parts, full_run), "stages.grounding.lr.vision=0.5"])
    with pytest.raises(InputError, match=r"weights were made with model"):  # the projector starts from the seed
        run_recipe(RECIPES / "full.yaml", [*full(cohort, parts, full_run), "seed=5"])
    with pytest.raises(InputError, match=r"weights were made with choices"):
        run_recipe(RECIPES / "full.yaml", [*full(cohort, parts, full_run), "choices.prompt=Say what you see."])


def test_a_cohort_without_splits_is_divided_by_person(tmp_path: Path) -> None:
    """Also where a manifest gives each session an id and says nothing of the subject."""
    studies = [Study(f"sub-{n:02d}_ses-{session}", tmp_path / "flair.nii.gz") for n in range(10) for session in (1, 2)]
    plan = Plan("run", "out", (), data="cohort")
    parts = with_splits(Cohort(tmp_path / "manifest.jsonl", tuple(studies), {}, None), plan)
    train, validation = ({person_of(study.subject) for study in part} for part in parts)
    assert (len(train), len(validation)) == (8, 2)
    assert not train & validation


def test_given_splits_that_share_a_person_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    splits = ("train", "train", "validation")
    studies = [Study(f"p{n}_ses-{s}", tmp_path / "x", split=splits[n]) for n in range(3) for s in (1, 2)]
    plan = Plan("run", "out", (), data="cohort")
    with_splits(Cohort(tmp_path / "manifest.jsonl", tuple(studies), {}, None), plan)
    assert not capsys.readouterr().out
    studies[0] = replace(studies[0], split="validation")
    with_splits(Cohort(tmp_path / "manifest.jsonl", tuple(studies), {}, None), plan)
    assert "1 subjects are in train and in validation" in capsys.readouterr().out


def test_a_stage_is_judged_on_mirror_images_only_where_it_learns_from_them(cohort: Path) -> None:
    studies = load_data(open_cohort(cohort).studies, open_volumes(open_cohort(cohort), VolumeSpec(SHAPE, SPACING_MM)))
    for mirror, expected in ((0.0, [False] * 4), (0.5, [False, True] * 2), (1.0, [False, True] * 2)):
        stage = CohortStage("warm-up", "captioning", "next_token", epochs=1, mirror=mirror)
        views = validation_views(studies, stage)
        assert [view.row for view in views] == [0, 1, 2, 3]
        assert [view.mirrored for view in views] == expected


def test_a_stage_over_other_weights_than_it_went_on_from_is_refused(
    full_run: Path, cohort: Path, parts: list[str], tmp_path: Path
) -> None:
    """One before it left out of the recipe; one before it trained again otherwise, its folder deleted."""
    run = tmp_path / "run"
    shutil.copytree(full_run, run)
    recipe = yaml.safe_load((RECIPES / "full.yaml").read_text())
    recipe["stages"] = [stage for stage in recipe["stages"] if stage["name"] != "grounding"]
    (tmp_path / "shorter.yaml").write_text(yaml.safe_dump(recipe))
    shorter = [change for change in full(cohort, parts, run) if change not in GROUND]
    with pytest.raises(InputError, match=r"warm-up: its weights were made with stage_before grounding .* says None"):
        run_recipe(tmp_path / "shorter.yaml", shorter)
    shutil.rmtree(run / "grounding")
    with pytest.raises(InputError, match=r"warm-up: its weights were made with stage_before grounding"):
        run_recipe(RECIPES / "full.yaml", [*full(cohort, parts, run), "stages.grounding.lr.vision=0.02"])


def test_the_loss_does_not_depend_on_cache_or_micro_batch(
    full_run: Path, cohort: Path, parts: list[str], tmp_path: Path
) -> None:
    """Up to rounding; dropout, which draws other numbers for other batches, is off."""
    losses = []
    for name, changes in (
        ("a", []),
        ("b", ["stages.warm-up.cache=false", "stages.specialisation.cache=false"]),
        (
            "c",
            ["stages.warm-up.micro_batch=2", "stages.specialisation.micro_batch=1", "stages.grounding.micro_batch=1"],
        ),
    ):
        output = tmp_path / name
        still = ["stages.specialisation.lora.dropout=0.0"]
        run_recipe(RECIPES / "full.yaml", [*full(cohort, parts, output), *still, *changes])
        losses.append([row["step_loss"] for row in rows(output) if "step_loss" in row])
    assert len(losses[0]) == 10
    assert losses[1] == pytest.approx(losses[0], abs=1e-5)
    assert losses[2] == pytest.approx(losses[0], abs=1e-5)


def test_the_published_recipe_runs_at_its_own_arithmetic(cohort: Path, tmp_path: Path) -> None:
    """On volumes of 64 x 128 x 128; patches of 32 keep the tower small."""
    parts = tiny_parts(tmp_path / "parts", patch=32)
    changes = [f"data={cohort}", f"output={tmp_path / 'run'}", *parts, "quantisation=null", *GROUND, *SHORT]
    changes += ["stages.grounding.hard_negatives=true"]  # a single study is validated on
    best = run_recipe(RECIPES / "published.yaml", changes)
    model = Brain3DForConditionalGeneration.from_pretrained(best)
    assert model.config.preprocessing == "published"
    assert (model.config.token_grid, model.config.num_visual_tokens) == ((65, 4, 4), 32)


def test_a_stage_of_the_published_system_is_adapted_with_its_bases_beside_it(cohort: Path, tmp_path: Path) -> None:
    """Where they are missing the line says what to give, and a recipe takes just that."""
    bases = tiny_parts(tmp_path / "parts", patch=32)
    shapes = {"0.weight": (24, 16), "0.bias": (24,), "2.weight": (24, 24), "2.bias": (24,)}
    layers = {name: torch.randn(shape, generator=torch.Generator().manual_seed(1)) for name, shape in shapes.items()}
    (tmp_path / "stage").mkdir()
    torch.save({"vision_projector": layers, "vis_scale": 0.5}, tmp_path / "stage" / "projector_vis_scale.pt")
    path, given = RECIPES / "finetune.yaml", [f"data={cohort}", f"model={tmp_path / 'stage'}"]
    for overrides in ([], bases):
        plan = read_recipe(path, [*given, *overrides])
        assert isinstance(plan, Plan)
        check_ready(plan, path)
        if not overrides:
            with pytest.raises(InputError, match=r"give the base model .* vision="):
                load_base(plan, "cpu", torch.float32, None)
    model, _ = load_base(plan, "cpu", torch.float32, None)
    assert model.config.preprocessing == "published"
    assert torch.equal(model.model.projector.linear_1.weight, layers["0.weight"])
    with pytest.raises(InputError, match="has parts of its own"):
        load_base(replace(plan, model="brain3d-mini"), "cpu", torch.float32, None)


@pytest.mark.parametrize("spacing_mm", [0.0, 2.0])
def test_volumes_of_the_published_preprocessing_have_the_models_own_size(cohort: Path, spacing_mm: float) -> None:
    """As the reader makes them for it, whatever spacing its config states."""
    model = small_model(preprocessing="published", spacing_mm=spacing_mm)
    train, _, _ = load_splits(Plan("run", "out", (), data=str(cohort)), model)
    scan = read_scan(train.items[0].study.image)
    assert np.array_equal(train.volume(View(0)), published_volume(scan, SHAPE).data)


def finetune(model: Path, cohort: Path, output: Path) -> list[str]:
    return [f"model={model}", f"data={cohort}", f"output={output}", *SHORT]


def test_a_trained_model_is_adapted_further(full_run: Path, cohort: Path, tmp_path: Path) -> None:
    best = run_recipe(RECIPES / "finetune.yaml", finetune(full_run / "best", cohort, tmp_path / "run"))
    assert brain3d.load(best).visual_tokens(next(cohort.glob("*/flair.nii.gz"))).ndim


def test_reports_that_are_cut_are_counted_aloud(
    full_run: Path, cohort: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The longest fills one stage to its last token; of the next it is one too long."""
    tokenizer = Brain3DProcessor.from_pretrained(full_run / "best").tokenizer
    texts = [path.read_text().strip() for path in cohort.glob("*/report.txt")]
    longest = max(len(tokenizer(text, add_special_tokens=False)["input_ids"]) for text in texts) + 1
    limits = [f"stages.warm-up.max_tokens={longest}", f"stages.specialisation.max_tokens={longest - 1}"]
    short = ["stages.warm-up.epochs=1", "stages.specialisation.epochs=1", "samples=0"]
    command = ["train", str(RECIPES / "finetune.yaml"), *finetune(full_run / "best", cohort, tmp_path / "run")]
    assert main([*command, *short, *limits]) == 0
    said = [line for line in capsys.readouterr().err.splitlines() if "reports are cut" in line]
    assert [line.split(":")[0] for line in said] == ["specialisation"]
    assert f"max_tokens {longest - 1}, the longest has {longest}" in said[0]


def best_losses(run: Path) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for row in rows(run):
        if "validation" in row:
            found.setdefault(row["stage"], []).append(row["validation"]["loss"])
    return found


@pytest.mark.parametrize(
    ("learns", "marks"),
    [
        ({"vision": "full"}, ["vision_tower/encoder", "patch_embedding"]),
        ({"compression": "full"}, ["compression/queries"]),
        ({"language": "full"}, ["language_model/layers", "embed_tokens"]),
        ({"vision": "full", "compression": "full", "language": "full"}, ["patch_embedding", "queries", "embed_tokens"]),
    ],
)
def test_any_part_learns_in_full_and_the_next_stage_begins_with_what_it_learned(
    cohort: Path, parts: list[str], tmp_path: Path, learns: dict[str, str], marks: list[str]
) -> None:
    """Also where the next stage caches features: those of the tower as it was would give another loss."""
    rates = dict.fromkeys(("vision", "compression", "language", "projector"), "1e-2")
    changes = [f"stages.warm-up.parts.{part}={mode}" for part, mode in learns.items()]
    changes += [f"stages.warm-up.lr.{part}={rate}" for part, rate in rates.items()]
    changes += ["choices.compression=perceiver", "stages.warm-up.augmentations=2", "stages.grounding.epochs=1"]
    run_recipe(RECIPES / "full.yaml", [*full(cohort, parts, tmp_path / "run"), *changes])
    start = load_file(next((tmp_path / "run" / "warm-up").glob("best-*")))
    assert all(any(mark in name for name in start) for mark in marks)
    losses = best_losses(tmp_path / "run")
    assert min(losses["warm-up"]) < losses["warm-up"][0] - 0.003
    assert losses["specialisation"][0] == pytest.approx(min(losses["warm-up"]), abs=2e-4)


def test_checkpointing_repeats_the_forward_pass_as_it_was(full_run: Path, cohort: Path, tmp_path: Path) -> None:
    """In bfloat16 too, where attention on a CPU is chosen for the time of the forward pass; the losses are the same."""
    losses = []
    for name in ("false", "true"):
        changes = [f"gradient_checkpointing={name}", "precision=bfloat16", "stages.warm-up.parts.language=full"]
        changes += ["stages.warm-up.parts.vision=patch_embedding", "stages.specialisation.epochs=1"]
        run_recipe(RECIPES / "finetune.yaml", [*finetune(full_run / "best", cohort, tmp_path / name), *changes])
        losses.append([row["step_loss"] for row in rows(tmp_path / name) if "step_loss" in row])
    assert len(losses[0]) == 6
    assert losses[1] == pytest.approx(losses[0], abs=1e-5)


def test_a_loss_that_is_not_finite_is_one_line_and_no_fault_of_ours(
    full_run: Path, cohort: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(full_run / "best", broken)
    weights = load_file(broken / "model.safetensors")
    weights["model.projector.vis_scale"].fill_(float("nan"))
    save_file(weights, broken / "model.safetensors", metadata={"format": "pt"})
    assert main(["train", str(RECIPES / "finetune.yaml"), *finetune(broken, cohort, tmp_path / "run")]) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("brain3d: error: warm-up: the validation loss is nan at step 0")
    assert not list((tmp_path / "run").glob("*/weights-*"))


def test_a_full_gpu_is_one_line_that_says_what_to_lower(
    full_run: Path, cohort: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full_memory(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    monkeypatch.setattr(CaptioningTask, "backward", full_memory)
    assert main(["train", str(RECIPES / "finetune.yaml"), *finetune(full_run / "best", cohort, tmp_path / "run")]) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("brain3d: error: stage 'warm-up': the GPU's memory is full; lower its micro_batch")
    assert read_progress(tmp_path / "run" / "warm-up").best_step == 0


def test_a_stage_that_cannot_learn_anything_is_refused(
    full_run: Path, cohort: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A part without weights, such as a grid; reports that all say the same."""
    command = ["train", str(RECIPES / "finetune.yaml"), *finetune(full_run / "best", cohort, tmp_path / "run")]
    assert main([*command, "stages.warm-up.parts={compression: full, projector: frozen}"]) == 2
    assert "'warm-up': what learns has no weights" in capsys.readouterr().err
    alike = tmp_path / "alike"
    shutil.copytree(cohort, alike)
    for report in alike.glob("*/report.txt"):
        report.write_text("No lesion is seen in the brain.")
    command = ["train", str(RECIPES / "finetune.yaml"), *finetune(full_run / "best", alike, tmp_path / "other")]
    assert main([*command, "stages.warm-up.task=grounding", "stages.warm-up.loss=infonce"]) == 2
    assert "'warm-up': all training reports say the same" in capsys.readouterr().err
    single = ["task=grounding", "loss=infonce", "batch=3", "hard_negatives=false"]  # one study of four is validated on
    command = ["train", str(RECIPES / "finetune.yaml"), *finetune(full_run / "best", cohort, tmp_path / "single")]
    assert main([*command, *(f"stages.warm-up.{change}" for change in single)]) == 2
    assert "'warm-up': all validation reports say the same" in capsys.readouterr().err


def test_a_damaged_note_of_what_a_run_is_made_of_is_named(full_run: Path, cohort: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "run.json").write_text("{")
    with pytest.raises(InputError, match=r"run.json: damaged"):
        run_recipe(RECIPES / "finetune.yaml", finetune(full_run / "best", cohort, run))


@pytest.mark.slow
def test_killed_runs_end_with_the_same_bits(full_run: Path, cohort: Path, tmp_path: Path) -> None:
    """A process of its own, killed from outside again and again, and started with --resume each time."""
    run_recipe(RECIPES / "finetune.yaml", finetune(full_run / "best", cohort, tmp_path / "whole"))
    command = [sys.executable, "-m", "brain3d", "train", str(RECIPES / "finetune.yaml"), "--resume"]
    command += finetune(full_run / "best", cohort, tmp_path / "killed")
    environment = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}
    for landmark in (
        "run.json",
        "warm-up/state-0.pt",
        "warm-up/state-4.pt",
        "specialisation/state-2.pt",
        "best.partial",
    ):
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None and not (tmp_path / "killed" / landmark).exists():
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert subprocess.run(command, env=environment, capture_output=True, check=False).returncode == 0
    whole, again = (load_file(tmp_path / name / "best" / "model.safetensors") for name in ("whole", "killed"))
    assert whole.keys() == again.keys()
    assert all(torch.equal(whole[name], again[name]) for name in whole)
    logs = [
        [{k: v for k, v in row.items() if k != "seconds"} for row in rows(tmp_path / n)] for n in ("whole", "killed")
    ]
    assert logs[0] == logs[1]


def test_a_scan_that_cannot_be_read_is_named_and_skipped_only_where_asked(
    full_run: Path, cohort: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "cohort"
    shutil.copytree(cohort, broken, ignore=shutil.ignore_patterns("volumes"))
    scan = sorted(broken.glob("*/flair.nii.gz"))[0]
    scan.write_bytes(scan.read_bytes()[:200])
    command = ["train", str(RECIPES / "finetune.yaml"), *finetune(full_run / "best", broken, tmp_path / "run")]
    assert main(command) == 2
    assert f"study {scan.parent.name}: its scan cannot be" in capsys.readouterr().err
    assert main([*command, "faulty=leave_out"]) == 0
    assert f"left out: study {scan.parent.name}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("data=null", "no cohort; give data=COHORT"),
        ("model=null", "either model=NAME"),
        ("choices={compression: grid}", "choices are for a model that is assembled"),
        ("stages.warm-up.parts.vision=lora", "parts.vision is 'lora'"),
        ("stages.warm-up.parts.projector=frozen", "every part is frozen"),
        ("stages.warm-up.loss=infonce", "loss is 'infonce'"),
        ("stages.warm-up.task=slices", "task is 'slices'"),
        ("stages.warm-up.lr.projector=fast", "expected float"),
        ("stages.warm-up.lr.projector=0", "above zero"),
        ("stages.warm-up.batch=0", "at least 1"),
        ("stages.warm-up.name=best", "named 'best'"),
        ("stages.warm-up.mirror=2", "mirror must be within"),
        ("stages.warm-up.decay=linear", "decay is 'linear'"),
        ("quantisation=int3", "quantisation is 'int3'"),
        ("quantisation=nf4", "needs a CUDA GPU"),
        ("precision=half", "precision is 'half'"),
        ("phantom=1", "unknown key 'phantom'"),
        ("tensorboard=yes please", "expected bool"),
        ("stages.warm-up.lr.projector=.nan", "expected a finite number"),
        ("cache_gb=.inf", "expected a finite number"),
    ],
)
def test_a_wrong_override_is_named(cohort: Path, tmp_path: Path, override: str, message: str) -> None:
    changes = [f"data={cohort}", "model=brain3d-mini", f"output={tmp_path / 'run'}", override]
    with pytest.raises(InputError, match=message):
        run_recipe(RECIPES / "finetune.yaml", changes)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("language", "message"), [("full", "cannot learn in full"), ("lora", "let the last stage alone have it")]
)
def test_what_4_bits_cannot_learn_is_refused(cohort: Path, tmp_path: Path, language: str, message: str) -> None:
    changes = [f"data={cohort}", "model=brain3d-mini", f"output={tmp_path / 'run'}", "quantisation=nf4"]
    with pytest.raises(InputError, match=message):
        run_recipe(RECIPES / "finetune.yaml", [*changes, f"stages.warm-up.parts.language={language}"])
