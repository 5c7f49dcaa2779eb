"""DICOM studies: what is read, what is chosen, what is refused, and that nobody's name comes out."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
import warnings
import zipfile
import zlib

import numpy as np
import pytest
from dicom_studies import ROOT, SECRETS, as_bytes, multiframe_of, patient, pixels, save, series_of
from heads import ORDERS, affine_of, head, reorder
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.uid import (
    MPEG2MPML,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGLSLossless,
    RLELossless,
)

from brain3d.scans import (
    InputError,
    affine_from_axes,
    dicom,
    dicom_files,
    dicom_parsing,
    find_scan,
    is_part,
    prepare,
    read_scan,
    to_canonical,
    write_scan,
)
from brain3d.scans.dicom_kinds import kind_of
from brain3d.scans.dicom_parsing import Allowance, TooMuchError

SHAPE = (16, 18, 17)
AFFINE = affine_of((5, 5, 6), SHAPE, (4, -3, 6), (10, -20, 30))
NOT_FLAIR = {"InversionTime": None, "EchoTime": 3.0, "SeriesDescription": "x", "ScanningSequence": "GR"}


@pytest.fixture
def data():
    return np.random.default_rng(0).integers(0, 200, SHAPE).astype(np.float32)


@pytest.fixture
def study(tmp_path, data):
    """A folder with one FLAIR series."""
    return save(tmp_path / "study", series_of(data, AFFINE))


def refused(path, words, **options):
    """The study is refused in one short line that starts with the path as given, holds `words` and names nobody."""
    with pytest.raises(InputError) as caught:
        read_scan(path, **options)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert re.search(words, message), message
    assert "\n" not in message
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    nobody_named(message.removeprefix(str(path)))
    return message


def nobody_named(words):
    for secret in SECRETS:
        assert secret.lower() not in words.lower()


def same_image(scan, data, affine):
    mine, where = to_canonical(scan.data, scan.affine)
    theirs, there = to_canonical(data, affine)
    assert np.array_equal(mine, theirs)
    assert np.allclose(where, there, atol=1e-4)


def zipped(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


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


def test_inverted_pictures_are_turned(tmp_path, data):
    same_image(
        read_scan(save(tmp_path, series_of(-data, AFFINE, PhotometricInterpretation="MONOCHROME1"))), data, AFFINE
    )


def test_what_else_lies_there_is_passed_over(tmp_path, study, data):
    directory = patient()
    directory.SOPClassUID, directory.SOPInstanceUID = "1.2.840.10008.1.3.10", f"{ROOT}.77"
    (study / "index").write_bytes(as_bytes(directory))
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


def two(tmp_path, data, first, second):
    save(tmp_path, series_of(data, AFFINE, 4, **first), prefix="a")
    return save(tmp_path, series_of(data + 1, AFFINE, 7, **second), prefix="b")


def test_the_flair_series_is_chosen_and_the_choice_explained(tmp_path, data):
    for number, name in enumerate(("t1_mprage Jane", "t2_tse", "ep2d_diff", "AAHead_Scout", "swi"), 11):
        elements = {**NOT_FLAIR, "SeriesDescription": f"{name} of Vandoren"}
        save(tmp_path, series_of(data[:, :, :number], AFFINE, number, **elements), prefix=name)
    save(tmp_path, series_of(data, AFFINE, 20), prefix="flair")
    scan = read_scan(tmp_path)
    same_image(scan, data, AFFINE)
    choice = scan.series
    assert choice.chosen == 6
    assert choice.why.startswith("Series 6 of 6 was read (FLAIR, 17 slices): FLAIR by its name, inversion time 2400 ms")
    kinds = ["T1", "T2", "diffusion", "localiser", "susceptibility", "FLAIR"]
    assert [(one.number, one.kind, one.images) for one in choice.listed] == [
        (number, kind, 10 + number if number < 6 else 17) for number, kind in enumerate(kinds, 1)
    ]
    nobody_named(repr(scan.series) + repr(scan.flags))


def test_series_by_number_and_by_words(tmp_path, data):
    path = two(tmp_path, data, {}, {**NOT_FLAIR, "SeriesDescription": "t1 of Jane"})
    for wanted in (2, "2", "T1 OF", "jane"):
        if wanted == "jane":
            assert "'jane' names 2 of its series" in _refusal(path, wanted)
            continue
        scan = read_scan(path, series=wanted)
        assert scan.series.chosen == 2
        assert [flag.code for flag in scan.flags] == ["not_known_to_be_flair"]
        nobody_named(scan.flags[0].message)
    assert read_scan(path, series="flair").flags == ()
    for wanted in (0, 3, "adc", "", "-1"):
        refused(path, r"is none of its series .1: FLAIR, 17 images; 2: T1, 17 images.; give a number", series=wanted)


def _refusal(path, wanted):
    with pytest.raises(InputError) as caught:
        read_scan(path, series=wanted)
    return str(caught.value)


def test_no_flair(tmp_path, data):
    one = save(tmp_path / "one", series_of(data, AFFINE, **NOT_FLAIR))
    scan = read_scan(one)
    assert [flag.code for flag in scan.flags] == ["not_known_to_be_flair"]
    path = two(tmp_path / "two", data, NOT_FLAIR, {**NOT_FLAIR, "SeriesDescription": "t2 Vandoren"})
    refused(path, r"no series is known to be FLAIR .1: unknown protocol, 17 images; 2: T2, 17 images.; .* --series")


@pytest.mark.parametrize(
    ("first", "second", "chosen"),
    [
        ({}, {"MRAcquisitionType": "3D"}, 2),
        ({"MRAcquisitionType": "3D"}, {}, 1),
        ({}, {}, 1),
    ],
)
def test_several_flair_series(tmp_path, data, first, second, chosen):
    scan = read_scan(two(tmp_path, data, first, second))
    assert scan.series.chosen == chosen
    assert [flag.code for flag in scan.flags] == ["several_flair_series"]
    assert f"Series 1, 2 of the study are FLAIR. Series {chosen} was read, by the rule: 3-D" in scan.flags[0].message


def test_thinner_slices_win_and_a_faulty_series_loses(tmp_path, data):
    thin = AFFINE @ np.diag([1, 1, 0.9, 1])
    save(tmp_path / "a", series_of(data, AFFINE, 1), prefix="a")
    save(tmp_path / "a", series_of(data, thin, 2), prefix="b")
    assert read_scan(tmp_path / "a").series.chosen == 2
    save(tmp_path / "b", series_of(data, AFFINE, 1), prefix="a")
    save(tmp_path / "b", series_of(data, thin, 2)[:5] + series_of(data, thin, 2)[6:], prefix="b")
    scan = read_scan(tmp_path / "b")
    assert scan.series.chosen == 1
    assert "1 of them cannot be read" in scan.flags[0].message
    assert "missing slices" in scan.series.listed[1].problem
    refused(tmp_path / "b", "series 2 of 2 .FLAIR, 16 images.: missing slices: 1", series=2)


def test_several_studies_are_not_mixed(tmp_path, data):
    path = two(tmp_path, data, {}, {"StudyInstanceUID": f"{ROOT}.5"})
    refused(path, "images of several studies")
    assert read_scan(path, series=2).series.chosen == 2


@pytest.mark.parametrize(
    ("names", "echo", "inversion", "kind"),
    [
        (["Ax T2 FLAIR"], 120, 2200, "FLAIR"),
        (["t2_spc_da-fl_sag"], 0, 0, "FLAIR"),
        (["3DFLAIR"], 0, 0, "FLAIR"),
        (["Ax T1 FLAIR"], 0, 0, "T1 FLAIR"),
        (["SAG FLAIR"], 9, 800, "T1 FLAIR"),
        (["t2_tirm_cor"], 60, 160, "STIR"),
        (["", "", "*tir2d1_16"], 90, 2500, "FLAIR"),
        (["ax t2"], 90, 2500, "FLAIR"),
        (["ax t2", "BRAIN T1 T2 FLAIR"], 90, 0, "T2"),
        (["", "FLAIR"], 0, 0, "FLAIR"),
        (["t1_mprage"], 3, 900, "T1"),
        (["DIR space"], 300, 2600, "double inversion recovery"),
        (["resolve_trace"], 60, 0, "diffusion"),
        (["something"], 0, 0, "unknown protocol"),
        ([], 0, 0, "unknown protocol"),
        (["t1 " * 10**5], 0, 0, "T1"),
    ],
)
def test_kinds_of_protocols(names, echo, inversion, kind):
    assert kind_of(names, echo, inversion, False)[0] == kind


def drop(*which):
    return lambda slices: [one for k, one in enumerate(slices) if k not in which]


def change(which, **elements):
    def changed(slices):
        for k in which:
            for keyword, value in elements.items():
                setattr(slices[k], keyword, value)
        return slices

    return changed


def moved(offsets):
    """Slices moved by (n, 3) mm in DICOM's world."""

    def changed(slices):
        for one, offset in zip(slices, offsets, strict=True):
            one.ImagePositionPatient = [f"{v:.6f}" for v in np.array(one.ImagePositionPatient, float) + offset]
        return slices

    return changed


