"""`brain3d report`, with a real model of random weights."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from PIL import Image

from brain3d.reports import report_schema
from brain3d.scans import write_scan

Run = Callable[..., tuple[int, str, str]]


def test_text_on_stdout(run: Run, empty: Path, tiny_folder: Path, scan_file: Path) -> None:
    code, out, _ = run("report", scan_file, "--model", tiny_folder, "--device", "cpu")
    assert code == 0
    assert "not a diagnosis" in " ".join(out.split())
    assert not list(empty.iterdir())


def test_json_is_all_that_stands_on_stdout(run: Run, empty: Path, tiny_folder: Path, scan_file: Path) -> None:
    code, out, _ = run("report", scan_file, "--model", tiny_folder, "--format", "json", "--seed", "4")
    assert code == 0
    report = json.loads(out)
    jsonschema.validate(report, report_schema())
    assert report["generation"]["seed"] == 4
    assert report["generation"]["mirror_check"]["done"]


def test_output_and_preview(run: Run, empty: Path, tiny_folder: Path, scan_file: Path) -> None:
    code, out, _ = run(
        *("report", scan_file, "--model", tiny_folder, "--no-mirror-check"),
        *("--format", "json", "--output", "r.json", "--preview", "look.png"),
    )
    assert (code, out) == (0, "")
    assert sorted(entry.name for entry in empty.iterdir()) == ["look.png", "r.json"]
    assert json.loads((empty / "r.json").read_text())["generation"]["mirror_check"] == {"done": False}
    with Image.open(empty / "look.png") as picture:
        assert picture.format == "PNG"
        assert picture.width > 3 * 200


def test_output_through_a_link_and_into_a_device(run: Run, empty: Path, tiny_folder: Path, scan_file: Path) -> None:
    (empty / "real.txt").write_text("old")
    (empty / "link.txt").symlink_to("real.txt")
    assert run("report", scan_file, "--model", tiny_folder, "--output", "link.txt")[0] == 0
    assert (empty / "link.txt").is_symlink()
    assert (empty / "real.txt").read_text() != "old"
    assert run("report", scan_file, "--model", tiny_folder, "--output", os.devnull)[0] == 0
    assert not Path(os.devnull).is_file()


def test_a_header_without_orientation(run: Run, empty: Path, tiny_folder: Path, sideless_file: Path) -> None:
    code, out, err = run("report", sideless_file, "--model", tiny_folder)
    assert (code, out) == (2, "")
    assert "--without-side" in err
    code, out, _ = run("report", sideless_file, "--model", tiny_folder, "--without-side", "--format", "json")
    assert code == 0
    assert "side_not_in_header" in [flag["code"] for flag in json.loads(out)["flags"]]
    code, out, _ = run("report", sideless_file, "--model", tiny_folder, "--axes", "LPS", "--format", "json")
    assert (code, json.loads(out)["scan"]["axes"]) == (0, "LPS")


def bad_inputs(folder: Path) -> dict[str, Path]:
    (folder / "words.txt").write_text("not a scan")
    (folder / "empty").mkdir()
    write_scan(folder / "constant.nii", np.ones((40, 40, 40)), np.diag([4.0, 4, 4, 1]))
    content = (folder / "constant.nii").read_bytes()
    (folder / "cut.nii").write_bytes(content[:5000])
    names = ("words.txt", "empty", "constant.nii", "cut.nii", "none.nii")
    return {name: folder / name for name in names}


def test_bad_inputs_leave_one_line_and_nothing_else(
    run: Run, empty: Path, tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    for path in bad_inputs(tmp_path_factory.mktemp("bad")).values():
        code, out, err = run("report", path, "--model", tiny_folder, "--output", "r.txt", "--preview", "p.png")
        assert (code, out) == (2, "")
        assert err.startswith("brain3d: error: ")
        assert len(err.splitlines()) == 1
        assert not list(empty.iterdir())


@pytest.mark.parametrize(
    "arguments",
    [
        ("--output", "missing/r.txt"),
        ("--output", "."),
        ("--preview", "look.jpg"),
        ("--preview", "missing/look.png"),
        ("--preview", "same.png", "--output", "same.png"),
        ("--model", "brain3d-maxi"),
        ("--model", "google/medgemma-1.5-4b-it"),
        ("--axes", "LLS"),
        ("--axes", "LPS"),
        ("--sample",),
    ],
)
def test_callers_faults(run: Run, empty: Path, scan_file: Path, arguments: tuple[str, ...]) -> None:
    code, out, err = run("report", scan_file, *arguments)
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert "Traceback" not in err
    assert not list(empty.iterdir())


def test_the_scan_is_never_overwritten(run: Run, empty: Path, tiny_folder: Path, scan_file: Path) -> None:
    content = scan_file.read_bytes()
    assert run("report", scan_file, "--model", tiny_folder, "--output", scan_file)[0] == 2
    assert scan_file.read_bytes() == content


@pytest.mark.parametrize("arguments", [(), ("report", "a", "--format", "xml"), ("report", "--device", "tpu"), ("fly",)])
def test_arguments_that_do_not_parse(run: Run, empty: Path, arguments: tuple[str, ...]) -> None:
    assert run(*arguments)[0] == 2


def test_no_scan_at_all(run: Run, empty: Path) -> None:
    code, _, err = run("report")
    assert code == 2
    assert "--sample" in err


def test_debug_shows_where(run: Run, empty: Path) -> None:
    for arguments in (("report", "none.nii", "--debug"), ("--debug", "report", "none.nii")):
        code, _, err = run(*arguments)
        assert code == 2
        assert "Traceback" in err
        assert err.splitlines()[-1].startswith("brain3d: error: none.nii: no such file")
