"""`brain3d prepare`, and evaluating what it made."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parents[1] / "cohort"))
from cohort_files import LEFT, RIGHT, noise, textbrats

Run = Callable[..., tuple[int, str, str]]
SUBJECTS = {f"b{index}": (LEFT, RIGHT)[index % 2] for index in range(6)}


@pytest.fixture
def brats(empty: Path) -> tuple[object, ...]:
    textbrats(empty / "data", SUBJECTS, healthy=3)
    folders = ("--images", "data/images", "--reports", "data/reports", "--healthy", "data/healthy")
    return ("prepare", "brats-textbrats", *folders, "--no-volumes")


def test_brats(run: Run, empty: Path, brats: tuple[object, ...]) -> None:
    code, out, err = run(*brats, "--output", "c")
    assert code == 0, err
    assert out.splitlines()[-1] == str(Path("c/manifest.jsonl"))
    assert out.startswith("9 studies of 9 subjects (train ")
    assert (empty / "c" / "audit.json").is_file()
    code, again, _ = run("prepare", "audit", "c")
    assert (code, again) == (0, "".join(out.splitlines(keepends=True)[:-1]))


def test_some_left_out_is_exit_code_1(run: Run, empty: Path, brats: tuple[object, ...]) -> None:
    (empty / "data" / "reports" / "b3" / "b3_flair_text.txt").write_text("")
    code, _, err = run(*brats, "--output", "c")
    assert code == 1
    assert "brain3d: left out: empty report: b3" in err
    assert err.splitlines()[-1].startswith("brain3d: 1 left out")
    code, out, err = run(*brats, "--output", "d", "--strict")
    assert (code, out) == (2, "")
    assert not (empty / "d").exists()


def test_the_paper_preset(run: Run, empty: Path, brats: tuple[object, ...]) -> None:
    assert run(*brats, "--output", "c", "--preset", "paper")[0] == 0
    info = json.loads((empty / "c" / "cohort.json").read_text())
    assert (info["preset"], info["split"]["seed"], info["prompt"][-2:]) == ("paper", 42, " \n")
    for option in (("--seed", "1"), ("--split", "hashed"), ("--ratios", "1/1/1")):
        assert run(*brats, "--output", "d", "--preset", "paper", *option)[0] == 2


def test_bids(run: Run, empty: Path) -> None:
    for name in ("01", "02", "03"):
        noise(empty / "bids" / f"sub-{name}" / "anat" / f"sub-{name}_FLAIR.nii.gz", int(name))
    Path("t.tsv").write_text("participant_id\treport\n" + "".join(f"sub-0{i}\t{LEFT}\n" for i in (1, 2, 3)))
    code, out, err = run("prepare", "bids", "bids", "--reports", "t.tsv", "--output", "c", "--no-volumes")
    assert code == 0, err
    assert "3 studies of 3 subjects (train 1, validation 1, test 1)" in out
    Path("t.tsv").write_text("participant_id\ttext\n")
    code, out, err = run("prepare", "bids", "bids", "--reports", "t.tsv", "--output", "d", "--no-volumes")
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert "'text'" in err


def test_one_subject_in_two_splits_is_an_error_of_the_audit(run: Run, empty: Path) -> None:
    lines = []
    for index, split in enumerate(("train", "test")):
        noise(empty / f"{index}.nii", index)
        lines.append(json.dumps({"id": f"s{index}", "subject": "a", "image": f"{index}.nii", "split": split}))
    Path("manifest.jsonl").write_text("\n".join(lines))
    code, out, err = run("prepare", "audit", ".")
    assert code == 2
    assert "SUBJECTS IN TWO SPLITS: 1" in out
    assert "s0 and s1 show one subject" in err
    assert run("prepare", "audit", "manifest.jsonl", "--allow-shared-subjects")[0] == 0


def test_a_phantom_cohort_gets_splits_and_is_evaluated(run: Run, empty: Path, stand_in: object) -> None:
    assert run("phantom", "raw", "--count", "6", "--spacing", "6", "--workers", "1")[0] == 0
    code, out, err = run("prepare", "manifest", "raw", "--output", "c")
    assert code == 0, err
    assert "(train " in out
    code, out, err = run("evaluate", "--manifest", "c", "--split", "test", "--neighbours", "c", "--output", "s")
    assert code == 0, err
    scores = json.loads((empty / "s" / "scores.json").read_text())
    tests = [line for line in (empty / "c" / "manifest.jsonl").read_text().splitlines() if '"test"' in line]
    assert (scores["split"], scores["cases"]) == ("test", len(tests))
    assert run("evaluate", "--manifest", "c", "--split", "dev")[0] == 2


@pytest.mark.parametrize(
    "options",
    [
        ("--ratios", "70/30"),
        ("--ratios", "a/b/c"),
        ("--ratios", "0/50/50"),
        ("--ratios", "70/10/10"),
        ("--seed", "-1"),
        ("--workers", "0"),
        ("--split", "published", "--ratios", "1/1/1"),
        ("--model", "none"),
    ],
)
def test_wrong_options(run: Run, empty: Path, brats: tuple[object, ...], options: tuple[str, ...]) -> None:
    command = [part for part in brats if part != "--no-volumes"]
    code, out, err = run(*command, "--output", "c", *options)
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert not (empty / "c").exists()
