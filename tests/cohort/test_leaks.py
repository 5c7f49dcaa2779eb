"""The leak audit: planted duplicates, shared subjects and copied reports are found; a clean cohort is silent."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from cohort_files import HEAD_SHAPE, LEFT, RIGHT, head_data, noise, write_head

from brain3d.cohort import Study, open_cohort, write_manifest
from brain3d.cohort.facts import measure
from brain3d.cohort.likeness import alike_pairs, all_pairs, equal_pairs
from brain3d.cohort.own import find_manifest
from brain3d.cohort.prepare import Settings, audit_folder, prepare_cohort
from brain3d.scans import VolumeSpec, affine_from_axes, prepare, read_scan, to_canonical, write_scan

SPEC = VolumeSpec((18, 20, 20), 9.0)


def reordered(source: Path, target: Path, axes: str, dtype: type = np.float32) -> Path:
    """The same image stored along other axes and as other numbers."""
    scan = read_scan(source)
    data, _ = to_canonical(scan.data, scan.affine)
    order = {"S": (0, 1), "I": (0, -1), "A": (1, 1), "P": (1, -1), "R": (2, 1), "L": (2, -1)}
    places = [order[letter] for letter in axes]
    stored = np.transpose(data, [axis for axis, _ in places])
    stored = stored[tuple(slice(None, None, step) for _, step in places)]
    target.parent.mkdir(parents=True, exist_ok=True)
    write_scan(target, stored.astype(dtype), affine_from_axes(axes, scan.spacing_mm), dtype)
    return target


def cohort_of(folder: Path, studies: dict[str, tuple[Path, str, str, str]]) -> Path:
    """A manifest: for each study its image, report, split and subject."""
    listed = []
    for name, (image, report, split, subject) in studies.items():
        text = folder / f"{name}.txt"
        text.write_text(report)
        listed.append(Study(name, image, report=text, split=split, subject=subject))
    write_manifest(folder / "manifest.jsonl", listed)
    return folder


@pytest.fixture
def scans(tmp_path: Path) -> list[Path]:
    return [noise(tmp_path / f"{seed}.nii.gz", seed) for seed in range(4)]


def test_a_copy_stored_in_another_order_or_as_other_numbers_is_the_same(tmp_path: Path, scans: list[Path]) -> None:
    facts = {f"s{index}": measure(path, None, SPEC) for index, path in enumerate(scans)}
    assert equal_pairs(facts) == []
    for axes in ("LPS", "PIR", "ASL"):
        copy = measure(reordered(scans[2], tmp_path / f"{axes}.nii", axes), None, SPEC)
        assert (copy.axes, copy.dtype) == (axes, "float32")
        pairs = equal_pairs({**facts, "copy": copy})
        assert [(pair.first, pair.second, pair.kind) for pair in pairs] == [("s2", "copy", "same")]


def test_a_mirrored_copy_is_found(tmp_path: Path, scans: list[Path]) -> None:
    data = read_scan(scans[0]).data[::-1]
    write_scan(tmp_path / "m.nii", np.ascontiguousarray(data), affine_from_axes("RAS", (5.0,) * 3))
    facts = {"s0": measure(scans[0], None, SPEC), "m": measure(tmp_path / "m.nii", None, SPEC)}
    assert [(pair.first, pair.second, pair.kind) for pair in equal_pairs(facts)] == [("s0", "m", "mirrored")]


def test_nearly_the_same_heads_are_found_and_others_are_not(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    heads = {f"h{seed}": head_data(seed) for seed in range(6)}
    louder = (heads["h1"] * 1.7 + rng.normal(0, 8, HEAD_SHAPE) * (heads["h1"] > 0)).clip(0).astype(np.int16)
    heads |= {"rescaled": louder, "mirrored": louder[::-1].copy()}
    paths = {name: write_head(tmp_path / f"{name}.nii", data) for name, data in heads.items()}
    volumes = {name: prepare(read_scan(path), SPEC).data[0] for name, path in paths.items()}
    found = {(pair.first, pair.second): pair.kind for pair in alike_pairs(volumes)}
    assert found == {
        ("h1", "rescaled"): "same",
        ("h1", "mirrored"): "mirrored",
        ("rescaled", "mirrored"): "mirrored",
    }
    facts = {name: measure(path, None, SPEC) for name, path in paths.items()}
    both = all_pairs(facts, volumes)
    assert [(pair.first, pair.second, pair.correlation) for pair in both[:1]] == [("rescaled", "mirrored", None)]
    assert len(both) == 3


def test_an_audit_names_what_is_wrong(tmp_path: Path, scans: list[Path]) -> None:
    copy = reordered(scans[0], tmp_path / "copy.nii.gz", "LPS")
    folder = cohort_of(
        tmp_path,
        {
            "a": (scans[0], LEFT, "train", "sub-A"),
            "b": (scans[1], RIGHT, "test", "a_ses-2"),
            "c": (copy, f"  {LEFT.upper()}", "test", "c"),
            "d": (scans[2], "No lesion.", "test", "d"),
            "e": (scans[3], "No lesion.", "train", "e"),
        },
    )
    audit, problems = audit_folder(folder, None)
    assert problems == []
    assert [one.studies for one in audit.shared] == [("a", "b")]
    assert [(pair.first, pair.second) for pair in audit.across] == [("a", "c")]
    assert (audit.copied.ill, audit.copied.of_ill, audit.copied.healthy, audit.copied.of_healthy) == (1, 2, 1, 1)
    assert (audit.files.verdict, audit.background, audit.warnings) == ("too few", None, 3)
    stored = json.loads((folder / "audit.json").read_text())
    assert stored["duplicates"] == [{"first": "a", "second": "c", "kind": "same", "correlation": None}]
    text = audit.to_text()
    assert "SUBJECTS IN TWO SPLITS: 1" in text
    assert "IN DIFFERENT SPLITS" in text
    assert str(tmp_path) not in text + json.dumps(stored) + (folder / "scans.jsonl").read_text()


def test_an_audit_names_the_reports_that_training_refuses(tmp_path: Path, scans: list[Path]) -> None:
    """They stay in the cohort: what is valid does not change."""
    folder = cohort_of(
        tmp_path,
        {
            "a": (scans[0], LEFT, "train", "a"),
            "b": (scans[1], "A lesion in the Lt frontal lobe.", "train", "b"),
            "c": (scans[2], "No lesion.", "test", "c"),
            "d": (scans[3], "A lesion in the LeFt frontal lobe.", "validation", "d"),
        },
    )
    manifest = folder / "manifest.jsonl"
    lines = [json.loads(line) for line in manifest.read_text().splitlines()]
    lines[0]["healthy"] = True
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines))
    audit, problems = audit_folder(folder, None)
    assert problems == []
    assert [(one.study, one.split) for one in audit.faulty] == [("a", "train"), ("b", "train"), ("d", "validation")]
    assert audit.warnings == 1
    text = audit.to_text()
    assert "REPORTS THAT TRAINING REFUSES: 3. Mend them" in text
    assert "a (train): its report states a lesion, though the cohort counts the study as healthy" in text
    assert "b (train): its report abbreviates a side" in text
    stored = json.loads((folder / "audit.json").read_text())
    assert [one["study"] for one in stored["faulty"]] == ["a", "b", "d"]
    assert len(open_cohort(folder).studies) == 4


def planted(folder: Path, healthy_shape: tuple[int, int, int]) -> Path:
    """Ten ill and ten healthy subjects, whose images differ in nothing but perhaps their shape."""
    studies = {}
    for index in range(20):
        shape = healthy_shape if index % 2 else (20, 18, 22)
        text, split = ("No lesion.", "train") if index % 2 else (f"{LEFT} Case {index}.", "test")
        studies[f"s{index}"] = (noise(folder / f"{index}.nii", index, shape=shape), text, split, f"s{index}")
    return cohort_of(folder, studies)


def test_a_planted_shortcut_is_found_and_a_clean_cohort_is_silent(tmp_path: Path) -> None:
    (tmp_path / "leaky").mkdir()
    (tmp_path / "clean").mkdir()
    leaky, _ = audit_folder(planted(tmp_path / "leaky", (20, 18, 21)), None)
    assert leaky.files.verdict == "strong"
    assert "Specificity on this cohort is no evidence" in leaky.to_text()
    assert leaky.files.best_feature is not None
    clean, _ = audit_folder(planted(tmp_path / "clean", (20, 18, 22)), None)
    assert (clean.files.verdict, clean.warnings) == ("nothing found", 0)


def test_volumes_are_compared_where_they_are(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    head = head_data(0)
    paths = [write_head(tmp_path / f"{index}.nii", data) for index, data in enumerate((head, head * 2, head_data(5)))]
    studies = {f"s{index}": (path, LEFT, "train", f"s{index}") for index, path in enumerate(paths)}
    found = find_manifest(cohort_of(tmp_path / "data", studies))
    prepared = prepare_cohort(found, Settings(tmp_path / "out", "manifest", spec=SPEC), print)
    pairs = [(pair.first, pair.second, pair.kind) for pair in prepared.audit.duplicates]
    assert pairs == [("s0", "s1", "same")]
    assert prepared.audit.compared
    again, _ = audit_folder(tmp_path / "out", SPEC)
    assert again == prepared.audit


def test_a_scan_that_cannot_be_read_is_left_out_of_the_audit_and_named(tmp_path: Path, scans: list[Path]) -> None:
    scans[1].write_bytes(b"not a scan")
    folder = cohort_of(tmp_path, {f"s{i}": (path, LEFT, "train", f"s{i}") for i, path in enumerate(scans)})
    audit, problems = audit_folder(folder, None)
    assert [(one.kind, one.subject) for one in problems] == [("unreadable scan", "s1")]
    assert audit.studies == 4
