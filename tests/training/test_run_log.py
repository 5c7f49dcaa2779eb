"""The log of a run holds each step once, also after a line that a kill cut short."""

import json
import sys
from pathlib import Path

import pytest

from brain3d.scans import InputError
from brain3d.training.run_log import Log, check_tensorboard, forget_after, validations


def test_what_came_after_the_checkpoint_is_forgotten_and_other_stages_stay(tmp_path: Path) -> None:
    first = Log(tmp_path, "a", 0)
    for step in (1, 2, 3):
        first.write(step, 0.0, loss=float(step))
    Log(tmp_path, "b", 0).write(9, 0.0, loss=9.0)
    with first.path.open("a") as file:
        file.write('{"stage": "b", "st')
    forget_after(first.path, "a", 2)
    rows = [json.loads(line) for line in first.path.read_text().splitlines()]
    assert [(row["stage"], row["step"]) for row in rows] == [("a", 1), ("a", 2), ("b", 9)]


def test_validations_are_found_by_step(tmp_path: Path) -> None:
    log = Log(tmp_path, "a", 0)
    log.write(4, 0.0, loss=1.0)
    log.write(4, 0.0, validation={"loss": 0.5})
    assert validations(tmp_path, "a") == {4: {"loss": 0.5}}
    assert validations(tmp_path, "b") == validations(tmp_path / "nowhere", "a") == {}


def test_tensorboard_gets_every_number(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    log = Log(tmp_path, "a", 0, tensorboard=True)
    log.write(1, 0.0, loss=0.25)
    log.write(1, 0.0, validation={"loss": 0.5})
    log.close()
    events = EventAccumulator(str(tmp_path / "tensorboard" / "a")).Reload()
    assert [event.value for event in events.Scalars("loss")] == [0.25]
    assert [event.value for event in events.Scalars("validation/loss")] == [0.5]


def test_tensorboard_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(InputError, match=r"brain3d\[tensorboard\]"):
        check_tensorboard()
