"""Headers that say how a scan lies twice, crookedly, or not at all."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from heads import ORDERS, affine_of, reorder
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from brain3d.scans import InputError, affine_from_axes, axis_codes, read_scan, read_stored, read_with_stored
from brain3d.scans.forms import problem_of_forms, turned_by
from brain3d.scans.orientation import shear_deg

SHAPE, SPACING = (20, 22, 24), (4.0, 5.0, 6.0)
DATA = np.random.default_rng(0).integers(0, 200, SHAPE).astype(np.int16)


def saved(path: Path, sform: np.ndarray | None, qform: np.ndarray | None = None) -> Path:
    image = nib.Nifti1Image(DATA, None)
    image.header.set_zooms(SPACING)
    if qform is not None:
        image.set_qform(qform, 1)
    if sform is not None:
        image.set_sform(sform, 2)
    nib.save(image, path)
    return path


def turned(affine: np.ndarray, axis: tuple[float, float, float], degrees: float) -> np.ndarray:
    rotation = np.eye(4)
    unit = np.array(axis) / np.linalg.norm(axis)
    rotation[:3, :3] = Rotation.from_rotvec(unit * np.radians(degrees)).as_matrix()
    return np.asarray(rotation @ affine)


def sheared(affine: np.ndarray, first: int, second: int, degrees: float) -> np.ndarray:
    """Two columns whose angle is 90 degrees less so many."""
    result = affine.copy()
    one, other = affine[:3, first] / np.linalg.norm(affine[:3, first]), affine[:3, second]
    angle = np.radians(degrees)
    result[:3, second] = np.cos(angle) * other + np.sin(angle) * np.linalg.norm(other) * one
    return result


ANGLES = st.tuples(*[st.floats(-180, 180)] * 3)
AXES = st.tuples(*[st.floats(-1, 1)] * 3).filter(lambda axis: np.linalg.norm(axis) > 0.1)


@settings(max_examples=100, deadline=None)
@given(ANGLES, AXES, st.floats(0, 180), st.sampled_from(ORDERS))
def test_the_angle_between_two_orientations_whatever_the_stored_order(degrees, axis, angle, order):
    first = affine_of(SPACING, SHAPE, degrees)
    second = turned(first, axis, angle)
    assert turned_by(first, second) == pytest.approx(angle, abs=1e-4)
    stored = [reorder(np.zeros(SHAPE), affine, *order)[1] for affine in (first, second)]
    assert turned_by(*stored) == pytest.approx(angle, abs=1e-4)
    assert turned_by(*reversed(stored)) == pytest.approx(angle, abs=1e-4)


@settings(max_examples=100, deadline=None)
@given(ANGLES, AXES, st.floats(0, 180), st.sampled_from(ORDERS))
def test_five_degrees_are_the_limit_for_two_orientations(degrees, axis, angle, order):
    assume(abs(angle - 5) > 0.02)
    first = reorder(np.zeros(SHAPE), affine_of(SPACING, SHAPE, degrees), *order)[1]
    problem = problem_of_forms([first, turned(first, axis, angle)])
    assert (f"by {angle:.1f} degrees" in problem) == (angle > 5), problem


@settings(max_examples=60, deadline=None)
@given(ANGLES, AXES, st.floats(0, 180), st.sampled_from(ORDERS), st.integers(0, 2))
def test_another_handedness_is_always_named(degrees, axis, angle, order, flipped):
    first = reorder(np.zeros(SHAPE), affine_of(SPACING, SHAPE, degrees), *order)[1]
    second = turned(first, axis, angle)
    second[:3, flipped] *= -1
    assert "in handedness" in problem_of_forms([first, second])


@settings(max_examples=100, deadline=None)
@given(ANGLES, st.floats(-80, 80), st.permutations(range(3)), st.sampled_from(ORDERS))
def test_five_degrees_are_the_limit_for_shear(degrees, angle, pair, order):
    assume(abs(abs(angle) - 5) > 0.02)
    affine = sheared(affine_of(SPACING, SHAPE, degrees), pair[0], pair[1], angle)
    affine = reorder(np.zeros(SHAPE), affine, *order)[1]
    assert shear_deg(affine) == pytest.approx(abs(angle), abs=1e-4)
    assert (f"sheared by {abs(angle):.1f} degrees" in problem_of_forms([affine])) == (abs(angle) > 5)


SIDES = st.sampled_from(["LPS", "RAS", "PIR", "SLA"])


@settings(max_examples=40, deadline=None)
@given(SIDES, AXES, st.floats(0.0, 40.0))
def test_files_on_both_sides_of_the_limit(tmp_path_factory, axes, axis, angle):
    assume(abs(angle - 5) > 0.02)
    sform = affine_from_axes(axes, SPACING)
    path = saved(tmp_path_factory.mktemp("forms") / "a.nii", sform, turned(sform, axis, angle))
    if angle < 5:
        assert np.array_equal(read_scan(path).affine, sform)
        return
    with pytest.raises(InputError, match=rf"a\.nii: .*disagree .* by {angle:.1f} degrees; say which is right with"):
        read_scan(path)
    scan = read_scan(path, axes=axes)
    assert (scan.axes, scan.side_known, scan.flags) == (axes, True, ())
    assert np.array_equal(scan.affine, sform)
    scan = read_scan(path, without_side=True)
    assert (scan.axes, scan.side_known) == ("unknown", False)
    assert [flag.code for flag in scan.flags] == ["side_not_in_header"]


@pytest.mark.parametrize("with_qform", [False, True])
@pytest.mark.parametrize("stated", ["RAS", "LPS"])
def test_stated_axes_take_the_place_of_sheared_ones(tmp_path, stated, with_qform):
    straight = affine_from_axes("RAS", SPACING)
    path = saved(tmp_path / "a.nii", sheared(straight, 0, 2, 9.0), straight if with_qform else None)
    with pytest.raises(
        InputError, match=r"the header's axes are sheared by 9.0 degrees; say which is right with --axes"
    ):
        read_scan(path)
    scan = read_scan(path, axes=stated)
    assert (scan.axes, scan.side_known, scan.spacing_mm) == (stated, True, SPACING)
    assert np.allclose(scan.affine, affine_from_axes(stated, SPACING))
    scan = read_scan(path, without_side=True)
    assert not scan.side_known
    assert axis_codes(scan.affine) == "RAS"
    assert shear_deg(scan.affine) == pytest.approx(0, abs=1e-4)


def test_a_slight_shear_is_read_as_it_is(tmp_path):
    affine = sheared(affine_from_axes("LPS", SPACING), 0, 1, 4.9)
    assert np.allclose(read_scan(saved(tmp_path / "a.nii", affine)).affine, affine, atol=1e-5)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("ending", [".img", ".IMG"])
def test_an_analyze_pair_needs_its_axes(tmp_path, order, ending):
    header = nib.AnalyzeHeader(endianness=order)
    header.set_data_shape(SHAPE)
    header.set_data_dtype(np.int16)
    header.set_zooms(SPACING)
    other = ".hdr" if ending == ".img" else ".HDR"
    (tmp_path / f"a{other}").write_bytes(header.binaryblock)
    (tmp_path / f"a{ending}").write_bytes(DATA.astype(f"{order}i2").tobytes(order="F"))
    for name in (f"a{other}", f"a{ending}"):
        with pytest.raises(InputError, match=rf"{name}: the header does not say which side is left; give the axes"):
            read_scan(tmp_path / name)
        scan = read_scan(tmp_path / name, axes="LPS")
        assert (scan.axes, scan.side_known, scan.spacing_mm) == ("LPS", True, SPACING)
        assert np.array_equal(scan.data, DATA)
        assert [flag.code for flag in read_scan(tmp_path / name, without_side=True).flags] == ["side_not_in_header"]
        stored = read_stored(tmp_path / name, axes="LPS")
        assert (stored.format, stored.sha256, stored.slope) == ("Analyze 7.5", scan.sha256, 1.0)
        assert stored.byte_order == ("little" if order == "<" else "big")


def test_an_analyze_voxel_size_with_a_sign_is_a_size(tmp_path):
    header = nib.AnalyzeHeader()
    header.set_data_shape(SHAPE)
    header.set_data_dtype(np.int16)
    header["pixdim"][1:4] = (-SPACING[0], *SPACING[1:])
    (tmp_path / "a.hdr").write_bytes(header.binaryblock)
    (tmp_path / "a.img").write_bytes(DATA.tobytes(order="F"))
    with pytest.raises(InputError, match="does not say which side is left; give the axes"):
        read_scan(tmp_path / "a.hdr")
    scan = read_scan(tmp_path / "a.hdr", axes="LPS")
    assert (scan.axes, scan.spacing_mm) == ("LPS", SPACING)


def saved_without_handedness(path: Path, sform: np.ndarray | None, qform: np.ndarray) -> Path:
    content = bytearray(saved(path, sform, qform).read_bytes())
    content[76:80] = bytes(4)
    path.write_bytes(content)
    return path


def test_a_qform_that_does_not_say_its_handedness_is_right_handed(tmp_path):
    affine = affine_of(SPACING, SHAPE, (5, -3, 170))
    scan = read_scan(saved_without_handedness(tmp_path / "a.nii", None, affine))
    assert np.allclose(scan.affine, affine, atol=1e-4)
    assert read_scan(saved_without_handedness(tmp_path / "b.nii", affine, affine)).flags == ()
    with pytest.raises(InputError, match="in handedness: one is the mirror image"):
        read_scan(saved_without_handedness(tmp_path / "c.nii", affine @ np.diag([-1, 1, 1, 1]), affine))


def test_half_an_analyze_pair_and_a_damaged_one(tmp_path):
    (tmp_path / "a.img").write_bytes(DATA.tobytes(order="F"))
    with pytest.raises(InputError, match="not a NIfTI file"):
        read_scan(tmp_path / "a.img", axes="LPS")
    (tmp_path / "a.hdr").write_bytes(bytes(348))
    with pytest.raises(InputError, match=r"its \.hdr is damaged"):
        read_scan(tmp_path / "a.img", axes="LPS")
    header = nib.AnalyzeHeader()
    header.set_data_shape((200, 200, 200))
    (tmp_path / "a.hdr").write_bytes(header.binaryblock)
    with pytest.raises(InputError, match="cut short"):
        read_scan(tmp_path / "a.hdr", axes="LPS")


@pytest.mark.parametrize("codes", [(2, 0), (0, 1), (1, 1)])
def test_an_identity_as_orientation_is_doubtful_unless_the_caller_confirms_it(tmp_path, codes):
    data = np.random.default_rng(0).integers(0, 200, (64, 62, 66)).astype(np.int16)
    image = nib.Nifti1Image(data, None)
    image.header.set_zooms((1, 1, 1))
    image.set_sform(np.eye(4), codes[0])
    image.set_qform(np.eye(4), codes[1])
    nib.save(image, tmp_path / "a.nii")
    scan, stored = read_with_stored(tmp_path / "a.nii")
    assert (scan.axes, scan.side_known) == ("RAS", True)
    assert [flag.code for flag in scan.flags] == [flag.code for flag in stored.flags] == ["orientation_doubtful"]
    for axes in ("RAS", "LPS", "PIR"):
        scan, stored = read_with_stored(tmp_path / "a.nii", axes=axes)
        assert (scan.axes, axis_codes(scan.affine), scan.flags, stored.flags) == (axes, axes, (), ())
        assert np.array_equal(scan.data, data)


def test_an_identity_beside_an_orientation_that_was_set_is_not_doubtful(tmp_path):
    image = nib.Nifti1Image(np.random.default_rng(0).integers(0, 200, (64, 62, 66)).astype(np.int16), np.eye(4))
    placed = np.eye(4)
    placed[:3, 3] = -30
    image.set_qform(placed, 1)
    nib.save(image, tmp_path / "a.nii")
    assert read_scan(tmp_path / "a.nii").flags == ()
    with pytest.raises(InputError, match="stored as RAS by its header, but --axes says LPS"):
        read_scan(tmp_path / "a.nii", axes="LPS")