ACROSS = np.diag([-1, -1, 1]) @ AFFINE[:3, 0] / 5
ALONG = np.diag([-1, -1, 1]) @ AFFINE[:3, 2] / 6
STEPS = np.arange(17)[:, None]


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (
            drop(5, 6, 11),
            r"missing slices: 3, between 24.0 and 42.0 mm, 60.0 and 72.0 mm from the first slice .*6.00 mm",
        ),
        (drop(*range(1, 17)), "a single slice; give the folder"),
        (drop(0, 1), "too small .16 x 18 x 15 voxels."),
        (moved(STEPS * 6 * np.tan(np.radians(12)) * ACROSS), "slices sheared by 12 degrees"),
        (moved((STEPS % 2) * 4 * ACROSS), "shifted sideways .* 4.0 mm"),
        (moved((STEPS % 2) * ALONG), "uneven slices, 5.00 to 7.00 mm apart"),
        (change([3], ImageOrientationPatient=[1, 0, 0, 0, 0, -1]), "mixed orientations"),
        (change([3, 4], PixelSpacing=[3, 3]), "mixed or missing pixel sizes"),
        (change([3], RescaleSlope=0), "rescale slope of 0"),
        (change([3], ImagePositionPatient=None), "1 of 17 slices do not say where they lie"),
    ],
)
def test_series_that_are_no_single_image(tmp_path, data, spoil, words):
    refused(save(tmp_path, spoil(series_of(data, AFFINE))), words)


