"""Many studies into a folder, with an engine whose answers are known."""

from __future__ import annotations

import csv
import errno
import json
import os
from collections.abc import Callable
from pathlib import Path

import jsonschema
import nibabel as nib
import numpy as np
import pytest
from stand_in import HEALTHY, StandIn, lesion, seeing
from tiny_model import write_head, write_without_orientation

from brain3d.reading import Reader
from brain3d.reading.many import (
    SUMMARY_FIELDS,
    Options,
    Outcome,
    kept_report,
    read_studies,
    summary,
    summary_row,
    sweep,
    write_whole,
)
from brain3d.reading.models import Identity
from brain3d.reading.software import PARTS, software
from brain3d.reading.studies import Study
from brain3d.reports import Report, report_schema
from brain3d.scans import InputError
from brain3d.scans.cache import preprocessing_version

LEFT, RIGHT = -35.0, 35.0


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def study(folder: Path, name: str, spot_x: float = LEFT, seed: int = 0) -> Study:
    return Study(name, write_head(folder / f"{name}.nii", spot_x, seed))


def bad(folder: Path, name: str) -> Study:
    (folder / f"{name}.nii").write_text("not a scan")
    return Study(name, folder / f"{name}.nii")


def read(studies: list[Study], out: Path, engine: StandIn, batch_size: int = 4) -> dict[str, Outcome]:
    outcomes = read_studies(studies, out, Reader(engine), Options(), batch_size)
    return {outcome.study.name: outcome for outcome in outcomes}


def files(out: Path) -> list[str]:
    return sorted(path.name for path in out.iterdir())


def test_what_is_written_is_what_one_report_is(tmp_path: Path, out: Path) -> None:
    studies = [study(tmp_path, "a", LEFT), study(tmp_path, "b", RIGHT), study(tmp_path, "c", RIGHT, 1)]
    outcomes = read(studies, out, StandIn(seeing), 2)
    assert list(outcomes) == ["a", "b", "c"]
    assert files(out) == ["a.json", "a.txt", "b.json", "b.txt", "c.json", "c.txt"]
    for one, side in zip(studies, ("left", "right", "right"), strict=True):
        report = Reader(StandIn(seeing)).report(one.path)
        assert (out / f"{one.name}.json").read_text() == report.to_json() + "\n"
        assert (out / f"{one.name}.txt").read_text() == report.to_text()
        assert report.findings.lesions[0].side == side
        jsonschema.validate(json.loads((out / f"{one.name}.json").read_text()), report_schema())


def test_a_bad_study_stops_neither_the_rest_nor_its_batch(tmp_path: Path, out: Path) -> None:
    engine, written = StandIn(seeing), []
    write = engine.write

    def counted(features: list[bool], decoding: object) -> object:
        written.append(len(features))
        return write(features, decoding)

    engine.write = counted
    gone = Study("gone", tmp_path / "gone.nii")
    studies = [study(tmp_path, "a"), bad(tmp_path, "b"), study(tmp_path, "c"), gone, study(tmp_path, "d")]
    outcomes = read(studies, out, engine, 2)
    assert {name for name, outcome in outcomes.items() if outcome.report} == {"a", "c", "d"}
    assert all(isinstance(outcomes[name].error, InputError) for name in ("b", "gone"))
    assert str(outcomes["b"].error).startswith(f"{tmp_path / 'b.nii'}: not a NIfTI file, and no DICOM")
    assert written == [4, 2]
    assert files(out) == ["a.json", "a.txt", "c.json", "c.txt", "d.json", "d.txt"]


def test_our_fault_over_one_study_is_its_own_alone(tmp_path: Path, out: Path) -> None:
    def fragile(left: bool) -> str:
        if not left:
            raise RuntimeError("boom")
        return HEALTHY

    studies = [study(tmp_path, "a"), study(tmp_path, "b", RIGHT), study(tmp_path, "c")]
    reader = Reader(StandIn(fragile))
    outcomes = list(read_studies(studies, out, reader, Options(mirror_check=False), 4))
    assert [type(outcome.error) for outcome in outcomes] == [type(None), RuntimeError, type(None)]
    assert summary_row(outcomes[1]) == ("b", "failed", "", "", "", "", "internal error: RuntimeError")
    assert files(out) == ["a.json", "a.txt", "c.json", "c.txt"]


