import os
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from brain3d.scans import InputError, prepare, read_scan

FOLDER = os.environ.get("BRAIN3D_REAL_DATA", "")
pytestmark = [
    pytest.mark.real_data,
    pytest.mark.skipif(not Path(FOLDER, "odd").is_dir(), reason="BRAIN3D_REAL_DATA names no folder of real scans"),
]
IMAGES = Path(FOLDER, "brats20-sample", "images")


@pytest.mark.parametrize(("subject", "share"), [("158", 1.0), ("163", 0.99), ("198", 0.0), ("316", 0.24)])
def test_midline_of_brats_subjects(subject, share):
    folder = IMAGES / f"BraTS20_Training_{subject}"
    seg = nib.load(folder / f"{folder.name}_seg.nii.gz")
    index = np.argwhere(np.asarray(seg.dataobj) > 0)
    right = (index @ seg.affine[:3, :3].T + seg.affine[:3, 3])[:, 0]
    for path in sorted(folder.glob("*_[ft]*.nii.gz")):
        scan = read_scan(path)
        assert scan.axes == "LPS"
        volume = prepare(scan)
        middle = (volume.affine @ [*[(n - 1) / 2 for n in volume.data.shape[1:]], 1])[0]
        assert (right < middle).mean() == pytest.approx(share, abs=0.02)
        codes = {flag.code for flag in volume.flags}
        assert codes <= (set() if path.name.endswith("_flair.nii.gz") else {"not_flair_like"}), path.name
        assert codes or not path.name.endswith("_t2.nii.gz")


def test_multiple_sclerosis_scans_give_volumes():
    stripped = prepare(read_scan(Path(FOLDER, "odd", "ms_mni_las_sform0.nii.gz")))
    assert stripped.flags == ()
    assert abs(stripped.affine[0, 3] + 23.5 * 4) < 1.5  # in MNI space the midline is x = 0
    whole = prepare(read_scan(Path(FOLDER, "odd", "ms_raw_lps_oblique_thick.nii.gz")))
    assert [flag.code for flag in whole.flags] == ["skull_removed"]
    assert [step["volume_ml"] for step in whole.steps if step["name"] == "brain_extraction"] == [
        pytest.approx(1410, abs=60)
    ]
    for volume in (stripped, whole):
        assert 0.1 < (volume.data > -1).mean() < 0.5


def test_the_echo_planar_series_is_refused():
    with pytest.raises(InputError, match=r"4-D series \(72 x 72 x 5 x 2\)"):
        read_scan(Path(FOLDER, "odd", "epi_4d_or_lr.nii"))


def test_a_subjects_folder_holds_several_scans():
    with pytest.raises(InputError, match="5 NIfTI files"):
        read_scan(IMAGES / "BraTS20_Training_163")


def test_half_of_a_real_head_is_still_a_head():
    for name in ("ms_mni_las_sform0.nii.gz", "ms_raw_lps_oblique_thick.nii.gz"):
        scan = read_scan(Path(FOLDER, "odd", name))
        for axis in range(3):
            n = scan.data.shape[axis]
            for part in (slice(n // 2), slice(n // 2, n)):
                index = tuple(part if k == axis else slice(None) for k in range(3))
                assert prepare(replace(scan, data=scan.data[index].copy())).data.max() > -1
