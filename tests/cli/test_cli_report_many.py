"""`brain3d report` for many studies, with an engine whose answers are known."""

from __future__ import annotations

import csv
import errno
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from stand_in import StandIn
from tiny_model import write_head, write_without_orientation

from brain3d.reading import many as reading_many
from brain3d.reading.models import Identity

Run = Callable[..., tuple[int, str, str]]
NOT_A_SCAN = "not a NIfTI file, and no DICOM; give a .nii or .nii.gz file, or a DICOM study"
SPOTS = {"a.nii": -35.0, "sub/b.nii.gz": 35.0, "sub/deep/c.nii": -35.0}


@pytest.fixture
def scans(empty: Path) -> Path:
    """A folder with three good scans."""
    for seed, (name, spot_x) in enumerate(SPOTS.items()):
        (empty / "scans" / name).parent.mkdir(parents=True, exist_ok=True)
        write_head(empty / "scans" / name, spot_x, seed)
    return empty / "scans"


def rows(path: Path) -> dict[str, dict[str, str]]:
    return {row["study"]: row for row in csv.DictReader(path.read_text().splitlines())}


def results(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def both(*names: str) -> list[str]:
    return sorted(f"{name}{suffix}" for name in names for suffix in (".json", ".txt"))


THREE = ("a", "sub__b", "sub__deep__c")


def one_error(found: tuple[int, str, str], code: int, words: str) -> None:
    assert found[:2] == (code, ""), found
    errors = [line for line in found[2].splitlines() if line.startswith("brain3d: ")]
    assert len(errors) == 1, found[2]
    assert errors[0].startswith("brain3d: error: ")
    assert words in errors[0]


def test_a_folder_of_scans(run: Run, scans: Path, stand_in: StandIn) -> None:
    code, out, err = run("report", "scans", "--output", "out")
    assert (code, out) == (0, "out/summary.csv\n")
    assert "reading" in err
    assert results(Path("out")) == [*both(*THREE), "summary.csv"]
    found = rows(Path("out/summary.csv"))
    assert list(found) == list(THREE)
    assert [row["sides"] for row in found.values()] == ["left", "right", "left"]
    assert {(row["status"], row["normal"], row["regions"], row["error"]) for row in found.values()} == {
        ("ok", "false", "frontal", "")
    }
    code, out, _ = run("report", scans / "a.nii", "--format", "json")
    assert out == Path("out/a.json").read_text()
    assert run("report", scans / "a.nii")[1] == Path("out/a.txt").read_text()


def test_what_is_there_is_not_read_again(run: Run, scans: Path, stand_in: StandIn) -> None:
    def again(*options: str) -> int:
        shown = stand_in.shown
        assert run("report", "scans", "--output", "out", *options)[0] == 0
        assert list(rows(Path("out/summary.csv"))) == list(THREE)
        return stand_in.shown - shown

    assert again() == 6
    assert again() == again("--batch-size", "1") == 0
    Path("out/a.json").write_text("{")
    Path("out/sub__b.txt").unlink()
    assert again() == 4
    write_head(scans / "a.nii", 35.0)
    assert again() == 2
    assert rows(Path("out/summary.csv"))["a"]["sides"] == "right"
    assert again("--no-mirror-check") == 3
    assert again("--no-mirror-check", "--seed", "3") == 3
    assert again("--no-mirror-check", "--seed", "3") == 0
    stand_in.identity = Identity("stand-in", "0", "1" * 64)
    assert again() == 6


def test_bad_studies_among_good_ones(run: Run, scans: Path, stand_in: StandIn) -> None:
    (scans / "words.nii").write_text("not a scan")
    (scans / "gone.nii").symlink_to("nowhere.nii")
    os.mkfifo(scans / "pipe.nii")
    write_without_orientation(scans / "sideless.nii")
    code, out, err = run("report", "scans", "--output", "out")
    assert (code, out) == (1, "out/summary.csv\n")
    lines = [line for line in err.splitlines() if line.startswith("brain3d: ")]
    assert lines == [
        "brain3d: error: scans/gone.nii: no such file; check the path",
        "brain3d: error: scans/pipe.nii: neither a file nor a folder; give a .nii or .nii.gz file, or a DICOM study",
        "brain3d: error: scans/sideless.nii: the header does not say which side is left; give the axes (--axes LPS) "
        "or accept a report without a side (--without-side)",
        f"brain3d: error: scans/words.nii: {NOT_A_SCAN}",
        "brain3d: 4 of 7 studies could not be read; see out/summary.csv",
    ]
    found = rows(Path("out/summary.csv"))
    assert [name for name, row in found.items() if row["status"] == "ok"] == list(THREE)
    assert found["words"]["error"] == NOT_A_SCAN
    assert "scans/" not in Path("out/summary.csv").read_text()
    assert results(Path("out")) == [*both(*THREE), "summary.csv"]
    assert run("report", "scans", "--output", "out", "--without-side")[0] == 1
    assert rows(Path("out/summary.csv"))["sideless"]["flags"] == "side_not_in_header"


def test_our_fault_is_told_as_ours(run: Run, scans: Path, stand_in: StandIn) -> None:
    def fragile(left: bool) -> str:
        if not left:
            raise RuntimeError("boom")
        return "No focal lesion is seen."

    stand_in.rule = fragile
    code, _, err = run("report", "scans", "--output", "out", "--no-mirror-check")
    assert code == 1
    assert "brain3d: internal error: scans/sub/b.nii.gz: RuntimeError: boom\n" in err
    assert rows(Path("out/summary.csv"))["sub__b"]["error"] == "internal error: RuntimeError"
    assert "Traceback" not in err
    assert "Traceback" in run("report", "scans", "--output", "out", "--no-mirror-check", "--debug")[2]


def test_where_none_can_be_read(run: Run, empty: Path, stand_in: StandIn) -> None:
    for name in ("a.nii", "b.nii"):
        (empty / name).write_text("not a scan")
    code, out, err = run("report", "a.nii", "b.nii", "--output", "out")
    assert (code, out) == (2, "")
    assert "brain3d: error: none of 2 studies could be read (the first, a: not a NIfTI file, and no DICOM; " in err
    assert results(Path("out")) == ["summary.csv"]


def test_what_cannot_start_leaves_nothing(
    run: Run, scans: Path, empty: Path, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    (empty / "none").mkdir()
    (empty / "file").write_text("x")
    before = sorted(empty.rglob("*"))

    def unloaded(model: str, *, device: str) -> None:
        raise AssertionError("the model was loaded")

    monkeypatch.setattr("brain3d.reading.load", unloaded)
    many = ("report", "scans", "--output", "out")
    for arguments, words in (
        (("report", "scans"), "scans: a folder with 3 NIfTI files; give one, or --output FOLDER"),
        (("report", "scans/a.nii", "scans/sub/b.nii.gz"), "2 NIfTI files; give one, or --output FOLDER"),
        (("report", "none", "--output", "out/"), "none: a folder without a NIfTI scan"),
        (("report", "none", "scans", "--output", "out"), "none: a folder without a NIfTI scan"),
        (("report", "scans", "--output", "file"), "--output file: not a folder"),
        (("report", "scans", "--output", "file/out"), "--output file/out: its folder does not exist"),
        (("report", "scans", "--output", "missing/out"), "--output missing/out: its folder does not exist"),
        (("report", "scans", "--output", ""), "--output '': not a folder"),
        (("report", "scans", "--output", os.devnull), "not a folder"),
        (("report", "scans", "--output", "x" * 300), "cannot be written"),
        ((*many, "--preview", "look.png"), "--preview: for one scan"),
        ((*many, "--format", "json"), "--format: for one scan"),
        ((*many, "--axes", "LLS"), "three letters"),
        ((*many, "--axes", "LPS", "--without-side"), "contradict"),
        ((*many, "--batch-size", "0"), "--batch-size 0"),
        ((*many, "--seed", "-1"), "--seed -1"),
        ((*many, "--shard", "0/8"), "--shard 0/8"),
        ((*many, "--shard", "9/8"), "--shard 9/8"),
        ((*many, "--shard", "3"), "--shard 3"),
        ((*many, "--shard", ""), "--shard ''"),
        (("report", "scans/a.nii", "--shard", "1/2"), "are for many studies"),
        (("report", "scans/a.nii", "--batch-size", "2", "--output", "r.txt"), "are for many studies"),
        (("report", "--sample", "scans", "--output", "out"), "one of SCAN and --sample"),
    ):
        one_error(run(*arguments), 2, words)
        assert sorted(empty.rglob("*")) == before


def test_a_model_that_is_not_there_leaves_no_folder(run: Run, scans: Path) -> None:
    one_error(run("report", "scans", "--output", "out", "--model", "none"), 2, "none: no such model")
    assert not Path("out").exists()


def test_a_folder_that_cannot_be_written_is_told_at_once(
    run: Run, scans: Path, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_arguments: Any, **_options: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("tempfile.TemporaryFile", full)
    one_error(run("report", "scans", "--output", "out"), 2, "--output out: cannot be written (No space left on device)")
    assert stand_in.shown == 0


def test_a_disk_that_fills_up_leaves_whole_files(
    run: Run, scans: Path, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = Path.write_bytes

    def fills_up(self: Path, content: bytes) -> int:
        if "deep" in self.name or "summary" in self.name:
            write(self, content[:50])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(self, content)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", fills_up)
        one_error(run("report", "scans", "--output", "out"), 2, "cannot be written (No space left on device)")
    assert results(Path("out")) == both("a", "sub__b")
    shown = stand_in.shown
    assert run("report", "scans", "--output", "out")[0] == 0
    assert stand_in.shown - shown == 2


def test_an_interrupted_run_goes_on(run: Run, scans: Path, stand_in: StandIn) -> None:
    write, batches = stand_in.write, []

    def interrupted(features: Sequence[bool], decoding: Any) -> Any:
        batches.append(len(features))
        if len(batches) == 2:
            raise KeyboardInterrupt
        return write(features, decoding)

    stand_in.write = interrupted
    many = ("report", "scans", "--output", "out", "--batch-size", "1")
    code, out, err = run(*many)
    assert (code, out) == (130, "")
    assert err.endswith("brain3d: interrupted\n")
    assert results(Path("out")) == [*both("a"), "summary.csv"]
    assert list(rows(Path("out/summary.csv"))) == ["a"]
    Path("out/.a.txt.0123.part").write_text("left by a run that was killed")
    assert run(*many)[0] == 0
    assert batches == [2, 2, 2, 2]
    assert results(Path("out")) == [*both(*THREE), "summary.csv"]
    assert list(rows(Path("out/summary.csv"))) == list(THREE)


def test_what_goes_wrong_in_finding_out_what_is_there_stops_nothing(
    run: Run, scans: Path, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fragile(function: Callable[..., Any]) -> Callable[..., Any]:
        def read(path: Path, **options: Any) -> Any:
            if path.name == "a.nii":
                raise MemoryError
            return function(path, **options)

        return read

    assert run("report", "scans", "--output", "out")[0] == 0
    for name in ("read_stored", "read_scan"):
        monkeypatch.setattr(f"brain3d.reading.many.{name}", fragile(getattr(reading_many, name)))
    code, out, err = run("report", "scans", "--output", "out")
    assert (code, out) == (1, "out/summary.csv\n")
    assert "brain3d: internal error: scans/a.nii: MemoryError" in err
    found = rows(Path("out/summary.csv"))
    assert [row["error"] for row in found.values()] == ["internal error: MemoryError", "", ""]


def test_shards_share_a_folder(run: Run, scans: Path, stand_in: StandIn) -> None:
    assert run("report", "scans", "--output", "out", "--shard", "1/2")[:2] == (0, "out/summary-1-of-2.csv\n")
    assert run("report", "scans", "--output", "out", "--shard", "2/2")[:2] == (0, "out/summary-2-of-2.csv\n")
    assert list(rows(Path("out/summary-1-of-2.csv"))) == ["a", "sub__deep__c"]
    assert list(rows(Path("out/summary-2-of-2.csv"))) == ["sub__b"]
    assert run("report", "scans", "--output", "out", "--shard", "5/5")[0] == 0
    assert rows(Path("out/summary-5-of-5.csv")) == {}
    shown = stand_in.shown
    assert run("report", "scans", "--output", "out")[0] == 0
    assert stand_in.shown == shown


def test_names_that_are_odd_or_alike(run: Run, empty: Path, stand_in: StandIn) -> None:
    (empty / "in").mkdir()
    names = ("=cmd,\n\x1b[2J'.nii", "x.nii", "x.nii.gz")
    for seed, name in enumerate(names):
        write_head(empty / "in" / name, -35.0, seed)
    (empty / "in" / "bad\nname.nii").write_text("not a scan")
    code, out, err = run("report", "in", "--output", "out")
    assert (code, out) == (1, "out/summary.csv\n")
    assert f"brain3d: error: in/bad name.nii: {NOT_A_SCAN}\n" in err
    found = rows(Path("out/summary.csv"))
    assert len(found) == 4
    assert {"_cmd____2J_", "bad_name"} < set(found)
    assert len(results(Path("out"))) == 7
    hashes = {json.loads(path.read_text())["scan"]["sha256"] for path in Path("out").glob("*.json")}
    assert len(hashes) == 3


@pytest.mark.parametrize("output", ["there", "new/"])
def test_an_output_that_is_a_folder_means_many(run: Run, scans: Path, stand_in: StandIn, output: str) -> None:
    Path("there").mkdir()
    assert run("report", "scans/a.nii", "--output", output)[:2] == (0, f"{Path(output)}/summary.csv\n")
    assert results(Path(output)) == [*both("a"), "summary.csv"]


def test_a_folder_of_one_scan_is_that_scan(run: Run, scans: Path, empty: Path, stand_in: StandIn) -> None:
    code, out, err = run("report", "scans/sub/deep")
    assert (code, err) == (0, "")
    assert "lesion in the left" in out
    assert run("report", "scans/sub/deep/")[:2] == (0, out)
    assert run("report", "scans/sub/deep", "--output", "r.txt")[:2] == (0, "")
    assert Path("r.txt").read_text() == out
    assert run("report", "scans/sub/deep", "--output", "out/")[0] == 0
    assert results(Path("out")) == [*both("c"), "summary.csv"]
    one_error(run("report", "scans/sub"), 2, "scans/sub: a folder with 2 NIfTI files")
    (scans / "sub" / "b.nii.gz").unlink()
    one_error(run("report", "scans/sub"), 2, "scans/sub: a folder with 1 NIfTI file; give one, or")
    assert run("report", "scans/sub", "--output", "new")[0] == 0
    assert results(Path("new")) == [*both("deep__c"), "summary.csv"]


def test_no_scan_is_overwritten(run: Run, empty: Path, stand_in: StandIn) -> None:
    for name in ("x", "x.json"):
        write_head(empty / "x.nii").rename(empty / name)
    before = (empty / "x.json").read_bytes()
    one_error(run("report", "x", "x.json", "--output", "."), 2, "a scan that is to be read has this name")
    assert (empty / "x.json").read_bytes() == before
