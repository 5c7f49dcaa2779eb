"""What a user installs: the wheel, unpacked elsewhere, has all it needs to read a scan."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import jsonschema
import pytest

ROOT = Path(__file__).resolve().parents[1]
MOST_BYTES = 40_000_000
WEIGHTS = "brain3d/reading/weights/brain3d-mini/"
SAMPLE = "brain3d/reading/sample/"
SCHEMA = "brain3d/reports/report.schema.json"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built without isolation, so that no network is needed."""
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT)]
    done = subprocess.run(command, cwd=out, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = out.glob("brain3d-*.whl")
    return built


@pytest.fixture(scope="module")
def unpacked(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("installed")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def run_elsewhere(unpacked: Path, cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(unpacked), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


def test_wheel_is_complete_and_small(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        licences = [name for name in names if ".dist-info/" in name]
        assert any(name.startswith(WEIGHTS) and name.endswith(".safetensors") for name in names)
        assert WEIGHTS + "config.json" in names
        assert any(name.startswith(SAMPLE) and ".nii" in name for name in names)
        assert SCHEMA in names
        assert any(name.endswith("/LICENSE") for name in licences)
        assert any(name.endswith("/NOTICE") for name in licences)
        assert not [name for name in names if "__pycache__" in name or name.startswith("tests/")]
        jsonschema.Draft202012Validator.check_schema(json.loads(archive.read(SCHEMA)))
    assert wheel.stat().st_size < MOST_BYTES


def test_the_unpacked_wheel_is_what_runs(unpacked: Path, tmp_path: Path) -> None:
    done = run_elsewhere(unpacked, tmp_path, "-c", "import brain3d; print(brain3d.__file__)")
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).is_relative_to(unpacked)


def test_it_reads_its_own_sample(unpacked: Path, tmp_path: Path) -> None:
    done = run_elsewhere(unpacked, tmp_path, "-m", "brain3d", "report", "--sample", "--format", "json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    schema = json.loads((unpacked / SCHEMA).read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(schema).validate(report)
    assert report["report"].strip()
    assert not list(tmp_path.iterdir())
