"""`brain3d report` of a DICOM study."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from brain3d.reports import report_schema

sys.path.append(str(Path(__file__).resolve().parents[1] / "scans"))

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A FLAIR series of a head, and a T1 one."""
    from dicom_studies import save, series_of
    from heads import affine_of, head

    shape = (24, 28, 20)
    affine = affine_of((8, 8, 9), shape)
    image = np.rint(head(affine, shape))
    folder = save(tmp_path_factory.mktemp("study") / "s", series_of(image, affine, 5), prefix="a")
    t1 = {"SeriesDescription": "t1 of Jane", "InversionTime": None, "EchoTime": 3.0}
    return save(folder, series_of(image, affine, 2, **t1), prefix="b")


def test_the_choice_is_in_the_report_and_on_stderr(run: Run, empty: Path, tiny_folder: Path, study: Path) -> None:
    from dicom_studies import SECRETS

    code, out, err = run("report", study, "--model", tiny_folder, "--format", "json")
    assert code == 0
    report = json.loads(out)
    jsonschema.validate(report, report_schema())
    assert report["scan"]["series"]["chosen"] == 2
    assert [one["kind"] for one in report["scan"]["series"]["listed"]] == ["T1", "FLAIR"]
    assert f"brain3d: {report['scan']['series']['why']}\n" in err
    code, text, _ = run("report", study, "--model", tiny_folder, "--series", "1")
    assert code == 0
    assert "not_known_to_be_flair" in text
    for secret in SECRETS:
        assert secret not in out + err + text


def test_a_series_that_is_not_there(run: Run, empty: Path, study: Path) -> None:
    code, out, err = run("report", study, "--series", "3", "--output", "r.txt")
    assert (code, out) == (2, "")
    assert err.startswith(f"brain3d: error: {study}: --series '3' is none of its series (1: T1, 20 images; 2: FLAIR")
    assert len(err.splitlines()) == 1
    assert not list(empty.iterdir())


def test_no_image_of_a_study_is_overwritten(run: Run, empty: Path, study: Path) -> None:
    image = sorted(study.iterdir())[0]
    content = image.read_bytes()
    (empty / "link").symlink_to(study)
    for output in (image, empty / "link" / image.name):
        code, _, err = run("report", study, "--output", output)
        assert (code, len(err.splitlines())) == (2, 1)
        assert "an input or another output has this name" in err
    assert image.read_bytes() == content
