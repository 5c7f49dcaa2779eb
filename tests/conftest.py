"""Fixtures for tests that read real scans: skipped where BRAIN3D_REAL_DATA names no folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

REAL_DATA = "BRAIN3D_REAL_DATA"


def _folder() -> Path | None:
    named = os.environ.get(REAL_DATA)
    return Path(named).resolve() if named and Path(named).is_dir() else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs real scans where there are none."""
    if _folder() is not None:
        return
    skip = pytest.mark.skip(reason=f"{REAL_DATA} names no folder with real scans")
    for item in items:
        if item.get_closest_marker("real_data"):
            item.add_marker(skip)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real scans."""
    folder = _folder()
    if folder is None:
        pytest.skip(f"{REAL_DATA} names no folder with real scans")
    return folder


@pytest.fixture(scope="session")
def brats_subjects(real_data: Path) -> list[Path]:
    """The folders of the real tumour subjects, each with a FLAIR image and a segmentation."""
    folders = sorted((real_data / "brats20-sample" / "images").iterdir())
    assert folders
    return folders