def test_small_shear_is_kept(tmp_path, data):
    spoil = moved(STEPS * 6 * np.tan(np.radians(3)) * ACROSS)
    scan = read_scan(save(tmp_path, spoil(series_of(data, AFFINE))))
    cosines = scan.affine[:3, :3] / np.linalg.norm(scan.affine[:3, :3], axis=0)
    assert np.degrees(np.arcsin(abs((cosines[:, 0] * cosines[:, 2]).sum()))) == pytest.approx(3, abs=0.01)


def test_several_images_at_one_place(tmp_path, data):
    copies = series_of(data, AFFINE)
    refused(save(tmp_path / "a", copies + copies[3:5]), "duplicate positions: 2 of 17 places hold more than one slice")
    refused(save(tmp_path / "b", copies + copies), "duplicate positions: 17 of 17")
    for name, elements, words in (
        ("c", {"EchoTime": 120.0}, "4-D series, 2 images at each of 17 places .several echo times."),
        ("d", {"TemporalPositionIdentifier": 2}, "several time points"),
        ("e", {"ImageType": ["ORIGINAL", "PRIMARY", "P"]}, "magnitude and phase"),
    ):
        again = series_of(data, AFFINE, **elements)
        refused(save(tmp_path / name, series_of(data, AFFINE) + again), words)


def test_mixed_matrix_sizes(tmp_path, data):
    slices = series_of(data, AFFINE)
    pixels(slices[4], data[:12, :, 4:5])
    refused(save(tmp_path, slices), "mixed matrix sizes .12 x 18, 16 x 18.")


