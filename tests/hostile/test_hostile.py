"""Every hostile input is refused in one line, with exit code 2, and leaves nothing; what only looks so is read."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from corpus import CLASSES, HARMLESS, HOSTILE, everything
from sound import Harmless, Member

from brain3d.cli.main import main
from brain3d.scans import dicom, read_scan

Outcome = tuple[int, str, str]


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that is the current one, and the one for temporary files."""
    place = tmp_path / "room"
    place.mkdir()
    monkeypatch.chdir(place)
    monkeypatch.setenv("TMPDIR", str(place))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return place


@pytest.fixture(autouse=True)
def fewer_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fifteenth of what a study may take, so that what has no end ends sooner here; the sound one has room."""
    monkeypatch.setattr(dicom, "MAX_READS", 100_000)


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """The folder that an input is made in."""
    place = tmp_path / "made"
    place.mkdir()
    return place


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Run a command in this process: exit code, stdout, stderr."""

    def call(*arguments: object) -> Outcome:
        code = main([str(argument) for argument in arguments])
        captured = capfd.readouterr()
        return code, captured.out, captured.err

    return call


def is_refused(outcome: Outcome, member: Member) -> None:
    """Exit code 2, nothing on stdout, and one printable line on stderr that says what the member says."""
    code, out, err = outcome
    assert (code, out) == (2, ""), err
    assert err.endswith("\n")
    line = err[:-1]
    assert line.isprintable(), line
    assert line.startswith("brain3d: error: ")
    assert re.search(member.words, line), line


@pytest.mark.parametrize("member", HOSTILE, ids=lambda member: member.name)
def test_hostile_input_is_refused(member: Member, made: Path, room: Path, run: Callable[..., Outcome]) -> None:
    path = member.make(made)
    before = everything(room.parent)
    is_refused(run("inspect", path), member)
    assert everything(room.parent) == before


@pytest.mark.parametrize("member", CLASSES["places"], ids=lambda member: member.name)
def test_report_refuses_hostile_places_too(member: Member, made: Path, room: Path, run: Callable[..., Outcome]) -> None:
    if member.name == "folder_with_a_link_to_the_whole_system":
        pytest.skip("what is a link's target to many scans depends on the system")
    path = member.make(made)
    before = everything(room.parent)
    is_refused(run("report", path), member)
    assert everything(room.parent) == before


def test_the_corpus_is_large_and_its_names_differ() -> None:
    names = [one.name for one in (*HOSTILE, *HARMLESS)]
    assert len(set(names)) == len(names)
    assert len(HOSTILE) >= 60
    assert all(len(members) >= 12 for members in CLASSES.values())


@pytest.mark.parametrize("one", HARMLESS, ids=lambda one: one.name)
def test_what_only_looks_hostile_is_read(one: Harmless, made: Path, room: Path, run: Callable[..., Outcome]) -> None:
    path = one.make(made)
    before = everything(room.parent)
    code, out, err = run("inspect", path)
    assert (code, err) == (0, "")
    assert "What it is" in out
    assert tuple(flag.code for flag in read_scan(path).flags) == one.flags
    assert everything(room.parent) == before