@pytest.fixture
def done(tmp_path: Path, out: Path) -> Study:
    """A study that was read."""
    one = study(tmp_path, "a")
    read([one], out, StandIn(seeing))
    return one


def kept(one: Study, out: Path, engine: StandIn | None = None, **options: object) -> Report | None:
    return kept_report(one, out, Reader(engine or StandIn(seeing)), Options(**options))  # type: ignore[arg-type]


def another(**changed: object) -> StandIn:
    engine = StandIn(seeing)
    for name, value in changed.items():
        setattr(engine, name, value)
    return engine


def test_a_study_that_was_read_is_kept(done: Study, out: Path) -> None:
    report = kept(done, out)
    assert report is not None
    assert report.to_json() + "\n" == (out / "a.json").read_text()
    elsewhere = {**StandIn(seeing).settings(), "device": "cuda"}
    assert kept(done, out, another(settings=lambda: elsewhere)) == report


def test_what_other_software_wrote_is_read_again(done: Study, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("brain3d.reading.reader.software", lambda: "0.1.0 (another)")
    assert kept(done, out) is None


def test_software_is_known_by_its_code_and_its_word_lists(tmp_path: Path) -> None:
    def changed(name: str, text: str) -> str:
        (tmp_path / name).write_text(text)
        software.cache_clear()
        preprocessing_version.cache_clear()
        return software(tmp_path)

    for part in (*PARTS, "training"):
        (tmp_path / part).mkdir()
    found = [changed("scans/a.py", "1"), changed("reports/words.yaml", "1"), changed("reading/a.py", "1")]
    assert len({*found, changed("model/b.py", "1")}) == 4
    assert changed("reading/weights.bin", "1") == changed("training/a.py", "1") == changed("model/b.py", "1")
    software.cache_clear()
    preprocessing_version.cache_clear()


def test_axes_that_confirm_a_doubtful_header_are_read_again(tmp_path: Path, out: Path) -> None:
    grid = np.stack(np.meshgrid(*map(np.arange, (130, 150, 120)), indexing="ij"), axis=-1)
    radius = np.sqrt((((grid - (65, 75, 60)) / (60, 70, 55)) ** 2).sum(axis=-1))
    brain = np.where(radius < 1, 100 + 40 * radius + grid[..., 1] % 7, 0).astype(np.int16)
    brain[30:50, 75:95, 60:80] = 400
    nib.save(nib.Nifti1Image(brain, np.eye(4)), tmp_path / "a.nii")
    one = Study("a", tmp_path / "a.nii")
    (outcome,) = read_studies([one], out, Reader(StandIn(seeing)), Options(), 1)
    assert outcome.report is not None
    assert "orientation_doubtful" in [flag.code for flag in outcome.report.flags]
    assert kept(one, out) == outcome.report
    assert kept(one, out, axes="RAS") is None


def test_another_model_or_other_options_are_read_again(done: Study, out: Path) -> None:
    assert kept(done, out, another(identity=Identity("stand-in", "0", "1" * 64))) is None
    assert kept(done, out, another(settings=lambda: {"prompt": "!", "device": "cpu", "dtype": "float32"})) is None
    assert kept(done, out, seed=1) is None
    assert kept(done, out, mirror_check=False) is None
    assert kept(done, out, brain_extraction="none") is None
    assert kept(done, out, without_side=True) is not None  # its header says which side is left


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("a.json", lambda content: content[:-20]),
        ("a.json", lambda content: b""),
        ("a.json", lambda content: b"\xff" + content),
        ("a.json", lambda content: b"[" * 100_000),
        ("a.json", lambda content: b"[]"),
        ("a.json", lambda content: b"{}"),
        ("a.json", lambda content: content + b" "),
        ("a.json", lambda content: content.replace(b'"1.0"', b'"0.9"', 1)),
        ("a.json", lambda content: content.replace(b'"sha256": "', b'"sha256": "0', 1)),
        ("a.json", lambda content: content.replace(b'"sha256"', b'"sha"')),
        ("a.json", lambda content: content.replace(b'"mirror_check": {', b'"mirror": {')),
        ("a.json", lambda content: content.replace(b'"done": true', b'"done": false')),
        ("a.json", lambda content: content.replace(b'"side": "left"', b'"side": []')),
        ("a.json", lambda content: content.replace(b'"normal": false', b'"normal": 0')),
        ("a.json", lambda content: content.replace(b'"frontal"', b'"foot"')),
        ("a.txt", lambda content: content[:-20]),
        ("a.txt", lambda content: None),
        ("a.json", lambda content: None),
    ],
)
def test_what_is_not_whole_is_read_again(
    done: Study, out: Path, name: str, damage: Callable[[bytes], bytes | None]
) -> None:
    path = out / name
    before = path.read_bytes()
    content = damage(before)
    assert content != before
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    assert kept(done, out) is None
    read([done], out, StandIn(seeing))
    assert path.read_bytes() == before


