"""Preparing a cohort: what its folder holds, that it can be moved, interrupted and made again, and what is refused."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from cohort_files import LEFT, RIGHT, head_data, noise, textbrats, write_head

import brain3d.cohort.facts
import brain3d.cohort.prepare
from brain3d.cohort import PUBLISHED, Study, manifest_schema, open_cohort, open_volumes, study_volume, write_manifest
from brain3d.cohort.folder import Cohort
from brain3d.cohort.own import find_manifest
from brain3d.cohort.prepare import PAPER_PROMPT, Settings, paper_settings, prepare_cohort
from brain3d.cohort.splits import HASHED, published_splits
from brain3d.cohort.splits import PUBLISHED as PUBLISHED_SPLIT
from brain3d.cohort.textbrats import find_textbrats
from brain3d.cohort.volumes import make_volume
from brain3d.evaluation.predictions import load_study
from brain3d.reports import parse_findings
from brain3d.scans import InputError, Scan, Volume, VolumeSpec, prepare, published_volume, read_scan
from brain3d.scans.cache import CacheError, VolumeCache

SPEC = VolumeSpec((18, 20, 20), 9.0)
SUBJECTS = {f"BraTS_{index:02d}": (LEFT, RIGHT)[index % 2] for index in range(10)}
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def data(tmp_path: Path) -> tuple[Path, Path, Path]:
    return textbrats(tmp_path / "data", SUBJECTS, healthy=4)


def prepared(data: tuple[Path, Path, Path], output: Path, told: list[str] | None = None, **changes: object) -> Cohort:
    images, reports, healthy = data
    settings = replace(Settings(output, "brats-textbrats"), **changes)  # type: ignore[arg-type]
    tell = (told if told is not None else []).append
    return prepare_cohort(find_textbrats(images, reports, [healthy]), settings, tell).cohort


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_a_cohort_holds(tmp_path: Path, data: tuple[Path, Path, Path], told: list[str]) -> None:
    cohort = prepared(data, tmp_path / "out", told)
    assert told == []
    assert [study.id for study in cohort.studies] == [*SUBJECTS, *(f"sub-00{index}" for index in range(4))]
    assert Counter(study.healthy for study in cohort.studies) == {False: 10, True: 4}
    assert {study.split for study in cohort.studies} == {"train", "validation", "test"}
    for study in cohort.studies:
        assert study.report is not None
        text = study.report.read_text().strip()
        assert parse_findings(text).normal if study.healthy else text == SUBJECTS[study.subject]
        assert set(study.sequences) == ({"FLAIR"} if study.healthy else {"FLAIR", "T1"})
        assert study.sequences["FLAIR"] == study.image
    assert sorted(entry.name for entry in cohort.folder.iterdir()) == [
        *("audit.json", "cohort.json", "manifest.jsonl", "reports", "scans.jsonl")
    ]
    for line in cohort.manifest.read_text().splitlines():
        jsonschema.validate(json.loads(line), manifest_schema())
    assert (cohort.info["source"], cohort.info["left_out"], cohort.volumes) == ("brats-textbrats", {}, None)
    assert len(cohort.split("train")) == cohort.info["split"]["studies"]["train"]
    with pytest.raises(InputError, match="no study is in the split dev; it has test, train, validation"):
        cohort.split("dev")


def test_the_same_input_gives_the_same_bytes(tmp_path: Path, data: tuple[Path, Path, Path]) -> None:
    prepared(data, tmp_path / "one")
    before = content(tmp_path / "one")
    prepared(data, tmp_path / "two")
    assert content(tmp_path / "two") == before
    prepared(data, tmp_path / "one")
    assert content(tmp_path / "one") == before


def test_a_cohort_with_copies_can_be_moved_alone_and_one_without_beside_its_images(
    tmp_path: Path, data: tuple[Path, Path, Path]
) -> None:
    prepared(data, tmp_path / "alone", copy=True)
    moved = shutil.move(tmp_path / "alone", tmp_path / "elsewhere" / "deep" / "alone")
    prepared(data, tmp_path / "beside")
    (tmp_path / "link").symlink_to(tmp_path / "beside")
    assert len(open_cohort(tmp_path / "link").studies) == 14
    shutil.move(tmp_path / "data", tmp_path / "lost")
    studies = open_cohort(moved).studies
    assert len(studies) == 14
    assert all(read_scan(file).data.shape for file in studies[0].sequences.values())
    with pytest.raises(InputError, match="which is not there"):
        open_cohort(tmp_path / "beside")
    assert not list(Path(moved).rglob(".*"))


def test_an_interrupted_preparation_goes_on(
    tmp_path: Path, data: tuple[Path, Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared(data, tmp_path / "whole")
    measure, seen = brain3d.cohort.facts.measure, []

    def interrupted(path: Path, volumes: Path | None, spec: VolumeSpec) -> brain3d.cohort.facts.Facts:
        if len(seen) == 5:
            raise KeyboardInterrupt
        seen.append(path)
        return measure(path, volumes, spec)

    with monkeypatch.context() as patch:
        patch.setattr(brain3d.cohort.facts, "measure", interrupted)
        with pytest.raises(KeyboardInterrupt):
            prepared(data, tmp_path / "out")
        assert not (tmp_path / "out" / "manifest.jsonl").exists()
        with (tmp_path / "out" / "scans.jsonl").open("ab") as file:
            file.write(b'{"version": 1, "sha')  # what a kill may leave
        first, seen[:] = list(seen), []
        with pytest.raises(KeyboardInterrupt):
            prepared(data, tmp_path / "out")
    assert not set(first) & set(seen)
    assert len(first) == len(seen) == 5
    prepared(data, tmp_path / "out")
    whole, out = content(tmp_path / "whole"), content(tmp_path / "out")
    assert out == whole


def test_an_interrupted_second_preparation_leaves_no_manifest_over_other_reports(
    tmp_path: Path, data: tuple[Path, Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else images of the first data set would be trained on with reports of the second."""
    prepared(data, tmp_path / "out")
    before = content(tmp_path / "out")
    other = textbrats(tmp_path / "other", dict.fromkeys(SUBJECTS, RIGHT), healthy=4)
    write = brain3d.cohort.prepare.write_whole

    def interrupted(path: Path, text: str) -> None:
        if path.name == "BraTS_05.txt":
            raise KeyboardInterrupt
        write(path, text)

    with monkeypatch.context() as patch:
        patch.setattr(brain3d.cohort.prepare, "write_whole", interrupted)
        with pytest.raises(KeyboardInterrupt):
            prepared(data, tmp_path / "out")
        assert open_cohort(tmp_path / "out").studies  # nothing was changed
        with pytest.raises(KeyboardInterrupt):
            prepared(other, tmp_path / "out")
        with pytest.raises(InputError, match=r"without a manifest.jsonl"):
            open_cohort(tmp_path / "out")
    prepared(data, tmp_path / "out")
    after = content(tmp_path / "out")
    assert {name: after[name] for name in before if name != "scans.jsonl"} == {
        name: text for name, text in before.items() if name != "scans.jsonl"
    }