@pytest.mark.parametrize(
    ("elements", "words"),
    [
        (
            {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7", "Modality": "OT"},
            "1: secondary capture .a picture of a screen.",
        ),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.2", "Modality": "CT"}, "1: CT images, not MR, 17 images"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.128", "Modality": "PT"}, "1: PT images, not MR"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.88.22", "Modality": "SR"}, "1: structured report"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.11.1", "Modality": "PR"}, "1: presentation state"),
        ({"Modality": "Vandoren"}, "1: images of another kind, not MR"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, "1: localiser"),
        ({"SeriesDescription": "3-plane loc Jane"}, "1: localiser"),
        ({"ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"]}, "1: screen save"),
        (
            {"ImageType": ["DERIVED", "SECONDARY", "MPR"]},
            "1: FLAIR, derived images, 17 images.; choose one with --series",
        ),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "M", "MOSAIC"]}, "1: mosaic"),
        ({"PhotometricInterpretation": "RGB", "SamplesPerPixel": 3}, "1: colour images"),
        ({"PixelData": None}, "1: no pixel data"),
    ],
)
def test_what_is_no_scan(tmp_path, data, elements, words):
    message = refused(save(tmp_path, series_of(data, AFFINE, **elements)), words)
    assert "no MR series that can be read" in message


def test_derived_images_are_read_when_asked_for(tmp_path, data):
    path = two(tmp_path, data, {"ImageType": ["DERIVED", "SECONDARY", "MPR"]}, NOT_FLAIR)
    refused(path, "only FLAIR images are derived .1: FLAIR, derived images")
    assert [flag.code for flag in read_scan(path, series=1).flags] == ["derived_series"]
    save(path, series_of(data, AFFINE, 9, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]), prefix="loc")
    refused(path, "series 3 of 3 .localiser, 17 images.: localiser; choose another", series=3)


def test_slices_that_do_not_say_where_they_lie(tmp_path, data):
    slices = series_of(data, AFFINE, ImagePositionPatient=None, ImageOrientationPatient=None)
    path = save(tmp_path / "lost", slices)
    refused(path, r"do not say where they lie; give the axes .--axes LPS. or accept .*--without-side")
    scan = read_scan(path, axes="LPS")
    assert (scan.axes, scan.side_known) == ("LPS", True)
    assert np.array_equal(scan.data, data)
    assert np.allclose(scan.affine, affine_from_axes("LPS", (5, 5, 6)))
    turned = save(tmp_path / "turned", series_of(data, AFFINE, ImagePositionPatient=None))
    refused(turned, "stored as RA by its headers, but --axes says LPS", axes="LPS")
    assert read_scan(turned, axes="RAI").axes == "RAI"
    blind = read_scan(path, without_side=True)
    assert (blind.axes, blind.side_known) == ("unknown", False)
    assert [flag.code for flag in blind.flags] == ["side_not_in_header"]
    assert blind.sha256 == scan.sha256
    (tmp_path / "frames").write_bytes(as_bytes(multiframe_of(data, AFFINE, PerFrameFunctionalGroupsSequence=None)))
    refused(tmp_path / "frames", "do not say where they lie")
    assert np.array_equal(read_scan(tmp_path / "frames", axes="RAS").data, data)
    for one in slices:
        one.InstanceNumber = 1
    refused(save(tmp_path / "same", slices), "nor in which order", axes="LPS")


def test_axes_that_contradict_the_headers_are_refused(study):
    refused(study, "stored as RAS by its headers, but --axes says LPS", axes="LPS")
    assert read_scan(study, axes="RAS").side_known
    assert read_scan(study, without_side=True).side_known
    refused(study, "contradict each other", axes="RAS", without_side=True)


def test_files_cut_short(tmp_path, study, data):
    whole = sorted(study.iterdir())[3]
    content = whole.read_bytes()
    for length in (len(content) - 10, len(content) - 2 * 16 * 18 + 4, 700):
        whole.write_bytes(content[:length])
        refused(study, "cut short: 1 of 17 files end before their pixels do|missing slices: 1")
    for length in (131, 140, 300):
        whole.write_bytes(content[:length])
        refused(study, "missing slices: 1")
    path = tmp_path / "one"
    path.write_bytes(as_bytes(multiframe_of(data, AFFINE))[:-40])
    refused(path, "cut short: 1 of 1 files")
    path.write_bytes(as_bytes(multiframe_of(data, AFFINE, NumberOfFrames=18)))
    refused(path, "damaged or cut short: all DICOM files .1.")
    path.write_bytes(as_bytes(multiframe_of(data, AFFINE, PixelData=bytes(99 * 4))))
    refused(path, "pixel data that is damaged or cut short")


