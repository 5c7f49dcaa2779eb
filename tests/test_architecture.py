"""The house rules that a machine can check, so that one `pytest` is the whole check."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MOST_FUNCTION_LINES = 70
MOST_FILE_LINES = 500
SOURCES = sorted((ROOT / "src").rglob("*.py"))
SKIPPED_FOLDERS = {".git", ".venv", "runs", "dist", "build", "__pycache__"}
TEXT_SUFFIXES = {".py", ".md", ".toml", ".yaml", ".yml", ".txt", ".json", ".jsonl", ".cfg", ".sh", ""}
# A home, work or temporary folder of some machine; tests on privacy may use that of somebody.
MACHINE_PATH = re.compile(r"(?<![\w.:/<{}$-])/(?:home|root|Users|work|tmp|opt|mnt|scratch|nfs)/(?!somebody)[\w.-]+")


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True, check=False)


def assert_clean(*command: str) -> None:
    done = run(*command)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"


def test_format() -> None:
    assert_clean("-m", "ruff", "format", "--check", ".")


def test_lint() -> None:
    assert_clean("-m", "ruff", "check", ".")


def test_types() -> None:
    assert_clean("-m", "mypy")


def test_imports_point_one_way() -> None:
    code = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    assert_clean("-c", code)


def test_help_imports_no_torch() -> None:
    code = (
        "import sys\n"
        "from brain3d.cli.main import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit as end:\n    assert not end.code\n"
        "heavy = {'torch', 'transformers', 'nilearn', 'scipy', 'nibabel', 'pydicom'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    assert_clean("-c", code)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_stay_short(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= MOST_FILE_LINES
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            length = node.end_lineno - node.lineno + 1
            assert length <= MOST_FUNCTION_LINES, f"{node.name} has {length} lines"


def tracked_files() -> list[Path]:
    """The files under version control, or everything that is not a build product where there is no git."""
    if (ROOT / ".git").exists():
        listed = subprocess.run(
            ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout.split("\0")
        return [ROOT / name for name in listed if name]
    return [
        path for path in ROOT.rglob("*") if path.is_file() and not SKIPPED_FOLDERS & set(path.relative_to(ROOT).parts)
    ]


def test_no_paths_of_some_machine() -> None:
    found = []
    for path in tracked_files():
        if path.suffix not in TEXT_SUFFIXES or not path.exists():
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if match := MACHINE_PATH.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {match.group()}")
    assert not found, "\n".join(found)
