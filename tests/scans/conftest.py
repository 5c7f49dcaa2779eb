"""The image and the study that tests of DICOM share."""

from __future__ import annotations

import numpy as np
import pytest
from dicom_checks import AFFINE, SHAPE
from dicom_studies import save, series_of


@pytest.fixture
def data():
    return np.random.default_rng(0).integers(0, 200, SHAPE).astype(np.float32)


@pytest.fixture
def study(tmp_path, data):
    """A folder with one FLAIR series."""
    return save(tmp_path / "study", series_of(data, AFFINE))
