"""The tiny model and a scan for it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tiny_model import build_model, write_head

import brain3d
from brain3d.reading import Reader


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def tiny(tiny_folder: Path) -> Reader:
    return brain3d.load(tiny_folder, device="cpu")


@pytest.fixture(scope="session")
def scan_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_head(tmp_path_factory.mktemp("scans") / "patient-name.nii.gz")
