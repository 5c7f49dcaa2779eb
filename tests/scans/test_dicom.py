"""DICOM studies: every way to store one reads the same, and nobody's name comes out."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
import warnings

import numpy as np
import pytest
from dicom_checks import AFFINE, SHAPE, nobody_named, refused, same_image, zipped
from dicom_studies import ROOT, as_bytes, multiframe_of, patient, save, series_of
from heads import ORDERS, affine_of, head, reorder
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

from brain3d.scans import (
    find_scan,
    is_part,
    prepare,
    read_scan,
    write_scan,
)


def test_a_phantom_gives_the_same_volume_as_nifti_and_as_dicom(tmp_path):
    shape = (24, 28, 20)
    affine = affine_of((8, 8, 9), shape, (10, 5, -7), (3, 4, 5))
    image = np.rint(head(affine, shape, centre_mm=(3, 4, 5)))
    write_scan(tmp_path / "a.nii.gz", image, affine, dtype=np.int16)
    expected = prepare(read_scan(tmp_path / "a.nii.gz"))
    half = expected.data.shape[3] // 2
    assert expected.data[..., :half].max() > expected.data[..., half:].max()  # the lesion is on the left
    for order, signs in (ORDERS[0], ORDERS[7], ORDERS[19], ORDERS[42]):
        stored, where = reorder(image, affine, order, signs)
        name = f"{order}{signs}"
        classic = read_scan(save(tmp_path / name, series_of(stored, where)[::-1]))
        (tmp_path / f"{name}.x").write_bytes(as_bytes(multiframe_of(stored, where)))
        for scan in (classic, read_scan(tmp_path / f"{name}.x")):
            assert scan.side_known
            volume = prepare(scan)
            assert np.allclose(volume.data, expected.data, atol=2e-3)
            assert np.allclose(volume.affine, expected.affine, atol=1e-2)


@settings(max_examples=10, deadline=None)
@given(
    degrees=st.tuples(*[st.floats(-180, 180)] * 3),
    spacing=st.tuples(*[st.floats(4.0, 6.0)] * 3),
    order=st.sampled_from(ORDERS),
    several=st.booleans(),
)
def test_any_orientation_survives(tmp_path_factory, degrees, spacing, order, several):
    image = np.random.default_rng(1).integers(0, 99, SHAPE).astype(np.float32)
    affine = affine_of(spacing, SHAPE, degrees, (5, 6, 7))
    stored, where = reorder(image, affine, *order)
    folder = tmp_path_factory.mktemp("any")
    if several:
        save(folder, series_of(stored, where))
    else:
        (folder / "one").write_bytes(as_bytes(multiframe_of(stored, where)))
    scan = read_scan(folder)
    same_image(scan, image, affine)
    assert scan.flags == ()


def test_neither_names_nor_instance_numbers_order_the_slices(tmp_path, data):
    slices = series_of(data, AFFINE)
    forwards = read_scan(save(tmp_path / "a", slices))
    for number, one in enumerate(reversed(slices)):
        one.InstanceNumber = number
        one.SliceLocation = float(number)
    (tmp_path / "b" / "deep" / "deeper").mkdir(parents=True)
    save(tmp_path / "b" / "deep", slices[:9][::-1], prefix="z")
    save(tmp_path / "b" / "deep" / "deeper", slices[9:], prefix="a")
    backwards = read_scan(tmp_path / "b")
    assert np.array_equal(forwards.data, backwards.data)
    assert np.array_equal(forwards.affine, backwards.affine)
    assert forwards.sha256 == backwards.sha256


def test_frames_are_ordered_by_place_too(tmp_path, data):
    (tmp_path / "a").write_bytes(as_bytes(multiframe_of(data, AFFINE)))
    order = np.random.default_rng(2).permutation(SHAPE[2]).tolist()
    (tmp_path / "b").write_bytes(as_bytes(multiframe_of(data, AFFINE, order)))
    scan = read_scan(tmp_path / "a")
    same_image(scan, data, AFFINE)
    assert scan.sha256 == read_scan(tmp_path / "b").sha256
    assert scan.sha256 == read_scan(save(tmp_path / "c", series_of(data, AFFINE))).sha256


def test_the_hash_is_that_of_voxels_and_geometry_alone(tmp_path, data):
    first = read_scan(save(tmp_path / "a", series_of(data, AFFINE))).sha256
    renamed = series_of(data, AFFINE, number=9, PatientName="Other^Name", EchoTime=100.0)
    assert read_scan(save(tmp_path / "b", renamed, prefix="q")).sha256 == first
    changed = data.copy()
    changed[3, 4, 5] += 1
    assert read_scan(save(tmp_path / "c", series_of(changed, AFFINE))).sha256 != first
    moved = AFFINE.copy()
    moved[0, 3] += 1
    assert read_scan(save(tmp_path / "d", series_of(data, moved))).sha256 != first
    assert re.fullmatch("[0-9a-f]{64}", first)


@pytest.mark.parametrize(
    ("syntax", "bare"),
    [
        (ImplicitVRLittleEndian, False),
        (ExplicitVRBigEndian, False),
        (DeflatedExplicitVRLittleEndian, False),
        (ImplicitVRLittleEndian, True),
        (ExplicitVRLittleEndian, True),
        (ExplicitVRBigEndian, True),
    ],
)
def test_encodings_read_the_same(tmp_path, data, syntax, bare):
    for k, one in enumerate(series_of(data, AFFINE)):
        (tmp_path / f"{k}.txt").write_bytes(as_bytes(one, syntax, bare=bare))
    same_image(read_scan(tmp_path), data, AFFINE)


def test_rle_and_several_frames_in_it(tmp_path, data):
    whole = multiframe_of(data, AFFINE)
    as_bytes(whole)
    whole.compress(RLELossless)
    (tmp_path / "a").write_bytes(as_bytes(whole, RLELossless))
    same_image(read_scan(tmp_path / "a"), data, AFFINE)


def test_each_slice_has_its_own_rescaling(tmp_path, data):
    slices = series_of(data, AFFINE)
    for k, one in enumerate(slices):
        pixels_of = np.frombuffer(one.PixelData, "<i2") * 0.5 + 10.0
        one.RescaleSlope, one.RescaleIntercept = 0.25 + 0.25 * (k % 2), float(k)
        one.PixelData = np.rint((pixels_of - k) / float(one.RescaleSlope)).astype("<i2").tobytes()
    assert np.abs(read_scan(save(tmp_path / "a", slices)).data - data).max() <= 0.25
    same_image(read_scan(save(tmp_path / "b", series_of(data, AFFINE, RescaleSlope=None, RescaleIntercept=None))),
               (data - 10) / 0.5, AFFINE)  # fmt: skip


def test_unsigned_pixels_with_an_overlay_above_the_stored_bits(tmp_path, data):
    slices = series_of(data, AFFINE, PixelRepresentation=0, BitsStored=12, HighBit=11)
    for k, one in enumerate(slices):
        values = data[:, :, k].T.astype("<u2") | np.uint16(0x8000)
        one.PixelData, one.RescaleSlope, one.RescaleIntercept = values.tobytes(), 1, 0
    same_image(read_scan(save(tmp_path / "a", slices)), data, AFFINE)


@pytest.mark.parametrize("overlaid", [False, True])
def test_an_overlay_over_part_of_a_picture_and_negative_values_without_their_sign(tmp_path, overlaid):
    image = np.rint(head(AFFINE, SHAPE, centre_mm=(10, -20, 30), noise=5))
    slices = series_of(image, AFFINE, BitsStored=12, HighBit=11, RescaleSlope=1, RescaleIntercept=0)
    for k, one in enumerate(slices):
        values = image[:, :, k].T.astype("<i2") & 0x0FFF
        if overlaid:
            values[4:7, 3:12] |= 0x1000
        one.PixelData = values.astype("<i2").tobytes()
    assert image.min() < 0
    same_image(read_scan(save(tmp_path / "a", slices)), image, AFFINE)


def test_values_of_more_bits_than_the_header_says(tmp_path):
    image = np.rint(37 * head(AFFINE, SHAPE, centre_mm=(10, -20, 30), noise=5).clip(0))
    slices = series_of(image, AFFINE, PixelRepresentation=0, RescaleSlope=1, RescaleIntercept=0)
    for k, one in enumerate(slices):
        one.PixelData = image[:, :, k].T.astype("<u2").tobytes()
    assert image.max() > 4096
    same_image(read_scan(save(tmp_path / "a", slices)), image, AFFINE)
    for one in slices:
        one.BitsStored, one.HighBit = 12, 11
    refused(save(tmp_path / "b", slices), "values of more bits than its headers say")


def test_inverted_pictures_are_turned(tmp_path, data):
    same_image(
        read_scan(save(tmp_path, series_of(-data, AFFINE, PhotometricInterpretation="MONOCHROME1"))), data, AFFINE
    )


def test_what_else_lies_there_is_passed_over(tmp_path, study, data):
    directory = patient()
    directory.SOPClassUID, directory.SOPInstanceUID = "1.2.840.10008.1.3.10", f"{ROOT}.77"
    (study / "index").write_bytes(as_bytes(directory))
    refused(study / "index", "only a DICOMDIR, which lists images and holds none; give the folder with the images")
    (study / ".hidden").write_bytes(b"\0" * 128 + b"DICM" + b"junk")
    (study / "notes.txt").write_text("Jane Vandoren")
    (study / "picture.dcm").write_bytes(b"\x89PNG" + bytes(500))
    (study / "empty").write_bytes(b"")
    (study / "sub").mkdir()
    (study / "sub" / "loop").symlink_to(study, target_is_directory=True)
    (study / "gone").symlink_to(study / "nothing")
    os.mkfifo(study / "pipe")
    scan = read_scan(study)
    same_image(scan, data, AFFINE)
    assert scan.flags == ()
    assert find_scan(study) == study
    assert is_part(study / sorted(os.listdir(study))[-1], study) is False
    assert is_part(next(study.glob("Vandoren*")), study)
    assert not is_part(study / "notes.txt", study)


def test_damaged_files_are_left_out_with_a_flag(study, data):
    (study / "bad").write_bytes(b"\0" * 128 + b"DICM" + b"\xff" * 300)
    scan = read_scan(study)
    same_image(scan, data, AFFINE)
    assert [flag.code for flag in scan.flags] == ["damaged_files"]


def test_a_zip_reads_like_its_folder(tmp_path, study):
    members = {f"../../{p.name}": p.read_bytes() for p in study.iterdir()}
    members |= {"/etc/x": b"text", "folder/": b"", "__MACOSX/._a": b"\0" * 128 + b"DICM", "a/.b": b"x"}
    path = zipped(tmp_path / "no suffix", members)
    before = sorted(tmp_path.rglob("*"))
    assert read_scan(path).sha256 == read_scan(study).sha256
    assert sorted(tmp_path.rglob("*")) == before


def test_a_folder_with_one_nifti_file_is_read_as_that(study, data):
    write_scan(study / "a.nii", data, AFFINE)
    assert read_scan(study).series is None
    assert read_scan(study, series=1).series is not None
    refused(study / "a.nii", "no DICOM study, so there is no series", series=1)


def test_nobodys_name_is_warned_of_or_logged(tmp_path, data, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    slices = series_of(data, AFFINE)
    for one in slices:
        one.StudyInstanceUID = "4711.Jane.Vandoren"
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        path = save(tmp_path, slices)
        caplog.clear()
        del warned[:]
        scan = read_scan(path)
        refused(path, "is none of its series", series="adc")
    assert not warned
    nobody_named(caplog.text)
    assert capfd.readouterr() == ("", "")
    for field in (scan.flags, scan.series, scan.axes, scan.sha256, scan.spacing_mm):
        nobody_named(str(field))
    nobody_named(repr(scan).replace(str(tmp_path), ""))


def test_nifti_needs_no_pydicom(tmp_path, data):
    write_scan(tmp_path / "a.nii", data, AFFINE)
    code = "import sys; sys.modules['pydicom'] = None; from brain3d.scans import read_scan; read_scan(sys.argv[1])"
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "a.nii")], check=True)