def test_nothing_is_dropped_in_silence(tmp_path: Path, data: tuple[Path, Path, Path], told: list[str]) -> None:
    images, reports, healthy = data
    (images / "BraTS_03" / "BraTS_03_flair.nii.gz").write_bytes(b"no scan")
    link = images / "BraTS_05" / "BraTS_05_flair.nii.gz"
    link.unlink()
    link.symlink_to("not-fetched.nii.gz")
    shutil.rmtree(reports / "BraTS_04")
    noise(healthy / "sub-000" / "anat" / "sub-000_run-2_FLAIR.nii.gz", 77)
    with pytest.raises(InputError, match=r"--strict: .*missing report 1, duplicate subject 1;.* nothing was prepared"):
        prepared(data, tmp_path / "strict", strict=True)
    assert not (tmp_path / "strict").exists()
    cohort = prepared(data, tmp_path / "out", told)
    assert [line.split(" (")[0] for line in told] == [
        "missing report: BraTS_04",
        "duplicate subject: sub-000",
        "unreadable scan: BraTS_03",
        "unreadable scan: BraTS_05",
    ]
    assert cohort.info["left_out"] == {
        "missing report": ["BraTS_04"],
        "duplicate subject": ["sub-000"],
        "unreadable scan": ["BraTS_03", "BraTS_05"],
    }
    assert len(cohort.studies) == 11
    assert not any(str(tmp_path) in line for line in told)


