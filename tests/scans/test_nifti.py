import gzip
import hashlib
import os
import re
import struct

import nibabel as nib
import numpy as np
import pytest

from brain3d.scans import InputError, affine_from_axes, find_scan, read_scan, write_scan

SHAPE = (20, 22, 24)
RAS = affine_from_axes("RAS", (4, 4, 4))


@pytest.fixture
def data():
    return np.random.default_rng(0).integers(0, 200, SHAPE).astype(np.int16)


def save(path, data, affine=RAS, *, kind=nib.Nifti1Image, **fields):
    """A NIfTI file with header fields overwritten after everything else was set."""
    image = kind(data, affine)
    content = bytearray(image.to_bytes())
    header = kind.header_class(bytes(content[: 540 if kind is nib.Nifti2Image else 348]), check=False)
    for name, value in fields.items():
        header[name] = value
    block = header.binaryblock
    content[: len(block)] = block
    path.write_bytes(gzip.compress(bytes(content)) if path.name.endswith(".gz") else bytes(content))
    return path


def refused(path, words, **options):
    """The scan is refused in one line that starts with the path as given and holds `words`."""
    with pytest.raises(InputError) as caught:
        read_scan(path, **options)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert re.search(words, message), message
    assert "\n" not in message
    return message


@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("dtype", ["<i2", ">i2", "u1", "<u4", ">f4", "<f8"])
def test_every_kind_of_file_reads_the_same(tmp_path, data, kind, suffix, dtype):
    path = tmp_path / f"a{suffix}"
    header = kind.header_class(endianness=dtype[0] if dtype[0] in "<>" else "<")
    header.set_data_dtype(dtype)
    path.write_bytes(b"")
    nib.save(kind(data.astype(dtype), RAS, header), path)
    scan = read_scan(path)
    assert np.array_equal(scan.data, data)
    assert scan.data.dtype == np.float32
    assert scan.axes == "RAS"
    assert scan.spacing_mm == (4, 4, 4)
    assert np.array_equal(scan.affine, RAS)
    assert scan.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert scan.side_known
    assert scan.flags == ()


def test_scaling_and_trailing_axes(tmp_path, data):
    path = save(tmp_path / "a.nii", data[..., None, None], scl_slope=2.0, scl_inter=-10.0)
    assert np.allclose(read_scan(path).data, data * 2.0 - 10)


def test_a_path_may_be_text_and_content_decides_what_is_compressed(tmp_path, data):
    path = save(tmp_path / "a.nii.gz", data).rename(tmp_path / "b.nii")
    assert np.array_equal(read_scan(str(path)).data, data)


def test_a_folder_with_one_scan_is_read_and_others_refused(tmp_path, data):
    refused(tmp_path, "folder without a NIfTI scan")
    (tmp_path / "notes.txt").write_text("x")
    save(tmp_path / "a.nii.gz", data)
    assert read_scan(tmp_path).data.shape == SHAPE
    save(tmp_path / "b.nii", data)
    refused(tmp_path, "2 NIfTI files; give one")


def test_the_file_that_would_be_read(tmp_path, data, monkeypatch):
    path = save(tmp_path / "a.nii.gz", data)
    assert find_scan(tmp_path) == find_scan(str(path)) == path
    assert find_scan(tmp_path / "none.nii") == tmp_path / "none.nii"
    path.rename(tmp_path / "a.txt")
    with pytest.raises(InputError, match="folder without a NIfTI scan"):
        find_scan(tmp_path)

    def denied(_folder):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.iterdir", denied)
    with pytest.raises(InputError, match=r"cannot be read .Permission denied."):
        find_scan(tmp_path)


@pytest.mark.parametrize(("kind", "first"), [(nib.Nifti1Image, 352), (nib.Nifti2Image, 544)])
def test_no_header_byte_is_read_as_a_voxel(tmp_path, data, kind, first):
    assert np.array_equal(read_scan(save(tmp_path / "zero.nii", data, kind=kind, vox_offset=0)).data, data)
    for offset in (1, 40, 348, first - 1):
        path = save(tmp_path / f"{offset}.nii.gz", data, kind=kind, vox_offset=offset)
        refused(path, rf"damaged NIfTI header .data at byte {offset}, inside the header, which takes {first}.")


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ((20, 20, 20, 3), "4-D series .20 x 20 x 20 x 3."),
        ((20, 20, 20, 1, 3), "5-D series"),
        ((64, 64), "2-D image"),
        ((64, 64, 1), "2-D image"),
        ((64, 64, 15), "too small .64 x 64 x 15 voxels"),
    ],
)
def test_shapes_that_are_not_a_scan(tmp_path, shape, words):
    refused(save(tmp_path / "a.nii", np.random.default_rng(0).random(shape, dtype=np.float32)), words)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.zeros(SHAPE), "empty image"),
        (np.full(SHAPE, 7.0), "empty image"),
        (np.full(SHAPE, np.nan), "most of its voxels are NaN, infinite or beyond"),
        (np.full(SHAPE, np.inf), "most of its voxels are NaN, infinite or beyond"),
        (np.zeros(SHAPE, np.complex64), "complex64 values"),
        (np.zeros(SHAPE, np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])), "colour"),
    ],
)
def test_values_that_are_not_a_scan(tmp_path, values, words):
    values = values.astype(np.float32) if values.dtype == np.float64 else values
    refused(save(tmp_path / "a.nii", values), words)


