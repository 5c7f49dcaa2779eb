"""Manifests: what is written is read again, and errors name their line."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from brain3d.cohort import Study, manifest_schema, read_manifest, write_manifest
from brain3d.scans import InputError


@pytest.fixture
def studies(tmp_path: Path) -> list[Study]:
    folder = tmp_path / "cohort"
    folder.mkdir()
    for name in ("a.nii.gz", "a.txt", "b.nii.gz"):
        (folder / name).write_text("x")
    (tmp_path / "elsewhere.json").write_text("{}")
    return [
        Study("a", folder / "a.nii.gz", report=folder / "a.txt", split="train"),
        Study("b", folder / "b.nii.gz", truth=tmp_path / "elsewhere.json"),
    ]


def test_round_trip_and_schema(tmp_path: Path, studies: list[Study]) -> None:
    path = tmp_path / "cohort" / "manifest.jsonl"
    write_manifest(path, studies)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    jsonschema.Draft202012Validator.check_schema(manifest_schema())
    for line in lines:
        jsonschema.validate(line, manifest_schema())
    assert lines[1]["truth"] == "../elsewhere.json"
    assert str(tmp_path) not in path.read_text()
    found = read_manifest(path)
    assert [study.id for study in found] == ["a", "b"]
    assert found[0].report is not None
    assert found[0].report.samefile(studies[0].report or "")
    assert (found[0].split, found[0].mask, found[1].report) == ("train", None, None)


def test_what_a_prepared_cohort_says_comes_back(tmp_path: Path, studies: list[Study]) -> None:
    path = tmp_path / "cohort" / "manifest.jsonl"
    image = studies[0].image
    more = {"subject": "sub-1", "session": "2", "source": "bids", "healthy": False}
    study = Study("sub-1_ses-2", image, sequences={"FLAIR": image, "T1ce": studies[1].image}, **more)  # type: ignore[arg-type]
    write_manifest(path, [study, *studies[1:]])
    assert read_manifest(path)[0] == study
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for line in lines:
        jsonschema.validate(line, manifest_schema())
    assert lines[0]["sequences"] == {"FLAIR": "a.nii.gz", "T1ce": "b.nii.gz"}
    assert set(lines[1]) == {"id", "image", "report", "truth", "mask", "split"}
    assert read_manifest(path)[1].subject == "b"
    assert len({*read_manifest(path)}) == 2


def test_a_cohort_can_be_moved(tmp_path: Path, studies: list[Study]) -> None:
    write_manifest(tmp_path / "cohort" / "manifest.jsonl", studies[:1])
    moved = (tmp_path / "cohort").rename(tmp_path / "moved")
    assert read_manifest(moved / "manifest.jsonl")[0].image.read_text() == "x"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "not JSON"),
        ("[]", "not a JSON object"),
        ('{"id": "b"}', "'image' is missing"),
        ('{"image": "a.nii.gz"}', "'id' is missing"),
        ('{"id": 3, "image": "a.nii.gz"}', "'id' must be a text"),
        ('{"id": "b", "image": "a.nii.gz", "colour": 1}', "unknown key 'colour'"),
        ('{"id": "b", "image": "a.nii.gz", "healthy": 1}', "'healthy' must be true, false or null"),
        ('{"id": "b", "image": "a.nii.gz", "subject": ""}', "'subject' must be a text"),
        ('{"id": "b", "image": "a.nii.gz", "sequences": ["T1"]}', "must be an object"),
        ('{"id": "b", "image": "a.nii.gz", "sequences": {"CT": "a.nii.gz"}}', "unknown sequence 'CT'"),
        ('{"id": "b", "image": "a.nii.gz", "sequences": {"T1": "c.nii.gz"}}', "which is not there"),
        ('{"id": "a", "image": "a.nii.gz"}', "earlier line"),
        ('{"id": "b", "image": "c.nii.gz"}', "which is not there"),
        ('{"id": "b", "image": "/a.nii.gz"}', "relative"),
    ],
)
def test_errors_name_the_line(tmp_path: Path, studies: list[Study], line: str, reason: str) -> None:
    path = tmp_path / "cohort" / "manifest.jsonl"
    path.write_text(f'{{"id": "a", "image": "a.nii.gz"}}\n\n{line}\n')
    with pytest.raises(InputError, match=f"line 3: .*{reason}"):
        read_manifest(path)


def test_files_need_not_be_there_if_nobody_asks(tmp_path: Path) -> None:
    path = tmp_path / "manifest.jsonl"
    path.write_text('{"id": "b", "image": "c.nii.gz"}\n')
    assert read_manifest(path, check_files=False)[0].image == tmp_path / "c.nii.gz"


def test_not_a_manifest(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such manifest"):
        read_manifest(tmp_path / "none.jsonl")
    with pytest.raises(InputError, match="not a readable manifest"):
        read_manifest(tmp_path)
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="not a readable manifest"):
        read_manifest(tmp_path / "binary")


def test_a_manifest_is_written_whole_or_not_at_all(tmp_path: Path, studies: list[Study]) -> None:
    target = tmp_path / "taken"
    target.mkdir()
    with pytest.raises(InputError, match="cannot be written"):
        write_manifest(target, studies)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["cohort", "elsewhere.json", "taken"]
