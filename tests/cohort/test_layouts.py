"""The layouts of data sets: what is found, and that nothing is dropped without a name."""

from __future__ import annotations

from pathlib import Path

import pytest
from cohort_files import LEFT, RIGHT, noise, textbrats

from brain3d.cohort.bids import find_bids
from brain3d.cohort.candidates import Found, counted
from brain3d.cohort.table import read_table
from brain3d.cohort.textbrats import find_textbrats
from brain3d.scans import InputError


def touched(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")
    return path


def ids(found: Found) -> list[str]:
    return [candidate.id for candidate in found.candidates]


def test_brats_with_healthy_scans(tmp_path: Path) -> None:
    images, reports, healthy = textbrats(tmp_path, {"BraTS_2": LEFT, "BraTS_1": RIGHT})
    mask = touched(images / "BraTS_1" / "BraTS_1_seg.nii.gz")
    touched(healthy / "sub-02" / "ses-01" / "anat" / "sub-02_ses-01_acq-x_FLAIR.nii.gz")
    touched(healthy / "sub-02" / "ses-01" / "anat" / "sub-02_ses-01_T1w.nii.gz")
    touched(healthy / "someone" / "flair.nii")
    touched(healthy / "old_FLAIR.nii.gz")
    found = find_textbrats(images, reports, [healthy])
    assert ids(found) == ["BraTS_1", "BraTS_2", "old", "someone", "sub-02_ses-01"]
    first = found.candidates[0]
    assert (first.mask, first.report, first.healthy, set(first.sequences)) == (mask, RIGHT, False, {"FLAIR", "T1"})
    assert [candidate.healthy for candidate in found.candidates] == [False, False, True, True, True]
    assert found.problems == ()


def test_everything_that_is_wrong_with_brats_is_named(tmp_path: Path) -> None:
    subjects = dict.fromkeys(["good", "no_report", "no_flair", "empty", "latin"], LEFT)
    images, reports, _ = textbrats(tmp_path, subjects)
    (reports / "no_report" / "no_report_flair_text.txt").unlink()
    (images / "no_flair" / "no_flair_flair.nii.gz").unlink()
    (reports / "empty" / "empty_flair_text.txt").write_text(" \n")
    (reports / "latin" / "latin_flair_text.txt").write_bytes(b"\xe4\xf6")
    (reports / "no_image").mkdir()
    found = find_textbrats(images, reports)
    assert ids(found) == ["good"]
    assert counted(found.problems) == {
        "empty report": ["empty"],
        "unreadable report": ["latin"],
        "missing FLAIR": ["no_flair"],
        "missing report": ["no_report"],
        "report without image": ["no_image"],
    }
    assert not any(str(tmp_path) in problem.line() for problem in found.problems)


def test_folders_that_are_not_there_or_hold_nothing(tmp_path: Path) -> None:
    images, reports, _ = textbrats(tmp_path, {"a": LEFT})
    with pytest.raises(InputError, match=r"--images .*no such folder"):
        find_textbrats(tmp_path / "none", reports)
    with pytest.raises(InputError, match=r"--reports .*no such folder"):
        find_textbrats(images, tmp_path / "none")
    (tmp_path / "bare").mkdir()
    with pytest.raises(InputError, match="holds no folders of subjects"):
        find_textbrats(tmp_path / "bare", reports)
    with pytest.raises(InputError, match="no NIfTI file with FLAIR"):
        find_textbrats(images, reports, [tmp_path / "bare"])


def bids(root: Path, *files: str) -> Path:
    for file in files:
        touched(root / file)
    return root


def table(folder: Path, *lines: str, name: str = "reports.tsv") -> Path:
    path = folder / name
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_bids_with_and_without_sessions(tmp_path: Path) -> None:
    root = bids(
        tmp_path / "data",
        "sub-01/anat/sub-01_FLAIR.nii.gz",
        "sub-01/anat/sub-01_T1w.nii.gz",
        "sub-01/anat/sub-01_ce-gadolinium_T1w.nii.gz",
        "sub-01/anat/sub-01_ce-gadolinium_FLAIR.nii.gz",
        "sub-01/anat/sub-01_T2w.nii",
        "sub-02/ses-a/anat/sub-02_ses-a_run-2_FLAIR.nii.gz",
        "sub-02/ses-a/anat/sub-02_ses-a_run-1_FLAIR.nii.gz",
        "sub-02/ses-b/anat/sub-02_ses-b_FLAIR.nii.gz",
        "sub-03/ses-a/anat/sub-03_ses-a_FLAIR.nii.gz",
        "derivatives/sub-09/anat/sub-09_FLAIR.nii.gz",
    )
    rows = table(
        tmp_path,
        "participant_id\tsession_id\treport\thealthy",
        f"sub-01\tn/a\t{LEFT}\tfalse",
        f"02\tses-a\t{RIGHT}\t",
        "sub-02\tb\tNo lesion.\tyes",
        "sub-03\t\t\ttrue",
    )
    found = find_bids(root, rows)
    assert ids(found) == ["sub-01", "sub-02_ses-a", "sub-02_ses-b", "sub-03_ses-a"]
    first, second, third, fourth = found.candidates
    assert set(first.sequences) == {"FLAIR", "T1", "T1ce", "T2"}
    assert first.image.name == "sub-01_FLAIR.nii.gz"
    assert second.image.name == "sub-02_ses-a_run-1_FLAIR.nii.gz"
    assert [one.healthy for one in found.candidates] == [False, None, True, True]
    assert (third.report, fourth.report, third.subject) == ("No lesion.", None, "sub-02")
    assert found.problems == ()


def test_everything_that_is_wrong_with_bids_is_named(tmp_path: Path) -> None:
    root = bids(
        tmp_path / "data",
        "sub-01/anat/sub-01_FLAIR.nii.gz",
        "sub-02/anat/sub-02_T1w.nii.gz",
        "sub-03/anat/sub-03_FLAIR.nii.gz",
        "sub-04/anat/sub-04_FLAIR.nii.gz",
        "sub-05/ses-1/anat/sub-05_ses-1_FLAIR.nii.gz",
        "sub-05/ses-2/anat/sub-05_ses-2_FLAIR.nii.gz",
    )
    rows = [f"{name},{text}" for name, text in [("01", LEFT), ("01", LEFT), ("02", LEFT), ("04", ""), ("05", LEFT)]]
    found = find_bids(root, table(tmp_path, "participant_id,report", *rows, f"07,{LEFT}", name="t.csv"))
    assert ids(found) == ["sub-01"]
    assert counted(found.problems) == {
        "duplicate subject": ["sub-01", "sub-05"],
        "report without image": ["sub-07"],
        "missing FLAIR": ["sub-02"],
        "missing report": ["sub-03", "sub-05_ses-1", "sub-05_ses-2"],
        "empty report": ["sub-04"],
    }


def test_reports_in_files_and_given_splits(tmp_path: Path) -> None:
    root = bids(tmp_path / "data", "sub-01/anat/sub-01_FLAIR.nii.gz", "sub-02/anat/sub-02_FLAIR.nii.gz")
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "one.txt").write_text(f"\ufeff{LEFT}\n", encoding="utf-8")
    rows = ["sub-01\ttexts/one.txt\tVal", "sub-02\ttexts/two.txt\ttest"]
    found = find_bids(root, table(tmp_path, "participant_id\treport_file\tsplit", *rows))
    assert [(one.report, one.split) for one in found.candidates] == [(LEFT, "validation")]
    assert counted(found.problems) == {"unreadable report": ["sub-02"]}


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (["subject\treport", "1\tx"], "no column 'participant_id'; its columns are 'subject', 'report'"),
        (["participant_id\ttext", "1\tx"], "'report', or of paths to text files, 'report_file'"),
        (["participant_id\treport\treport_file", "1\tx\ty"], "give one column"),
        (["participant_id\treport", "1\tx\ty"], "line 2: another number of fields"),
        (["participant_id\treport", "1"], "line 2: another number of fields"),
        (["participant_id\treport", "\tx"], "line 2: 'participant_id' is empty"),
        (["participant_id\treport\tsplit", "1\tx\tdev"], "line 2: split 'dev'; give train"),
        (["participant_id\treport\thealthy", "1\tx\tmaybe"], "line 2: healthy 'maybe'"),
        (["participant_id,report", '1,"x'], "check its quotes"),
        ([""], "its columns are none"),
    ],
)
def test_broken_tables(tmp_path: Path, lines: list[str], reason: str) -> None:
    with pytest.raises(InputError, match="--reports") as error:
        read_table(table(tmp_path, *lines))
    assert reason in str(error.value)
    assert "\n" not in str(error.value)


def test_no_table_and_no_bids(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such table"):
        read_table(tmp_path / "none.tsv")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="not a readable table"):
        read_table(tmp_path / "binary")
    noise(tmp_path / "scan_FLAIR.nii.gz", 0)
    with pytest.raises(InputError, match="no folder sub-"):
        find_bids(tmp_path, table(tmp_path, "participant_id\treport", "1\tx"))


def test_a_quoted_report_may_hold_lines_and_separators(tmp_path: Path) -> None:
    rows = read_table(table(tmp_path, "participant_id,report", '1,"A lesion, left.\nEdema."', name="t.csv"))
    assert [(row.participant, row.report) for row in rows] == [("1", "A lesion, left.\nEdema.")]
