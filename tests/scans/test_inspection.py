"""What is said of a scan, on heads whose facts are known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from dicom_studies import as_bytes, multiframe_of, save, series_of
from heads import ORDERS, affine_of, head, reorder
from pydicom.uid import ExplicitVRBigEndian, RLELossless

from brain3d.scans import (
    InputError,
    Inspection,
    VolumeSpec,
    affine_from_axes,
    axis_codes,
    inspect_scan,
    prepare,
    read_scan,
    read_stored,
    read_with_stored,
    write_scan,
)

SHAPE, SPACING = (60, 72, 56), (3.0, 3.0, 4.0)
SPEC = VolumeSpec((36, 40, 40), 4.5)


def inspect(path: Path, spec: VolumeSpec = SPEC, **options: object) -> Inspection:
    return inspect_scan(read_scan(path, **options), read_stored(path, **options), spec)  # type: ignore[arg-type]


def write(path: Path, affine: np.ndarray, **options: float) -> Path:
    write_scan(path, head(affine, SHAPE, **options), affine)  # type: ignore[arg-type]
    return path


def test_the_facts_of_a_head(tmp_path: Path) -> None:
    affine = affine_of(SPACING, SHAPE)
    write_scan(tmp_path / "a.nii.gz", head(affine, SHAPE, centre_mm=(6, -9, 12)), affine, np.int16)
    found = inspect(tmp_path / "a.nii.gz")
    assert (found.shape, found.spacing_mm) == (SHAPE, SPACING)
    assert (found.file.format, found.file.compressed, found.file.dtype) == ("NIfTI-1", True, "int16")
    assert found.orientation.axes == "RAS"
    assert (found.orientation.oblique_deg, found.orientation.handedness) == (0.0, "right")
    assert (found.orientation.sform, found.orientation.qform, found.orientation.forms_agree) == ("RAS", "RAS", True)
    assert found.brain.size_mm == pytest.approx((140, 170, 130), abs=7)
    assert found.brain.volume_ml == pytest.approx(4 / 3 * np.pi * 70 * 85 * 65 / 1000, rel=0.05)
    assert found.brain.centre_from_field_mm == pytest.approx((6, -9, 12), abs=3)
    assert found.brain.midline_from_field_mm == found.brain.centre_from_field_mm[0]
    middle = (np.array(SHAPE) - 1) / 2
    assert found.brain.centre_voxel == pytest.approx(middle + np.array((6, -9, 12)) / SPACING, abs=1)
    assert found.brain.share_in_volume > 0.99
    assert found.intensity.brain_percentiles["50"] == pytest.approx(115, abs=5)
    assert (found.intensity.lowest, found.intensity.highest) == (0, 300)
    assert (found.intensity.background_level, found.intensity.background_constant) == (0, True)
    assert found.flags == prepare(read_scan(tmp_path / "a.nii.gz"), SPEC).flags
    assert inspect(tmp_path / "a.nii.gz", VolumeSpec((10, 40, 40), 4.5)).brain.share_in_volume < 0.5


def test_the_same_head_in_any_order_has_the_same_facts(tmp_path: Path) -> None:
    affine = affine_of(SPACING, SHAPE, centre_mm=(5, 0, 0))
    data = head(affine, SHAPE, centre_mm=(8, 4, 0), noise=3.0)
    known = None
    for number, (order, signs) in enumerate(ORDERS[::7]):
        stored, other = reorder(data, affine, order, signs)
        write_scan(tmp_path / f"{number}.nii", stored, other)
        found = inspect(tmp_path / f"{number}.nii")
        world = other[:3, :3] @ found.brain.centre_voxel + other[:3, 3]
        assert found.orientation.axes == axis_codes(other)
        assert found.orientation.handedness == ("right" if np.linalg.det(other[:3, :3]) > 0 else "left")
        facts = (found.preprocessing, found.intensity.background_level, replace(found.brain, centre_voxel=(0, 0, 0)))
        known = known or (facts, world)
        assert facts == known[0]
        assert np.allclose(world, known[1], atol=0.4)


@pytest.mark.parametrize("degrees", [0.0, 7.0, 20.0])
def test_an_oblique_scan(tmp_path: Path, degrees: float) -> None:
    found = inspect(write(tmp_path / "a.nii", affine_of(SPACING, SHAPE, (degrees, 0, 0))))
    assert found.orientation.oblique_deg == pytest.approx(degrees, abs=0.1)


def test_forms_that_differ_a_little_are_noted(tmp_path: Path) -> None:
    sform, qform = affine_of(SPACING, SHAPE), affine_of(SPACING, SHAPE, (0, 0, 4))
    image = nib.Nifti1Image(head(sform, SHAPE), None)
    image.set_sform(sform, 1)
    image.set_qform(qform, 1)
    nib.save(image, tmp_path / "a.nii")
    found = inspect(tmp_path / "a.nii")
    assert (found.orientation.forms_agree, found.orientation.source) == (False, "sform")
    assert found.orientation.forms_turned_deg == pytest.approx(4, abs=0.1)
    assert [note.code for note in found.notes if note.code == "forms_differ"] == ["forms_differ"]


def test_forms_that_contradict_each_other(tmp_path: Path) -> None:
    sform = affine_of(SPACING, SHAPE)
    image = nib.Nifti1Image(head(sform, SHAPE), None)
    image.set_sform(sform, 1)
    image.set_qform(affine_from_axes("LAS", SPACING), 1)
    nib.save(image, tmp_path / "a.nii")
    with pytest.raises(InputError, match="disagree"):
        inspect(tmp_path / "a.nii")
    found = inspect(tmp_path / "a.nii", axes="LAS").orientation
    assert (found.axes, found.source, found.forms_agree) == ("LAS", "qform", False)
    assert (found.sform, found.qform, found.forms_turned_deg) == ("RAS", "LAS", 180.0)
    found = inspect(tmp_path / "a.nii", without_side=True).orientation
    assert (found.axes, found.side_known, found.handedness) == ("unknown", False, "unknown")


def test_saturation(tmp_path: Path) -> None:
    affine = affine_of(SPACING, SHAPE)
    data = head(affine, SHAPE)
    write_scan(tmp_path / "a.nii", np.minimum(data, 110), affine)
    found = inspect(tmp_path / "a.nii")
    assert found.intensity.saturated_share > 0.3
    assert "saturated" in [note.code for note in found.notes]


def test_a_nifti_2_file_with_scaling(tmp_path: Path) -> None:
    affine = affine_of(SPACING, SHAPE)
    image = nib.Nifti2Image((head(affine, SHAPE) * 10).astype(">i2"), affine)
    image.header.set_slope_inter(0.5, -3.0)
    nib.save(image, tmp_path / "a.nii")
    found = inspect(tmp_path / "a.nii")
    assert (found.file.format, found.file.dtype, found.file.compressed) == ("NIfTI-2", "int16", False)
    assert (found.file.slope, found.file.intercept) == (0.5, -3.0)
    assert found.intensity.lowest == -3


def test_what_is_stored_is_what_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "a.nii", affine_of(SPACING, SHAPE))
    scan, stored = read_scan(path), read_stored(path)
    assert (stored.sha256, stored.axes, stored.side_known) == (scan.sha256, scan.axes, scan.side_known)
    for bad, words in ((tmp_path / "none.nii", "no such file"), (tmp_path, "")):
        if words:
            with pytest.raises(InputError, match=words):
                read_stored(bad)
    (tmp_path / "b.nii").write_text("words" * 200)
    with pytest.raises(InputError, match="not a NIfTI"):
        read_stored(tmp_path / "b.nii")


def test_what_is_no_head_is_refused(tmp_path: Path) -> None:
    write_scan(tmp_path / "a.nii", np.random.default_rng(0).normal(size=SHAPE), affine_of(SPACING, SHAPE))
    with pytest.raises(InputError, match="give a scan of a head"):
        inspect(tmp_path / "a.nii")


DICOM_SHAPE, DICOM_SPACING = (30, 36, 28), (6.0, 6.0, 7.0)


def test_a_dicom_series_has_the_facts_of_the_same_nifti_file(tmp_path: Path) -> None:
    affine = affine_of(DICOM_SPACING, DICOM_SHAPE, (0, 0, 12), (5, 6, 7))
    data = np.rint(head(affine, DICOM_SHAPE, centre_mm=(8, 10, 4)))
    write_scan(tmp_path / "a.nii", data, affine, np.int16)
    study = save(tmp_path / "study", series_of(data, affine, 3))
    other = {"InversionTime": None, "EchoTime": 3.0, "SeriesDescription": "t1 of Jane", "ScanningSequence": "GR"}
    save(study, series_of(data, affine, 1, **other), prefix="o")
    nifti, found = inspect(tmp_path / "a.nii"), inspect_scan(*read_with_stored(study), SPEC)
    assert (found.file.format, found.file.dtype, found.file.byte_order) == ("DICOM", "int16", "little")
    assert (found.file.slope, found.file.intercept, found.file.compressed) == (0.5, 10.0, False)
    assert (found.file.slices, found.file.transfer_syntax) == (28, "Explicit VR Little Endian")
    assert found.series is not None
    assert found.series.chosen == 2
    assert (found.orientation.source, found.orientation.sform, found.orientation.qform) == ("dicom", None, None)
    same = ("axes", "side_known", "oblique_deg", "handedness")
    assert [getattr(found.orientation, name) for name in same] == [getattr(nifti.orientation, name) for name in same]
    assert (found.shape, found.intensity, found.flags) == (nifti.shape, nifti.intensity, nifti.flags)
    assert found.spacing_mm == pytest.approx(nifti.spacing_mm, abs=1e-3)
    assert found.brain.centre_voxel == pytest.approx(nifti.brain.centre_voxel, abs=0.2)
    assert (nifti.series, nifti.file.slices, nifti.file.transfer_syntax) == (None, None, None)
    words = str(found.to_dict())
    assert "Jane" not in words
    assert (read_stored(study).sha256, read_scan(study).sha256) == (found.sha256, found.sha256)


def test_how_dicom_series_are_stored(tmp_path: Path) -> None:
    affine = affine_of(DICOM_SPACING, DICOM_SHAPE)
    data = np.rint(head(affine, DICOM_SHAPE))
    stored = read_stored(save(tmp_path / "big", series_of(data, affine), syntax=ExplicitVRBigEndian))
    assert (stored.byte_order, stored.dtype, stored.compressed) == ("big", "int16", False)
    whole = multiframe_of(data, affine, PixelRepresentation=0)
    as_bytes(whole)
    whole.compress(RLELossless)
    (tmp_path / "rle").write_bytes(as_bytes(whole, RLELossless))
    stored = read_stored(tmp_path / "rle")
    assert (stored.transfer_syntax, stored.dtype, stored.compressed) == ("RLE Lossless", "uint16", True)
    slices = series_of(data, affine)
    slices[3].RescaleSlope = 0.75
    for bare, one in enumerate(slices):
        (tmp_path / "mixed").mkdir(exist_ok=True)
        (tmp_path / "mixed" / str(bare)).write_bytes(as_bytes(one, bare=True))
    stored = read_stored(tmp_path / "mixed")
    assert (stored.slope, stored.intercept) == (None, None)
    assert stored.transfer_syntax == "Explicit VR Little Endian"


def test_slices_that_do_not_say_where_they_lie(tmp_path: Path) -> None:
    affine = affine_of(DICOM_SPACING, DICOM_SHAPE)
    slices = series_of(np.rint(head(affine, DICOM_SHAPE)), affine, ImagePositionPatient=None)
    study = save(tmp_path, slices)
    for options, known in (
        ({"axes": "RAS"}, ("RAS", True, "caller")),
        ({"without_side": True}, ("unknown", False, "assumed")),
    ):
        found = inspect(study, **options).orientation
        assert (found.axes, found.side_known, found.source) == known
