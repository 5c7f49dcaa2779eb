"""A whole evaluation, with readers whose answers are known: no model is needed to test the scoring of one."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import brain3d.reading
from brain3d.cli.main import main
from brain3d.cohort import Study, read_manifest, write_manifest
from brain3d.evaluation import predictions
from brain3d.evaluation.pairs import read_pairs
from brain3d.evaluation.predictions import PredictionFile, project
from brain3d.evaluation.run import evaluate
from brain3d.evaluation.scoring import score_pairs
from brain3d.phantom.truth import Truth
from brain3d.reading.mirror_check import SIDE_UNSTABLE
from brain3d.reports import Report, parse_findings
from brain3d.scans import Flag, InputError, Scan, affine_from_axes, write_scan

SHAPE = (24, 20, 22)  # right, anterior, superior
MODEL = {"name": "stand-in", "version": "0", "hash": "0" * 64}
Words = Callable[[Scan], str]


def spot(data: np.ndarray) -> int:
    """-1 where a bright spot lies left of the array's middle, 1 right of it, 0 where there is none."""
    where = np.argwhere(data > 5)
    return int(np.sign(where[:, 0].mean() - (SHAPE[0] - 1) / 2)) if len(where) else 0


def seeing(scan: Scan) -> str:
    side = {-1: "left", 1: "right"}.get(spot(scan.data))
    return f"There is a lesion in the {side} frontal lobe." if side else "No lesion is seen."


def blind(scan: Scan) -> str:
    return "There is a lesion in the left frontal lobe."


class StandIn:
    """A reader that answers by a rule. `broken` scans (by their brightest voxel) cannot be read."""

    error: Exception = InputError("this one\ncannot be read")

    def __init__(self, words: Words, broken: float | None = None, flags: tuple[Flag, ...] = ()) -> None:
        self.words, self.broken, self.flags, self.calls = words, broken, flags, 0

    def identity(self) -> dict[str, Any]:
        return MODEL

    def volume(self, scan: Scan) -> Scan:
        return scan

    def visual_tokens(self, scan: Scan) -> np.ndarray:
        return scan.data[::4, ::4, ::4].reshape(6, -1)

    def reports(self, scans: Sequence[Scan], *, batch_size: int, mirror_check: bool) -> list[Report]:
        self.calls += len(scans)
        if any(scan.data.max() == self.broken for scan in scans):
            raise self.error
        texts = [self.words(scan) for scan in scans]
        return [Report(text, parse_findings(text), self.flags, {}, [], MODEL, {}) for text in texts]


def truth_of(side: str | None) -> Truth:
    share = {"left": 1.0, "right": 0.0}.get(side or "")
    return Truth(
        normal=side is None,
        visible=side is not None,
        side=side or "unknown",
        left_share=share,
        centroid_offset_mm=None if side is None else 20.0,
        regions=("frontal",) if side else (),
        region_shares={"frontal": 1.0} if side else {},
        signal="unknown",
        edema="unknown",
        necrosis="unknown",
        ventricular_compression="unknown",
        midline_shift_mm=0.0,
        volume_ml=5.0 if side else 0.0,
        contrast_to_noise=3.0 if side else None,
        lesion_count=1 if side else 0,
        skull=False,
    )


def build_cohort(folder: Path, count: int = 12, *, with_truth: bool = True) -> Path:
    """Studies left, right and healthy in turn; the brightest voxel of study i is 10 + i."""
    rng = np.random.default_rng(0)
    studies = []
    for index in range(count):
        side = (None, "left", "right")[index % 3]
        data = np.zeros(SHAPE, np.float32)
        data[3:-3, 3:-3, 3:-3] = rng.uniform(1, 2, tuple(n - 6 for n in SHAPE))
        if side:
            x = 6 if side == "left" else SHAPE[0] - 7
            data[x - 1 : x + 1, 8:12, 8:12] = 10 + index
        name = f"study-{index:02d}"
        write_scan(folder / f"{name}.nii.gz", data, affine_from_axes("RAS", (6.0, 8.0, 7.0)))
        truth = folder / f"{name}.json"
        truth.write_text(json.dumps(truth_of(side).to_dict()))
        report = folder / f"{name}.txt"
        report.write_text(f"A lesion is seen in the {side} frontal lobe." if side else "No lesion is seen.")
        studies.append(
            Study(
                id=name,
                image=folder / f"{name}.nii.gz",
                report=report,
                truth=truth if with_truth else None,
                mask=None,
                split="test",
            )
        )
    write_manifest(folder / "manifest.jsonl", studies)
    return folder / "manifest.jsonl"


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    return build_cohort(tmp_path)


