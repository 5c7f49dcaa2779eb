"""DICOM studies that are damaged, cut short, compressed, packed or without end: each is refused in one line."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
from dicom_checks import AFFINE, SHAPE, nobody_named, refused, zipped
from dicom_studies import as_bytes, multiframe_of, save, series_of
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.uid import (
    MPEG2MPML,
    DeflatedExplicitVRLittleEndian,
    JPEGLSLossless,
    RLELossless,
)

from brain3d.scans import (
    InputError,
    dicom,
    dicom_files,
    dicom_parsing,
    read_scan,
)
from brain3d.scans.dicom_parsing import Allowance, TooMuchError


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


def test_pixels_that_are_not_as_many_as_the_header_says(tmp_path, data):
    whole = multiframe_of(data, AFFINE)
    for elements in ({"Rows": 17}, {"Rows": 16}, {"Rows": 19}):
        (tmp_path / "one").write_bytes(as_bytes(multiframe_of(data, AFFINE, **elements)))
        refused(tmp_path / "one", "pixel data that is damaged or cut short|cut short: 1 of 1 files")
        refused(save(tmp_path / "several", series_of(data, AFFINE, **elements)), "damaged or cut short|cut short")
    padded = series_of(data, AFFINE)
    for one in padded:
        one.PixelData += bytes(20)
    assert np.array_equal(read_scan(save(tmp_path / "padded", padded)).data, data)
    whole.PixelData += bytes(20)
    (tmp_path / "one").write_bytes(as_bytes(whole))
    assert np.array_equal(read_scan(tmp_path / "one").data, data)


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
    refused(path, "more to be read than a study holds; unpack it and give the folder")
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
