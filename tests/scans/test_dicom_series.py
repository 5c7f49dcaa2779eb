"""The series of DICOM studies: which one is chosen, which are no scans, and how one is asked for."""

from __future__ import annotations

import numpy as np
import pytest
from dicom_checks import AFFINE, NOT_FLAIR, nobody_named, refused, same_image
from dicom_studies import ROOT, save, series_of

from brain3d.scans import (
    InputError,
    read_scan,
)
from brain3d.scans.dicom_kinds import kind_of


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


def test_a_series_of_too_few_slices_loses(tmp_path, data):
    save(tmp_path, series_of(data[:, :, :12], AFFINE, 1, MRAcquisitionType="3D"), prefix="a")
    scan = read_scan(save(tmp_path, series_of(data, AFFINE, 2), prefix="b"))
    same_image(scan, data, AFFINE)
    assert scan.series.listed[0].problem.startswith("too small (16 x 18 x 12 voxels)")
    refused(tmp_path, "series 1 of 2 .FLAIR, 12 images.: too small .16 x 18 x 12 voxels.", series=1)


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
        ({"ImageType": ["ORIGINAL", "PRIMARY", "PHASE MAP", "P", "IR"]}, "1: phase images, not magnitude"),
        ({"ComplexImageComponent": "PHASE"}, "1: phase images, not magnitude"),
        ({"PhotometricInterpretation": "RGB", "SamplesPerPixel": 3}, "1: colour images"),
        ({"PixelData": None}, "1: no pixel data"),
    ],
)
def test_what_is_no_scan(tmp_path, data, elements, words):
    message = refused(save(tmp_path, series_of(data, AFFINE, **elements)), words)
    assert "no MR series that can be read" in message


@pytest.mark.parametrize("number", [4, 7])
def test_magnitude_is_read_and_phase_is_not(tmp_path, data, number):
    save(tmp_path, series_of(data + 1, AFFINE, 4, ImageType=["ORIGINAL", "PRIMARY", "P", "ND"]), prefix="a")
    scan = read_scan(save(tmp_path, series_of(data, AFFINE, number), prefix="b"))
    same_image(scan, data, AFFINE)
    assert scan.flags == ()
    assert sorted(one.kind for one in scan.series.listed) == ["FLAIR", "phase images, not magnitude"]


def test_derived_images_are_read_when_asked_for(tmp_path, data):
    path = two(tmp_path, data, {"ImageType": ["DERIVED", "SECONDARY", "MPR"]}, NOT_FLAIR)
    refused(path, "only FLAIR images are derived .1: FLAIR, derived images")
    assert [flag.code for flag in read_scan(path, series=1).flags] == ["derived_series"]
    save(path, series_of(data, AFFINE, 9, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]), prefix="loc")
    refused(path, "series 3 of 3 .localiser, 17 images.: localiser; choose another", series=3)
