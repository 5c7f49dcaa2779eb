"""Studies with masks: what fails counts as wrong, and the right reason is given."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

import brain3d.reading
from brain3d.cohort import Study, write_manifest
from brain3d.evaluation.grounded import mask_is_empty, read_mask
from brain3d.evaluation.run import evaluate
from brain3d.reports import Report, parse_findings
from brain3d.scans import InputError, Scan, affine_from_axes, prepare, read_scan, write_scan

SHAPE = (40, 48, 40)
AFFINE = affine_from_axes("RAS", (4.0, 4.0, 4.0))
MODEL = {"name": "stand-in", "version": "0", "hash": "0" * 64}
ILL = "There is a lesion in the left frontal lobe."
ONCE_EACH = ("sensitivity", "side", "side_mirrored", "lobes_supported", "lobes_owed")


class Reader:
    """Says of every scan that it has a lesion on the left; `broken`: it fails on whatever it reads."""

    def __init__(self, broken: bool = False) -> None:
        self.broken = broken

    def identity(self) -> dict[str, Any]:
        return MODEL

    def volume(self, scan: Scan) -> Any:
        return prepare(scan)

    def visual_tokens(self, volume: Any) -> np.ndarray:
        return np.asarray(volume.data[0, ::8, ::8, ::8])

    def reports(self, volumes: Sequence[Any], *, batch_size: int, mirror_check: bool) -> list[Report]:
        if self.broken:
            raise InputError("cannot")
        return [Report(ILL, parse_findings(ILL), (), {}, [], MODEL, {}) for _ in volumes]


@pytest.fixture
def read_by(monkeypatch: pytest.MonkeyPatch) -> Callable[[Reader], None]:
    return lambda reader: monkeypatch.setattr(brain3d.reading, "load", lambda model, device="auto": reader)


def lesion() -> np.ndarray:
    mask = np.zeros(SHAPE, np.float32)
    mask[10:15, 32:37, 20:25] = 1
    return mask


def write_cohort(folder: Path, *, report: str | None = None, labels: np.ndarray | None = None) -> Path:
    """Two studies, a and b, each with a mask of `labels`: without any, of a lesion far left and far forward."""
    index = np.indices(SHAPE).T - (np.array(SHAPE) - 1) / 2
    outward = ((index / np.array([16.0, 21.0, 17.0])) ** 2).sum(axis=-1).T
    rng = np.random.default_rng(0)
    studies = []
    for name in ("a", "b"):
        files = Study(name, folder / f"{name}-image.nii.gz", mask=folder / f"{name}-mask.nii.gz")
        write_scan(files.image, np.where(outward < 1, 90 + 30 * outward + rng.uniform(0, 5, SHAPE), 0), AFFINE)
        write_scan(files.mask or "", lesion() if labels is None else labels, AFFINE)
        if report is not None:
            (folder / f"{name}.txt").write_text(report)
            files = Study(name, files.image, report=folder / f"{name}.txt", mask=files.mask)
        studies.append(files)
    write_manifest(folder / "manifest.jsonl", studies)
    return folder / "manifest.jsonl"


def found_in(result: dict[str, Any]) -> dict[str, tuple[float, int]]:
    return {item["name"]: (item["value"], item["n"]) for item in result["groups"]["all cases"]}


def damage_text(path: Path) -> None:
    path.write_bytes(b"not an image")


def damage_gzip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[60:80] = b"\xff" * 20
    path.write_bytes(bytes(content))


def damage_cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def damage_short(path: Path) -> None:
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes())[:-4000]))


def damage_empty(path: Path) -> None:
    path.write_bytes(b"")


def damage_huge(path: Path) -> None:
    content = bytearray(gzip.decompress(path.read_bytes()))
    content[42:48] = np.array([32000] * 3, "<i2").tobytes()
    path.write_bytes(gzip.compress(bytes(content)))


DAMAGES = [damage_text, damage_gzip, damage_cut, damage_short, damage_empty]


@pytest.mark.parametrize("damage", [*DAMAGES, damage_huge])
def test_an_unreadable_mask_is_the_inputs_fault(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    write_cohort(tmp_path)
    scan = read_scan(tmp_path / "a-image.nii.gz")
    damage(tmp_path / "a-mask.nii.gz")
    with pytest.raises(InputError, match="the mask of study a"):
        read_mask(tmp_path / "a-mask.nii.gz", scan, "the mask of study a")
    with pytest.raises(InputError, match="the mask of study a"):
        mask_is_empty(tmp_path / "a-mask.nii.gz", "the mask of study a")


def test_a_mask_of_colours_is_the_inputs_fault(tmp_path: Path) -> None:
    colours = np.zeros(SHAPE, np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")]))
    nib.save(nib.Nifti1Image(colours, AFFINE), tmp_path / "mask.nii")
    with pytest.raises(InputError, match="not an image of labels"):
        mask_is_empty(tmp_path / "mask.nii")


@pytest.mark.parametrize("damage", DAMAGES)
def test_an_unreadable_mask_fails_its_case_and_no_other(
    tmp_path: Path, read_by: Callable[[Reader], None], damage: Callable[[Path], None]
) -> None:
    manifest = write_cohort(tmp_path)
    damage(tmp_path / "b-mask.nii.gz")
    read_by(Reader())
    result = evaluate(manifest, output=tmp_path / "out")
    assert [item["id"] for item in result["failed"]] == ["b"]
    assert result["failed"][0]["reason"].startswith("the mask of study b cannot be read")
    assert found_in(result)["sensitivity"] == (0.5, 2)


@pytest.mark.parametrize("report", [None, "There is a lesion in the left frontal lobe.", "A scan."])
def test_a_scan_that_cannot_be_read_is_wrong_in_what_its_mask_would_have_answered(
    tmp_path: Path, read_by: Callable[[Reader], None], report: str | None
) -> None:
    manifest = write_cohort(tmp_path, report=report)
    read_by(Reader())
    good = found_in(evaluate(manifest))
    assert good["sensitivity"] == good["side"] == (1.0, 2)
    (tmp_path / "b-image.nii.gz").write_bytes(b"no image")
    poor = found_in(evaluate(manifest))
    for name in ONCE_EACH:
        assert poor[name] == (pytest.approx(good[name][0] / 2), 2), name
    assert poor["regions_f1"][1] == 2
    assert poor["regions_f1"][0] < good["regions_f1"][0]


def test_a_model_that_fails_is_wrong_beside_what_the_mask_measured(
    tmp_path: Path, read_by: Callable[[Reader], None]
) -> None:
    manifest = write_cohort(tmp_path)
    read_by(Reader(broken=True))
    result = evaluate(manifest)
    found = found_in(result)
    for name in ONCE_EACH:
        assert found[name] == (0.0, 2)
    side = next(item for item in result["groups"]["all cases"] if item["name"] == "side")
    assert side["constant"]["value"] == 1.0


def test_an_empty_mask_beside_a_scan_that_cannot_be_read_is_a_failed_healthy_case(
    tmp_path: Path, read_by: Callable[[Reader], None]
) -> None:
    manifest = write_cohort(tmp_path, labels=np.zeros(SHAPE, np.float32))
    (tmp_path / "b-image.nii.gz").write_bytes(b"no image")
    read_by(Reader())
    found = found_in(evaluate(manifest))
    assert found["specificity"] == (0.0, 2)
    assert "sensitivity" not in found


def test_neighbours_with_masks_alone_lend_the_findings_of_their_masks(
    tmp_path: Path, read_by: Callable[[Reader], None]
) -> None:
    manifest = write_cohort(tmp_path)
    (tmp_path / "more").mkdir()
    for entry in tmp_path.glob("*.*"):
        if entry.is_file():
            shutil.copy(entry, tmp_path / "more")
    neighbours = tmp_path / "more" / "manifest.jsonl"
    neighbours.write_text(neighbours.read_text().replace('"id": "', '"id": "other-'))
    read_by(Reader())
    rows = evaluate(manifest, neighbours=neighbours)["groups"]["all cases"]
    assert next(item for item in rows if item["name"] == "side")["nearest"]["value"] == 1.0