def test_nan_background_becomes_zero_and_is_flagged(tmp_path, data):
    values = data.astype(np.float32)
    values[:3], values[-1] = np.nan, np.inf
    scan = read_scan(save(tmp_path / "a.nii", values))
    assert [flag.code for flag in scan.flags] == ["nan_background"]
    assert (scan.data[:3] == 0).all()
    assert np.array_equal(scan.data[3:-1], data[3:-1])


def test_damaged_files(tmp_path, data):
    plain = save(tmp_path / "a.nii", data).read_bytes()
    packed = save(tmp_path / "a.nii.gz", data).read_bytes()
    cases = {
        "cut.nii": (plain[:-100], "cut short"),
        "header.nii": (plain[:200], "not a NIfTI"),
        "cut.nii.gz": (packed[:-100], "damaged or cut short"),
        "wrong.nii.gz": (packed[:400] + bytes(400) + packed[800:], "damaged or cut short"),
        "short.nii.gz": (gzip.compress(plain[:-100]), "cut short"),
        "text.nii": (b"hello, this is not an image" * 40, "not a NIfTI"),
        "empty.nii": (b"", "not a NIfTI"),
        "magic.nii.gz": (b"\x1f\x8b", "damaged|not a NIfTI"),
    }
    for name, (content, words) in cases.items():
        (tmp_path / name).write_bytes(content)
        refused(tmp_path / name, words)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([*cases, "a.nii", "a.nii.gz"])


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_a_header_that_claims_terabytes_is_refused_before_reading(tmp_path, data, suffix):
    path = save(tmp_path / f"a{suffix}", data, dim=[3, 30000, 30000, 30000, 1, 1, 1, 1])
    refused(path, "too large .30000 x 30000 x 30000")
    path = save(tmp_path / f"b{suffix}", data, dim=[3, 500, 500, 500, 1, 1, 1, 1])
    refused(path, "cut short|damaged")
    refused(save(tmp_path / f"c{suffix}", data, vox_offset=1e30), "offset")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"dim": [3, -20, 22, 24, 1, 1, 1, 1]}, "damaged NIfTI header"),
        ({"dim": [3, 0, 22, 24, 1, 1, 1, 1]}, "damaged NIfTI header"),
        ({"datatype": 77}, "damaged NIfTI header .there is no datatype 77."),
        ({"datatype": 0}, "damaged NIfTI header .datatype 0 holds no intensities."),
        ({"scl_slope": 2.0, "scl_inter": np.nan}, "damaged NIfTI header"),
        ({"srow_x": [np.nan, 0, 0, 0]}, "header's sform holds NaN or infinity; give the axes"),
        ({"srow_x": [0, 0, 0, 0]}, "singular"),
        ({"srow_x": [0, 4, 0, 0]}, "singular"),
        ({"srow_x": [4000, 0, 0, 0]}, "voxel size of 4e.03"),
        ({"srow_x": [0.001, 0, 0, 0]}, "voxel size of 0.001"),
        ({"srow_x": [2, 0, 0, 0]}, "too small .40 x 88 x 96 mm"),
        ({"sform_code": 0, "qform_code": 0}, "does not say which side is left; give the axes .--axes LPS"),
        ({"sform_code": 0, "qform_code": 1, "quatern_b": 2.0}, "header's qform is damaged; give the axes"),
        (
            {"sform_code": 0, "qform_code": 1, "pixdim": [1, -4, 4, 4, 1, 1, 1, 1]},
            "voxel size of -4 x 4 x 4 mm cannot be right; correct the header$",
        ),
        ({"xyzt_units": 1}, "voxel size of 4e.03 x 4e.03 x 4e.03 mm .its header counts in metres. cannot be right"),
        ({"xyzt_units": 3}, "voxel size of 0.004 x 0.004 x 0.004 mm .its header counts in microns. cannot be right"),
    ],
)
def test_headers_that_cannot_be_right(tmp_path, data, fields, words):
    refused(save(tmp_path / "a.nii", data, **fields), words)