@pytest.fixture
def read_by(monkeypatch: pytest.MonkeyPatch) -> Callable[[StandIn], StandIn]:
    def install(reader: StandIn) -> StandIn:
        monkeypatch.setattr(brain3d.reading, "load", lambda model, device="auto": reader)
        return reader

    return install


def metrics_of(result: dict[str, Any], group: str = "all cases") -> dict[str, dict[str, Any]]:
    return {item["name"]: item for item in result["groups"][group]}


@pytest.mark.parametrize("with_truth", [True, False])
def test_a_reader_that_sees_is_told_from_one_that_does_not(
    tmp_path: Path, read_by: Callable[[StandIn], StandIn], with_truth: bool
) -> None:
    manifest = build_cohort(tmp_path, with_truth=with_truth)
    read_by(StandIn(seeing))
    good = metrics_of(evaluate(manifest, output=tmp_path / "good"))
    for name in ("sensitivity", "specificity", "side", "side_mirrored", "mirror_consistency", "regions_f1"):
        assert good[name]["value"] == 1.0
    assert good["side_seen"]["value"] == good["readings_agree"]["value"] == 1.0
    assert good["side_seen"]["constant"]["value"] == 0.5
    assert good["side"]["n"] == 8
    assert good["side"]["constant"]["value"] == 0.5
    assert good["side"]["shuffled"]["value"] < 0.7
    assert good["side"]["nearest"] is not None

    read_by(StandIn(blind))
    poor = metrics_of(evaluate(manifest, output=tmp_path / "poor"))
    assert poor["specificity"]["value"] == 0.0
    assert poor["side"]["value"] == poor["side"]["constant"]["value"] == 0.5
    assert poor["mirror_consistency"]["value"] == poor["readings_agree"]["value"] == 0.0


def test_a_flag_tells_that_the_separate_readings_disagreed(
    manifest: Path, read_by: Callable[[StandIn], StandIn]
) -> None:
    read_by(StandIn(seeing, flags=(SIDE_UNSTABLE,)))
    found = metrics_of(evaluate(manifest))
    assert found["mirror_consistency"]["value"] == 1.0
    assert (found["readings_agree"]["value"], found["readings_agree"]["n"]) == (0.0, 8)


def test_what_is_written(manifest: Path, tmp_path: Path, read_by: Callable[[StandIn], StandIn]) -> None:
    read_by(StandIn(seeing))
    result = evaluate(manifest, output=tmp_path / "out")
    kept = json.loads((tmp_path / "out" / "scores.json").read_text())
    table = (tmp_path / "out" / "table.md").read_text()
    assert kept == {key: value for key, value in result.items() if key != "table"}
    assert table == result["table"]
    for heading in ("95 % CI", "constant", "shuffled", "nearest", "side exactly right", "contrast-to-noise"):
        assert heading in table
    assert kept["curve"][0]["lesions"] == "contrast 2.5-4, 5-20 mL"
    assert {item["name"] for item in kept["curve"][0]["metrics"]} == {"drawn_sensitivity", "drawn_side"}
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "pairs.jsonl",
        "predictions.jsonl",
        "report_scores.json",
        "scores.json",
        "table.md",
    ]


def test_the_kept_pairs_are_what_score_reads(
    manifest: Path, tmp_path: Path, read_by: Callable[[StandIn], StandIn]
) -> None:
    read_by(StandIn(seeing, broken=11.0))
    evaluate(manifest, output=tmp_path / "out")
    pairs, problems = read_pairs(tmp_path / "out" / "pairs.jsonl")
    kept = json.loads((tmp_path / "out" / "report_scores.json").read_text())
    assert [problem.kind for problem in problems] == ["failed"]
    assert all(pair.image is not None and pair.image.exists() for pair in pairs)
    texts = [replace(pair, image=None, mask=None) for pair in pairs]
    assert kept["metrics"] == score_pairs(texts).content["metrics"]
    assert kept["failed"] == 1
    assert [pair.nearest is None for pair in pairs] == [pair.candidate is None for pair in pairs]
    assert kept["metrics"]["text/rouge_l"]["trivial"]["nearest"] is not None


def test_a_split_takes_its_studies_alone(manifest: Path, read_by: Callable[[StandIn], StandIn]) -> None:
    lines = [json.loads(line) for line in manifest.read_text().splitlines()]
    for index, line in enumerate(lines):
        line["split"] = "test" if index < 5 else "train"
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines))
    read_by(StandIn(seeing))
    assert evaluate(manifest, split="test")["cases"] == 5
    with pytest.raises(InputError, match="no study is in the split valid; it has test, train"):
        evaluate(manifest, split="valid")


