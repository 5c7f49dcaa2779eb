"""The ablation, run for real at a very small size."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from brain3d.cli.main import main
from brain3d.scans import InputError
from brain3d.training.ablation.arms import ARMS, CENTRE, NAMES, STAGES
from brain3d.training.ablation.kept import steps_of
from brain3d.training.ablation.recipe import read_ablation
from brain3d.training.ablation.run import ablate
from brain3d.training.ablation.scores import MAIN

RECIPES = Path(__file__).resolve().parents[2] / "recipes"
RECIPE = RECIPES / "ablation.yaml"
SMALL = ("all-stages", "perceiver", "slices-mean")


def tiny(output: Path, *more: str) -> list[str]:
    changes = {
        "seeds": "[5]",
        "jobs": 1,
        "arms": f"[{', '.join(SMALL)}]",
        "test": 6,
        "flat_grid": "[4, 2]",
        "shared.phantoms.train": 16,
        "shared.phantoms.aligned": 8,
        "shared.phantoms.held_out": 4,
        "shared.model.volume_shape": "[24, 24, 24]",
        "shared.model.spacing_mm": 8.0,
        "shared.model.grid": "[2, 2, 2]",
        "shared.model.vision_hidden": 16,
        "shared.model.vision_layers": 1,
        "shared.model.text_hidden": 32,
        "shared.model.text_layers": 1,
        "shared.model.vocabulary": 320,
        "shared.stages.slices.batch": 12,
    }
    for name in ("shared.stages.slices", "shared.stages.language", *(f"stages.{name}" for name in STAGES)):
        changes |= {f"{name}.steps": 2, f"{name}.warmup": 1, f"{name}.precision": "float32"}
        if "slices" not in name:
            changes[f"{name}.batch"] = 4
    return [f"output={output}", *(f"{key}={value}" for key, value in changes.items()), *more]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of a finished tiny ablation, of one seed."""
    output = tmp_path_factory.mktemp("ablation")
    ablate(RECIPE, tiny(output))
    return output


def results(output: Path) -> list[dict]:
    return [json.loads(line) for line in (output / "log.jsonl").read_text().splitlines()]


def test_each_arm_leaves_reports_of_every_test_phantom_and_its_mirror_image(done: Path) -> None:
    assert sorted(folder.name for folder in (done / "runs").iterdir()) == [f"{arm}-5" for arm in SMALL]
    for arm in SMALL:
        pairs = [json.loads(line) for line in (done / "runs" / f"{arm}-5" / "pairs.jsonl").read_text().splitlines()]
        assert len(pairs) == 6
        assert all(isinstance(pair[key], str) for pair in pairs for key in ("reference", "candidate", "mirrored"))
    assert [(row["arm"], row["steps"]) for row in results(done)] == [(arm, dict.fromkeys(STAGES, 2)) for arm in SMALL]


def test_the_table_the_figure_and_the_json_show_each_arm_beside_what_chance_gives(done: Path) -> None:
    table = json.loads((done / "table.json").read_text())
    assert table["cases"] == 6
    for name in MAIN:
        metric = table["metrics"][name]
        assert set(metric["arms"]) == set(SMALL)
        assert set(metric["trivial"]) == {"constant", "shuffled"}
        assert "difference" not in metric["arms"][CENTRE.name]
        assert 0 < metric["arms"]["perceiver"]["difference"]["p_holm"] <= 1
    text = (done / "table.md").read_text()
    assert "2-D slices + mean" in text
    assert "best constant report" in text
    assert (done / "ablation.png").read_bytes().startswith(b"\x89PNG")


def test_finished_runs_are_kept_and_only_what_is_missing_is_done(done: Path, tmp_path: Path) -> None:
    """One run's folder is taken away, as a kill leaves it: half of it under another name."""
    copy = tmp_path / "run"
    shutil.copytree(done, copy)
    before = {folder.name: (folder / "pairs.jsonl").read_bytes() for folder in (copy / "runs").iterdir()}
    kept = copy / "runs" / "all-stages-5" / "result.json"
    stamp = kept.stat().st_mtime_ns
    cut = copy / "runs" / "slices-mean-5"
    (cut / "result.json").unlink()
    cut.rename(cut.with_name("slices-mean-5.partial"))
    ablate(RECIPE, tiny(copy))
    after = {folder.name: (folder / "pairs.jsonl").read_bytes() for folder in (copy / "runs").iterdir()}
    assert after == before, "the same seed trains and writes the same"
    assert kept.stat().st_mtime_ns == stamp
    assert len(results(copy)) == len(SMALL)


def test_a_killed_process_leaves_whole_runs_and_the_next_goes_on(done: Path, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(done, copy)
    shutil.rmtree(copy / "runs")
    code = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from brain3d.training.ablation import aligning, run\n"
        "calls, written = [0], aligning.written\n"
        "def dying(*given):\n"
        "    calls[0] += 1\n"
        "    return os.kill(os.getpid(), signal.SIGKILL) if calls[0] == 4 else written(*given)\n"
        "aligning.written = dying\n"
        "run.ablate(Path(sys.argv[1]), sys.argv[2:])\n"
    )
    command = [sys.executable, "-c", code, str(RECIPE), *tiny(copy)]
    died = subprocess.run(command, env=dict(os.environ), capture_output=True, check=False)
    assert died.returncode == -signal.SIGKILL, died.stderr
    assert [row["arm"] for row in results(copy)][:1] == ["all-stages"]
    assert sorted(folder.name for folder in (copy / "runs").iterdir()) == ["all-stages-5"]
    ablate(RECIPE, tiny(copy))
    for arm in SMALL:
        name = f"runs/{arm}-5/pairs.jsonl"
        assert (copy / name).read_bytes() == (done / name).read_bytes()


