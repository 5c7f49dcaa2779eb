"""Which DICOM studies there are among many files."""

from __future__ import annotations

import logging
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
from dicom_studies import ROOT, as_bytes, multiframe_of, patient, save, series_of
from heads import affine_of
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian

from brain3d.scans import InputError, dicom_files, read_scan, read_stored
from brain3d.scans.dicom_search import DicomStudy, find_dicom, holds_several, study_of

SHAPE = (16, 18, 17)
AFFINE = affine_of((5, 5, 6), SHAPE)
T1 = {"InversionTime": None, "EchoTime": 3.0, "SeriesDescription": "t1", "ScanningSequence": "GR"}
DAMAGED = b"\0" * 128 + b"DICM" + b"\xff" * 300


def image(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 200, SHAPE).astype(np.float32)


def series(study: int, number: int = 1, **elements: object) -> list:
    return series_of(image(study), AFFINE, number, StudyInstanceUID=f"{ROOT}.{study}", **elements)


def below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def found(folder: Path) -> dict[str, int]:
    """How many files each study has, by its path below the folder."""
    return {str(one.path.relative_to(folder)): len(one.files) for one in find_dicom(below(folder))}


def test_a_study_is_what_its_headers_name_wherever_its_series_lie(tmp_path: Path) -> None:
    save(tmp_path / "a" / "s1", series(1))
    save(tmp_path / "a" / "s2", series(1, 2, **T1))
    save(tmp_path / "b", series(2))
    assert found(tmp_path) == {"a": 34, "b": 17}
    for one in find_dicom(below(tmp_path)):
        assert read_scan(one.path, files=one.files).sha256 == read_scan(one.path).sha256


def test_studies_of_one_folder_are_told_apart_and_called_by_their_first_files(tmp_path: Path) -> None:
    save(tmp_path / "a", series(1), prefix="x")
    save(tmp_path / "a", series(2), prefix="y")
    save(tmp_path / "a" / "deep", series(3))
    save(tmp_path / "a" / "deep" / "er", series(3, 2, **T1))
    assert found(tmp_path) == {"a/x0000": 17, "a/y0000": 17, "a/deep": 34}
    for one in find_dicom(below(tmp_path)):
        (seed,) = [k for k, name in enumerate(("x0000", "y0000", "deep"), 1) if name == one.path.name]
        scan = read_scan(one.path, files=one.files)
        assert scan.data.sum() == image(seed).sum()
        assert read_stored(one.path, files=one.files).sha256 == scan.sha256
    with pytest.raises(InputError, match="images of several studies"):
        read_scan(tmp_path / "a")


def test_one_file_is_called_by_itself_and_an_archive_too(tmp_path: Path) -> None:
    (tmp_path / "a.dcm").write_bytes(as_bytes(multiframe_of(image(), AFFINE, StudyInstanceUID=f"{ROOT}.1")))
    (tmp_path / "b.dcm").write_bytes(as_bytes(multiframe_of(image(), AFFINE, StudyInstanceUID=f"{ROOT}.2")))
    for name, content in (("c.ZIP", (tmp_path / "a.dcm").read_bytes()), ("words.zip", b"words")):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr("x/1", content)
    (tmp_path / "cut.zip").write_bytes(b"PK\x03\x04" + bytes(20))
    (tmp_path / "text.zip").write_text("no archive")
    assert found(tmp_path) == dict.fromkeys(("a.dcm", "b.dcm", "c.ZIP", "cut.zip"), 0)
    with pytest.raises(InputError, match="cut short"):
        read_scan(tmp_path / "cut.zip")


def test_files_that_name_no_study_go_to_the_nearest_around_them(tmp_path: Path) -> None:
    save(tmp_path / "a", series(1))
    (tmp_path / "a" / "sub").mkdir()
    (tmp_path / "a" / "sub" / "damaged").write_bytes(DAMAGED)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "damaged").write_bytes(DAMAGED)
    save(tmp_path / "c", series_of(image(), AFFINE, StudyInstanceUID=None))
    assert found(tmp_path) == {"a": 18, "b/damaged": 0, "c": 17}
    (one,) = [one for one in find_dicom(below(tmp_path)) if one.path.name == "a"]
    assert [flag.code for flag in read_scan(one.path, files=one.files).flags] == ["damaged_files"]
    with pytest.raises(InputError, match=r"all DICOM files .1."):
        read_scan(tmp_path / "b" / "damaged")
    assert read_scan(tmp_path / "c").series is not None


def test_what_is_no_dicom_image_is_passed_over(tmp_path: Path) -> None:
    directory = patient()
    directory.SOPClassUID, directory.SOPInstanceUID = "1.2.840.10008.1.3.10", f"{ROOT}.77"
    (tmp_path / "DICOMDIR").write_bytes(as_bytes(directory))
    (tmp_path / "notes.txt").write_text("words")
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "like.bin").write_bytes(b"\x08\x00\x01\x00UL\x04\x00" + bytes(200))
    (tmp_path / "report.json").write_text("{}")
    assert found(tmp_path) == {}


def test_what_cannot_be_opened_is_told_where_it_belongs_to_a_study(tmp_path: Path) -> None:
    save(tmp_path / "a", series(1))
    shut = [tmp_path / "a" / "shut", tmp_path / "elsewhere"]  # not there any more: as good as not readable
    (study,) = find_dicom([*below(tmp_path), *shut])
    assert (study.path, len(study.files)) == (tmp_path / "a", 18)
    with pytest.raises(InputError, match="no such file"):
        read_scan(study.path, files=study.files)
    assert not holds_several([*below(tmp_path), *shut])


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian])
def test_every_encoding_names_its_study(tmp_path: Path, syntax: str) -> None:
    save(tmp_path, series(1)[:2], syntax=syntax)
    assert {study_of(path) for path in below(tmp_path)} == {f"{ROOT}.1"}


def test_no_more_is_read_than_is_needed_to_know_of_several(tmp_path: Path) -> None:
    one = save(tmp_path / "a", series(1)[:3])
    other = save(tmp_path / "b", series(2)[:3])
    assert not holds_several(below(one))
    assert holds_several([*below(one), *below(other)])

    def files():
        yield from (*below(one), *below(other)[:1])
        raise AssertionError("read on")

    assert holds_several(files())
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(below(one)[0], "1")
    assert holds_several([tmp_path / "a.zip"])


def test_neither_the_order_nor_the_names_of_files_matter(tmp_path: Path) -> None:
    save(tmp_path / "a", series(1), prefix="x")
    save(tmp_path / "a" / "b", series(2))
    (tmp_path / "a" / "b" / "damaged").write_bytes(DAMAGED)
    files = below(tmp_path)
    assert set(find_dicom(files)) == set(find_dicom(files[::-1]))
    assert all(isinstance(one, DicomStudy) and list(one.files) == sorted(one.files) for one in find_dicom(files))


def test_nobodys_name_is_warned_of_or_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        folder = save(tmp_path, series_of(image(), AFFINE, StudyInstanceUID="4711.Jane.Vandoren"), prefix="x")
        caplog.clear()
        del warned[:]
        (study,) = find_dicom(below(folder))
        assert not holds_several(below(folder))
    assert not warned
    assert capfd.readouterr() == ("", "")
    assert caplog.text == ""
    assert "Jane" not in repr(study)


def test_a_study_of_too_many_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (study,) = find_dicom(below(save(tmp_path, series(1))))
    monkeypatch.setattr(dicom_files, "MAX_FILES", 5)
    with pytest.raises(InputError, match="a study of more than 5 files"):
        read_scan(study.path, files=study.files)
