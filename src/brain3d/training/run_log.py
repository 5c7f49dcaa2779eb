"""What a run writes down while it learns: JSON Lines, and TensorBoard where asked for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from brain3d.scans import InputError
from brain3d.training.checkpoint import write_durably

WHERE = "log.jsonl"


def _kept(line: str, stage: str, step: int) -> bool:
    """Whether a line stands for something that the checkpoint of `step` knows of; a line cut by a kill does not."""
    try:
        row = json.loads(line)
    except ValueError:
        return False
    return bool(row.get("stage") != stage or row.get("step", 0) <= step)


def forget_after(path: Path, stage: str, step: int) -> None:
    """Take out of a log what a stage wrote after `step`: it goes on from there, and will write it again."""
    if not path.exists():
        return
    lines = path.read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if _kept(line, stage, step)]
    if kept != lines:
        text = "".join(f"{line}\n" for line in kept)
        write_durably(path, lambda file: file.write(text.encode()))


def validations(folder: Path, stage: str) -> dict[int, dict[str, float]]:
    """The figures of a stage's validations, by step, out of a run's log."""
    path = folder / WHERE
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []
    return {row["step"]: row["validation"] for row in rows if row["stage"] == stage and "validation" in row}


class Log:
    """Appends one JSON object a line to `folder/log.jsonl`, and its numbers to `folder/tensorboard/STAGE`."""

    def __init__(self, folder: Path, stage: str, step: int, tensorboard: bool = False) -> None:
        self.path, self.stage = folder / WHERE, stage
        forget_after(self.path, stage, step)
        self.board = _board(folder / "tensorboard" / stage, step) if tensorboard else None

    def write(self, step: int, seconds: float, **row: Any) -> None:
        """One line; validation figures stand under `validation`."""
        whole = {"stage": self.stage, "seconds": round(seconds, 1), "step": step, **row}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(whole) + "\n")
        if self.board is not None:
            for name, value in {**row, **row.get("validation", {})}.items():
                if isinstance(value, (int, float)):
                    self.board.add_scalar(f"validation/{name}" if "validation" in row else name, value, step)

    def close(self) -> None:
        if self.board is not None:
            self.board.close()


def check_tensorboard() -> None:
    """InputError where TensorBoard is asked for and not installed."""
    try:
        import tensorboard  # noqa: F401
    except ImportError as error:
        raise InputError("tensorboard: not installed; pip install 'brain3d[tensorboard]', or set it false") from error


def _board(folder: Path, step: int) -> Any:
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder), purge_step=step + 1)
