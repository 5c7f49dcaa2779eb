"""One head as NIfTI, as a series of DICOM files and as one of many frames: the embedded model writes the same."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

import brain3d
from brain3d.phantom.cohort import phantom_scan
from brain3d.phantom.draw import draw_phantom, head_grid
from brain3d.scans import read_scan, write_scan

sys.path.append(str(Path(__file__).resolve().parents[1] / "scans"))


@pytest.mark.parametrize("seed", [3_300_001, 3_300_002])
def test_a_phantom_as_nifti_and_as_dicom_gives_the_same_report(tmp_path: Path, seed: int) -> None:
    from dicom_studies import as_bytes, multiframe_of, save, series_of

    drawn = phantom_scan(draw_phantom(seed, grid=head_grid(3.0)))
    image = np.rint(drawn.data * (2000 / float(drawn.data.max())))
    write_scan(tmp_path / "scan.nii.gz", image, drawn.affine, dtype=np.int16)
    save(tmp_path / "series", series_of(image, drawn.affine)[::-1])
    (tmp_path / "frames.dcm").write_bytes(as_bytes(multiframe_of(image, drawn.affine)))
    scans = [read_scan(tmp_path / name) for name in ("scan.nii.gz", "series", "frames.dcm")]
    first, *others = brain3d.load("brain3d-mini").reports(scans)
    assert all(scan.side_known for scan in scans)
    for other in others:
        assert other.text == first.text
        assert other.findings == first.findings
