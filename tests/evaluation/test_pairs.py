"""Reading pairs: every line of the file is a case, or a problem that is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from brain3d.evaluation.pairs import LONG_TEXT, read_pairs, read_training
from brain3d.scans import InputError

LESION = "There is a lesion in the left frontal lobe."


def written(folder: Path, *lines: Any, name: str = "pairs.jsonl") -> Path:
    path = folder / name
    encoded = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
    path.write_bytes(b"\n".join(encoded) + b"\n")
    return path


def case(name: str, **more: Any) -> dict[str, Any]:
    return {"id": name, "reference": LESION, "candidate": LESION, **more}


def test_optional_keys_are_read_and_paths_lie_beside_the_file(tmp_path: Path) -> None:
    line = case("a", healthy=False, image="x.nii.gz", mask="m.nii.gz", mirrored="m", nearest="n", paraphrase="p")
    (pair,), problems = read_pairs(written(tmp_path, line))
    assert problems == []
    assert (pair.healthy, pair.image, pair.mask) == (False, tmp_path / "x.nii.gz", tmp_path / "m.nii.gz")
    assert (pair.mirrored, pair.nearest, pair.paraphrase) == ("m", "n", "p")


@pytest.mark.parametrize("candidate", [None, "", "  \n", 7, ["text"]])
def test_no_candidate_is_a_case_that_failed(tmp_path: Path, candidate: Any) -> None:
    (pair,), problems = read_pairs(written(tmp_path, case("a", candidate=candidate)))
    assert pair.candidate is None
    assert [problem.kind for problem in problems] == ["failed"]


def test_lines_that_are_no_case_are_named_and_the_rest_is_kept(tmp_path: Path) -> None:
    bad = [b"{not json", b"[1]", b'{"id": "\xff"}', {"id": "r", "candidate": "x"}, case("a")]
    pairs, problems = read_pairs(written(tmp_path, case("a"), *bad, case("b")))
    assert [pair.id for pair in pairs] == ["a", "b"]
    assert [(problem.line, problem.kind) for problem in problems] == [
        (2, "invalid_json"),
        (3, "invalid_json"),
        (4, "not_utf8"),
        (5, "no_reference"),
        (6, "duplicate_id"),
    ]
    assert all(problem.skipped for problem in problems)


def test_missing_ids_are_called_by_their_line(tmp_path: Path) -> None:
    lines = [{"reference": LESION, "candidate": LESION}, case(""), case("3"), {**case("x"), "id": 7}]
    pairs, problems = read_pairs(written(tmp_path, *lines))
    assert [pair.id for pair in pairs] == ["line-1", "line-2", "3", "7"]
    assert [problem.kind for problem in problems] == ["missing_id", "missing_id"]


def test_long_and_foreign_texts_are_scored_and_told(tmp_path: Path) -> None:
    lines = [
        case("long", candidate=LESION * (LONG_TEXT // len(LESION) + 1)),
        case("german", candidate="Eine Raumforderung im rechten Schläfenlappen mit Ödem und Nekrose."),
        case("chinese", candidate="左侧额叶可见病变伴有水肿"),
        case("short", candidate="lesion"),
    ]
    pairs, problems = read_pairs(written(tmp_path, *lines))
    assert len(pairs) == 4
    assert [(problem.id, problem.kind) for problem in problems] == [
        ("long", "long_text"),
        ("german", "not_english"),
        ("chinese", "not_english"),
    ]


def test_a_mask_needs_an_image_and_healthy_a_truth_value(tmp_path: Path) -> None:
    (pair,), problems = read_pairs(written(tmp_path, case("a", mask="m.nii.gz", healthy="no")))
    assert (pair.mask, pair.healthy) == (None, None)
    assert sorted(problem.kind for problem in problems) == ["bad_healthy", "mask_without_image"]


def test_a_mask_can_stand_for_the_reference(tmp_path: Path) -> None:
    line = {"id": "a", "candidate": LESION, "image": "x.nii.gz", "mask": "m.nii.gz"}
    (pair,), _ = read_pairs(written(tmp_path, line))
    assert pair.reference is None


@pytest.mark.parametrize("content", [b"", b"\n\n", b"{}\n", b"\x00\x01\x02"])
def test_a_file_without_a_case_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_bytes(content)
    with pytest.raises(InputError, match="no pair to score"):
        read_pairs(path)


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent.jsonl"):
        with pytest.raises(InputError, match="cannot be read"):
            read_pairs(path)


def test_training_cases_that_are_evaluated_are_left_out(tmp_path: Path) -> None:
    path = written(tmp_path, {"id": "a", "reference": LESION}, {"id": "t", "reference": LESION})
    kept, problems = read_training(path, {"a"})
    assert [pair.id for pair in kept] == ["t"]
    assert [problem.kind for problem in problems] == ["train_and_test"]
    with pytest.raises(InputError, match="no training reference"):
        read_training(path, {"a", "t"})