def test_nothing_left_is_an_error(tmp_path: Path) -> None:
    data = textbrats(tmp_path / "data", {"a": LEFT}, healthy=1)
    for file in (tmp_path / "data").rglob("*.nii.gz"):
        file.write_bytes(b"no scan")
    with pytest.raises(InputError, match=r"no study can be used .*unreadable scan 2"):
        prepared(data, tmp_path / "out")
    assert not (tmp_path / "out" / "manifest.jsonl").exists()


def test_folders_of_others_are_left_alone(tmp_path: Path, data: tuple[Path, Path, Path]) -> None:
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "a.txt").write_text("x")
    with pytest.raises(InputError, match="something else"):
        prepared(data, tmp_path / "letters")
    (tmp_path / "phantoms").mkdir()
    (tmp_path / "phantoms" / "cohort.json").write_text('{"seed": 0}')
    with pytest.raises(InputError, match="another kind of cohort"):
        prepared(data, tmp_path / "phantoms")
    assert len(content(tmp_path / "letters")) == len(content(tmp_path / "phantoms")) == 1


def test_the_paper_preset(tmp_path: Path, data: tuple[Path, Path, Path]) -> None:
    settings = paper_settings(Settings(tmp_path / "out", "brats-textbrats", seed=7))
    images, reports, healthy = data
    cohort = prepare_cohort(find_textbrats(images, reports, [healthy]), settings, print).cohort
    strata = {name.lower().replace("_", ""): ("left", "right")[index % 2] for index, name in enumerate(SUBJECTS)}
    strata |= {f"00{index}": "none" for index in range(4)}
    wanted = list(published_splits(strata, 42).values())
    by_name = dict(zip(strata, (published_splits(strata, 42)[name] for name in strata), strict=True))
    assert [study.split for study in cohort.studies] == list(by_name.values())
    assert Counter(wanted) == Counter(study.split for study in cohort.studies)
    assert (cohort.prompt, cohort.info["preset"]) == (PAPER_PROMPT, "paper")
    assert cohort.info["split"]["procedure"] == PUBLISHED_SPLIT


def test_one_subject_of_several_sessions_is_in_one_split(tmp_path: Path) -> None:
    studies = []
    for index in range(24):
        report = tmp_path / f"{index}.txt"
        report.write_text(LEFT if index % 3 else RIGHT)
        name = ("sub-{}", "{}", "SUB-{}")[index % 3].format(f"p{index // 3}")
        image = noise(tmp_path / f"{index}.nii", index)
        studies.append(Study(f"s{index}", image, report=report, subject=name, session=str(index % 3)))
    write_manifest(tmp_path / "m.jsonl", studies)
    for procedure in ("stratified", HASHED, PUBLISHED_SPLIT):
        settings = Settings(tmp_path / procedure, "manifest", procedure=procedure)
        cohort = prepare_cohort(find_manifest(tmp_path / "m.jsonl"), settings, print)
        splits = [study.split for study in cohort.cohort.studies]
        assert all(len(set(splits[first : first + 3])) == 1 for first in range(0, 24, 3))
        assert cohort.audit.shared == ()
        assert cohort.audit.subjects == 8


def test_splits_that_are_given(tmp_path: Path) -> None:
    studies = []
    for index, (subject, split) in enumerate([("a", "train"), ("b", "test"), ("sub-A", "test"), ("c", None)]):
        report = tmp_path / f"{index}.txt"
        report.write_text(LEFT)
        studies.append(
            Study(f"s{index}", noise(tmp_path / f"{index}.nii", index), report, split=split, subject=subject)
        )
    manifest = tmp_path / "m.jsonl"
    write_manifest(manifest, studies)
    with pytest.raises(InputError, match="3 of 4 studies bring a split along, and s3 does not"):
        prepare_cohort(find_manifest(manifest, keep_splits=True), Settings(tmp_path / "out", "manifest"), print)
    write_manifest(manifest, studies[:3])
    found = find_manifest(manifest, keep_splits=True)
    with pytest.raises(InputError, match="subject sub-A is in two splits: s0 in train, s2 in test"):
        prepare_cohort(found, Settings(tmp_path / "out", "manifest"), print)
    assert not (tmp_path / "out").exists()
    done = prepare_cohort(found, Settings(tmp_path / "out", "manifest", allow_shared=True), print)
    assert [study.split for study in done.cohort.studies] == ["train", "test", "test"]
    assert done.cohort.info["split"]["procedure"] == "given"
    assert len(done.audit.shared) == 1


