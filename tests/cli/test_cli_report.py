"""`brain3d report`, with a real model of random weights."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import jsonschema
import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from brain3d.cli.common import OutputFile, write_together
from brain3d.reports import report_schema
from brain3d.scans import InputError, write_scan

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


@pytest.mark.skipif(not Path("/dev/stdout").exists(), reason="needs a system with /dev/stdout")
@pytest.mark.parametrize("redirect", ["| cat", "> out.txt && cat out.txt"])
def test_output_into_stdout(empty: Path, redirect: str) -> None:
    code = (
        "from brain3d.cli.common import OutputFile, write_together\n"
        "write_together([(OutputFile('/dev/stdout', '--output'), b'text\\n')])"
    )
    command = f'(echo before; {sys.executable} -c "{code}"; echo after) {redirect}'
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout == "before\ntext\nafter\n"
    assert done.stderr == ""


@pytest.mark.parametrize("name", [os.devnull, "pipe"])
def test_what_is_no_regular_file_is_written_without_a_file_beside_it(empty: Path, name: str) -> None:
    if name == "pipe":
        os.mkfifo("pipe")
    (empty / "link").symlink_to(name)
    touched = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "touch", lambda *_args, **_options: touched.append(1))
        OutputFile("link", "--output")
    assert not touched


def test_a_header_without_orientation(run: Run, empty: Path, tiny_folder: Path, sideless_file: Path) -> None:
    code, out, err = run("report", sideless_file, "--model", tiny_folder)
    assert (code, out) == (2, "")
    assert "--without-side" in err
    code, out, _ = run("report", sideless_file, "--model", tiny_folder, "--without-side", "--format", "json")
    assert code == 0
    assert "side_not_in_header" in [flag["code"] for flag in json.loads(out)["flags"]]
    assert json.loads(out)["scan"]["axes"] == "unknown"
    code, out, _ = run("report", sideless_file, "--model", tiny_folder, "--axes", "LPS", "--format", "json")
    assert (code, json.loads(out)["scan"]["axes"]) == (0, "LPS")


def bad_inputs(folder: Path) -> dict[str, Path]:
    (folder / "words.txt").write_text("not a scan")
    (folder / "empty").mkdir()
    write_scan(folder / "constant.nii", np.ones((40, 40, 40)), np.diag([4.0, 4, 4, 1]))
    content = (folder / "constant.nii").read_bytes()
    (folder / "cut.nii").write_bytes(content[:5000])
    write_scan(folder / "noise.nii", np.random.default_rng(0).normal(size=(40, 40, 40)), np.diag([4.0, 4, 4, 1]))
    os.mkfifo(folder / "pipe.nii")
    names = ("words.txt", "empty", "constant.nii", "noise.nii", "cut.nii", "pipe.nii", "none.nii", "x" * 300)
    return {name: folder / name for name in names}


def test_bad_inputs_leave_one_line_and_nothing_else(
    run: Run, empty: Path, tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    for path in bad_inputs(tmp_path_factory.mktemp("bad")).values():
        code, out, err = run("report", path, "--model", tiny_folder, "--output", "r.txt", "--preview", "p.png")
        assert (code, out) == (2, "")
        assert err.startswith(f"brain3d: error: {path}: ")
        assert len(err.splitlines()) == 1
        assert not list(empty.iterdir())


@pytest.mark.parametrize(
    "arguments",
    [
        ("--output", "missing/r.txt"),
        ("--preview", "look.jpg"),
        ("--preview", "missing/look.png"),
        ("--preview", "same.png", "--output", "same.png"),
        ("--output", "x" * 300),
        ("--output", ""),
        ("--preview", "x" * 300 + ".png"),
        ("--model", "x" * 300),
        ("--model", ""),
        ("--model", "brain3d-maxi"),
        ("--model", "google/medgemma-1.5-4b-it"),
        ("--seed", "-1"),
        ("--seed", str(2**63)),
        ("--axes", "LLS"),
        ("--axes", "LPS"),
        ("--axes", "RAS", "--without-side"),
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


def test_the_scan_of_a_folder_is_never_overwritten(run: Run, empty: Path, tiny_folder: Path, scan_file: Path) -> None:
    content = scan_file.read_bytes()
    (empty / "folder").mkdir()
    inside, picture = empty / "folder" / "scan.nii.gz", empty / "folder" / "scan.png"
    for path in (inside, picture):
        path.write_bytes(content)
    (empty / "link").symlink_to("folder")
    for arguments in (
        ("folder", "--output", "folder/scan.nii.gz"),
        ("link", "--output", "folder/scan.nii.gz"),
        (picture, "--preview", "link/scan.png"),
    ):
        code, out, err = run("report", *arguments, "--model", tiny_folder)
        assert (code, out, len(err.splitlines())) == (2, "", 1)
        assert "an input or another output has this name" in err
    assert inside.read_bytes() == picture.read_bytes() == content


@pytest.mark.parametrize("given", ["old.hdr", "old.img"])
def test_neither_half_of_a_pair_is_overwritten(
    run: Run, empty: Path, tiny_folder: Path, scan_file: Path, given: str
) -> None:
    image = nib.load(scan_file)
    nib.save(nib.AnalyzeImage(np.asarray(image.dataobj, dtype=np.int16), None), "old.hdr")
    before = [(empty / name).read_bytes() for name in ("old.hdr", "old.img")]
    for output in ("old.hdr", "old.img"):
        code, out, err = run("report", given, "--axes", "RAS", "--model", tiny_folder, "--output", output)
        assert (code, out) == (2, "")
        assert "an input or another output has this name" in err
    assert [(empty / name).read_bytes() for name in ("old.hdr", "old.img")] == before


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_no_preview_without_its_report(run: Run, empty: Path, tiny_folder: Path, scan_file: Path) -> None:
    arguments = ("--model", tiny_folder, "--no-mirror-check", "--preview", "look.png", "--output")
    (empty / "full.txt").symlink_to("/dev/full")
    code, out, err = run("report", scan_file, *arguments, "full.txt")
    assert (code, out) == (2, "")
    assert "cannot be written" in err
    assert [entry.name for entry in empty.iterdir()] == ["full.txt"]


def test_several_files_are_written_together_or_not_at_all(empty: Path) -> None:
    (empty / "old.png").write_text("old")
    first, second = OutputFile("old.png", "--preview"), OutputFile("r.txt", "--output")
    (empty / "r.txt").mkdir()
    with pytest.raises(InputError, match=r"r\.txt: cannot be written"):
        write_together([(first, b"new"), (second, b"text")])
    assert (empty / "old.png").read_text() == "old"
    assert sorted(entry.name for entry in empty.iterdir()) == ["old.png", "r.txt"]


@pytest.mark.parametrize("arguments", [(), ("report", "a", "--format", "xml"), ("report", "--device", "tpu"), ("fly",)])
def test_arguments_that_do_not_parse(run: Run, empty: Path, arguments: tuple[str, ...]) -> None:
    assert run(*arguments)[0] == 2


def test_no_scan_at_all(run: Run, empty: Path) -> None:
    code, _, err = run("report")
    assert code == 2
    assert "--sample" in err
    assert run("report", "") == (2, "", "brain3d: error: '': no such file; check the path\n")


def test_debug_shows_where(run: Run, empty: Path) -> None:
    for arguments in (("report", "none.nii", "--debug"), ("--debug", "report", "none.nii")):
        code, _, err = run(*arguments)
        assert code == 2
        assert "Traceback" in err
        assert err.splitlines()[-1].startswith("brain3d: error: none.nii: no such file")
