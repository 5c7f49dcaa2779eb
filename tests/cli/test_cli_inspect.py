"""`brain3d inspect`."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_cli_report import bad_inputs

from brain3d.cli.inspect import step_in_words, to_text
from brain3d.reading.models import WEIGHTS, sample_scan, volume_spec
from brain3d.scans import Flag, inspect_scan, prepare, read_scan, read_stored

Run = Callable[..., tuple[int, str, str]]
DOCS = Path(__file__).resolve().parents[2] / "docs" / "cli.md"
TITLES = ("What it is", "How it lies", "Intensities", "The brain", "What will be done to it", "What is suspicious")


def test_text_for_people(run: Run, empty: Path, scan_file: Path) -> None:
    code, out, err = run("inspect", scan_file)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == str(scan_file)
    assert [line for line in lines if line in TITLES] == list(TITLES)
    for words in (
        "44 x 50 x 46 of 4 x 4 x 4 mm",
        "RAS: the three indices grow towards right, front, top",
        "they agree",
    ):
        assert words in " ".join(out.split())
    assert all(len(line) <= 100 for line in lines[1:])
    assert not list(empty.iterdir())


def test_json_is_all_that_stands_on_stdout(run: Run, empty: Path, scan_file: Path) -> None:
    code, out, err = run("inspect", scan_file, "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert found["sha256"] == hashlib.sha256(scan_file.read_bytes()).hexdigest()
    assert scan_file.name not in out
    assert str(scan_file.parent) not in out
    documented = DOCS.read_text()
    for name, value in found.items():
        assert f"`{name}`" in documented
        for inner in value if isinstance(value, dict) else ():
            assert f"`{inner}`" in documented, inner


def test_what_is_said_to_be_done_is_what_a_report_does(run: Run, empty: Path) -> None:
    found = json.loads(run("inspect", sample_scan(), "--json")[1])
    report = json.loads(run("report", "--sample", "--no-mirror-check", "--format", "json")[1])
    assert found["preprocessing"] == report["preprocessing"]
    assert {key: found[key] for key in ("sha256", "shape", "spacing_mm")} == {
        key: report["scan"][key] for key in ("sha256", "shape", "spacing_mm")
    }
    assert found["orientation"]["axes"] == report["scan"]["axes"]
    assert set(code["code"] for code in found["flags"]) <= {flag["code"] for flag in report["flags"]}


def test_it_needs_no_torch() -> None:
    code = (
        "import sys\nfrom brain3d.cli.main import main\n"
        f"assert main(['inspect', {str(sample_scan())!r}, '--json']) == 0\n"
        "heavy = {'torch', 'transformers', 'nilearn'} & set(sys.modules)\nassert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_preview(run: Run, empty: Path, scan_file: Path) -> None:
    assert run("inspect", scan_file, "--preview", "look.png")[0] == 0
    with Image.open(empty / "look.png") as picture:
        assert picture.format == "PNG"
    assert [entry.name for entry in empty.iterdir()] == ["look.png"]


def test_a_header_without_orientation(run: Run, empty: Path, sideless_file: Path) -> None:
    code, out, err = run("inspect", sideless_file)
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert "--without-side" in err
    code, out, _ = run("inspect", sideless_file, "--without-side")
    assert code == 0
    assert "not known; a report names none" in out
    assert "side_not_in_header." in out
    found = json.loads(run("inspect", sideless_file, "--without-side", "--json")[1])["orientation"]
    assert (found["axes"], found["side_known"], found["source"]) == ("unknown", False, "assumed")
    assert (found["handedness"], found["sform"], found["qform"]) == ("unknown", None, None)
    found = json.loads(run("inspect", sideless_file, "--axes", "LPS", "--json")[1])["orientation"]
    assert (found["axes"], found["side_known"], found["source"]) == ("LPS", True, "caller")


def test_bad_inputs_leave_one_line_and_nothing_else(
    run: Run, empty: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    for path in bad_inputs(tmp_path_factory.mktemp("bad")).values():
        for arguments in ((), ("--json",), ("--preview", "p.png")):
            code, out, err = run("inspect", path, *arguments)
            assert (code, out) == (2, "")
            assert err.startswith(f"brain3d: error: {path}: ")
            assert len(err.splitlines()) == 1
            assert not list(empty.iterdir())


@pytest.mark.parametrize(
    "arguments",
    [("--preview", "look.jpg"), ("--preview", "missing/look.png"), ("--axes", "LLS"), ("--axes", "LPS")],
)
def test_callers_faults(run: Run, empty: Path, scan_file: Path, arguments: tuple[str, ...]) -> None:
    code, out, err = run("inspect", scan_file, *arguments)
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert not list(empty.iterdir())


def test_the_scan_is_never_overwritten(run: Run, empty: Path, scan_file: Path) -> None:
    (empty / "scan.png").write_bytes(scan_file.read_bytes())
    assert run("inspect", "scan.png", "--preview", "scan.png")[0] == 2
    assert (empty / "scan.png").read_bytes() == scan_file.read_bytes()


def test_odd_names_stay_on_their_line(run: Run, empty: Path, scan_file: Path) -> None:
    name = "a\n\x1b[2Jb\udcff.nii"
    (empty / name).write_bytes(scan_file.read_bytes())
    code, out, _ = run("inspect", name)
    assert code == 0
    assert out.splitlines()[0] == "a??[2Jb?.nii"


def test_every_step_and_every_suspicion_is_in_words(scan_file: Path) -> None:
    spec = volume_spec(WEIGHTS / "brain3d-mini")
    scan = read_scan(scan_file)
    for step in prepare(scan, spec).steps:
        assert not step_in_words(dict(step)).startswith("{")
    removed = {"name": "brain_extraction", "asked": "auto", "method": "builtin", "volume_ml": 1400}
    assert step_in_words(removed) == "What is not brain is removed by the method builtin (auto); 1400 mL are left."
    assert step_in_words({"name": "new"}) == '{"name": "new"}'
    found = inspect_scan(scan, read_stored(scan_file), spec)
    text = to_text(replace(found, flags=(Flag("one", "One thing."),), notes=(Flag("two", "Another."),)), "scan")
    assert "  one. One thing.\n  two. Another. A report does not mention it.\n" in text
    assert "  nothing. " in to_text(replace(found, flags=(), notes=()), "scan")


def test_the_models_grid_is_its_configs(tiny_folder: Path) -> None:
    from brain3d.model import Brain3DConfig

    for folder in (tiny_folder, WEIGHTS / "brain3d-mini"):
        assert volume_spec(folder) == Brain3DConfig.from_pretrained(folder).volume_spec()
        assert isinstance(volume_spec(folder).shape, tuple)
    assert np.prod(volume_spec(tiny_folder).shape) == 44 * 48 * 48


@pytest.mark.parametrize(("method", "words"), [("bet", "give one of auto, none, builtin"), ("hd-bet", "not installed")])
def test_a_method_of_brain_extraction_that_is_not_there(
    run: Run, empty: Path, scan_file: Path, monkeypatch: pytest.MonkeyPatch, method: str, words: str
) -> None:
    monkeypatch.setenv("PATH", str(empty))
    monkeypatch.setattr(sys, "executable", str(empty / "python"))
    for command in (("inspect", scan_file), ("report", scan_file), ("report", scan_file, "--output", "many/")):
        code, out, err = run(*command, "--brain-extraction", method)
        assert (code, out) == (2, "")
        assert words in err
        assert err.count("\n") == 1
    assert not list(empty.iterdir())


def test_brain_extraction_is_asked_for_and_told(run: Run, empty: Path, scan_file: Path) -> None:
    for arguments, asked, method in (((), "auto", "none"), (("--brain-extraction", "builtin"), "builtin", "builtin")):
        found = json.loads(run("inspect", scan_file, "--json", *arguments)[1])
        step = next(step for step in found["preprocessing"] if step["name"] == "brain_extraction")
        assert (step["asked"], step["method"]) == (asked, method)
