"""A checkpoint of the published system on the command line: reading with it, converting it, refusing what is none."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="session")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from published_parts import write_release

    return write_release(tmp_path_factory.mktemp("published"))


@pytest.fixture
def stage(release: Path, tmp_path: Path) -> Path:
    (tmp_path / "stage").mkdir()
    shutil.copy(release / "projector_vis_scale.pt", tmp_path / "stage")
    return tmp_path / "stage"


def bases(release: Path) -> list[object]:
    return ["--vision", release / "vision_model", "--language", release / "language_model"]


def test_report_convert_report(run: Run, release: Path, stage: Path, scan_file: Path, tmp_path: Path) -> None:
    options = ["--format", "json", "--greedy", "--device", "cpu"]
    code, first, _ = run("report", scan_file, "--model", release, *options)
    assert code == 0
    report = json.loads(first)
    assert report["generation"]["decoding"] == "greedy"
    assert report["generation"]["compat"] == "published"
    code, second, _ = run("report", scan_file, "--model", stage, *bases(release), *options)
    assert (code, json.loads(second)) == (0, report)
    code, printed, _ = run("convert", stage, tmp_path / "model", *bases(release))
    assert (code, printed) == (0, f"{tmp_path / 'model'}\n")
    code, third, _ = run("report", scan_file, "--model", tmp_path / "model", *options)
    assert code == 0
    assert json.loads(third)["report"] == report["report"]


def test_many_are_kept_from_one_run_to_the_next(run: Run, release: Path, scan_file: Path, tmp_path: Path) -> None:
    command = ["report", scan_file, "--output", f"{tmp_path / 'out'}/", "--model", release, "--device", "cpu"]
    assert run(*command)[0] == 0
    written = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*.json")}
    assert run(*command)[0] == 0
    assert {path: path.stat().st_mtime_ns for path in written} == written
    assert run(*command, "--greedy")[0] == 0
    assert {path: path.stat().st_mtime_ns for path in written} != written


@pytest.mark.parametrize("command", ["report", "convert"])
def test_a_missing_base_model_is_the_callers_fault(
    run: Run, stage: Path, scan_file: Path, empty: Path, command: str
) -> None:
    arguments = [scan_file, "--model", stage] if command == "report" else [stage, "out"]
    code, printed, told = run(command, *arguments)
    assert (code, printed) == (2, "")
    assert told.splitlines()[-1].startswith(
        f"brain3d: error: {stage}: a checkpoint without vision_model/; give the base"
    )
    assert not (empty / "out").exists()


def test_a_base_model_by_a_name_that_is_not_here(run: Run, stage: Path, release: Path, tmp_path: Path) -> None:
    code, _, told = run("convert", stage, tmp_path / "out", "--vision", "google/none", *bases(release)[2:])
    assert code == 2
    assert "google/none: the vision tower is not in the local hub cache" in told
    assert len(told.splitlines()) == 1


def test_only_published_checkpoints_are_converted(run: Run, tiny_folder: Path, tmp_path: Path) -> None:
    for folder in (tiny_folder, tmp_path / "nothing"):
        code, _, told = run("convert", folder, tmp_path / "out")
        assert code == 2
        assert len(told.splitlines()) == 1
    assert not (tmp_path / "out").exists()