def test_stages_that_an_arm_shares_with_another_are_trained_once_and_come_out_the_same(
    done: Path, tmp_path: Path
) -> None:
    copies = [tmp_path / name for name in ("shared", "anew")]
    for copy in copies:
        shutil.copytree(done, copy)
    shutil.rmtree(copies[1] / "shared" / "begun")
    for copy in copies:
        ablate(RECIPE, tiny(copy, "arms=[no-lora,no-warm-up]"))
    shared, anew = ({row["arm"]: row["taken"] for row in results(copy)} for copy in copies)
    assert shared == {"no-lora": ["grounding", "warm-up"], "no-warm-up": ["grounding"]}
    assert anew == {"no-lora": [], "no-warm-up": ["grounding"]}
    for arm in shared:
        one, other = (copy / "runs" / f"{arm}-5" / "pairs.jsonl" for copy in copies)
        assert one.read_bytes() == other.read_bytes()


@pytest.mark.slow
def test_runs_can_be_done_two_at_a_time(done: Path, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(done, copy)
    ablate(RECIPE, tiny(copy, "jobs=2", "seeds=[7,8]", "arms=[all-stages]"))
    assert [(row["arm"], row["seed"]) for row in results(copy)] == [("all-stages", 7), ("all-stages", 8)]


def test_another_recipe_in_the_same_output_is_refused(done: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ablate", str(RECIPE), *tiny(done, "stages.warm-up.lr=0.5")]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert re.search(r"runs were made with stages.warm-up.lr \S+, the recipe says 0.5", said)


def test_arms_and_seeds_may_be_added_and_only_chooses_among_them(done: Path, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(done, copy)
    ablate(RECIPE, tiny(copy, "seeds=[5,6]", "arms=[all-stages,perceiver,slices-mean,no-mirror]"), only=["no-mirror"])
    assert {(row["arm"], row["seed"]) for row in results(copy)} == {
        *((arm, 5) for arm in SMALL),
        ("no-mirror", 5),
        ("no-mirror", 6),
    }


def test_the_list_shows_what_is_done_and_trains_nothing(done: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (done / "log.jsonl").read_bytes()
    assert main(["ablate", str(RECIPE), "--list", *tiny(done, "arms=[all-stages,no-lora]")]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("all-stages")
    assert "1 of 1 seeds finished" in first
    assert "4 steps" in second
    assert "0 of 1 seeds finished" in second
    assert (done / "log.jsonl").read_bytes() == before


@pytest.mark.parametrize("name", ["ablation.yaml", "ablation-gpu.yaml"])
def test_the_recipes_that_ship_have_every_arm_at_least_three_seeds_and_200_test_phantoms(name: str) -> None:
    recipe = read_ablation(RECIPES / name, [])
    assert recipe.arms == NAMES
    assert len(recipe.seeds) >= 3
    assert recipe.test >= 200
    assert len(recipe.seeds) * len(recipe.arms) <= 30 or name == "ablation-gpu.yaml"


def test_arms_differ_from_the_centre_in_one_thing_each() -> None:
    for arm in ARMS[1:]:
        same = [getattr(arm, field) == getattr(CENTRE, field) for field in ("stages", "view", "compression", "mirror")]
        assert same.count(False) == 1, arm.name
        view = [a == b for a, b in zip(arm.view, CENTRE.view, strict=True)]
        assert view.count(False) <= 1, arm.name


def test_steps_of_a_stage_that_is_left_out_are_dropped() -> None:
    recipe = read_ablation(RECIPE, [])
    assert steps_of(recipe, "no-warm-up") == steps_of(recipe, CENTRE.name) - recipe.stage("warm-up").steps


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("arms=[all-stages,other]", "no arm 'other'"),
        ("seeds=[1,1]", "each once"),
        ("jobs=0", "at least 1"),
        ("seeds=[-1]", "no whole number"),
        ("flat_grid=[8,3]", "make 32 boxes"),
        ("test_seed=600000010", "test phantoms would be training"),
        ("stages.warm-up.task=anchoring", "give these three"),
        ("stages.grounding.batch=5000", "only 1500 phantoms"),
        ("shared.model.grid_context=true", "taught in 3-D"),
        ("shared.name=x", "leave it out"),
        ("shared.stages=[]", "names no stages"),
        ("shared.model.volume_shape=[20,40,40]", "20 slices make 5"),
        ("shared.stages.slices.thin=2", "share from 0 to 1"),
        ("colour=red", "unknown key 'colour'"),
    ],
)
def test_a_recipe_that_makes_no_sense_is_refused_in_one_line(change: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        ablate(RECIPE, [f"output={tmp_path / 'x'}", change])
    assert not (tmp_path / "x").exists()