def test_compression_without_a_decoder(tmp_path, data, monkeypatch):
    from pydicom.encaps import encapsulate
    from pydicom.pixels.decoders import JPEGLSLosslessDecoder

    def compressed(folder, syntax):
        slices = series_of(data, AFFINE, PixelData=encapsulate([b"\xff\xd8" * 40]))
        for one in slices:
            one["PixelData"].VR, one["PixelData"].is_undefined_length = "OB", True
        return save(folder, slices, syntax=syntax)

    path = compressed(tmp_path / "a", JPEGLSLossless)
    monkeypatch.setattr(JPEGLSLosslessDecoder, "_available", {})
    refused(
        path, r"compressed as JPEG-LS Lossless Image Compression; install .*pip install 'brain3d\[dicom-compressed\]'"
    )
    refused(compressed(tmp_path / "b", MPEG2MPML), "compressed as MPEG2 .* not supported; export it uncompressed")
    path = compressed(tmp_path / "c", RLELossless)
    refused(path, "pixel data that is damaged")
    for file in path.iterdir():
        file.write_bytes(file.read_bytes().replace(b"1.2.840.10008.1.2.5\0", b"1.2.840.10009.1.2.5\0"))
    refused(path, "not of the standard")


def test_nothing_readable(tmp_path):
    refused(tmp_path, "folder without a NIfTI scan or DICOM images")
    (tmp_path / "a.dcm").write_bytes(b"garbage" * 100)
    refused(tmp_path, "folder without a NIfTI scan or DICOM images")
    refused(tmp_path / "a.dcm", "not a NIfTI file, and no DICOM")
    (tmp_path / "b.dcm").write_bytes(b"\0" * 128 + b"DICM" + np.random.default_rng(0).bytes(4000))
    refused(tmp_path, "damaged or cut short: all DICOM files .1.")
    (tmp_path / "b.dcm").write_bytes(b"\x08\x00\x05\x00CS\x0a\x00ISO_IR 100")
    refused(tmp_path, "no DICOM images among its files .2.")


@settings(max_examples=40, deadline=None)
@given(start=st.sampled_from([0, 128, 132, 300, 500, 900]), junk=st.binary(min_size=1, max_size=60))
def test_damage_anywhere_is_one_line_or_harmless(tmp_path_factory, start, junk):
    image = np.random.default_rng(1).integers(0, 99, SHAPE).astype(np.float32)
    content = bytearray(as_bytes(multiframe_of(image, AFFINE)))
    content[start : start + len(junk)] = junk
    path = tmp_path_factory.mktemp("junk") / "a"
    path.write_bytes(content)
    try:
        read_scan(path)
    except InputError as error:
        nobody_named(str(error).removeprefix(str(path)))