@pytest.mark.parametrize("workers", [1, 2])
def test_volumes_are_prepared_once(tmp_path: Path, workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    images, reports, _ = textbrats(tmp_path / "data", {"a": LEFT, "b": RIGHT})
    for index, name in enumerate("ab"):
        write_head(images / name / f"{name}_flair.nii.gz", head_data(index))
    settings = Settings(tmp_path / "out", "brats-textbrats", spec=SPEC, workers=workers)
    cohort = prepare_cohort(find_textbrats(images, reports), settings, print).cohort
    cache = open_volumes(cohort, SPEC)
    assert cohort.volumes is not None
    assert len(cache) == 2

    def unread(path: Path) -> None:
        raise AssertionError(f"{path} is read again")

    monkeypatch.setattr("brain3d.cohort.volumes.read_scan", unread)
    for study in cohort.studies:
        np.testing.assert_array_equal(study_volume(study, cache).data, prepare(read_scan(study.image), SPEC).data)
    (cache.folder / "settings.json").write_text("{}")
    with pytest.raises(CacheError, match="damaged"):
        prepare_cohort(find_textbrats(images, reports), settings, print)


def test_volumes_of_the_published_system(tmp_path: Path) -> None:
    images, reports, _ = textbrats(tmp_path / "data", {"a": LEFT})
    settings = Settings(tmp_path / "out", "brats-textbrats", spec=PUBLISHED)
    cohort = prepare_cohort(find_textbrats(images, reports), settings, print).cohort
    kept = study_volume(cohort.studies[0], VolumeCache(cohort.folder / "volumes", PUBLISHED))
    np.testing.assert_array_equal(kept.data, published_volume(read_scan(cohort.studies[0].image)).data)


@pytest.mark.parametrize("spec", [SPEC, VolumeSpec((6, 8, 8), 0.0)], ids=["own", "published"])
def test_evaluation_finds_the_volumes(tmp_path: Path, spec: VolumeSpec) -> None:
    made = []

    class Reader:
        def volume(self, scan: Scan) -> Volume:
            made.append(scan)
            return make_volume(scan, spec)

    images, reports, _ = textbrats(tmp_path / "data", {"a": LEFT})
    write_head(images / "a" / "a_flair.nii.gz", head_data(0))
    settings = Settings(tmp_path / "out", "brats-textbrats", spec=spec)
    cohort = prepare_cohort(find_textbrats(images, reports), settings, print).cohort
    cache = open_volumes(cohort, spec)
    loaded = load_study(cohort.studies[0], Reader(), cache)  # type: ignore[arg-type]
    assert len(made) == 1  # the mirror image's alone
    np.testing.assert_array_equal(loaded.volume.data, study_volume(cohort.studies[0], cache).data)
    np.testing.assert_array_equal(loaded.mirrored.data, study_volume(cohort.studies[0], cache, mirrored=True).data)


def test_old_manifests_and_bare_folders(tmp_path: Path) -> None:
    noise(tmp_path / "a.nii", 0)
    (tmp_path / "manifest.jsonl").write_text('{"id": "a", "image": "a.nii", "split": "test"}\n')
    cohort = open_cohort(tmp_path)
    assert cohort.studies[0] == Study("a", tmp_path / "a.nii", split="test", subject="a")
    assert (cohort.info, cohort.volumes, cohort.prompt) == ({}, None, None)
    assert open_cohort(tmp_path / "manifest.jsonl").studies == cohort.studies
    (tmp_path / "volumes").mkdir()
    assert open_cohort(tmp_path).volumes is None
    (tmp_path / "cohort.json").write_text("[")
    with pytest.raises(InputError, match=r"cohort\.json: not readable JSON"):
        open_cohort(tmp_path)
    (tmp_path / "bare").mkdir()
    with pytest.raises(InputError, match="a folder without a manifest"):
        open_cohort(tmp_path / "bare")
