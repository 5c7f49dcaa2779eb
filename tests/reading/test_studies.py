"""Which files are studies, what they are called, and which shard they fall to."""

from __future__ import annotations

import os
import re
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brain3d.reading.studies import Study, find_studies, holds_several_studies, nifti_files, shard, study_names
from brain3d.scans import InputError

PLACES = st.lists(st.text("aA.-_ /é\n\udcff", min_size=1, max_size=8).map(lambda text: text + ".nii"), unique=True)
LONG = "x" * 180


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")


def places(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in nifti_files(folder))


@given(st.integers(0, 60), st.integers(1, 12))
def test_every_study_is_in_exactly_one_shard(count: int, parts: int) -> None:
    studies = [Study(str(index), Path(str(index))) for index in range(count)]
    shards = [shard(studies, part, parts) for part in range(1, parts + 1)]
    assert sorted((study for one in shards for study in one), key=lambda study: int(study.name)) == studies
    assert max(map(len, shards)) - min(map(len, shards)) <= 1


@pytest.mark.parametrize(("part", "parts"), [(0, 3), (4, 3), (1, 0)])
def test_a_shard_that_there_is_not(part: int, parts: int) -> None:
    with pytest.raises(ValueError, match="no shard"):
        shard([], part, parts)


@given(PLACES, st.randoms())
def test_names_are_safe_and_differ_and_do_not_depend_on_the_order(given_places: list[str], rng: object) -> None:
    names = dict(zip(given_places, study_names(given_places), strict=True))
    assert len({name.casefold() for name in names.values()}) == len(names)
    for name in names.values():
        assert re.fullmatch(r"[\w.-]+", name)
        assert name[0] not in ".-"
        assert len(name.encode()) <= 150
    turned = given_places[::-1]
    assert dict(zip(turned, study_names(turned), strict=True)) == names


@pytest.mark.parametrize(
    ("place", "name"),
    [
        ("a.nii", "a"),
        ("a.NII.GZ", "a"),
        ("sub-01/anat/sub-01_FLAIR.nii.gz", "sub-01__anat__sub-01_FLAIR"),
        ("my scan; rm -rf.nii", "my_scan__rm_-rf"),
        ("a\nb.nii", "a_b"),
        ("-x.nii", "_x"),
        ("=1+1.nii", "_1_1"),
        (".nii.gz", "_"),
        ("Müller.nii", "Müller"),
        ("export/a.ZIP", "export__a"),
        ("a.dcm", "a"),
        ("p1/st 2", "p1__st_2"),
        ("\udcff.nii", "_"),
    ],
)
def test_names(place: str, name: str) -> None:
    assert study_names([place]) == [name]


def test_names_that_would_be_alike_are_told_apart() -> None:
    names = study_names(["a.nii", "a.nii.gz", "A.nii", "a/b.nii", "a__b.nii", "c.nii"])
    assert names[-1] == "c"
    assert [name[:-12] for name in names[:-1]] == ["a-", "a-", "A-", "a__b-", "a__b-"]
    taken = study_names([f"{names[0]}.nii", "a.nii", "a.nii.gz"])
    assert len(set(taken)) == 3
    assert taken[1:] == names[:2]
    long = study_names([f"{LONG}1.nii", f"{LONG}2.nii"])
    assert len(set(long)) == 2


def test_a_folder_is_searched_to_its_bottom_but_nothing_hidden(tmp_path: Path) -> None:
    touch(tmp_path, "a.nii", "b/c/d.NII.GZ", ".e.nii", ".f/g.nii", "notes.txt", "h.nii/i.nii")
    assert places(tmp_path) == ["a.nii", "b/c/d.NII.GZ", "h.nii/i.nii"]


def test_links_are_followed_once(tmp_path: Path) -> None:
    touch(tmp_path, "a/x.nii", "z/y.nii")
    (tmp_path / "a" / "loop").symlink_to("..")
    (tmp_path / "a" / "also-z").symlink_to("../z")
    (tmp_path / "self.nii").symlink_to("self.nii")
    (tmp_path / "gone.nii").symlink_to("nowhere.nii")
    (tmp_path / "link.nii").symlink_to("a/x.nii")
    assert places(tmp_path) == ["a/x.nii", "gone.nii", "link.nii", "self.nii", "z/y.nii"]