@pytest.mark.parametrize("size", [0.0, np.nan, -4.0, 900.0])
def test_axes_cannot_mend_a_spacing_that_is_absurd(tmp_path, data, size):
    path = save(tmp_path / "a.nii", data, sform_code=0, qform_code=0, pixdim=[1, size, 4, 4, 1, 1, 1, 1])
    refused(path, "voxel size of", axes="LPS")


def test_missing_orientation_by_axes_or_without_side(tmp_path, data):
    path = save(tmp_path / "a.nii", data, sform_code=0, qform_code=0)
    scan = read_scan(path, axes="lps")
    assert scan.axes == "LPS"
    assert scan.side_known
    assert np.array_equal(scan.affine[:3, :3], np.diag([-4, -4, 4]))
    scan = read_scan(path, without_side=True)
    assert not scan.side_known
    assert scan.axes == "unknown"
    assert [flag.code for flag in scan.flags] == ["side_not_in_header"]
    for words in ("front and back, top and bottom are assumed", "regions may be wrong"):
        assert words in scan.flags[0].message
    with pytest.raises(InputError, match="three letters"):
        read_scan(path, axes="LLS")


def test_axes_that_contradict_the_header_are_refused(tmp_path, data):
    path = save(tmp_path / "a.nii", data)
    refused(path, "stored as RAS by its header, but --axes says LPS", axes="LPS")
    assert read_scan(path, axes="RAS").side_known
    assert read_scan(path, without_side=True).side_known


def test_forms_that_disagree_about_the_side_are_refused(tmp_path, data):
    path = tmp_path / "a.nii"
    image = nib.Nifti1Image(data, RAS)
    image.set_sform(RAS, 1)
    image.set_qform(affine_from_axes("LAS", (4, 4, 4)), 1)
    nib.save(image, path)
    refused(path, "two orientations disagree .sform RAS, qform LAS. in handedness")
    assert read_scan(path, axes="LAS").axes == "LAS"
    assert read_scan(path, axes="RAS").axes == "RAS"
    refused(path, "disagree .* and --axes says LPS, which is neither", axes="LPS")
    scan = read_scan(path, without_side=True)
    assert (scan.side_known, scan.axes) == (False, "unknown")


def with_forms(path, data, sform, qform, **fields):
    """A file with both forms; `fields` of the header overwritten after that."""
    image = nib.Nifti1Image(data, None)
    image.set_sform(sform, 1)
    image.set_qform(qform, 1)
    content = bytearray(image.to_bytes())
    header = nib.Nifti1Header(bytes(content[:348]), check=False)
    for name, value in fields.items():
        header[name] = value
    content[:348] = header.binaryblock
    path.write_bytes(bytes(content))
    return path


@pytest.mark.parametrize(("qform", "axes"), [((4, -4, -4), "RPI"), ((-4, -4, 4), "LPS")])
def test_forms_that_disagree_about_any_axis_are_refused(tmp_path, data, qform, axes):
    path = with_forms(tmp_path / "a.nii", data, RAS, np.diag([*qform, 1.0]))
    refused(path, f"two orientations disagree .sform RAS, qform {axes}. by 180.0 degrees; say which is right")
    assert read_scan(path, axes=axes).axes == axes
    assert read_scan(path, axes="RAS").axes == "RAS"
    assert not read_scan(path, without_side=True).side_known


@pytest.mark.parametrize("degrees", [0.5, 5.0])
def test_forms_that_differ_a_little_are_read_by_the_sform(tmp_path, data, degrees):
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turned = np.eye(4)
    turned[1:3, 1:3] = [[c, -s], [s, c]]
    thick = np.diag([4.0, 4.0, 8.0, 1.0])
    scan = read_scan(with_forms(tmp_path / "a.nii", data, thick, turned @ thick))
    assert np.array_equal(scan.affine, thick)
    assert scan.side_known


@pytest.mark.parametrize("row", [[0, 0, 0, 0], [0, 4, 0, 0], [np.nan, 0, 0, 0]])
def test_a_usable_form_stands_in_for_one_that_is_not(tmp_path, data, row):
    lps = affine_from_axes("LPS", (4, 4, 4))
    scan = read_scan(with_forms(tmp_path / "a.nii", data, RAS, lps, srow_x=row))
    assert (scan.axes, scan.side_known) == ("LPS", True)
    assert np.allclose(scan.affine, lps)
    scan = read_scan(with_forms(tmp_path / "b.nii", data, RAS, lps, quatern_b=2.0))
    assert (scan.axes, scan.side_known) == ("RAS", True)