def test_a_failed_case_is_wrong_and_named(
    manifest: Path, tmp_path: Path, read_by: Callable[[StandIn], StandIn]
) -> None:
    read_by(StandIn(seeing, broken=11.0))
    (tmp_path / "study-02.nii.gz").write_bytes(b"no image")
    result = evaluate(manifest, output=tmp_path / "out")
    assert [item["id"] for item in result["failed"]] == ["study-01", "study-02"]
    assert result["failed"][0]["reason"] == "this one cannot be read"
    assert str(tmp_path) not in json.dumps(result)
    found = metrics_of(result)
    assert found["side"]["value"] == pytest.approx(6 / 8)
    assert found["mirror_consistency"]["value"] == pytest.approx(10 / 12)
    assert "2 failed (counted as wrong)" in result["table"]


@pytest.mark.parametrize("error", [RuntimeError("out of memory"), ValueError("a bug")])
def test_a_bug_is_no_failed_case(
    manifest: Path, tmp_path: Path, read_by: Callable[[StandIn], StandIn], error: Exception
) -> None:
    reader = read_by(StandIn(seeing, broken=11.0))
    reader.error = error
    with pytest.raises(type(error), match=str(error)):
        evaluate(manifest, output=tmp_path / "out")
    assert '"failure"' not in (tmp_path / "out" / "predictions.jsonl").read_text()


def test_a_cohort_that_fails_as_a_whole_is_the_callers_fault(
    manifest: Path,
    tmp_path: Path,
    read_by: Callable[[StandIn], StandIn],
    capsys: pytest.CaptureFixture[str],
) -> None:
    read_by(StandIn(seeing))
    for path in tmp_path.glob("*.nii.gz"):
        path.write_bytes(b"no image")
    assert main(["evaluate", "--manifest", str(manifest)]) == 2
    captured = capsys.readouterr()
    assert f"brain3d: error: {manifest}: every case failed (the first, study-00: " in captured.err.splitlines()[-1]
    assert "12 failed" in captured.out


def test_an_interrupted_run_continues(manifest: Path, tmp_path: Path, read_by: Callable[[StandIn], StandIn]) -> None:
    whole = evaluate_with(read_by(StandIn(seeing)), manifest, tmp_path / "whole")
    read_by(StandIn(seeing))
    evaluate(manifest, output=tmp_path / "cut", limit=5)
    file = tmp_path / "cut" / "predictions.jsonl"
    file.write_bytes(file.read_bytes() + b'{"id": "study-05", "te')
    again = read_by(StandIn(seeing))
    assert evaluate_with(again, manifest, tmp_path / "cut") == whole
    assert again.calls == 2 * 7
    assert file.read_bytes() == (tmp_path / "whole" / "predictions.jsonl").read_bytes()


def evaluate_with(reader: StandIn, manifest: Path, output: Path) -> dict[str, Any]:
    return evaluate(manifest, output=output)


def test_predictions_of_another_model_are_not_mixed_in(tmp_path: Path) -> None:
    PredictionFile(tmp_path / "predictions.jsonl", {"model": MODEL, "mirror_check": True})
    with pytest.raises(InputError, match="another mirror check; give a new folder"):
        PredictionFile(tmp_path / "predictions.jsonl", {"model": MODEL, "mirror_check": False})
    with pytest.raises(InputError, match="another model; give a new folder"):
        PredictionFile(tmp_path / "predictions.jsonl", {"model": {**MODEL, "hash": "1"}, "mirror_check": True})


def test_a_prediction_file_of_another_preprocessing_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "predictions.jsonl"
    PredictionFile(path, {"model": MODEL})
    PredictionFile(path, {"model": MODEL})
    monkeypatch.setattr(predictions, "preprocessing_version", lambda: "1")
    with pytest.raises(InputError, match="made with another preprocessing; give a new folder, or delete this file"):
        PredictionFile(path, {"model": MODEL})
    path.write_text('{"model": ' + json.dumps(MODEL) + "}\n")  # as written before the version was kept
    with pytest.raises(InputError, match="another preprocessing"):
        PredictionFile(path, {"model": MODEL})


def test_predictions_of_another_cohort_are_not_reused(
    manifest: Path, tmp_path: Path, read_by: Callable[[StandIn], StandIn]
) -> None:
    read_by(StandIn(seeing))
    whole = evaluate(manifest, output=tmp_path / "out")
    other = tmp_path / "other"
    other.mkdir()
    twin = build_cohort(other)
    assert twin.read_bytes() == manifest.read_bytes()
    again = read_by(StandIn(seeing))
    assert evaluate(twin, output=tmp_path / "out") == whole
    assert again.calls == 0
    left, right = (other / f"study-{index:02d}.nii.gz" for index in (1, 2))
    left.write_bytes(right.read_bytes())
    with pytest.raises(InputError, match="another cohort; give a new folder"):
        evaluate(twin, output=tmp_path / "out")


