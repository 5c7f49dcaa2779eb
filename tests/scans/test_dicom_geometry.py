"""Where the slices of DICOM series lie: what is no single image, and what does not say how it lies."""

from __future__ import annotations

import numpy as np
import pytest
from dicom_checks import AFFINE, refused
from dicom_studies import as_bytes, multiframe_of, pixels, save, series_of
from heads import reorder

from brain3d.scans import (
    affine_from_axes,
    axis_codes,
    read_scan,
)


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


@pytest.mark.parametrize("keyword", ["RescaleSlope", "RescaleIntercept"])
@pytest.mark.parametrize("value", [b"0,5", b"1\\2", b"nan", b"1E400"])
@pytest.mark.parametrize("share", [1, 3])
def test_a_rescaling_that_is_no_number_does_not_pass_for_none(tmp_path, data, keyword, value, share):
    path = save(tmp_path, series_of(data, AFFINE, **{keyword: "7.2500"}))
    for file in sorted(path.iterdir())[::share]:
        file.write_bytes(file.read_bytes().replace(b"7.2500", value.ljust(6)))
    refused(path, "a rescale slope or intercept that is no number")


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
        ("e", {"ImageType": ["ORIGINAL", "PRIMARY", "R"]}, "magnitude and phase"),
    ):
        again = series_of(data, AFFINE, **elements)
        refused(save(tmp_path / name, series_of(data, AFFINE) + again), words)


def test_mixed_matrix_sizes(tmp_path, data):
    slices = series_of(data, AFFINE)
    pixels(slices[4], data[:12, :, 4:5])
    refused(save(tmp_path, slices), "mixed matrix sizes .12 x 18, 16 x 18.")


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


def located(slices, step_mm):
    for k, one in enumerate(slices):
        one.SliceLocation = f"{k * step_mm - 40:.2f}"
    return slices


@pytest.mark.parametrize(
    ("step", "stated", "expected"),
    [
        (6.0, {"SliceThickness": 4.0}, 6.0),  # a gap of 2 mm, which nothing else says
        (6.0, {"SliceThickness": 12.0}, 6.0),  # slices that overlap
        (6.0, {"SpacingBetweenSlices": 6.0}, 6.0),
        (5.4, {"SpacingBetweenSlices": 6.0}, 6.0),  # along an axis of the scanner, the slices are oblique
        (6.0, {}, 6.0),
    ],
)
def test_slice_locations_say_how_far_slices_are_apart(tmp_path, data, step, stated, expected):
    unsaid = {"ImagePositionPatient": None, "SliceThickness": None, "SpacingBetweenSlices": None}
    slices = located(series_of(data, AFFINE, **{**unsaid, **stated}), step)
    scan = read_scan(save(tmp_path / "a", slices), axes="RAS")
    assert scan.spacing_mm == pytest.approx((5, 5, expected))
    assert np.array_equal(scan.data, data)
    refused(save(tmp_path / "b", [slices[0], *slices[2:]]), "missing slices: 1", axes="RAS")


@pytest.mark.parametrize(("order", "axes"), [((0, 1, 2), "RAS"), ((1, 2, 0), "ASR"), ((0, 2, 1), "RSA")])
def test_without_a_side_what_the_headers_say_of_rows_and_columns_is_kept(tmp_path, data, order, axes):
    stored, where = reorder(data, AFFINE, order, (1, 1, 1))
    path = save(tmp_path, series_of(stored, where, ImagePositionPatient=None))
    scan = read_scan(path, without_side=True)
    assert (scan.axes, scan.side_known, axis_codes(scan.affine)) == ("unknown", False, axes)


def test_slices_of_several_orientations_that_do_not_say_where_they_lie(tmp_path, data):
    slices = series_of(data, AFFINE, ImagePositionPatient=None)
    for one in slices[9:]:
        one.ImageOrientationPatient = [1, 0, 0, 0, 0, -1]
    refused(save(tmp_path, slices), "mixed orientations", axes="RAS")


def test_axes_that_contradict_the_headers_are_refused(study):
    refused(study, "stored as RAS by its headers, but --axes says LPS", axes="LPS")
    assert read_scan(study, axes="RAS").side_known
    assert read_scan(study, without_side=True).side_known
    refused(study, "contradict each other", axes="RAS", without_side=True)