def test_another_scan_of_that_name_is_read_again(done: Study, out: Path, tmp_path: Path) -> None:
    write_head(done.path, RIGHT)
    assert kept(done, out) is None
    done.path.unlink()
    assert kept(done, out) is None


def test_a_scan_that_is_taken_to_lie_otherwise_is_read_again(tmp_path: Path, out: Path) -> None:
    one = Study("n", write_without_orientation(tmp_path / "n.nii"))
    ways: list[dict[str, object]] = [{"axes": "LPS"}, {"axes": "RAS"}, {"without_side": True}]
    for way in ways:
        list(read_studies([one], out, Reader(StandIn(seeing)), Options(**way), 1))  # type: ignore[arg-type]
        assert [other for other in ways if kept(one, out, **other)] == [way]
        assert kept(one, out) is None  # it would be refused


def test_the_summary(tmp_path: Path) -> None:
    def two(left: bool) -> str:
        return f"{lesion('left')} {lesion('left', 'parietal')}"

    one = study(tmp_path, "a")
    line = f"{tmp_path}/odd\nname.nii: no such file, or = none; check"
    odd = Study("odd_name", tmp_path / "odd\nname.nii")
    outcomes = [
        Outcome(one, Reader(StandIn(two)).report(one.path)),
        Outcome(one, Reader(StandIn(lambda left: HEALTHY)).report(one.path)),
        Outcome(odd, error=InputError(line.replace("\n", " "))),
    ]
    text = summary(map(summary_row, outcomes))
    rows = list(csv.DictReader(text.splitlines()))
    assert tuple(rows[0]) == SUMMARY_FIELDS
    assert list(rows[0].values()) == ["a", "ok", "false", "unknown", "frontal;parietal", "side_unstable", ""]
    assert list(rows[1].values()) == ["a", "ok", "true", "", "", "", ""]
    assert list(rows[2].values()) == ["odd_name", "failed", "", "", "", "", "no such file, or = none; check"]
    assert str(tmp_path) not in text


def test_a_folder_that_fills_up_ends_it(tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, content: bytes) -> int:
        with self.open("wb") as file:
            file.write(content[:100])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    one = study(tmp_path, "a")
    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(InputError, match=r"a\.txt: cannot be written .No space left"):
        read([one], out, StandIn(seeing))
    assert files(out) == []


def test_what_a_killed_run_left_is_swept_but_not_that_of_others(out: Path) -> None:
    for name in (".a.json.0123.part", ".summary.csv.0123.part", ".b.json.0123.part", ".part", "a.json"):
        (out / name).write_text("half")
    write_whole(out / "a.json", "whole")
    sweep(out, ["a", "summary.csv"])
    assert files(out) == [".b.json.0123.part", ".part", "a.json"]
    assert (out / "a.json").read_text() == "whole"