def test_an_output_that_cannot_hold_a_run_is_the_callers_fault(
    manifest: Path, tmp_path: Path, read_by: Callable[[StandIn], StandIn]
) -> None:
    reader = read_by(StandIn(seeing))
    (tmp_path / "file").write_text("x")
    (tmp_path / "taken" / "predictions.jsonl").mkdir(parents=True)
    for output in (tmp_path / "file", tmp_path / "file" / "below", tmp_path / "taken"):
        with pytest.raises(InputError, match="give another folder"):
            evaluate(manifest, output=output)
    assert reader.calls == 0
    (tmp_path / "late" / "table.md").mkdir(parents=True)
    with pytest.raises(InputError, match=r"table\.md: cannot be written"):
        evaluate(manifest, output=tmp_path / "late")
    assert not list((tmp_path / "late").glob("*.partial"))


@pytest.mark.parametrize(
    ("line", "text", "cure"),
    [
        (0, b"{", "line 1 is damaged; delete this file"),
        (0, b"[]", "line 1 is damaged; delete this file"),
        (2, b"{", "line 3 is damaged; delete that line"),
        (2, b"\xff\xfe", "line 3 is damaged; delete that line"),
        (2, b"[]", "line 3 is damaged; delete that line"),
        (2, b'{"id": "study-01"}', "line 3 is damaged; delete that line"),
    ],
)
def test_a_damaged_file_of_predictions_says_what_to_delete(
    manifest: Path, tmp_path: Path, read_by: Callable[[StandIn], StandIn], line: int, text: bytes, cure: str
) -> None:
    read_by(StandIn(seeing))
    whole = evaluate(manifest, output=tmp_path / "out", limit=3)
    file = tmp_path / "out" / "predictions.jsonl"
    lines = file.read_bytes().split(b"\n")
    file.write_bytes(b"\n".join([*lines[:line], text, *lines[line + 1 :]]))
    with pytest.raises(InputError, match=cure):
        evaluate(manifest, output=tmp_path / "out", limit=3)
    file.write_bytes(b"\n".join(lines[:line] + lines[line + 1 :]) if line else b"")
    assert evaluate(manifest, output=tmp_path / "out", limit=3) == whole


def test_a_report_that_is_no_text_is_the_callers_fault(
    manifest: Path, tmp_path: Path, read_by: Callable[[StandIn], StandIn]
) -> None:
    read_by(StandIn(seeing))
    (tmp_path / "study-01.txt").write_bytes("Läsion".encode("latin-1"))
    with pytest.raises(InputError, match="report of study study-01 is not UTF-8"):
        evaluate(manifest)


def test_neighbours_must_hold_somebody_else(
    manifest: Path, tmp_path: Path, read_by: Callable[[StandIn], StandIn]
) -> None:
    reader = read_by(StandIn(seeing))
    (tmp_path / "empty.jsonl").write_text("")
    with pytest.raises(InputError, match=r"empty\.jsonl: no studies to be neighbours"):
        evaluate(manifest, neighbours=tmp_path / "empty.jsonl")
    write_manifest(tmp_path / "one.jsonl", read_manifest(manifest)[1:2])
    with pytest.raises(InputError, match="nobody but study study-01 itself"):
        evaluate(manifest, neighbours=tmp_path / "one.jsonl")
    assert reader.calls == 0
    result = evaluate(manifest, neighbours=manifest)
    assert metrics_of(result)["side"]["nearest"]["n"] == 8


def test_the_definition_of_contrast_stands_by_the_target_set(
    manifest: Path, read_by: Callable[[StandIn], StandIn]
) -> None:
    read_by(StandIn(seeing))
    result = evaluate(manifest)
    assert "standard deviation of all healthy brain tissue" in result["table"]
    assert result["contrast_to_noise"] in result["table"]


def test_nothing_to_score_is_the_callers_fault(tmp_path: Path) -> None:
    manifest = build_cohort(tmp_path, 1)
    study = Study(id="bare", image=tmp_path / "study-00.nii.gz", report=None, truth=None, mask=None, split="test")
    write_manifest(manifest, [study])
    with pytest.raises(InputError, match="neither a truth"):
        evaluate(manifest)


def test_projection_keeps_what_is_near_near() -> None:
    rng = np.random.default_rng(2)
    one = rng.standard_normal((32, 64))
    near, far = one + 0.1 * rng.standard_normal((32, 64)), rng.standard_normal((32, 64))
    a, b, c = (np.array(project(tokens)) for tokens in (one, near, far))
    assert np.linalg.norm(a - b) < 0.3 * np.linalg.norm(a - c)
