"""The other commands, help, and how the program ends."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import brain3d
from brain3d.cli import models
from brain3d.cli.main import main
from brain3d.scans import InputError

Run = Callable[..., tuple[int, str, str]]
COMMANDS = (
    *("report", "inspect", "demo", "findings", "phantom", "prepare", "train", "ablate", "evaluate"),
    *("score", "compare", "models", "convert"),
)


def brain3d_process(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "brain3d", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload,no-any-return]


def test_help_is_quick() -> None:
    started = time.process_time_ns(), time.perf_counter()
    done = brain3d_process("--help")
    assert done.returncode == 0
    assert all(command in done.stdout for command in COMMANDS)
    assert time.perf_counter() - started[1] < 2.0  # under 0.5 s on a machine that is not busy with tests


@pytest.mark.parametrize("arguments", [["--help"], ["models"], ["--version"], *([name, "--help"] for name in COMMANDS)])
def test_help_and_models_import_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys\nfrom brain3d.cli.main import main\n"
        f"try:\n    main({arguments!r})\nexcept SystemExit:\n    pass\n"
        "heavy = {'torch', 'transformers', 'nibabel', 'scipy'} & set(sys.modules)\nassert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_examples(run: Run, command: str) -> None:
    code, out, _ = run(command, "--help")
    assert code == 0
    assert f"examples:\n  brain3d {command}" in out or f"\n  brain3d {command} " in out


def test_version(run: Run) -> None:
    assert run("--version") == (0, f"brain3d {brain3d.__version__}\n", "")


def test_models(run: Run) -> None:
    code, out, _ = run("models")
    assert code == 0
    assert out.startswith("brain3d-mini")
    assert json.loads(run("models", "--format", "json")[1])[0]["name"] == "brain3d-mini"


def test_phantom(run: Run, empty: Path) -> None:
    code, out, _ = run("phantom", "c", "--count", "1", "--spacing", "6", "--workers", "1")
    assert code == 0
    assert Path(out.strip()) == Path("c/manifest.jsonl")
    assert (empty / "c" / "phantom-000000" / "flair.nii.gz").is_file()
    code, out, err = run("phantom", "c", "--count", "1", "--spacing", "5")
    assert (code, out, len(err.splitlines())) == (2, "", 1)


def test_demo(run: Run, empty: Path, tiny_folder: Path) -> None:
    code, out, _ = run("demo", "--model", tiny_folder, "--output", "d.png")
    assert code == 0
    assert "The truth" in out
    assert "The report" in out
    assert [entry.name for entry in empty.iterdir()] == ["d.png"]
    assert run("demo", "--output", "d.jpg")[0] == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ("train", "none.yaml"),
        ("evaluate", "--manifest", "none.jsonl"),
        ("evaluate", "--manifest", "none.jsonl", "--limit", "0"),
        ("demo", "--seed", "-1"),
        ("demo", "--seed", str(2**63)),
        ("phantom", "c", "--seed", "-1"),
        ("phantom", "c", "--count", "1", "--seed", str(2**63)),
    ],
)
def test_what_is_not_there(run: Run, empty: Path, arguments: tuple[str, ...]) -> None:
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("brain3d: error: ")
    assert not list(empty.iterdir())


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (InputError("a\x1b[2Jb\udcff"), 2, "error: a?[2Jb?"),
        (RuntimeError("a\nb"), 1, "internal error: RuntimeError: a b; re-run with --debug"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_how_it_ends(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: BaseException, code: int, words: str
) -> None:
    def fail(args: object) -> None:
        raise error

    monkeypatch.setattr(models, "run", fail)
    assert main(["models"]) == code
    err = capsys.readouterr().err
    assert words in err
    assert len(err.splitlines()) == 1


def test_a_reader_that_has_enough_is_no_error() -> None:
    code = f"set -o pipefail; {sys.executable} -m brain3d models | true"
    done = subprocess.run(["bash", "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