def test_archives_that_hold_no_study(tmp_path, study):
    refused(zipped(tmp_path / "empty.zip", {}), "zip archive without files")
    refused(zipped(tmp_path / "text.zip", {"a.txt": b"Jane Vandoren"}), "no DICOM images among its files .1.")
    inner = zipped(tmp_path / "inner.zip", {p.name: p.read_bytes() for p in study.iterdir()})
    refused(zipped(tmp_path / "nested.zip", {"inner.zip": inner.read_bytes()}), "no DICOM images among its files .1.")
    content = inner.read_bytes()
    (tmp_path / "cut.zip").write_bytes(content[:-200])
    refused(tmp_path / "cut.zip", "zip archive")
    (tmp_path / "head.zip").write_bytes(b"PK\x03\x04" + bytes(20))
    refused(tmp_path / "head.zip", "cut short")
    middle = bytearray(content)
    middle[len(content) // 3 : len(content) // 3 + 400] = bytes(400)
    (tmp_path / "middle.zip").write_bytes(middle)
    refused(tmp_path / "middle.zip", "damaged")


def test_an_encrypted_archive(tmp_path, study):
    path = zipped(tmp_path / "a.zip", {p.name: p.read_bytes() for p in study.iterdir()})
    content = bytearray(path.read_bytes())
    at = content.find(b"PK\x01\x02")
    content[at + 8] |= 1
    path.write_bytes(content)
    refused(path, "an encrypted zip archive; unpack it")


def test_zip_bombs(tmp_path, monkeypatch):
    path = zipped(tmp_path / "claims.zip", {"a": b"x" * 100, "b": b"y" * 100})
    content = bytearray(path.read_bytes())
    at = content.find(b"PK\x01\x02")
    content[at + 24 : at + 28] = (2**32 - 2).to_bytes(4, "little")
    path.write_bytes(content)
    refused(path, r"of 0.0 MiB that claims to unpack to 4096 MiB, more than a study does")
    monkeypatch.setattr(dicom_files, "RATIO_FROM_BYTES", 2**20)
    bomb = zipped(tmp_path / "real.zip", {"a": b"\0" * 128 + b"DICM" + bytes(2**21)})
    refused(bomb, "claims to unpack to 2 MiB")
    monkeypatch.setattr(dicom_files, "MAX_FILES", 3)
    refused(zipped(tmp_path / "many.zip", {str(k): b"x" for k in range(4)}), "more than 3 files")
    monkeypatch.setattr(dicom_files, "MAX_DIRECTORY_BYTES", 50)
    refused(zipped(tmp_path / "list.zip", {"a" * 100: b"x"}), "more than 3 files")


def test_deflated_bombs(tmp_path, data, monkeypatch):
    monkeypatch.setattr(dicom, "MAX_INFLATED_BYTES", 2**12)
    refused(save(tmp_path / "a", series_of(np.tile(data, (4, 4, 1)), AFFINE), syntax=DeflatedExplicitVRLittleEndian),
            "pixel data that is damaged or cut short")  # fmt: skip
    packer = zlib.compressobj(wbits=-15)
    packed = packer.compress(bytes(10**6)) + packer.flush()
    allowance = Allowance(2500)
    assert allowance.inflate(packed, 1000) == bytes(1001)
    with pytest.raises(TooMuchError):
        allowance.inflate(packed, 10**6)


def test_headers_without_end(tmp_path, study, monkeypatch):
    path = zipped(tmp_path / "a.zip", {p.name: p.read_bytes() for p in study.iterdir()})
    assert read_scan(path).series is not None
    monkeypatch.setattr(dicom, "MAX_READS", 500)
    refused(path, "more to be read than a study holds; give the folder of the one series")
    assert read_scan(study).series is not None
    monkeypatch.setattr(dicom_parsing, "MAX_HEADER_BYTES", 300)
    refused(study, "damaged or cut short: all DICOM files .17.")


@pytest.mark.parametrize("depth", [100, 5000])
def test_sequences_in_sequences(tmp_path, depth):
    nested = b"\x08\x00\x40\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff" * depth
    (tmp_path / "a").write_bytes(b"\0" * 128 + b"DICM" + nested)
    refused(tmp_path, "damaged or cut short: all DICOM files .1.")


def test_folders_without_end(tmp_path, monkeypatch):
    monkeypatch.setattr(dicom_files, "MAX_FILES", 5)
    for k in range(6):
        (tmp_path / str(k)).write_bytes(b"x")
    refused(tmp_path, "folder with more than 5 files")


def test_headers_that_claim_too_much(tmp_path, data):
    refused(save(tmp_path / "a", series_of(data, AFFINE, Rows=60000, Columns=60000)), "too large .60000 x 60000 x 17")
    slices = series_of(data, AFFINE)
    for one in slices:
        one.Rows, one.PixelSpacing = 2000, [0.05, 5]
    refused(save(tmp_path / "b", slices), "damaged or cut short")
    refused(save(tmp_path / "c", series_of(data, AFFINE, PixelSpacing=[0.001, 0.001])), "voxel size of 0.001")
    refused(save(tmp_path / "d", series_of(data * 0, AFFINE)), "empty image")


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
