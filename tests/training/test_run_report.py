"""A run's report says what is needed to judge and repeat a run, and nothing of whose machine it was."""

import getpass
import json
import math
import socket
from pathlib import Path

import pytest

from brain3d.scans import InputError
from brain3d.training.run_report import (
    RunReport,
    StageReport,
    library_versions,
    model_digest,
    to_json,
    to_markdown,
    write_run_report,
)


def report() -> RunReport:
    return RunReport(
        recipe={
            "seed": 3,
            "output": Path("/home/somebody/runs/mini"),
            "data": "/data/cohort",
            "stages": [{"lr": 1e-4}],
        },
        hashes={"data": "abc", "base model": "def"},
        stages=[
            StageReport("grounding", 40, 12.34, {"side_accuracy": 0.75}, {"side_accuracy": math.nan}, 30),
            StageReport("warm-up", 10, 2.0, ended="early stopping", cache={"found": 3}),
        ],
        data={"train": {"studies": 8, "healthy": 2}},
        left_out={"unreadable_scan": 1},
        resumed=2,
    )


def test_both_files_are_written_and_hold_the_figures(tmp_path: Path) -> None:
    values = json.loads(write_run_report(tmp_path, report()).read_text())
    assert values["seconds"] == 14.3
    assert values["stages"][0]["best"] == {"side_accuracy": 0.75}
    assert values["stages"][0]["last"] == {"side_accuracy": None}
    assert values["versions"]["torch"] == library_versions()["torch"]
    text = (tmp_path / "run-report.md").read_text()
    for part in ("| grounding | 40 |", "side_accuracy 0.75 (step 30)", "early stopping", "unreadable_scan 1", "`abc`"):
        assert part in text
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run-report.json", "run-report.md"]


def test_no_absolute_path_user_or_host_is_in_it() -> None:
    values = to_json(report())
    assert values["recipe"]["output"] == "mini"
    assert values["recipe"]["data"] == "cohort"
    text = json.dumps(values) + to_markdown(values)
    assert "/home" not in text
    assert "/data" not in text
    for name in (getpass.getuser(), socket.gethostname()):
        assert len(name) < 4 or f'"{name}"' not in text


def test_a_model_is_hashed_by_its_weights_and_config_not_its_place(tmp_path: Path) -> None:
    digests = []
    for name, weights in (("a", b"1"), ("b", b"1"), ("c", b"2")):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "model.safetensors").write_bytes(weights)
        (folder / "config.json").write_text("{}")
        digests.append(model_digest(folder))
    assert digests[0] == digests[1] != digests[2]
    (tmp_path / "a" / "config.json").write_text('{"layers": 2}')
    assert model_digest(tmp_path / "a") != digests[0]
    with pytest.raises(InputError, match="holds no weights"):
        model_digest(tmp_path / "nothing")


def test_a_folder_that_is_gone_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot hold the run's report"):
        write_run_report(tmp_path / "gone", report())