def test_places_are_below_what_was_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    touch(tmp_path, "p/one/x.nii", "p/two/x.nii", "p/y.nii")

    def names(*inputs: str) -> list[str]:
        return [study.name for study in find_studies(inputs)]

    assert names("p") == names("./p/") == names(str(tmp_path / "p")) == ["one__x", "two__x", "y"]
    assert names("p/one") == ["x"]
    assert names("p/one", "p/two") == ["one__x", "two__x"]
    assert names("p/one/x.nii", "p/two/x.nii") == ["one__x", "two__x"]
    assert names("p", "p/one", "p/one/x.nii", "./p/y.nii") == ["one__x", "two__x", "y"]
    assert names("p/y.nii", "none.nii") == ["none", "p__y"]
    assert find_studies(["p/one"]) == [Study("x", Path("p/one/x.nii"))]


def test_what_holds_no_study_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    touch(tmp_path, "a.nii", "empty/notes.txt")
    for inputs, words in ((["empty", "a.nii"], "empty: a folder without"), (["a.nii", ""], "''"), (["a\0"], "no such")):
        with pytest.raises(InputError, match=words):
            find_studies(inputs)


def test_a_folder_that_cannot_be_searched_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "a.nii", "shut/b.nii")
    listed = Path.iterdir

    def shut(self: Path) -> object:
        if self.name == "shut":
            raise PermissionError(13, os.strerror(13))
        return listed(self)

    monkeypatch.setattr(Path, "iterdir", shut)
    with pytest.raises(InputError, match=r"shut: cannot be searched .Permission denied."):
        list(nifti_files(tmp_path))


def dicom(path: Path, study: str) -> None:
    """A file that says which study it belongs to, and nothing else."""
    path.parent.mkdir(parents=True, exist_ok=True)
    uid = study.encode() + b"\0" * (len(study) % 2)
    tags = ((0x0008, 0x0016, b"1.2.840.10008.5.1.4.1.1.4\0"), (0x0020, 0x000D, uid))
    elements = (struct.pack("<HH2sH", group, tag, b"UI", len(value)) + value for group, tag, value in tags)
    path.write_bytes(b"\0" * 128 + b"DICM" + b"".join(elements))


def test_dicom_studies_are_named_by_where_they_lie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for place in ("p/one/s1/a", "p/one/s2/b", "p/.hidden/c"):
        dicom(Path(place), "1.2.3")
    for place in ("p/two/a", "p/two/b"):
        dicom(Path(place), "1.2.4")
    dicom(Path("p/three/single.dcm"), "1.2.5")
    touch(tmp_path, "p/two.nii", "p/notes.txt")

    def names(*inputs: str) -> list[str]:
        return [study.name for study in find_studies(inputs)]

    nifti, folder = sorted(name for name in names("p") if name.startswith("two"))
    assert names("p")[:2] == ["one", "three__single"]
    assert set(names("p")[2:]) == {nifti, folder}
    assert all(re.fullmatch("two-[0-9a-f]{12}", name) for name in (nifti, folder))
    assert names("p/one") == names("p/one/") == ["one"]
    assert names("p/one/s1", "p/two") == ["one__s1__a", "two"]  # the one file that is left of it
    assert names("p/one", "p/two") == names("p/one", "p/two", "p/two") == ["one", "two"]
    assert names("p/two/a") == ["a"]
    one = find_studies(["p/one"])[0]
    assert (one.path, one.files) == (Path("p/one"), (Path("p/one/s1/a"), Path("p/one/s2/b")))
    assert find_studies(["p/three"]) == [Study("single", Path("p/three/single.dcm"))]
    assert holds_several_studies("p")
    assert not holds_several_studies("p/one")


def test_a_linked_study_is_found_once(tmp_path: Path) -> None:
    dicom(tmp_path / "elsewhere" / "a", "1.2.3")
    dicom(tmp_path / "elsewhere" / "b", "1.2.3")
    (tmp_path / "p").mkdir()
    for name in ("x", "y"):
        (tmp_path / "p" / name).symlink_to(tmp_path / "elsewhere")
    (found,) = find_studies([str(tmp_path / "p")])
    assert (found.name, found.path, len(found.files)) == ("x", tmp_path / "p" / "x", 2)
