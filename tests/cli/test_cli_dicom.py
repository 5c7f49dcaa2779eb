"""`brain3d report` and `brain3d inspect` of DICOM studies, one and many."""

from __future__ import annotations

import csv
import json
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import jsonschema
import numpy as np
import pytest

from brain3d.reports import report_schema

if TYPE_CHECKING:
    from stand_in import StandIn

sys.path.append(str(Path(__file__).resolve().parents[1] / "scans"))

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A FLAIR series of a head, and a T1 one."""
    return write_study(tmp_path_factory.mktemp("study") / "s", "")


def write_study(folder: Path, inner: str, number: int = 0, lesion_x_mm: float = -35.0) -> Path:
    """A study of two series, the T1 one in a folder `inner`; files and headers are full of names."""
    from dicom_studies import ROOT, save, series_of
    from heads import affine_of, head

    shape = (24, 28, 20)
    affine = affine_of((8, 8, 9), shape)
    image = np.rint(head(affine, shape, lesion_x_mm=lesion_x_mm))
    study = {"StudyInstanceUID": f"{ROOT}.{number}"}
    flair = {"SeriesInstanceUID": f"{ROOT}.{number}.5", **study}
    save(folder, series_of(image, affine, 5, **flair), prefix="a")
    t1 = {
        "SeriesInstanceUID": f"{ROOT}.{number}.2",
        "SeriesDescription": "t1 of Jane",
        "InversionTime": None,
        "EchoTime": 3.0,
    }
    save(folder / inner, series_of(image, affine, 2, **study, **t1), prefix="b")
    return folder


def nobody_named(*words: str) -> None:
    from dicom_studies import SECRETS

    for secret in SECRETS:
        assert all(secret not in one for one in words), secret


def test_the_choice_is_in_the_report_and_on_stderr(run: Run, empty: Path, tiny_folder: Path, study: Path) -> None:
    code, out, err = run("report", study, "--model", tiny_folder, "--format", "json")
    assert code == 0
    report = json.loads(out)
    jsonschema.validate(report, report_schema())
    assert report["scan"]["series"]["chosen"] == 2
    assert [one["kind"] for one in report["scan"]["series"]["listed"]] == ["T1", "FLAIR"]
    assert f"brain3d: {report['scan']['series']['why']}\n" in err
    code, text, _ = run("report", study, "--model", tiny_folder, "--series", "1")
    assert code == 0
    assert "not_known_to_be_flair" in text
    assert f"sha256 of the series' voxels and geometry {report['scan']['sha256'][:12]}" in " ".join(text.split())
    nobody_named(out, err, text)


def test_a_series_that_is_not_there(run: Run, empty: Path, study: Path) -> None:
    code, out, err = run("report", study, "--series", "3", "--output", "r.txt")
    assert (code, out) == (2, "")
    assert err.startswith(f"brain3d: error: {study}: --series '3' is none of its series (1: T1, 20 images; 2: FLAIR")
    assert len(err.splitlines()) == 1
    assert not list(empty.iterdir())


def test_no_image_of_a_study_is_overwritten(run: Run, empty: Path, study: Path) -> None:
    image = sorted(study.iterdir())[0]
    content = image.read_bytes()
    (empty / "link").symlink_to(study)
    for output in (image, empty / "link" / image.name):
        code, _, err = run("report", study, "--output", output)
        assert (code, len(err.splitlines())) == (2, 1)
        assert "an input or another output has this name" in err
    assert image.read_bytes() == content


def test_inspect_says_how_a_study_is_stored_and_which_series_is_read(run: Run, empty: Path, study: Path) -> None:
    code, out, err = run("inspect", study, "--preview", "look.png")
    assert (code, err) == (0, "")
    words = " ".join(out.split())
    for said in (
        "format DICOM, 20 slices, not compressed (Explicit VR Little Endian), int16, little-endian; times 0.5, plus 10",
        "series Series 2 of 2 was read (FLAIR, 20 slices): FLAIR by its name, inversion time 2400 ms, echo time 90 ms.",
        "others 1: T1, 20 images",
        "RAS: the three indices grow towards right, front, top; as the headers of its slices say",
        "headers the slices say where they lie",
        "of the series' voxels and geometry",
    ):
        assert said in words
    code, one, _ = run("inspect", study, "--series", "t1", "--json")
    assert code == 0
    found = json.loads(one)
    assert (found["series"]["chosen"], found["orientation"]["source"]) == (1, "dicom")
    assert (found["file"]["slices"], found["file"]["format"]) == (20, "DICOM")
    assert "not_known_to_be_flair" in [flag["code"] for flag in found["flags"]]
    nobody_named(out.replace(str(study), ""), one)
    image = sorted(study.iterdir())[0]
    code, _, err = run("inspect", study, "--preview", image)
    assert (code, len(err.splitlines())) == (2, 1)
    code, out, err = run("inspect", study, "--series", "9")
    assert (code, out, len(err.splitlines())) == (2, "", 1)


def test_inspect_and_report_tell_the_same_series(run: Run, empty: Path, study: Path, stand_in: StandIn) -> None:
    with zipfile.ZipFile("s.zip", "w") as archive:
        for file in study.iterdir():
            archive.write(file, file.name)
    report = json.loads(run("report", "s.zip", "--format", "json")[1])
    for path in ("s.zip", study):
        found = json.loads(run("inspect", path, "--json")[1])
        assert found["series"] == report["scan"]["series"]
        assert found["sha256"] == report["scan"]["sha256"]


def cohort(folder: Path) -> Path:
    """Two studies, one of them in two folders, one archive, one folder with two studies, a NIfTI file, and words."""
    from tiny_model import write_head

    write_study(folder / "p1", "deep", 1)
    write_study(folder / "both", "", 2, 35.0)
    mixed = write_study(folder / "mixed", "", 3)
    for file in write_study(folder / "aside", "", 4, 35.0).iterdir():
        file.rename(mixed / f"z{file.name}")
    (folder / "aside").rmdir()
    with zipfile.ZipFile(folder / "z.zip", "w") as archive:
        for file in write_study(folder.parent / "packed", "", 5).iterdir():
            archive.write(file, file.name)
    write_head(folder / "n.nii.gz", 35.0)
    (folder / "p1" / "notes.txt").write_text("words")
    return folder


COHORT = {"both": "right", "mixed__a0000": "left", "mixed__za0000": "right", "n": "right", "p1": "left", "z": "left"}


def rows(path: str) -> list[dict[str, str]]:
    return list(csv.DictReader(Path(path).read_text().splitlines()))


def test_many_studies(run: Run, empty: Path, stand_in: StandIn) -> None:
    cohort(empty / "c")
    code, out, err = run("report", "c", "--output", "out")
    assert (code, out) == (0, "out/summary.csv\n"), err
    assert {row["study"]: row["sides"] for row in rows("out/summary.csv")} == COHORT
    assert sorted(path.stem for path in Path("out").glob("*.json")) == list(COHORT)
    nobody_named(err, *(path.read_text() + path.name for path in Path("out").iterdir()))
    assert json.loads(Path("out/p1.json").read_text()) == json.loads(run("report", "c/p1", "--format", "json")[1])
    shown = stand_in.shown
    assert run("report", "c", "--output", "out")[0] == 0
    assert stand_in.shown == shown
    write_study(empty / "c" / "p1", "deep", 1, 35.0)
    assert run("report", "c", "--output", "out")[0] == 0
    assert stand_in.shown - shown == 2
    assert rows("out/summary.csv")[4]["sides"] == "right"


def test_another_series_of_many_is_read_anew(run: Run, empty: Path, stand_in: StandIn) -> None:
    write_study(empty / "c" / "p1", "", 1)
    write_study(empty / "c" / "p2", "", 2)
    assert run("report", "c", "--output", "out/")[0] == 0
    shown = stand_in.shown
    assert run("report", "c", "--output", "out/", "--series", "t1")[0] == 0
    assert stand_in.shown - shown == 4
    assert {row["flags"] for row in rows("out/summary.csv")} == {"not_known_to_be_flair;low_resolution"}
    assert run("report", "c", "--output", "out/", "--series", "5")[0] == 2
    assert "is none of its series (1: T1, 20 images; 2: FLAIR" in rows("out/summary.csv")[0]["error"]
    assert run("report", "c/p1", "c/p2", "--output", "out")[0] == 0
    assert [row["study"] for row in rows("out/summary.csv")] == ["p1", "p2"]


def test_damaged_files_that_come_or_go_are_noticed(run: Run, empty: Path, stand_in: StandIn) -> None:
    study = write_study(empty / "c" / "p1", "", 1)

    def flags() -> tuple[bool, int]:
        before = stand_in.shown
        assert run("report", "c", "--output", "out/")[0] == 0
        return "damaged_files" in rows("out/summary.csv")[0]["flags"], stand_in.shown - before

    assert flags() == (False, 2)
    (study / "bad").write_bytes(b"\0" * 128 + b"DICM" + b"\xff" * 300)
    assert flags() == (True, 2)
    assert flags() == (True, 0)
    (study / "bad").unlink()
    assert flags() == (False, 2)


def test_a_study_that_cannot_be_read_does_not_stop_the_rest(run: Run, empty: Path, stand_in: StandIn) -> None:
    write_study(empty / "c" / "good", "", 1)
    bad = write_study(empty / "c" / "bad", "", 2)
    for file in sorted(bad.iterdir())[3:]:
        file.unlink()
    code, _, err = run("report", "c", "--output", "out")
    assert code == 1
    assert "brain3d: error: c/bad: " in err
    nobody_named(err, Path("out/summary.csv").read_text())
    assert {row["study"]: row["status"] for row in rows("out/summary.csv")} == {"bad": "failed", "good": "ok"}


def test_when_one_study_is_meant(run: Run, empty: Path, stand_in: StandIn) -> None:
    write_study(empty / "c" / "p1", "deep", 1)
    assert run("report", "c", "--output", "one.txt")[:2] == (0, "")
    assert Path("one.txt").is_file()
    assert run("report", "c/p1", "--output", "out/")[:2] == (0, "out/summary.csv\n")
    assert [row["study"] for row in rows("out/summary.csv")] == ["p1"]
    write_study(empty / "c" / "p2", "", 2)
    assert run("report", "c", "--output", "two.txt", "--series", "4")[0] == 0
    assert Path("two.txt").is_file()
    code, out, err = run("report", "c")
    assert (code, out) == (2, "")
    assert "images of several studies" in err
    assert run("report", "c/p1", "c/p2")[2].endswith("2 studies; give one, or --output FOLDER for the reports of all\n")


def test_no_image_of_many_studies_is_overwritten(run: Run, empty: Path, stand_in: StandIn) -> None:
    study = write_study(empty / "c", "", 1)
    next(study.iterdir()).rename(study / "c.json")
    before = (study / "c.json").read_bytes()
    code, _, err = run("report", "c", "--output", "c")
    assert code == 2
    assert "a scan that is to be read has this name" in err
    assert (study / "c.json").read_bytes() == before