def test_the_caller_answers_a_form_that_cannot_be_used(tmp_path, data):
    path = save(tmp_path / "a.nii", data, srow_x=[0, 0, 0, 0])
    refused(path, "sform is singular, two axes coincide; give the axes .--axes LPS. or accept")
    assert read_scan(path, axes="LPS").axes == "LPS"
    assert not read_scan(path, without_side=True).side_known


@pytest.mark.parametrize(("units", "mm"), [(1, 1000.0), (3, 0.001), (2, 1.0), (0, 1.0), (1 + 8, 1000.0)])
def test_lengths_are_read_in_the_headers_unit(tmp_path, data, units, mm):
    stated = affine_from_axes("LPS", np.array([4.0, 5.0, 6.0]) / mm)
    stated[:3, 3] = np.array([10.0, -20.0, 30.0]) / mm
    expected = np.diag([mm, mm, mm, 1.0]) @ stated
    scan = read_scan(save(tmp_path / "a.nii", data, stated, xyzt_units=units))
    assert np.allclose(scan.affine, expected, rtol=1e-5)
    assert scan.spacing_mm == pytest.approx((4, 5, 6), rel=1e-5)
    bare = save(tmp_path / "b.nii", data, stated, xyzt_units=units, sform_code=0, qform_code=0)
    assert read_scan(bare, axes="LPS").spacing_mm == pytest.approx((4, 5, 6), rel=1e-5)


def test_axes_and_without_side_exclude_each_other(tmp_path, data):
    refused(save(tmp_path / "a.nii", data), "give one of them", axes="RAS", without_side=True)


def test_what_names_no_file_is_refused_before_reading(tmp_path):
    for path, words in (("", "'': no such file"), ("a\0b", r"a.0b: no such file"), ("x" * 300, "too long")):
        for call in (read_scan, find_scan):
            with pytest.raises(InputError, match=words) as caught:
                call(path)
            assert "\0" not in str(caught.value)
    os.mkfifo(tmp_path / "pipe.nii")
    refused(tmp_path / "pipe.nii", "neither a file nor a folder")


def test_qform_alone_is_enough(tmp_path, data):
    path = tmp_path / "a.nii"
    image = nib.Nifti1Image(data, None)
    image.set_qform(affine_from_axes("LPS", (4, 4, 4)), 1)
    nib.save(image, path)
    assert read_scan(path).axes == "LPS"


def test_missing_and_unreadable_files(tmp_path, data, monkeypatch):
    refused(tmp_path / "none.nii", "no such file")
    path = save(tmp_path / "a.nii", data)
    path.chmod(0)
    if os.access(path, os.R_OK):  # root reads everything

        def denied(*_args, **_options):
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr("pathlib.Path.open", denied)
    refused(path, "not readable")


def test_half_a_pair_and_analyze_are_refused(tmp_path, data):
    nib.save(nib.Nifti1Pair(data, RAS), tmp_path / "a.img")
    refused(tmp_path / "a.hdr", "half of a .hdr/.img pair")


def test_written_scans_come_back_and_bytes_repeat(tmp_path, data):
    affine = affine_from_axes("LPS", (4, 4.5, 5))
    affine[:3, 3] = 10, 20, 30
    for name in ("a.nii", "a.nii.gz"):
        write_scan(tmp_path / name, data, affine, dtype=np.int16)
        scan = read_scan(tmp_path / name)
        assert np.array_equal(scan.data, data)
        assert np.allclose(scan.affine, affine)
    first = (tmp_path / "a.nii.gz").read_bytes()
    write_scan(tmp_path / "b.nii.gz", data, affine, dtype=np.int16)
    assert (tmp_path / "b.nii.gz").read_bytes() == first
    assert struct.unpack("<h", (tmp_path / "a.nii").read_bytes()[70:72])[0] == 4


def test_a_failed_write_leaves_nothing(tmp_path, data):
    with pytest.raises(InputError, match=r"end it in \.nii"):
        write_scan(tmp_path / "a.img", data, RAS)
    with pytest.raises(InputError, match="cannot be written"):
        write_scan(tmp_path / "absent" / "a.nii", data, RAS)
    with pytest.raises(ValueError, match="do not fit"):
        write_scan(tmp_path / "a.nii", data.astype(float) * 1e6, RAS, dtype=np.int16)
    (tmp_path / "folder.nii").mkdir()
    with pytest.raises(InputError, match="cannot be written"):
        write_scan(tmp_path / "folder.nii", data, RAS)
    assert [p.name for p in tmp_path.iterdir()] == ["folder.nii"]
