"""Evaluation with cached volumes: the second run reads no scan, and the results are the same."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import brain3d.evaluation.predictions
import brain3d.reading
from brain3d.cli.main import main
from brain3d.cohort import Study, write_manifest
from brain3d.evaluation.predictions import load_study
from brain3d.evaluation.run import evaluate
from brain3d.reports import Report, parse_findings
from brain3d.scans import InputError, Scan, Volume, VolumeSpec, affine_from_axes, prepare, read_scan, write_scan
from brain3d.scans.cache import VolumeCache

SHAPE = (40, 48, 40)
AFFINE = affine_from_axes("RAS", (4.0, 4.0, 4.0))
SIDES = ("left", "right", "left")


class Reader:
    """Says on which side of a volume the brightest spot lies."""

    spec = VolumeSpec((18, 20, 20), 9.0)

    def __init__(self) -> None:
        self.prepared = 0

    def identity(self) -> dict[str, Any]:
        return {"name": "stand-in", "version": "0", "hash": "0" * 64}

    def volume(self, scan: Scan) -> Volume:
        self.prepared += 1
        return prepare(scan, self.spec)

    def visual_tokens(self, volume: Volume) -> np.ndarray:
        return volume.data[0, ::4, ::4, ::4].reshape(5, -1)

    def reports(self, volumes: Sequence[Volume], *, batch_size: int, mirror_check: bool) -> list[Report]:
        brightest = [np.unravel_index(np.argmax(volume.data[0]), self.spec.shape)[2] for volume in volumes]
        texts = [f"There is a lesion in the {'left' if w < 10 else 'right'} frontal lobe." for w in brightest]
        return [Report(text, parse_findings(text), (), {}, [], self.identity(), {}) for text in texts]


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> Reader:
    made = Reader()
    monkeypatch.setattr(brain3d.reading, "load", lambda model, device="auto": made)
    return made


@pytest.fixture
def no_scans(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """From here on, a scan that is read is an error that ends the run."""

    def refuse(path: Path) -> Scan:
        raise AssertionError("a scan was read")

    monkeypatch.setattr(brain3d.evaluation.predictions, "read_scan", refuse)
    return monkeypatch


def build_cohort(folder: Path, *, with_masks: bool = False) -> Path:
    studies = []
    for index, side in enumerate(SIDES):
        grid = np.stack(np.meshgrid(*[np.arange(n) - (n - 1) / 2 for n in SHAPE], indexing="ij"), -1) * 4.0
        outward = ((grid / [65.0, 85.0, 70.0]) ** 2).sum(-1)
        data = np.where(outward < 1, 100.0 + index + 20 * outward, 0.0)
        x = -35.0 if side == "left" else 35.0
        mask = ((grid - [x, 20.0, 10.0]) ** 2).sum(-1) < 15.0**2
        data[mask] = 300
        image, report = folder / f"somebody-{index}.nii.gz", folder / f"somebody-{index}.txt"
        write_scan(image, data, AFFINE)
        write_scan(folder / f"mask-{index}.nii.gz", mask.astype(np.float32), AFFINE)
        report.write_text(f"A lesion is seen in the {side} frontal lobe.")
        masked = folder / f"mask-{index}.nii.gz" if with_masks else None
        studies.append(Study(id=f"somebody-{index}", image=image, report=report, mask=masked))
    write_manifest(folder / "manifest.jsonl", studies)
    return folder / "manifest.jsonl"


def test_the_second_run_reads_no_scan(tmp_path: Path, reader: Reader, request: pytest.FixtureRequest) -> None:
    manifest, cache = build_cohort(tmp_path), tmp_path / "volumes"
    plain = evaluate(manifest)
    assert {item["name"]: item for item in plain["groups"]["all cases"]}["side"]["value"] == 1.0
    assert evaluate(manifest, cache=cache) == plain
    assert reader.prepared == 12  # each scan and its mirror image, twice
    request.getfixturevalue("no_scans")
    assert evaluate(manifest, cache=cache) == plain
    assert evaluate(manifest, neighbours=manifest, cache=cache)["failed"] == []
    assert reader.prepared == 12


def test_a_moved_cohort_is_found_and_a_changed_scan_is_not(tmp_path: Path, reader: Reader) -> None:
    cache, folder = tmp_path / "volumes", tmp_path / "one"
    folder.mkdir()
    evaluate(build_cohort(folder), cache=cache)
    moved = folder.rename(tmp_path / "two")
    evaluate(moved / "manifest.jsonl", cache=cache)
    assert reader.prepared == 6
    image = moved / "somebody-0.nii.gz"
    image.write_bytes((moved / "somebody-1.nii.gz").read_bytes())
    evaluate(moved / "manifest.jsonl", cache=cache)
    assert reader.prepared == 6  # its new content is another study's, whose volumes are there
    write_scan(image, read_scan(image).data * 2, AFFINE)
    evaluate(moved / "manifest.jsonl", cache=cache)
    assert reader.prepared == 8


def test_with_masks_scans_are_read_for_their_grid_but_not_prepared(tmp_path: Path, reader: Reader) -> None:
    manifest, cache = build_cohort(tmp_path, with_masks=True), tmp_path / "volumes"
    plain = evaluate(manifest)
    assert evaluate(manifest, cache=cache) == plain
    assert evaluate(manifest, cache=cache) == plain
    assert reader.prepared == 12


def test_a_scan_that_cannot_be_read_is_a_failed_case_each_time(tmp_path: Path, reader: Reader) -> None:
    manifest, cache = build_cohort(tmp_path), tmp_path / "volumes"
    (tmp_path / "somebody-1.nii.gz").write_bytes(b"no scan")
    for _ in range(2):
        failed = evaluate(manifest, cache=cache)["failed"]
        assert [item["id"] for item in failed] == ["somebody-1"]


def test_what_cannot_be_opened_is_refused_in_the_same_words(tmp_path: Path, reader: Reader) -> None:
    study, said = Study(id="a", image=tmp_path / "absent.nii.gz"), []
    for cache in (None, VolumeCache(tmp_path / "volumes", reader.spec)):
        with pytest.raises(InputError) as caught:
            load_study(study, reader, cache)
        said.append(str(caught.value))
    assert said[0] == said[1]


def test_no_name_reaches_the_cache(tmp_path: Path, reader: Reader) -> None:
    cache = tmp_path / "volumes"
    evaluate(build_cohort(tmp_path), cache=cache)
    for file in cache.rglob("*"):
        assert "somebody" not in str(file.relative_to(cache))
        assert file.is_dir() or b"somebody" not in file.read_bytes()


def test_a_damaged_cache_ends_the_run_in_one_line(
    tmp_path: Path, reader: Reader, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest, cache = build_cohort(tmp_path), tmp_path / "volumes"
    evaluate(manifest, cache=cache)
    (volumes,) = cache.glob("*/volumes.f32")
    volumes.write_bytes(bytes(volumes.stat().st_size))
    with pytest.raises(InputError, match="damaged cache"):
        evaluate(manifest, cache=cache)
    assert main(["evaluate", "--manifest", str(manifest), "--cache", str(cache)]) == 2
    assert capsys.readouterr().err.strip().splitlines()[-1].endswith("delete this folder, and it is made anew")


def test_the_command_keeps_volumes(tmp_path: Path, reader: Reader, capsys: pytest.CaptureFixture[str]) -> None:
    manifest, cache = build_cohort(tmp_path), tmp_path / "volumes"
    tables = []
    for _ in range(2):
        assert main(["evaluate", "--manifest", str(manifest), "--cache", str(cache)]) == 0
        tables.append(capsys.readouterr().out)
    assert tables[0] == tables[1] != ""
    assert reader.prepared == 6
