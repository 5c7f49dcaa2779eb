"""The tiny model of tests/reading, and a scan, for the command line."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from stand_in import StandIn

sys.path.append(str(Path(__file__).resolve().parents[1] / "reading"))


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tiny_model import build_model

    return build_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def scan_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tiny_model import write_head

    return write_head(tmp_path_factory.mktemp("scans") / "scan.nii.gz")


@pytest.fixture(scope="session")
def sideless_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tiny_model import write_without_orientation

    return write_without_orientation(tmp_path_factory.mktemp("scans") / "sideless.nii")


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """The engine that every model is, while the test lasts: it sees the side of a bright spot."""
    from stand_in import StandIn, seeing

    from brain3d.reading import Reader

    engine = StandIn(seeing)
    monkeypatch.setattr("brain3d.reading.load", lambda model, **options: Reader(engine))
    return engine


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, which is also the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run a command in this process: exit code, stdout, stderr."""
    from brain3d.cli.main import main

    def call(*arguments: object) -> tuple[int, str, str]:
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as end:
            code = int(end.code or 0)
        captured = capfd.readouterr()
        return code, captured.out, captured.err

    return call
